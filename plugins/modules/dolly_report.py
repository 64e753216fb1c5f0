#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_report
short_description: What became of a run
version_added: 1.0.0
description:
  - Puts together what became of each host and of the run, and shows it as a table, on the control node.
  - The table is not shown with a callback for programs to read (C(json), C(jsonl), C(null) and their like).
  - It is a part of the role P(dolly.ring.dolly_ring#role), and is of no use without it.
  - It runs once for all hosts of the play, whatever their number.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run.action_attributes
options:
  run:
    description:
      - One of the runs of the plan, RV(dolly.ring.dolly_plan#module:runs).
    type: dict
    required: true
  path:
    description:
      - The file on the control node to write a page about the run to. The same as JSON is written beside it, with
        C(.json) at the end. Empty writes none.
    type: str
    default: ''
  run_dir:
    description:
      - The same as of M(dolly.ring.dolly_server).
    type: path
"""

EXAMPLES = r"""
- name: Say what became of the run
  dolly.ring.dolly_report:
    run: "{{ plan.runs[0] }}"
  register: report
"""

RETURN = r"""
run_id:
  description: The name of the run.
  returned: always
  type: str
msg:
  description: The table, as lines.
  returned: always
  type: list
  elements: str
path:
  description: The page that was written.
  returned: when there is one
  type: str
hosts:
  description: The result of each host by its name, also of those that had left the play. See the README of the role.
  returned: always
  type: dict
summary:
  description: The result of the run. See the README of the role.
  returned: always
  type: dict
"""
