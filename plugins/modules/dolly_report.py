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
  - It is a part of the role P(dolly.ring.dolly_ring#role), reads what that has registered on each host, and is of
    no use without it.
  - It runs once for all hosts of the play, whatever their number, and its result is registered on the first of them.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run.action_attributes
options:
  run:
    description:
      - The plan, RV(dolly.ring.dolly_plan#module:run).
    type: dict
    required: true
  image:
    description:
      - What M(dolly.ring.dolly_server) returned with C(state=inspected).
    type: dict
    default: {}
  ring:
    description:
      - What M(dolly.ring.dolly_plan) returned with C(state=joined).
    type: dict
    default: {}
  stream:
    description:
      - What M(dolly.ring.dolly_server) returned with C(state=finished).
    type: dict
    default: {}
  path:
    description:
      - The file on the control node to write a page about the run to. The same as JSON is written beside it, with
        C(.json) at the end. Empty writes none.
    type: str
    default: ''
  swept:
    description:
      - What M(dolly.ring.dolly_server) returned with C(state=absent).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what became of the run
  dolly.ring.dolly_report:
    run: "{{ plan.run }}"
    image: "{{ image }}"
    ring: "{{ ring }}"
    stream: "{{ stream }}"
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
  description: The result of each host of the play by its name. See the README of the role.
  returned: always
  type: dict
summary:
  description: The result of the run. See the README of the role.
  returned: always
  type: dict
"""
