#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_plan
short_description: What is decided once for all hosts of a ring
version_added: 1.0.0
description:
  - Makes the plan of a run and its secret on the control node, and looks at the image on the server.
  - It is a part of the role P(dolly.ring.dolly_ring#role), reads the variables of all hosts, and is of no use without
    it.
  - It runs once for all hosts of the play, whatever their number. Use it with C(run_once), so that its result is
    registered on all of them.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run.action_attributes
options:
  state:
    description:
      - V(planned) decides who is in the ring and in which order, and says why there can be no ring.
      - V(inspected) looks at the images of all runs of the plan.
      - V(limited) fails when more hosts have failed than the play allows.
    type: str
    choices: [planned, inspected, limited]
    required: true
  specs:
    description:
      - >-
        With O(state=planned), the argument specs of the role. The options of each host are checked against them. A
        variable that begins with C(dolly_ring_) and is none of them is a problem of the play, as a mistyped one would
        have no effect. Empty, names are not looked at.
    type: dict
    default: {}
  must_be_named:
    description:
      - With O(state=planned), refuse a play whose hosts nobody has named, by a limit or C(dolly_ring_hosts).
    type: bool
    default: false
  runs:
    description:
      - RV(runs) of an earlier task. Required with O(state=inspected).
    type: list
    elements: dict
  run:
    description:
      - One of RV(runs). Required with O(state=limited).
    type: dict
"""

EXAMPLES = r"""
- name: Plan the ring
  dolly.ring.dolly_plan:
    state: planned
  register: plan
  run_once: true
"""

RETURN = r"""
run:
  description: The plan.
  returned: with O(state=planned)
  type: dict
  contains:
    id:
      description: The name of the run.
      type: str
    server:
      description: The inventory name of the server.
      type: str
    nodes:
      description: The names of the nodes in the order of the ring.
      type: list
      elements: str
    expected:
      description: The hosts that the play began with and that ought to be nodes.
      type: list
      elements: str
    needed:
      description: How many nodes there must be at least.
      type: int
    problem:
      description: Why there can be no ring. Empty when there can be one.
      type: str
    problems:
      description: What stands against one host, by its name.
      type: dict
runs:
  description: The same for each image.
  returned: with O(state=planned)
  type: list
  elements: dict
steps:
  description: The files of tasks that the role includes.
  returned: with O(state=planned)
  type: list
  elements: dict
lost:
  description: Hosts that had left the play before.
  returned: with O(state=planned)
  type: list
  elements: str
holds_back:
  description: Whether hosts fail only after tasks of the user.
  returned: with O(state=planned)
  type: bool
images:
  description: What M(dolly.ring.dolly_server) returned for each image.
  returned: with O(state=inspected)
  type: list
  elements: dict
problem:
  description: Why there is no image to send. Empty when there is.
  returned: with O(state=inspected)
  type: str
"""
