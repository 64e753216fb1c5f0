#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_verdict
short_description: Ends a host with the first cause of its failure
version_added: 1.0.0
description:
  - Fails on a host that does not hold the image, with the reason in its result. A host that Ansible could not reach
    is unreachable, as if that had been found out only now. On all others it does nothing.
  - Until then nothing in the role P(dolly.ring.dolly_ring#role) fails or is unreachable for Ansible, so that what the
    play says about failures (C(any_errors_fatal), C(max_fail_percentage)) never ends it while receivers are at work.
  - It is a part of that role.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run.action_attributes
attributes:
  bypass_host_loop:
    description: Runs once for all hosts of the play.
    support: none
options:
  result:
    description:
      - The result of the host, C(dolly_ring_result). See the README of the role.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Fail with the first cause
  dolly.ring.dolly_verdict:
    result: "{{ dolly_ring_result }}"
"""

RETURN = r"""
msg:
  description: The reason.
  returned: always
  type: str
"""
