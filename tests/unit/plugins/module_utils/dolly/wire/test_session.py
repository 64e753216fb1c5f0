# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link: what may be said when, whatever the delays."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import IllegalTransition, ProtocolError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import NEED_MORE, Sealer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import (
    Bye,
    End,
    Gone,
    Manifest,
    Need,
    Ping,
    Pong,
    Setup,
    Start,
    Status,
    encode,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.session import TRANSITIONS, Session

DOWN_KEY = b"d" * 32
UP_KEY = b"u" * 32

MESSAGES = {
    "Setup": Setup({"nodes": []}),
    "go": Start((0, 1)),
    "abort": Start((), {"kind": "Refused"}),
    "Need": Need(1, ((0, 9),)),
    "Gone": Gone(0, 1),
    "Manifest": Manifest(0, b"d" * 32),
    "End": End(9),
    "Status": Status(({"rank": 1},)),
    "Ping": Ping(),
    "Pong": Pong(),
    "Bye": Bye("done"),
}
STATES = ("new", "barrier", "running", "closing", "bye-sent", "bye-received", "closed")

# Who may say what when, restated from the protocol's description; the sender's own state.
MAY_SEND = {
    ("parent", "new"): "Setup Ping Pong Bye",
    ("parent", "barrier"): "go abort Manifest End Ping Pong Bye",
    ("parent", "running"): "Gone Manifest End Ping Pong Bye",
    ("parent", "closing"): "Ping Pong Bye",
    ("parent", "bye-sent"): "",
    ("parent", "bye-received"): "Pong Bye",
    ("parent", "closed"): "",
    ("child", "new"): "Ping Pong Bye",
    ("child", "barrier"): "Status Ping Pong Bye",
    ("child", "running"): "Need Status Ping Pong Bye",
    ("child", "closing"): "Status Ping Pong Bye",
    ("child", "bye-sent"): "",
    ("child", "bye-received"): "Status Pong Bye",
    ("child", "closed"): "",
}
MAY_RECEIVE = {
    ("parent", "new"): "Ping Pong Bye",
    ("parent", "barrier"): "Status Ping Pong Bye",
    ("parent", "running"): "Need Status Ping Pong Bye",
    ("parent", "closing"): "Status Ping Pong Bye",
    ("parent", "bye-sent"): "Need Status Ping Pong Bye",
    ("parent", "bye-received"): "",
    ("parent", "closed"): "",
    ("child", "new"): "Setup Ping Pong Bye",
    ("child", "barrier"): "go abort Manifest End Ping Pong Bye",
    ("child", "running"): "Gone Manifest End Ping Pong Bye",
    ("child", "closing"): "Ping Pong Bye",
    ("child", "bye-sent"): "Setup go abort Gone Manifest End Ping Pong Bye",
    ("child", "bye-received"): "",
    ("child", "closed"): "",
}


class Pair:
    """Two ends and the bytes under way between them."""

    def __init__(self):
        self.ends = {
            "parent": Session("parent", DOWN_KEY, UP_KEY, "the child"),
            "child": Session("child", UP_KEY, DOWN_KEY, "the parent"),
        }
        self.under_way = {"parent": bytearray(), "child": bytearray()}

    def say(self, role, name):
        """Send from role; the bytes stay under way."""
        self.under_way[role] += self.ends[role].send(MESSAGES[name])

    def arrive(self, role, count=None):
        """Let bytes that role sent arrive; return the messages."""
        data = self.under_way[role][:count]
        del self.under_way[role][: len(data)]
        other = self.ends["child" if role == "parent" else "parent"]
        other.feed(data)
        messages = []
        while True:
            message = other.next()
            if message is NEED_MORE:
                return messages
            messages.append(message)

    def tell(self, role, name):
        """Send from role and let it arrive."""
        self.say(role, name)
        assert self.arrive(role) == [MESSAGES[name]]

    @property
    def states(self):
        return self.ends["parent"].state, self.ends["child"].state


PATHS = {
    "new": [],
    "barrier": [("parent", "Setup")],
    "running": [("parent", "Setup"), ("parent", "go")],
    "closing": [("parent", "Setup"), ("parent", "abort")],
    "closed": [("parent", "Bye"), ("child", "Bye")],
}


def pair_at(role, state):
    pair = Pair()
    other = "child" if role == "parent" else "parent"
    path = {"bye-sent": [(role, "Bye")], "bye-received": [(other, "Bye")]}.get(state) or PATHS[state]
    for teller, name in path:
        pair.tell(teller, name)
    assert pair.ends[role].state == state
    return pair


EVERYTHING = [(*where, name) for where in itertools.product(("parent", "child"), STATES) for name in MESSAGES]


def test_a_run():
    pair = Pair()
    for role, name, states in [
        ("child", "Ping", ("new", "new")),
        ("parent", "Setup", ("barrier", "barrier")),
        ("child", "Status", ("barrier", "barrier")),
        ("parent", "End", ("barrier", "barrier")),
        ("parent", "Manifest", ("barrier", "barrier")),
        ("parent", "go", ("running", "running")),
        ("child", "Need", ("running", "running")),
        ("parent", "Manifest", ("running", "running")),
        ("parent", "Gone", ("running", "running")),
        ("parent", "End", ("running", "running")),
        ("child", "Status", ("running", "running")),
        ("child", "Bye", ("bye-received", "bye-sent")),
        ("parent", "Bye", ("closed", "closed")),
    ]:
        pair.tell(role, name)
        assert pair.states == states


def test_an_abort():
    pair = Pair()
    for role, name in [("parent", "Setup"), ("child", "Status"), ("parent", "abort"), ("child", "Status")]:
        pair.tell(role, name)
    assert pair.states == ("closing", "closing")
    pair.tell("parent", "Bye")
    pair.tell("child", "Status")
    pair.tell("child", "Bye")
    assert pair.states == ("closed", "closed")


def test_an_adoption():
    pair = Pair()
    for name in ("Setup", "go", "End", "Manifest"):
        pair.say("parent", name)
    assert [type(message) for message in pair.arrive("parent")] == [Setup, Start, End, Manifest]
    pair.tell("child", "Status")
    pair.tell("child", "Need")


def test_what_was_under_way_when_bye_was_said_still_arrives():
    pair = Pair()
    pair.say("child", "Bye")
    for name in ("Ping", "Setup", "Manifest", "go", "Gone", "End", "Bye"):
        pair.say("parent", name)
    assert len(pair.arrive("parent")) == 7
    assert len(pair.arrive("child")) == 1
    assert pair.states == ("closed", "closed")


def test_a_status_sent_before_start_arrived_is_taken():
    pair = Pair()
    pair.tell("parent", "Setup")
    pair.say("child", "Status")
    pair.say("parent", "go")
    assert pair.states == ("running", "barrier")
    assert pair.arrive("child") == [MESSAGES["Status"]]


@pytest.mark.parametrize(("role", "state", "name"), EVERYTHING)
def test_only_what_is_legal_is_sent(role, state, name):
    end = pair_at(role, state).ends[role]
    legal = name in MAY_SEND[role, state].split()
    assert end.may_send(MESSAGES[name]) is legal
    if legal:
        assert end.send(MESSAGES[name])
        return
    with pytest.raises(IllegalTransition) as caught:
        end.send(MESSAGES[name])
    assert role in str(caught.value)
    assert state in str(caught.value)
    assert type(MESSAGES[name]).__name__ in str(caught.value)
    assert end.state == state


@pytest.mark.parametrize(("role", "state", "name"), EVERYTHING)
def test_only_what_is_legal_is_taken(role, state, name):
    pair = pair_at(role, state)
    end, other = pair.ends[role], pair.ends["child" if role == "parent" else "parent"]
    frames = other._sealer.control(*encode(MESSAGES[name]))  # a peer that minds no rules
    end.feed(frames)
    if name in MAY_RECEIVE[role, state].split():
        assert end.next() == MESSAGES[name]
        return
    for _unused in range(2):
        with pytest.raises(ProtocolError) as caught:
            end.next()
    for word in (role, state, type(MESSAGES[name]).__name__, "the "):
        assert word in str(caught.value)
    assert end.state == state


def test_the_table_knows_every_state_and_leads_to_known_ones():
    places = set(itertools.product(("parent", "child"), STATES, ("send", "receive")))
    assert set(TRANSITIONS) == places
    assert {after for row in TRANSITIONS.values() for after in row.values()} <= set(STATES)


def test_a_peer_that_broke_the_rules_can_still_be_told_why():
    pair = pair_at("parent", "running")
    parent, child = pair.ends["parent"], pair.ends["child"]
    parent.feed(child._sealer.control(*encode(MESSAGES["Setup"])))
    with pytest.raises(ProtocolError):
        parent.next()
    parent.feed(child.send(MESSAGES["Status"]))
    with pytest.raises(ProtocolError):
        parent.next()
    pair.tell("parent", "Bye")


def test_a_message_that_cannot_be_sent_changes_nothing():
    pair = Pair()
    with pytest.raises(ValueError):
        pair.ends["parent"].send(Setup({"a": float("inf")}))
    with pytest.raises(ValueError):
        pair.ends["parent"].send(Setup({"a": "x" * (16 << 20)}))
    assert pair.states == ("new", "new")
    pair.tell("parent", "Setup")


def test_a_bad_payload_is_the_peers_fault():
    pair = Pair()
    pair.ends["child"].feed(Sealer(DOWN_KEY).control(Setup.KIND, b'{"is_late":false,"plan":7}'))
    for _unused in range(2):
        with pytest.raises(ProtocolError, match="the parent"):
            pair.ends["child"].next()


def test_a_frame_of_the_own_direction_is_refused():
    pair = Pair()
    pair.ends["parent"].feed(pair.ends["parent"].send(MESSAGES["Setup"]))
    with pytest.raises(ProtocolError):
        pair.ends["parent"].next()


def test_an_unknown_role_is_our_own_mistake():
    with pytest.raises(ValueError):
        Session("server", DOWN_KEY, UP_KEY, "peer")


def play(draw, pair):
    """Say something legal or let some bytes arrive, at random."""
    role = draw(st.sampled_from(["parent", "child"]))
    if draw(st.booleans()):
        pair.arrive(role, draw(st.integers(1, 400)))
        return
    legal = [name for name in MESSAGES if pair.ends[role].may_send(MESSAGES[name])]
    if draw(st.integers(0, 7)):
        legal = [name for name in legal if name != "Bye"] or legal
    if legal:
        pair.say(role, draw(st.sampled_from(legal)))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_legal_interleaving_is_refused_and_both_can_always_close(data):
    pair = Pair()
    if data.draw(st.booleans()):
        pair.say("parent", "Setup")
    for _unused in range(data.draw(st.integers(0, 20))):
        play(data.draw, pair)
    for role in ("parent", "child"):
        pair.arrive(role)
    for role in ("parent", "child"):
        if pair.ends[role].may_send(MESSAGES["Bye"]):
            pair.say(role, "Bye")
    pair.arrive("parent")
    pair.arrive("child")
    assert pair.states == ("closed", "closed")


def explore(limit):
    """Every reachable constellation: both states, and the messages under way, at most limit each way."""
    seen, todo = set(), [("new", "new", (), ())]
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        parent, child, down, up = place
        for name, after in TRANSITIONS["parent", parent, "send"].items() if len(down) < limit else ():
            todo.append((after, child, (*down, name), up))
        for name, after in TRANSITIONS["child", child, "send"].items() if len(up) < limit else ():
            todo.append((parent, after, down, (*up, name)))
        if down:
            assert down[0] in TRANSITIONS["child", child, "receive"], place
            todo.append((parent, TRANSITIONS["child", child, "receive"][down[0]], down[1:], up))
        if up:
            assert up[0] in TRANSITIONS["parent", parent, "receive"], place
            todo.append((TRANSITIONS["parent", parent, "receive"][up[0]], child, down, up[1:]))
    return seen


def test_with_up_to_three_messages_under_way_each_way_every_interleaving_is_taken():
    seen = explore(3)
    assert len(seen) > 10000
    reached = {("parent", place[0]) for place in seen} | {("child", place[1]) for place in seen}
    assert reached == set(itertools.product(("parent", "child"), STATES))
