# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.dolly.ring.plugins.lookup import ring_hosts

GROUPS = {"all": ["n1", "n2", "m1"], "ungrouped": [], "rack3": ["n1", "n2"], "rack4": ["m1"]}


THERE = " The inventory has the groups: all, rack3, rack4."


@pytest.mark.parametrize("pattern, limit", [("rack3", ""), ("all", "rack3"), ("rack3:!n1", "n2,m1")])
def test_hosts_that_are_there(pattern, limit):
    assert ring_hosts.problem_of(pattern, limit, GROUPS, DataLoader()) == ""


@pytest.mark.parametrize("pattern, limit, told", [
    ("rakc3", "", "no host of the inventory is called rakc3. Did you mean rack3?"),
    ("zzz", "n1", "no host of the inventory is called zzz."),
    ("rack3", "rack4", "the limit rack4 leaves none of its 2 hosts."),
    ("rack3", "!n1:!n2", "the limit !n1:!n2 leaves none of its 2 hosts."),
])
def test_hosts_that_are_not_there(monkeypatch, pattern, limit, told):
    monkeypatch.setattr("ansible.constants.HOST_PATTERN_MISMATCH", "warning")  # ansible-test makes it an error
    problem = ring_hosts.problem_of(pattern, limit, GROUPS, DataLoader())
    assert problem == "dolly_ring_hosts is %s, but %s%s" % (pattern, told, THERE)
