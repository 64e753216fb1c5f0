#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_stream
short_description: Builds the ring of the receivers that have started and sends the image
version_added: 1.0.0
description:
  - Says which nodes have started and whether they are enough, has M(dolly.ring.dolly_server) send the image, takes the
    log and the history of the server where they were asked for, and cleans up there.
  - It is a part of the role P(dolly.ring.dolly_ring#role), and is of no use without it.
  - It runs once for all hosts of the play and never fails; each host fails by itself.
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
  run_dir:
    description:
      - The same as of M(dolly.ring.dolly_server).
    type: path
  progress:
    description:
      - Show lines that say how far the run is.
    type: bool
    default: true
  progress_interval:
    description:
      - The seconds between two of them.
    type: float
    default: 5
  report:
    description:
      - Take the history of the run for a report.
    type: bool
    default: false
  log_dir:
    description:
      - A folder on the control node for the whole log of the server.
    type: path
"""

EXAMPLES = r"""
- name: Stream the image through the ring
  dolly.ring.dolly_stream:
    run: "{{ plan.runs[0] }}"
  delegate_to: "{{ plan.run.server }}"
  run_once: true
"""

RETURN = r"""
run_id:
  description: The name of the run.
  returned: always
  type: str
missing:
  description: The names of the hosts that ought to be nodes and have not started.
  returned: always
  type: list
  elements: str
problem:
  description: Why the ring was not built. Empty when there were enough nodes.
  returned: always
  type: str
nodes:
  description: What became of each node by the word of the server, as M(dolly.ring.dolly_server) returns it.
  returned: when there was a ring
  type: list
  elements: dict
"""
