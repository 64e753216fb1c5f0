# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file of the original: any order, each keyword once, and every mistake has its line."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import dollytab
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.dollytab import Dollytab
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.interfaces import Interfaces
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.tabfields import File

#: The pieces of the manual, put together: the machines are cluster-1 to cluster-3, their interfaces are listed.
MANUAL = """\
compressed infile /images/sda.gz split
compressed outfile /images/sda_all.gz split 2G
segsize 128
add 1:-fast
fanout 2
server cluster-master
firstclient cluster-1
lastclient cluster-3
clients 3
cluster-1-giga
cluster-2-giga
cluster-3-giga
endconfig
"""
READ = Dollytab(
    infile=File("/images/sda.gz", True, 1),
    outfile=File("/images/sda_all.gz", True, 2 * 1024 ** 3),
    segsize=128,
    interfaces=Interfaces(("-fast",)),
    fanout=2,
    server="cluster-master",
    firstclient="cluster-1",
    lastclient="cluster-3",
    clients=("cluster-1-giga", "cluster-2-giga", "cluster-3-giga"),
)


def test_the_manuals_example():
    assert dollytab.parse(MANUAL) == READ


def test_it_is_written_as_the_originals_want_it():
    assert dollytab.format_text(READ) == MANUAL


@pytest.mark.parametrize("seed", range(5))
def test_any_order(seed):
    *keywords, end = MANUAL.splitlines()
    keywords, names = keywords[:9], keywords[9:]
    lines = [*keywords, "\n".join(["# the ring", "", *names])]
    random.Random(seed).shuffle(lines)
    assert dollytab.parse("\n".join([*lines, end])) == READ


def test_all_but_the_names_may_be_left_out():
    assert dollytab.parse("a\r\n  # not this one\r\n\r\nb") == Dollytab(clients=("a", "b"))


def test_names_may_be_ranges_and_what_follows_the_end_does_not_count():
    assert dollytab.parse("clients 3\nnode[08-10]\nendconfig\nnode1\n").clients == ("node08", "node09", "node10")


def test_a_compressed_file_of_another_name_warns():
    text = "compressed infile /images/%s\na\n"
    for name in ("a.gz", "a.xz", "a.bz2", "a.zst"):
        assert dollytab.parse(text % name).warnings == []
    (warning,) = dollytab.parse(text % "a.img").warnings
    assert "infile /images/a.img" in warning and ".zst" in warning


@pytest.mark.parametrize("text, dummy", [("dummy\na", 0), ("dummy 100\na", 100), ("a", None)])
def test_dummy(text, dummy):
    assert dollytab.parse(text).dummy == dummy


@pytest.mark.parametrize("text, extra, primary", [
    ("add 2:-a:-b", ["cops1-a", "cops1-b"], "cops1"),
    ("add2 1:-fast", ["cops-fast1"], "cops1"),
    ("add 0:-giga", [], "cops1-giga"),
    ("add2 0:-giga", [], "cops-giga1"),
])
def test_interfaces(text, extra, primary):
    interfaces = dollytab.parse(text + "\ncops1").interfaces
    assert (interfaces.extra("cops1"), interfaces.primary("cops1")) == (extra, primary)


@pytest.mark.parametrize("first, listed, rest", [
    ("cluster-1", "cluster-1-giga", ""),
    ("slave0", "slave-fast0", ""),
    ("node1", "node1.example.org", ""),
    ("node1.example.org", "node1-giga", ""),
    ("node1", "10.0.0.7", ""),
    ("node-1", "node-1", "hyphennormal"),
    ("node-1", "node-1-giga", "hypheninterface"),
])
def test_machine_and_interface(first, listed, rest):
    tab = dollytab.parse("firstclient %s\nlastclient %s\n%s\n%s" % (first, first, rest, listed))
    assert tab.clients == (listed,)


#: What stands in the file, the line that is wrong, and what the sentence has to hold
WRONG = [
    ("", 0, "the name of each client"),
    ("infile\na", 1, "[compressed] infile FILE [split]"),
    ("a\ninfile /x spilt", 2, "[compressed] infile FILE [split]"),
    ("infile /x split 2G\na", 1, "infile FILE [split]"),
    ("a\n\n#\noutfile /x split", 4, "outfile FILE [split N(k,M,G,T)]"),
    ("outfile /x split 2X\na", 1, "N(k,M,G,T)"),
    ("outfile /x split 0\na", 1, "from 1 byte"),
    ("infile /x\ninfile /y\na", 2, "only once: it is on line 1"),
    ("a\ncompressed infile /x\ninfile /y", 3, "only once: it is on line 2"),
    ("clients 1\nclients 1\na", 2, "only once"),
    ("segsize 87\na", 1, "88 to 32767"),
    ("segsize many\na", 1, "88 to 32767"),
    ("fanout 0\na", 1, "fanout N with a number from 1"),
    ("fanout\na", 1, "fanout N"),
    ("dummy -1\na", 1, "dummy [MB]"),
    ("add 1\na", 1, "add N:suffix[:suffix]"),
    ("add 2:-a\na", 1, "expected 2"),
    ("add 1:-a:-b\na", 1, "expected 1"),
    ("add -1:-a\na", 1, "no number of interfaces"),
    ("add 2:-a:-a\na", 1, "twice"),
    ("add 99:-a\na", 1, "expected 99"),
    ("add 1:-a\nadd2 1:-a\na", 2, "either add2 or add: the latter is on line 1"),
    ("add 1:-fast\n10.0.0.1", 1, "10.0.0.1 is an address"),
    ("a\nadd2 1:-fast", 2, "a has no number"),
    ("hyphennormal\nhypheninterface\na", 2, "either"),
    ("hyphennormal yes\na", 1, "hyphennormal alone on its line"),
    ("hypenormal\na", 1, "hyphennormal"),
    ("server\na", 1, "server and the name of one machine"),
    ("server a b\nc", 1, "server and the name"),
    ("compressed server\na", 1, "the name of a client alone"),
    ("a\nb\nserver b", 2, "this is the server (line 3)"),
    ("a\nb\na", 3, "each client once: it is on line 1 already"),
    ("a[1-3]\na2", 2, "line 1 already"),
    ("a[3-1]\n", 1, "goes backwards"),
    ("a[1-\n", 1, "a client"),
    ("clients 3\na\nb", 1, "clients 2, for so many names are listed"),
    ("clients 0\na", 1, "1 to"),
    ("firstclient b\na\nb", 1, "the first client in the list, a"),
    ("a\nb\nlastclient a", 3, "the last client in the list, b"),
    ("hyphennormal\nfirstclient c-1\nc-1-giga", 2, "c-1-giga"),
    ("infil /x\na", 1, "a keyword: clients, endconfig"),
    ("a\nendconfig now", 2, "endconfig alone"),
    ("a\ncompressed", 2, "no keyword"),
]


@pytest.mark.parametrize("text, line, expected", WRONG)
def test_every_mistake_names_file_and_line(text, line, expected):
    with pytest.raises(UsageError) as caught:
        dollytab.parse(text, "rack.cfg")
    assert caught.value.sentence.startswith("rack.cfg line %d is" % line if line else "rack.cfg is")
    assert expected in caught.value.sentence


def test_the_same_as_a_dictionary():
    data = {
        "infile": {"file": "/images/sda.gz", "compressed": True, "split": True},
        "outfile": {"file": "/images/sda_all.gz", "compressed": True, "split": "2G"},
        "segsize": 128,
        "add": ["-fast"],
        "fanout": 2,
        "server": "cluster-master",
        "firstclient": "cluster-1",
        "lastclient": "cluster-3",
        "clients": ["cluster-[1-3]-giga"],
    }
    assert dollytab.from_dict(data) == READ
    assert dollytab.from_dict({**data, "add": "1:-fast", "clients": "cluster-[1-3]-giga"}) == READ


@pytest.mark.parametrize("data, key, expected", [
    ([], "", "a mapping"),
    ({"clients": []}, "", "each client"),
    ({"clients": 3}, "clients", "a list of the names"),
    ({"clients": ["a", 5]}, "clients", "a list of the names"),
    ({"clients": ["server"]}, "clients", "no keyword"),
    ({"clients": ["a"], "client": 1}, "client", "one of the keys clients, add"),
    ({"clients": ["a"], "infile": {"path": "/x"}}, "infile", "file, compressed and split"),
    ({"clients": ["a"], "infile": {"file": "/x", "split": 5}}, "infile", "true or false"),
    ({"clients": ["a"], "infile": {"file": "/x", "compressed": 5}}, "infile", "true or false"),
    ({"clients": ["a"], "outfile": {"file": "/x", "split": True}}, "outfile", "N(k,M,G,T)"),
    ({"clients": ["a"], "outfile": ""}, "outfile", "path"),
    ({"clients": ["a"], "fanout": "2"}, "fanout", "a number from 1"),
    ({"clients": ["a"], "segsize": True}, "segsize", "a number from 88"),
    ({"clients": ["a"], "dummy": -1}, "dummy", "0 to"),
    ({"clients": ["a"], "hyphennormal": 1}, "hyphennormal", "true or false"),
    ({"clients": ["a"], "hyphennormal": True, "hypheninterface": True}, "hypheninterface", "either"),
    ({"clients": ["a"], "add": [5]}, "add", "suffix"),
    ({"clients": ["a"], "add": 5}, "add", "N:suffix"),
    ({"clients": ["a"], "server": ["a"]}, "server", "one machine"),
    ({"clients": ["a"], "server": "a"}, "", "this is the server"),
])
def test_mistakes_in_a_dictionary(data, key, expected):
    with pytest.raises(UsageError) as caught:
        dollytab.from_dict(data, "rack.yml", {key: 7})
    start = "rack.yml line 7: %s is" % key if key else "rack.yml"
    assert caught.value.sentence.startswith(start) and expected in caught.value.sentence


def test_a_dictionary_may_say_no():
    assert dollytab.from_dict({"clients": ["a"], "dummy": False, "hyphennormal": False}) == Dollytab(clients=("a",))


def test_the_classic_form_has_no_spaces_in_paths():
    with pytest.raises(UsageError, match="without spaces"):
        dollytab.format_text(Dollytab(infile=File("/my disk"), clients=("a",)))


PATHS = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-z]{1,4}[0-9]{1,3}(-[a-z]{1,3})?", fullmatch=True)


@st.composite
def tabs(draw):
    clients = tuple(draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)))
    suffixes = tuple(draw(st.lists(st.from_regex(r"-[a-z]{1,3}", fullmatch=True), max_size=3, unique=True)))
    renames = len(suffixes) == 1 and draw(st.booleans())
    return Dollytab(
        infile=draw(st.none() | st.builds(File, PATHS, st.booleans(), st.integers(0, 1))),
        outfile=draw(st.none() | st.builds(File, PATHS, st.booleans(), st.integers(0, 2 ** 45))),
        dummy=draw(st.none() | st.integers(0, 1000)),
        segsize=draw(st.just(0) | st.integers(88, 32767)),
        interfaces=Interfaces(suffixes, bool(suffixes) and draw(st.booleans()), renames),
        fanout=draw(st.integers(1, 9)),
        is_hyphen_normal=draw(st.booleans()),
        server=draw(st.just("") | NAMES.filter(lambda name: name not in clients)),
        firstclient=clients[0],
        lastclient=clients[-1],
        clients=clients,
    )


@settings(max_examples=300, deadline=None)
@given(tabs())
def test_written_and_read_again(tab):
    assert dollytab.parse(dollytab.format_text(tab)) == tab
    assert dollytab.from_dict(json.loads(json.dumps(dollytab.to_dict(tab)))) == tab


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(
    [*MANUAL.split(), "a", "#", "[", "dummy", "add2", "0:", "hyphennormal", "\x85", "9" * 30]
), max_size=4), max_size=8))
def test_anything_is_read_or_refused(lines):
    text = "\n".join(map(" ".join, lines))
    try:
        tab = dollytab.parse(text, "rack.cfg")
    except UsageError as error:
        assert error.sentence.startswith("rack.cfg")
    else:
        assert dollytab.parse(dollytab.format_text(tab)).clients == tab.clients
