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
  - Makes the plan of a run, its secret, and the ring of the nodes that have started, on the control node.
  - It is a part of the role P(dolly.ring.dolly_ring#role), reads what that has noted on each host, and is of
    no use without it.
  - It runs once for all hosts of the play, whatever their number, and its result is registered on the first of them.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run.action_attributes
options:
  state:
    description:
      - V(planned) decides who is in the ring and in which order, and says why there can be no ring.
      - V(secret) makes the secret of a run. Use it with C(no_log).
      - V(joined) says which nodes have started, and whether they are enough.
    type: str
    choices: [planned, secret, joined]
    required: true
  run:
    description:
      - The plan, RV(run) of an earlier task. Required with O(state=joined).
    type: dict
  options:
    description:
      - >-
        With O(state=planned), the names of all options of the role. A variable that begins with C(dolly_ring_) and is
        none of them is a problem of the play, as a mistyped one would have no effect. Empty, names are not looked at.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Freeze the ring
  dolly.ring.dolly_plan:
    state: planned
  register: plan
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
secret:
  description: 256 bits from the random generator of the system, in hexadecimal.
  returned: with O(state=secret)
  type: str
nodes:
  description: The nodes that have started, in the order of the ring, as M(dolly.ring.dolly_server) takes them.
  returned: with O(state=joined)
  type: list
  elements: dict
missing:
  description: The names of the hosts that ought to be nodes and have not started.
  returned: with O(state=joined)
  type: list
  elements: str
problem:
  description: Why the ring is not built. Empty when there are enough nodes.
  returned: with O(state=joined)
  type: str
"""
