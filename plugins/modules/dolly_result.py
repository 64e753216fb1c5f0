#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_result
short_description: Collects what became of a host, cleans up there, and ends it with that
version_added: 1.0.0
description:
  - Has M(dolly.ring.dolly_client) return the result of a node and remove what the run kept there. The host has changed
    when anything was written, or with C(--check) would be. It fails with the first cause when it does not hold the
    image, and is unreachable when Ansible could not reach it.
  - It is a part of the role P(dolly.ring.dolly_ring#role), and is of no use without it.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run.action_attributes
attributes:
  bypass_host_loop:
    description: Runs once for all hosts of the play.
    support: none
options:
  run:
    description:
      - One of the runs of the plan, RV(dolly.ring.dolly_plan#module:runs).
    type: dict
    required: true
  started:
    description:
      - What M(dolly.ring.dolly_client) returned with C(state=started).
    type: dict
    default: {}
  cause:
    description:
      - Why the host had no part in the ring. Empty when it had.
    type: str
    default: ''
  ends:
    description:
      - Whether a host fails here. With V(false) M(dolly.ring.dolly_verdict) has to follow.
    type: bool
    default: true
  run_dir:
    description:
      - The same as of M(dolly.ring.dolly_client).
    type: path
  dest:
    description:
      - The same as of M(dolly.ring.dolly_client).
    type: str
  state_dir:
    description:
      - The same as of M(dolly.ring.dolly_client).
    type: path
  purge:
    description:
      - The same as of M(dolly.ring.dolly_client), for a target that was not refused.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait for the result of the node.
    type: float
    default: 120
  log_dir:
    description:
      - A folder on the control node for the whole log of the node.
    type: path
"""

EXAMPLES = r"""
- name: Collect the result of each host and clean up
  dolly.ring.dolly_result:
    run: "{{ plan.runs[0] }}"
    started: "{{ started }}"
"""

RETURN = r"""
msg:
  description: What became of the host.
  returned: always
  type: str
"""
