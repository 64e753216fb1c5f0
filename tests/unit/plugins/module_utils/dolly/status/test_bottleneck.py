# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on rings with made-up times."""

from __future__ import annotations

import math

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.bottleneck import (
    Station,
    limited_by,
    tidy,
)


def sends(**children):
    return {name: {"send": send, "lack": lack} for name, (send, lack) in children.items()}


def ring(**changes):
    """Server, n1, n2, n3 in a chain of 20 s, in which the first link is slow unless something is changed."""
    times = {
        "server": {"read": 1.0, "hash": 3.0, "children": sends(n1=(19.0, 0.2))},
        "n1": {"receive": 18.0, "write": 1.5, "read": 2.0, "hash": 4.0, "children": sends(n2=(2.0, 17.0))},
        "n2": {"receive": 18.5, "write": 1.0, "read": 2.0, "hash": 4.0, "children": sends(n3=(1.5, 18.0))},
        "n3": {"receive": 18.6, "write": 1.0, "read": 2.0, "hash": 4.0},
    }
    for name, changed in changes.items():
        times[name] = {**times[name], **changed}
    return times


def chain(times, **seconds):
    names = list(times)
    return {
        rank: Station(name, rank - 1 if rank else None, True, seconds.get(name, 20.0 + rank / 10), times[name])
        for rank, name in enumerate(names)
    }


def test_the_first_link():
    assert limited_by(chain(ring())) == "link from server to n1 (18.0 of 20.3 s)"


def test_a_link_in_the_middle():
    times = ring(
        server={"children": sends(n1=(4.0, 0.5))},
        n1={"receive": 3.5, "write": 1.0, "children": sends(n2=(19.0, 0.5))},
    )
    assert limited_by(chain(times, n1=5.0)) == "link from n1 to n2 (18.5 of 20.3 s)"


def test_a_slow_disk_in_the_middle():
    times = ring(
        server={"children": sends(n1=(4.0, 0.5))},
        n1={"receive": 3.5, "write": 1.0, "children": sends(n2=(19.0, 0.5))},
        n2={"receive": 1.0, "write": 18.8, "children": sends(n3=(1.5, 18.0))},
    )
    assert limited_by(chain(times)) == "n2 target write (18.8 of 20.3 s)"


def test_a_slow_disk_at_the_end():
    times = ring(n2={"children": sends(n3=(19.0, 0.0))}, n3={"receive": 0.4, "write": 19.0})
    assert limited_by(chain(times)) == "n3 target write (19.0 of 20.3 s)"


def test_a_disk_with_time_to_spare_is_not_blamed_while_its_parent_lacks_the_bytes():
    times = ring(n3={"receive": 8.0, "write": 11.0})
    assert limited_by(chain(times)) == "link from server to n1 (18.0 of 20.3 s)"


def test_the_slower_of_disk_and_link_where_the_parent_has_the_bytes():
    slow_disk = ring(n2={"children": sends(n3=(19.0, 0.0))}, n3={"receive": 8.0, "write": 11.5})
    slow_link = ring(n2={"children": sends(n3=(19.0, 0.0))}, n3={"receive": 11.5, "write": 8.0})
    assert limited_by(chain(slow_disk)) == "n3 target write (11.5 of 20.3 s)"
    assert limited_by(chain(slow_link)) == "link from n2 to n3 (11.5 of 20.3 s)"


def test_the_source():
    starved = sends(n1=(2.0, 18.0))
    slow_read = ring(server={"read": 17.0, "hash": 3.0, "children": starved})
    slow_hash = ring(server={"read": 3.0, "hash": 16.0, "children": starved})
    assert limited_by(chain(slow_read)) == "server source read (20.0 of 20.3 s)"
    assert limited_by(chain(slow_hash)) == "server digest (19.0 of 20.3 s)"


def test_verification():
    fast = {"receive": 4.0, "write": 4.0}
    assert limited_by(chain(ring(n3={**fast, "read": 3.0, "hash": 16.0}))) == "n3 digest (19.0 of 20.3 s)"
    assert limited_by(chain(ring(n3={**fast, "read": 16.0, "hash": 3.0}))) == "n3 reading back (19.0 of 20.3 s)"


def test_flush():
    slow = {"receive": 4.0, "write": 2.0, "flush": 13.0}
    assert limited_by(chain(ring(n2=slow), n2=30.0, n3=20.0)) == ""  # 13 of 30 s stand out no more
    assert limited_by(chain(ring(n2=slow), n2=21.0)) == "n2 flush (13.0 of 21.0 s)"


def test_the_common_end_of_several_slow_links():
    leaf = {"receive": 18.0, "write": 1.0}
    times = {"server": {"children": sends(n1=(19.0, 0.0), n2=(19.0, 0.1))}, "n1": leaf, "n2": leaf}
    stations = {rank: Station(name, 0 if rank else None, True, 20.0, times[name]) for rank, name in enumerate(times)}
    assert limited_by(stations) == "links from server to n1 and n2 (18.0 of 20.0 s)"
    slow_disk = {"receive": 1.0, "write": 18.0}
    stations[2] = stations[2]._replace(times=slow_disk, seconds=19.0)
    assert limited_by(stations) == "link from server to n1 (18.0 of 20.0 s)"


def test_many_slow_links_are_counted():
    names = ["n%d" % rank for rank in range(1, 5)]
    stations = {0: Station("s", None, True, 9.0, {"children": {name: {"send": 8.0} for name in names}})}
    for rank, name in enumerate(names, 1):
        stations[rank] = Station(name, 0, True, 9.0, {"receive": 8.0})
    assert limited_by(stations) == "links from s to 4 nodes (8.0 of 9.0 s)"


class TestNoVerdict:
    def test_nobody_is_done(self):
        stations = {rank: one._replace(is_done=False) for rank, one in chain(ring()).items()}
        assert limited_by(stations) == ""
        assert limited_by({}) == ""

    def test_the_run_was_too_short(self):
        short = chain(ring(), server=0.9, n1=0.9, n2=0.9, n3=0.9)
        assert limited_by(short) == ""

    def test_nothing_takes_most_of_the_time(self):
        times = ring(n3={"receive": 3.0, "write": 5.0, "read": 3.0, "hash": 4.0}, n2={"children": sends(n3=(9.0, 1.0))})
        assert limited_by(chain(times)) == ""

    @pytest.mark.parametrize("gone", ["n1", "n2"])
    def test_a_node_in_between_has_said_nothing(self, gone):
        times = ring()
        times[gone] = {}
        assert limited_by(chain(times)) == ""

    def test_a_parent_that_cannot_be_one(self):
        stations = chain(ring())
        stations[3] = stations[3]._replace(parent=3)
        assert limited_by(stations) == ""


class TestTidy:
    def test_what_is_good_stays(self):
        told = {"receive": 1.5, "write": 2, "idle": 0.1, "children": sends(n2=(1.0, 2.0))}
        assert tidy(told, {"n2"}) == told

    @pytest.mark.parametrize("told", [None, [], "x", 3, {"children": []}, {"children": {"n2": 3}}, {"write": "9"}])
    def test_what_is_none_goes(self, told):
        assert tidy(told, {"n2"}) in ({}, {"children": {}})

    @pytest.mark.parametrize("value", [-1, math.inf, math.nan, True, "1", None, 1e300, [1]])
    def test_seconds_that_are_none(self, value):
        told = {"write": value, "hash": 1, "children": {"n2": {"send": value, "lack": 1}}}
        assert tidy(told, {"n2"}) == {"hash": 1, "children": {"n2": {"lack": 1}}}

    def test_names_that_nobody_knows(self):
        told = {"sleep": 4.0, "children": {"\x1b[2J": {"send": 1.0}, "n2": {"send": 1.0, "nap": 2.0}}}
        assert tidy(told, {"n2"}) == {"children": {"n2": {"send": 1.0}}}
