# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of the playbook dolly.ring.clone. By itself, Ansible ends a play without hosts as a success."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ring_hosts
short_description: The hosts to clone to, where there are any
version_added: 1.0.0
description:
  - Returns a pattern of hosts as it is, and fails when no host of the inventory matches it, or when the limit of the
    command line leaves none of them. It is made for the C(hosts) of a play, where a name that was mistyped would end
    the play with status 0.
author:
  - The dolly.ring authors (!UNKNOWN)
options:
  _terms:
    description: The pattern, such as V(rack3) or V(rack3:!n7).
    type: list
    elements: str
    required: true
  limit:
    description: The limit of the command line, C(ansible_limit).
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Do something with the hosts that were named
  hosts: "{{ lookup('dolly.ring.ring_hosts', dolly_ring_hosts, limit=ansible_limit | default('')) }}"
"""

RETURN = r"""
_raw:
  description: The pattern.
  type: list
  elements: str
"""

import difflib
import typing as t

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        groups = (variables or {}).get("groups") or {}
        limit = self.get_option("limit")
        for term in terms:
            problem = problem_of(_pattern(term), limit, groups, self._loader)
            if problem:
                raise AnsibleError(problem)
        return list(terms)


def problem_of(pattern: str, limit: str, groups: t.Mapping[str, t.Iterable[str]], loader: t.Any) -> str:
    """Return why nothing would be cloned, or the empty string.

    *limit* is --limit of the command line; *groups* are the inventory's groups with their hosts.
    """
    inventory = InventoryManager(loader, parse=False)
    for group, hosts in groups.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group=group)
    named = inventory.get_hosts(pattern=pattern)
    there = "The inventory has the groups: %s." % ", ".join(sorted(group for group in groups if group != "ungrouped"))
    if not named:
        names = sorted({*groups, *(host for hosts in groups.values() for host in hosts)})
        near = difflib.get_close_matches(pattern, names, n=1)
        meant = " Did you mean %s?" % near[0] if near else ""
        return "dolly_ring_hosts is %s, but no host of the inventory is called %s.%s %s" % (
            pattern, pattern, meant, there,
        )
    if limit:
        inventory.subset(limit)
        if not inventory.get_hosts(pattern=pattern):
            return "dolly_ring_hosts is %s, but the limit %s leaves none of its %d hosts. %s" % (
                pattern, limit, len(named), there,
            )
    return ""


def _pattern(term: t.Any) -> str:
    return ":".join(str(one) for one in term) if isinstance(term, (list, tuple)) else str(term)
