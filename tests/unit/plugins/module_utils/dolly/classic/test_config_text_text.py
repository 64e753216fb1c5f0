# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dollytab in a ring of originals: what it says, who feeds whom, and which host this is."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic import config_text

PLAIN = """infile /tmp/in
outfile /tmp/out
server srv
firstclient node1
lastclient node2
clients 2
node1
node2
endconfig
"""
FULL = """compressed infile /images/disk.gz split
compressed outfile /data/disk.gz split 2G
segsize 1400
add 2:-fast:-slow
fanout 3
hyphennormal
server srv
firstclient a1
lastclient a3
clients 3
a1
a2
a3
endconfig
"""
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=1, max_size=20).filter(
    lambda name: not name.startswith("endconfig")
)
RINGS = st.builds(
    config_text.ClassicText,
    hosts=st.lists(NAMES, min_size=1, max_size=9, unique=True).map(tuple),
    infile=NAMES.map("/".__add__),
    outfile=NAMES.map("/".__add__),
    server=NAMES,
    is_compressed_in=st.booleans(),
    is_compressed_out=st.booleans(),
    is_split_in=st.booleans(),
    split_out=st.sampled_from([0, 1, 1000, 1024, 3 << 20, 5 << 30, 1 << 40]),
    segsize=st.integers(0, 9000),
    suffixes=st.lists(NAMES, max_size=3, unique=True).map(tuple),
    goes_before_number=st.booleans(),
    fanout=st.integers(1, 8),
    is_hyphen_normal=st.booleans(),
)


def normal(ring):
    return ring if ring.suffixes else dataclasses.replace(ring, goes_before_number=False)


def test_a_plain_text():
    ring = config_text.parse(PLAIN)
    assert ring.hosts == ("node1", "node2")
    assert (ring.infile, ring.outfile, ring.server) == ("/tmp/in", "/tmp/out", "srv")
    assert ring.lanes == 1 and ring.fanout == 1 and not ring.is_hyphen_normal
    assert config_text.to_text(ring) == PLAIN


def test_a_full_text():
    ring = config_text.parse(FULL)
    assert ring.is_compressed_in and ring.is_split_in and ring.is_compressed_out and ring.is_hyphen_normal
    assert (ring.split_out, ring.segsize, ring.fanout, ring.lanes) == (2 << 30, 1400, 3, 3)
    assert ring.addresses(1) == ["a2", "a2-fast", "a2-slow"]
    assert config_text.to_text(ring) == FULL


@given(RINGS)
def test_there_and_back(ring):
    text = config_text.to_text(ring)
    assert config_text.parse(text) == normal(ring)
    assert config_text.is_strict(text)
    assert config_text.is_strict(text + " ")
    assert text.endswith("\nendconfig\n")


@pytest.mark.parametrize("old, new", [
    ("infile /tmp/in\n", ""), ("server srv\n", ""), ("firstclient node1\n", ""), ("clients 2\n", ""),
    ("clients 2", "clients 3"), ("clients 2", "clients x"),
    ("infile /tmp/in\noutfile /tmp/out\n", "outfile o\ninfile i\n"),
    ("server srv\n", "server srv\nfanout 2\n"), ("infile", "# a remark\ninfile"), ("infile", "\ninfile"),
    ("endconfig", "endofit"), ("server srv\n", "server srv\nserver srv\n"), ("\nnode1\nnode2", "\n\nnode2"),
])  # fmt: skip
def test_what_an_original_cannot_read(old, new):
    assert config_text.is_strict(PLAIN)
    assert not config_text.is_strict(PLAIN.replace(old, new, 1))


def test_ends_that_nobody_looks_at_may_say_anything():
    """An original compares neither with the list, so a text in which they do not fit is no reason to stay away."""
    text = PLAIN.replace("firstclient node1", "firstclient whoever").replace("lastclient node2", "lastclient 10.0.0.1")
    assert config_text.parse(text) == config_text.parse(PLAIN)
    assert config_text.parse(PLAIN + "and more\n") == config_text.parse(PLAIN)
    assert config_text.parse(PLAIN.replace("endconfig\n", "endconfig")) == config_text.parse(PLAIN)


@pytest.mark.parametrize("text, reason", [
    ("", "no list of clients"),
    (PLAIN.replace("clients 2", "clients 0"), "clients and 1 to"),
    (PLAIN.replace("clients 2", "clients 3"), "ends after|expected"),
    (PLAIN.replace("clients 2", "clients 1"), "expected endconfig"),
    (PLAIN.replace("endconfig\n", ""), "expected endconfig"),
    (PLAIN.replace("infile /tmp/in", "infile"), "behind it"),
    (PLAIN.replace("server", "add 1\nserver"), "N:suffix"),
    (PLAIN.replace("server", "add 2:-a:\nserver"), "N:suffix"),
    (PLAIN.replace("server", "add 8:a:b:c:d:e:f:g:h\nserver"), "up to 7"),
    (PLAIN.replace("server", "fanout 0\nserver"), "fanout"),
    (PLAIN.replace("outfile /tmp/out", "outfile /tmp/out split x"), "split N"),
    (PLAIN.replace("outfile /tmp/out", "outfile /tmp/out split 0"), "split N"),
    (PLAIN.replace("infile /tmp/in\noutfile /tmp/out", "dummy 0"), "dummy and 1 to"),
    (PLAIN.replace("node1\n", "no de\n"), "expected a name"),
    (PLAIN.replace("server", "password\nserver"), "expected one of"),
])  # fmt: skip
def test_texts_that_say_nothing(text, reason):
    with pytest.raises(ValueError, match=reason):
        config_text.parse(text)


@given(st.text(max_size=300))
def test_whatever_comes_is_read_or_refused(text):
    try:
        ring = config_text.parse(text)
    except ValueError:
        return
    assert ring.hosts


@given(st.integers(1, 40), st.integers(1, 8))
def test_each_host_has_one_parent(count, fanout):
    ring = config_text.ClassicText(tuple("h%d" % index for index in range(count)), fanout=fanout)
    fed = [child for index in range(-1, count) for child in ring.children(index)]
    assert fed == list(range(count))
    for index in range(-1, count):
        assert ring.children(index) == [
            (index + 1) * fanout + number for number in range(fanout) if (index + 1) * fanout + number < count
        ]
    below = [host for child in ring.children(-1) for host in ring.subtree(child)]
    assert sorted(below) == list(range(count))


@pytest.mark.parametrize("line, host, expected", [
    ("", "a1", ["a1"]),
    ("add 1:-fast", "a1", ["a1", "a1-fast"]),
    ("add2 1:-fast", "xibalba101", ["xibalba101", "xibalba-fast101"]),
    ("add 0:-fast", "a1", ["a1-fast"]),
    ("add2 0:-fast", "a1", ["a-fast1"]),
    ("add 1:0", "10.0.0.2", ["10.0.0.2", "10.0.0.20"]),
    ("add 1:-fast", "a1.example", ["a1.example", "a1.example-fast"]),
])  # fmt: skip
def test_names_of_interfaces(line, host, expected):
    ring = config_text.parse(PLAIN.replace("server", line + "\nserver").replace("node2", host))
    assert ring.addresses(1) == expected
    assert ring.lanes == len(expected)


def test_a_name_without_a_number():
    with pytest.raises(ValueError, match="number"):
        config_text.ClassicText(("a",), suffixes=("-x",), goes_before_number=True).addresses(0)


@pytest.mark.parametrize("value", ["", "two words", "line\nend"])
def test_what_cannot_be_said(value):
    with pytest.raises(ValueError, match="cannot be said"):
        config_text.to_text(dataclasses.replace(config_text.parse(PLAIN), outfile=value))


CLUSTER = config_text.ClassicText(("cluster-1-giga", "cluster-2-giga", "10.0.0.3", "named"))


@pytest.mark.parametrize("name, index", [
    ("cluster-1", 0), ("cluster-2", 1), ("cluster-2.example", 1), ("cluster-1-giga", 0), ("cluster-3", -1), ("", -1),
    ("named", 3), ("name", -1), ("clust", -1),
])  # fmt: skip
def test_names_of_machines(name, index):
    assert CLUSTER.find(name) == index


def test_a_hyphen_that_is_normal():
    ring = dataclasses.replace(CLUSTER, is_hyphen_normal=True)
    assert ring.find("cluster-1") == -1
    assert ring.find("cluster-1-giga") == 0


def find(dialled="10.9.9.9", own=(), names=(), leading=()):
    return config_text.find_self(CLUSTER, dialled, own.__contains__, names, leading.__contains__)


def test_who_am_i():
    """Own addresses, MYNODENAME, HOST; and an address that was dialled leaves no doubt."""
    assert find(dialled="10.0.0.3", names=["named"]) == (2, "10.0.0.3")
    assert find(own=["10.0.0.3"], names=["named"]) == (2, "10.0.0.3")
    assert find(names=["cluster-2", "named"]) == (1, "cluster-2")
    assert find(names=["elsewhere", "named"], leading=["cluster-2-giga"]) == (3, "named")
    assert find(names=["elsewhere"], leading=["cluster-2-giga"]) == (1, "cluster-2-giga")
    assert find(names=["elsewhere"]) == (-1, "")


@pytest.mark.parametrize("line, megabytes", [("dummy 100", 100), ("dummy", 0)])
def test_a_run_without_disks(line, megabytes):
    text = PLAIN.replace("infile /tmp/in\noutfile /tmp/out", line)
    ring = config_text.parse(text)
    assert (ring.dummy, ring.infile, ring.outfile) == (megabytes, "", "")
    assert config_text.to_text(ring) == text
    assert config_text.is_strict(text)
    assert not config_text.is_strict(text.replace(line, "%s\ninfile a\noutfile b" % line))
    assert config_text.parse(PLAIN).dummy is None


def test_more_than_an_original_can_count():
    ring = config_text.parse(PLAIN.replace("infile /tmp/in\noutfile /tmp/out", "dummy 5000"))
    assert ring.dummy == 5000
    assert config_text.to_text(ring).startswith("dummy 2047\n")
