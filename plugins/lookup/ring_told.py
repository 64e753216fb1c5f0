# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The last results of a host. As facts, the results of all hosts would be stored on every host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ring_told
short_description: What the last run of the role has said of a host
version_added: 1.0.0
description:
  - Returns what became of a host in the last run of this ansible-playbook that it had a part in, as a dictionary with
    C(result), C(results) and C(summary). It is empty where there was no run.
  - The role P(dolly.ring.dolly_ring#role) names its variables with it. Use those.
author:
  - The dolly.ring authors (!UNKNOWN)
options:
  _terms:
    description: The inventory name of the host.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what became of a host
  ansible.builtin.debug:
    msg: "{{ lookup('dolly.ring.ring_told', 'n1').result.state }}"
"""

RETURN = r"""
_raw:
  description: What the README of the role says of C(dolly_ring_result) and the others.
  type: list
  elements: dict
"""

from ansible.plugins.lookup import LookupBase

from ansible_collections.dolly.ring.plugins.plugin_utils import run_store


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        return [run_store.told(str(host)) for host in terms]
