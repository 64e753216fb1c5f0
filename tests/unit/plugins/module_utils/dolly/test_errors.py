# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors read as sentences and survive pickling, copying and the wire."""

from __future__ import annotations

import copy
import errno
import json
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly import errors

EXAMPLES = [
    (errors.DollyError("Something.", peer="n1"), "bug", 1),
    (errors.UsageError("--fanout", 0, "at least 1"), "user", 1),
    (errors.Refused("to write /dev/sda", "it is mounted on /", "nothing_mounted: false"), "user", 1),
    (errors.SourceError("/dev/sdb", 4096, 5), "source", 4),
    (errors.SourceChanged("/dev/sdb", 8192), "source", 4),
    (errors.ChecksumMismatch("/srv/image", "aa", "bb"), "source", 1),
    (errors.MapMismatch("/srv/image", "/srv/image.bmap", 3, 7, 12288, "aa", "bb"), "source", 4),
    (errors.TargetError("/dev/sda", "fsync", None, 28), "node", 3),
    (errors.TableNotMoved("/dev/sda", "Input/output error"), "node", 3),
    (errors.BadChunk("/dev/sda", 4194304, 3), "node", 3),
    (errors.WrongImage("n3", "ab", "cd"), "peer", 3),
    (errors.BitRot("/dev/sda", 4194304), "node", 3),
    (errors.DamagedOnTheWay("n1", 4194304, 3), "peer", 3),
    (errors.BadArchive("/dev/sda", 1024, "it ends in the middle"), "source", 3),
    (errors.BytesGone("n0", 4096), "peer", 3),
    (errors.CryptoError("EVP_EncryptUpdate"), "node", 3),
    (errors.PeerLost("node7", "silent for 5 s"), "peer", 3),
    (errors.StartFailed("node7", "no python3"), "peer", 3),
    (errors.CannotConnect("node6", "node7", "10.0.0.7", 9998, "timed out"), "peer", 3),
    (errors.ProtocolError("node7", "DATA outside of its claim"), "peer", 3),
    (errors.AuthError("wrong MAC"), "peer", 3),
    (errors.IllegalTransition("child", "waiting", "End"), "bug", 70),
    (errors.NameUnknown("server", "n8", "Name or service not known"), "user", 3),
    (errors.TimedOut("waiting for node7", 60.0, "barrier_timeout"), "peer", 4),
    (errors.TargetHung("took nothing", 30.0, "stall_timeout"), "node", 3),
    (errors.TooSlow(1900000, 10.0, 4194304), "node", 3),
    (errors.Aborted("interrupted"), "user", 4),
    (errors.NotEnoughNodes(1, 3, ("n2", "n3")), "node", 4),
]
CASES = pytest.mark.parametrize("error, fault, exit_code", EXAMPLES, ids=lambda value: type(value).__name__)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _same(one, two):
    return (type(one), one.sentence, one.fields, one.fault, one.exit_code, str(one)) == (
        type(two), two.sentence, two.fields, two.fault, two.exit_code, str(two))


def test_every_class_has_an_example():
    assert {type(error) for error, _unused, _unused in EXAMPLES} == set(errors._KINDS.values())


@CASES
def test_fault_and_exit_code(error, fault, exit_code):
    assert (error.fault, error.exit_code) == (fault, exit_code)
    assert error.to_dict()["fault"] == fault
    assert error.to_dict()["kind"] == type(error).__name__


@CASES
def test_sentence_names_every_field(error, fault, exit_code):
    assert "{" not in error.sentence
    for name, value in error.fields.items():
        shown = "unknown offset" if value is None else ", ".join(value) if isinstance(value, list) else value
        if error.__class__ is not errors.DollyError:
            assert "%s" % (int(shown) if isinstance(shown, float) else shown) in error.sentence, name


@CASES
def test_docstring_is_the_sentence(error, fault, exit_code):
    if error.__class__ is errors.DollyError:
        return
    sentence = " ".join(type(error).__doc__.split())
    literal = [part[0] for part in string.Formatter().parse(sentence)]
    assert all(text in error.sentence for text in literal)


@CASES
def test_survives_the_wire_pickle_and_copy(error, fault, exit_code):
    assert _same(errors.from_dict(json.loads(json.dumps(error.to_dict()))), error)
    assert _same(pickle.loads(pickle.dumps(error)), error)
    assert _same(copy.deepcopy(error), error)


def test_auth_error_is_a_protocol_error():
    assert isinstance(errors.AuthError("no"), errors.ProtocolError)


def test_target_error_explains_the_errno():
    error = errors.TargetError("/dev/sda", "write", 512, 28)
    assert "No space left on device" in error.sentence and error.fields["errno"] == 28
    assert error.fields["offset"] == 512


def test_refused_without_a_way_out_says_so():
    assert errors.Refused("to write /dev/sda", "it is mounted").sentence.endswith("No option allows it.")
    assert errors.Refused("a", "b", "force: true").sentence.endswith("What would allow it: force: true.")


def test_long_list_of_missing_nodes_keeps_the_advice():
    error = errors.NotEnoughNodes(1, 500, ["node%d" % n for n in range(499)])
    assert "node9 and 489 more" in error.sentence and "lower the number" in error.sentence
    assert len(error.fields["missing"]) == 499


def test_who_cannot_be_reached_is_named_once():
    """On the command line a node's name is its address."""
    error = errors.CannotConnect("10.0.0.1", "10.0.0.2", "10.0.0.2", 9998, "timed out")
    assert error.sentence.startswith("10.0.0.1 cannot connect to 10.0.0.2 port 9998 (timed out): does dolly run there")
    assert error.sentence.count("10.0.0.2") == 1
    by_name = errors.CannotConnect("n1", "n2", "10.0.0.2", 9998, "timed out")
    assert by_name.sentence.startswith("n1 cannot connect to n2 at 10.0.0.2 port 9998 (timed out): ")


@pytest.mark.parametrize("sentence, said", [
    ("", "n2"),
    ("said nothing", "n2 (said nothing)"),
    ("n2: silent for 5 s", "n2 (silent for 5 s)"),
    ("n2: n1 cannot connect to n2 at 10.0.0.2", "n1 cannot connect to n2 at 10.0.0.2"),
    ("The server gave up waiting for n2.", "The server gave up waiting for n2"),
    ("It stands behind n2-b, n22 and a.n2.", "n2 (It stands behind n2-b, n22 and a.n2)"),
])
def test_what_is_said_of_a_node_names_it_once(sentence, said):
    assert errors.said_of("n2", sentence) == said


@pytest.mark.parametrize("number, remedy", [
    (errno.EIO, "check that disk and clone"),
    (None, "check that disk and clone"),
    (errno.ENOSPC, "make room there, or take a larger target, and clone"),
    (errno.EPIPE, "find out why the program that read it ended, and clone"),
])
def test_no_disk_is_blamed_for_what_it_has_not_done(number, remedy):
    error = errors.TargetError("-", "write", 0, number)
    assert remedy in error.sentence and error.sentence.startswith("The target standard output failed in write at ")
    assert error.fields["path"] == "-"


def test_a_question_ends_a_sentence():
    asked = str(errors.CannotConnect("s", "n2", "n2", 9998, "timed out"))
    sentence = errors.NotEnoughNodes(0, 1, [asked]).sentence
    assert "let this port through? Repair them" in sentence
    assert "became ready (0, needed: 1), so" in sentence
    assert "needed): what" in errors.Aborted(sentence).sentence


def test_reasons_of_missing_nodes_stand_apart():
    assert "missing: n2 (a, b); n3 (c). Repair" in errors.NotEnoughNodes(1, 3, ["n2 (a, b)", "n3 (c)"]).sentence
    assert "missing: n2, n3. Repair" in errors.NotEnoughNodes(1, 3, ["n2", "n3"]).sentence


@pytest.mark.parametrize("name", ["kind", "message", "fault"])
def test_reserved_field_names_are_refused(name):
    with pytest.raises(ValueError, match=name):
        raise errors.DollyError("x", **{name: 1})


def test_unknown_kind_keeps_sentence_fields_and_fault():
    data = {"kind": "FromTheFuture", "message": "Hm.", "fault": "node", "x": [1], "self": 2}
    error = errors.from_dict(data)
    assert error.__class__ is errors.DollyError
    assert (error.sentence, error.fault, error.fields) == ("Hm.", "node", {"x": [1], "self": 2})
    assert _same(pickle.loads(pickle.dumps(error)), error)


def test_class_names_that_are_no_errors_are_unknown_kinds():
    assert errors.from_dict({"kind": "_rebuild", "message": "x"}).__class__ is errors.DollyError
    assert errors.from_dict({"kind": "x", "message": "x", "fault": []}).fault == "bug"


def test_control_characters_never_reach_a_terminal():
    sentence = errors.from_dict({"kind": "Aborted", "message": "a\x1b[2J\nb\udc80"}).sentence
    assert sentence == "a\\x1b[2J\\nb\\udc80"


def test_undecodable_file_names_can_be_written_as_utf8():
    error = errors.SourceChanged("/tmp/\udcff", 1)
    assert json.dumps(error.to_dict(), ensure_ascii=False).encode("utf-8")
    assert _same(errors.from_dict(error.to_dict()), error)


def test_deep_nesting_is_cut():
    deep = []
    for _unused in range(100000):
        deep = [deep]
    text = json.dumps(errors.from_dict({"message": "x", "deep": deep}).to_dict())
    assert "[[[[[[[[" in text and len(text) < 200


@given(JSON)
def test_hostile_input_never_raises(data):
    error = errors.from_dict(data)
    assert isinstance(error, errors.DollyError)
    json.dumps(error.to_dict(), allow_nan=False)


@given(st.sampled_from(sorted(errors._KINDS)), JSON, JSON, st.dictionaries(st.text(), JSON))
def test_from_dict_is_stable(kind, message, fault, fields):
    once = errors.from_dict({**fields, "kind": kind, "message": message, "fault": fault})
    assert _same(errors.from_dict(once.to_dict()), once)


def test_fields_of_any_type_become_json():
    error = errors.DollyError("x", a=(1, 2), b={3: float("nan")}, c=OSError("no"))
    assert error.fields == {"a": [1, 2], "b": {"3": "nan"}, "c": "no"}


def test_sentence_without_docstrings(monkeypatch):
    monkeypatch.setattr(errors.Aborted, "__doc__", None)
    assert errors.Aborted("power").sentence == "Aborted: reason=power"
