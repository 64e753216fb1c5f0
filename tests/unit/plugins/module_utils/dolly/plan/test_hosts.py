# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts with ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.hosts import parse_hosts


@pytest.mark.parametrize("text, hosts", [
    ("a", ["a"]),
    ("a,b, c", ["a", "b", "c"]),
    ("node[01-03]", ["node01", "node02", "node03"]),
    ("node[8-11]", ["node8", "node9", "node10", "node11"]),
    ("node[08-11]", ["node08", "node09", "node10", "node11"]),
    ("10.0.0.[5-7]", ["10.0.0.5", "10.0.0.6", "10.0.0.7"]),
    ("n[1,3-4]x,m", ["n1x", "n3x", "n4x", "m"]),
    ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
    ("fd00::1,fd00::[2-3]", ["fd00::1", "fd00::2", "fd00::3"]),
    ("node[5]", ["node5"]),
])
def test_lists(text, hosts):
    assert parse_hosts(text) == hosts


@pytest.mark.parametrize("text, what", [
    ("", "no host"),
    ("a,,b", "no host"),
    ("a,b,", "no host"),
    ("a,a", "a is there twice"),
    ("n[1-3],n2", "n2 is there twice"),
    ("n[3-1]", "backwards"),
    ("n[a-b]", "no range"),
    ("n[]", "no range"),
    ("n[1-2", "no host"),
    ("n1-2]", "no host"),
    ("n[[1-2]]", "no host"),
    ("n[1-999999]", "more than"),
    ("n[1-999][1-999]", "stands for"),
    ("n[1-60000],m[1-60000]", "more than"),
    ("a b", "space"),
    ("a\x1b", "control"),
    ("a/b", "no host"),
    ("a" * 256, "no host"),
])
def test_mistakes(text, what):
    with pytest.raises(ValueError, match=what):
        parse_hosts(text)


@given(st.integers(0, 9999), st.integers(0, 50), st.integers(1, 6))
def test_ranges(first, more, width):
    hosts = parse_hosts("n[%0*d-%0*d]" % (width, first, width, first + more))
    assert hosts[0] == "n%0*d" % (width, first) and len(hosts) == more + 1
    assert [int(host[1:]) for host in hosts] == list(range(first, first + more + 1))


@given(st.text("ab[]-,019 ", max_size=12))
def test_anything_is_read_or_refused(text):
    try:
        hosts = parse_hosts(text)
    except ValueError:
        return
    assert hosts and len(hosts) == len(set(hosts)) and not any(set(host) & set("[], ") for host in hosts)
