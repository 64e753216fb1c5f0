# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server names what held the ring up: a disk, a link, the source; and says nothing when nothing did."""

from __future__ import annotations

import re

MIB = 1 << 20
#: More than sockets take in, at a rate that all else in the rack beats by far.
SIZE = 24 * MIB
RATE = 10 * MIB


def verdict(rack):
    found = re.findall(r"^limited by: (.*) \(\d+\.\d of \d+\.\d s\)$", rack.server.out, re.MULTILINE)
    return found[0] if found else ""


def test_a_slow_target_in_the_middle_is_named(loopback):
    loopback.start_client(2, fault=["slow-target=%d" % RATE])
    loopback.start_clients(3)
    loopback.clone(loopback.image(SIZE))
    assert verdict(loopback) == "%s target write" % loopback.address(2)


def test_a_slow_link_in_the_middle_is_named(namespaces):
    namespaces.start_clients(3)
    namespaces.network.limit(1, RATE)
    namespaces.clone(namespaces.image(SIZE))
    assert verdict(namespaces) == "link from %s to %s" % (namespaces.address(1), namespaces.address(2))


def test_the_common_end_of_two_slow_links_is_named(namespaces):
    namespaces.start_clients(2)
    namespaces.network.limit(0, 2 * RATE)
    namespaces.clone(namespaces.image(SIZE), "--fanout", "2")
    names = [namespaces.address(index) for index in (0, 1, 2)]
    assert verdict(namespaces) == "links from %s to %s and %s" % tuple(names)


def test_a_slow_source_is_named(loopback):
    loopback.start_clients(2)
    loopback.clone(loopback.image(SIZE), fault=["slow-digest=%d" % RATE])
    assert verdict(loopback) == "%s source read" % loopback.address(0)


def test_a_short_run_gives_no_verdict_but_the_times(loopback):
    loopback.start_clients(2)
    loopback.clone(loopback.image(MIB))
    assert verdict(loopback) == ""
    for index in (0, 1, 2):
        assert "seconds of %s: " % loopback.address(index) in loopback.server.out
