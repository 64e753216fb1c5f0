# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listener and dialer over real connections: who gets in, who does not, and at what cost."""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import threading
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.child import HopOptions
from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.parent import Door as ClassicDoor
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import activation
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import AuthError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import sockets
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import NodeSpec
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import accept as listener_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import dial as dialer_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.accept import Listener
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.dial import Dialer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.node import Node
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.up.upstream import Upstream
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.handshake import (
    DialerHandshake,
    Hello,
    HelloReceived,
    ListenerHandshake,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    PATIENCE_S,
    Background,
    crowded_port,
    no_descriptors,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    RUN_ID,
    SECRET,
    TIMEOUTS,
    make_context,
    nonce,
    until,
)


class Door:
    """A listener on a reactor thread of its own. `epoch` moves as a node's would."""

    def __init__(self, handshake_s=TIMEOUTS.handshake):
        self.context = make_context("me", timeouts=dataclasses.replace(TIMEOUTS, handshake=handshake_s))
        self.log = []
        self.context.log = self.log.append
        self.epoch = 0
        self.let_in = []
        self.heard = []
        self.listener = Listener(self.context, sockets.listen("127.0.0.1", 0), self._judge, self._on_established)
        self._thread = Background(self.context.reactor.run)

    # The judge of a real node, with this object in the node's place.
    _judge = Node._judge

    def _current_epoch(self, hello):
        return self.epoch

    def _on_established(self, established, channel):
        self.let_in.append((established, channel))
        channel.handle(self.heard.append, lambda reason: None)

    @property
    def unfinished(self):
        return len(self.listener._callers)

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.listener.port), timeout=PATIENCE_S)
        sock.settimeout(PATIENCE_S)
        return sock

    def close(self):
        def end():
            for _established, channel in self.let_in:
                channel.abort()
            self.listener.close()
            self.context.reactor.stop()

        self.context.reactor.call(end)
        self._thread.result()
        self.context.reactor.close()


class Caller:
    """A dialer on a reactor thread of its own."""

    def __init__(self, port, secret=SECRET, run_id=RUN_ID, to="me", kind="link", choose=lambda now: now + 1, **more):
        self.context = make_context("caller", secret, run_id, more.pop("timeouts", TIMEOUTS))
        self.established = []
        self.failed = []
        self._thread = Background(self.context.reactor.run)
        node = NodeSpec(to, more.pop("host", "127.0.0.1"), port)
        self.dialer = Dialer(self.context, node, kind, choose, self._on_established, self.failed.append, **more)

    def _on_established(self, established, channel):
        self.established.append((established, channel))

    def outcome(self):
        until(lambda: self.established or self.failed)
        return "in" if self.established else self.failed[0]

    def close(self):
        def end():
            self.dialer.cancel()
            for _established, channel in self.established:
                channel.abort()

        self.context.reactor.call(end)
        until(lambda: not self.context.attempts.is_busy)
        self.context.reactor.call(self.context.reactor.stop)
        self._thread.result()
        self.context.reactor.close()


@pytest.fixture
def parties():
    made = []

    def make(party, *arguments, **options):
        made.append(party(*arguments, **options))
        return made[-1]

    yield make
    for party in reversed(made):
        party.close()


@pytest.fixture
def door(parties):
    return parties(Door)


def hello(**changes):
    fields = {"run_id": RUN_ID, "sender": "raw", "to": "me", "kind": "link", "lane": 0, "nonce": nonce()}
    return Hello(**{**fields, **changes})


def assert_closed(sock):
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass


def read_challenge(sock, handshake):
    """The answer to the challenge: what to send, and the outcome."""
    while True:
        handshake.feed(sock.recv(4096))
        event = handshake.next()
        if hasattr(event, "data"):
            return event


class TestRightKey:
    @pytest.mark.parametrize("kind, epoch, lane", [("link", 0, 0), ("link", 41, 0), ("lane", 3, 2), ("adopt", 0, 0)])
    def test_both_sides_agree(self, door, parties, kind, epoch, lane):
        door.epoch = epoch
        choose = {"link": lambda now: now + 1, "lane": lambda now: now, "adopt": lambda now: 0}[kind]
        caller = parties(Caller, door.listener.port, kind=kind, choose=choose, lane=lane)
        assert caller.outcome() == "in"
        until(lambda: door.let_in)
        ours, theirs = door.let_in[0][0], caller.established[0][0]
        assert (ours.hello, ours.epoch) == (theirs.hello, theirs.epoch)
        assert ours.epoch == choose(epoch)
        assert (ours.send_key, ours.receive_key) == (theirs.receive_key, theirs.send_key)
        assert door.listener.refused == 0 and door.unfinished == 0

    def test_what_comes_right_behind_is_the_new_owners(self, door):
        with door.connect() as sock:
            handshake = DialerHandshake(SECRET, hello(), lambda now: 1)
            sock.sendall(handshake.start())
            sock.sendall(read_challenge(sock, handshake).data + b"frames")
            until(lambda: door.let_in)
            leftover = door.let_in[0][0].leftover
            until(lambda: leftover + b"".join(door.heard) == b"frames")

    def test_byte_by_byte(self, door):
        with door.connect() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handshake = DialerHandshake(SECRET, hello(), lambda now: 1)
            for byte in handshake.start():
                sock.sendall(bytes([byte]))
            for byte in read_challenge(sock, handshake).data:
                sock.sendall(bytes([byte]))
            until(lambda: door.let_in)


class TestRefused:
    @pytest.mark.parametrize(
        "changes",
        [
            {"secret": bytes(32)},
            {"run_id": "another-run"},
            {"to": "somebody"},
            {"choose": lambda now: now},
            {"kind": "lane", "choose": lambda now: now},
            {"kind": "adopt", "choose": lambda now: 1},
        ],
        ids=["wrong key", "wrong run", "wrong name", "stale epoch", "lane without a parent", "knock with an epoch"],
    )
    def test_dialers(self, door, parties, changes):
        caller = parties(Caller, door.listener.port, **changes)
        assert caller.outcome() != "in"
        until(lambda: door.unfinished == 0 and door.listener.refused)
        assert door.let_in == []
        assert door.log
        assert all(line.startswith("refused a connection from 127.0.0.1 port ") for line in door.log)

    def test_a_key_is_not_believed_by_the_dialer_either(self, door, parties):
        door.context.secret = bytes(32)
        chosen = []
        caller = parties(Caller, door.listener.port, choose=lambda now: chosen.append(now) or 1)
        assert "could not prove" in caller.outcome()
        assert chosen == []  # the epoch of a stranger was not even looked at

    @pytest.mark.parametrize(
        "data",
        [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01", b"\0", b"DLR1\x01\xff\xff", b"DLR1\x02\0\x10", b"DLR1\x01\0\0"],
        ids=["http", "tls", "zero", "oversized", "wrong message", "empty"],
    )
    def test_garbage(self, door, data):
        with door.connect() as sock:
            sock.sendall(data)
            assert_closed(sock)
        until(lambda: door.listener.refused == 1)
        assert door.unfinished == 0

    def test_bytes_before_their_turn(self, door):
        with door.connect() as sock:
            sock.sendall(DialerHandshake(SECRET, hello(), lambda now: 1).start() + b"too early")
            assert_closed(sock)
        assert door.let_in == []

    def test_a_captured_handshake_played_again(self, door):
        with door.connect() as sock:
            handshake = DialerHandshake(SECRET, hello(), lambda now: 1)
            start = handshake.start()
            sock.sendall(start)
            proof = read_challenge(sock, handshake).data
            sock.sendall(proof)
            until(lambda: door.let_in)
        with door.connect() as sock:
            sock.sendall(start)
            assert sock.recv(4096)
            sock.sendall(proof)
            assert_closed(sock)
        assert len(door.let_in) == 1

    def test_only_the_first_ones_are_logged(self, door):
        for _unused in range(25):
            with door.connect() as sock:
                sock.sendall(b"x")
                assert_closed(sock)
        until(lambda: door.listener.refused == 25)
        assert len(door.log) == 20


class TestTime:
    def test_who_says_nothing_is_closed(self, parties):
        door = parties(Door, handshake_s=0.1)
        with door.connect() as sock:
            assert_closed(sock)
        until(lambda: "took too long" in "".join(door.log))

    def test_slow_loris(self, parties):
        door = parties(Door, handshake_s=0.2)
        start = DialerHandshake(SECRET, hello(), lambda now: 1).start()
        with door.connect() as sock:
            sock.settimeout(0.02)  # a byte each time, so that there always was one a moment ago
            for byte in start * 3:
                try:
                    sock.sendall(bytes([byte]))
                    if not sock.recv(1):
                        break
                except socket.timeout:
                    continue
                except (ConnectionResetError, BrokenPipeError):
                    break
            else:
                pytest.fail("it was let talk on")
        until(lambda: door.listener.refused == 1)

    def test_a_listener_that_says_nothing(self, parties):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            timeouts = dataclasses.replace(TIMEOUTS, handshake=0.1)
            caller = parties(Caller, silent.getsockname()[1], timeouts=timeouts)
            assert "did not finish the handshake" in caller.outcome()

    def test_a_listener_that_hangs_up(self, parties, door):
        caller = parties(Caller, door.listener.port, run_id="another-run")
        assert caller.outcome().startswith("it closed the connection before the handshake was over: was it started for")

    def test_a_name_that_nobody_knows(self, parties):
        """No firewall is to be blamed for it."""
        caller = parties(Caller, 1, host="nobody.invalid")
        assert caller.outcome().startswith("caller does not know the name nobody.invalid (")

    def test_closing_the_listener_drops_the_unfinished(self, parties):
        door = Door()
        with door.connect() as sock:
            until(lambda: door.unfinished)
            door.close()
            assert_closed(sock)
        assert door.unfinished == 0


class TestCaps:
    @pytest.mark.parametrize("cap", ["MAX_UNFINISHED", "MAX_PER_ADDRESS"])
    def test_the_oldest_goes_first_and_an_honest_dialer_gets_in(self, door, parties, monkeypatch, cap):
        monkeypatch.setattr(listener_module, cap, 4)
        strangers = []
        for number in range(6):
            strangers.append(door.connect())
            until(lambda number=number: door.unfinished + door.listener.refused == number + 1)
        until(lambda: door.unfinished == 4)
        for sock in strangers[:2]:
            assert_closed(sock)
        assert parties(Caller, door.listener.port).outcome() == "in"
        assert_closed(strangers[2])
        for sock in strangers:
            sock.close()


class Flood:
    """Keeps one connection open from each of 500 addresses, and says nothing on any."""

    def __init__(self, port):
        self._port = port
        self._is_over = threading.Event()
        self._thread = Background(self._run)

    @property
    def is_running(self):
        return self._thread.is_running

    def _run(self):
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as socks:
            for number in range(500):
                self._call(selector, socks, number)
            while not self._is_over.is_set():
                for key, _mask in selector.select(0.05):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    self._call(selector, socks, key.data)

    def _call(self, selector, socks, number):
        sock = socks.enter_context(socket.socket())
        sock.setblocking(False)
        sock.bind(("127.1.%d.%d" % (number // 250, 1 + number % 250), 0))
        sock.connect_ex(("127.0.0.1", self._port))
        selector.register(sock, selectors.EVENT_READ, number)

    def close(self):
        self._is_over.set()
        self._thread.result()


class TestFloods:
    """Strangers from so many addresses that no limit for one of them holds."""

    def test_who_names_the_run_is_not_pushed_out_by_those_who_say_nothing(self, door, monkeypatch):
        monkeypatch.setattr(listener_module, "MAX_UNFINISHED", 4)
        strangers = []
        with door.connect() as sock:
            handshake = DialerHandshake(SECRET, hello(), lambda now: 1)
            sock.sendall(handshake.start())
            answer = read_challenge(sock, handshake).data
            for _unused in range(12):
                strangers.append(door.connect())
            until(lambda: door.listener.refused == 8)
            sock.sendall(answer)
            until(lambda: door.let_in)
        for stranger in strangers:
            stranger.close()

    def test_those_who_name_it_have_a_limit_of_their_own(self, door, monkeypatch):
        monkeypatch.setattr(listener_module, "MAX_UNFINISHED", 4)
        callers = []
        for _unused in range(6):
            callers.append(door.connect())
            callers[-1].sendall(DialerHandshake(SECRET, hello(), lambda now: 1).start())
            assert callers[-1].recv(1)
        until(lambda: door.listener.refused == 2)
        assert len(door.listener._known) == 4 and door.unfinished == 0
        for sock in callers:
            sock.close()
        until(lambda: not door.listener._known)

    def test_from_500_addresses(self, door, parties):
        """It delayed a run by 11 s and refused it in the end."""
        flood = parties(Flood, door.listener.port)
        until(lambda: door.listener.refused > 500)
        for _unused in range(5):
            began_at = time.monotonic()
            assert parties(Caller, door.listener.port).outcome() == "in"
            assert time.monotonic() - began_at < 5
        assert flood.is_running

    @pytest.mark.parametrize("says", [b"", b"x"], ids=["closes", "says nothing"])
    def test_a_dialler_goes_on_until_its_patience_ends(self, parties, monkeypatch, says):
        """More often than it goes on in any case."""
        monkeypatch.setattr(dialer_module, "_PAUSE_S", 0.01)
        came, held = [], []

        def answer(server):
            with contextlib.suppress(OSError):
                while True:
                    sock, _address = server.accept()
                    came.append(time.monotonic())
                    held.append(sock) if says else sock.close()

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=answer, args=(server,))
            thread.start()
            timeouts = dataclasses.replace(TIMEOUTS, handshake=0.05)
            began_at = time.monotonic()
            caller = parties(Caller, server.getsockname()[1], timeouts=timeouts, patience_s=1.0)
            assert caller.outcome() != "in"
            assert time.monotonic() - began_at > 0.9 and len(came) > 5
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
        for sock in held:
            sock.close()


class TestNoDescriptorIsLeft:
    @pytest.fixture
    def looks(self, monkeypatch):
        """Whenever the listener looked who is there."""
        found = []
        on_ready = Listener._on_ready

        def counted(listener, *event):
            found.append(1)
            on_ready(listener, *event)

        monkeypatch.setattr(Listener, "_on_ready", counted)
        return found

    def test_it_waits_and_says_so_once(self, looks, parties):
        door = parties(Door)
        with socket.socket() as sock:
            sock.settimeout(PATIENCE_S)
            with no_descriptors():
                sock.connect(("127.0.0.1", door.listener.port))
                time.sleep(1.0)
                assert 2 <= len(looks) <= 10
                assert len(door.log) == 1 and "Too many open files" in door.log[0]
            handshake = DialerHandshake(SECRET, hello(), lambda now: 1)
            sock.sendall(handshake.start())
            sock.sendall(read_challenge(sock, handshake).data)
            until(lambda: door.let_in)
        assert len(door.log) == 1

    def test_strangers_make_room(self, parties):
        """A process that has no descriptor left but for those who say nothing must not keep a parent out."""
        door = parties(Door, handshake_s=60.0)
        stranger, sock = door.connect(), socket.socket()
        until(lambda: door.unfinished == 1)
        with stranger, sock:
            sock.settimeout(PATIENCE_S)
            with no_descriptors():
                sock.connect(("127.0.0.1", door.listener.port))
                assert_closed(stranger)
                handshake = DialerHandshake(SECRET, hello(), lambda now: 1)
                sock.sendall(handshake.start())
                sock.sendall(read_challenge(sock, handshake).data)
                until(lambda: door.let_in)

    def test_it_can_be_closed_meanwhile(self, looks):
        door = Door()
        with socket.socket() as sock:
            with no_descriptors():
                sock.connect(("127.0.0.1", door.listener.port))
                until(lambda: looks)
                door.context.reactor.call(door.listener.close)
                count = len(looks)
                time.sleep(0.5)
                assert len(looks) <= count + 1
            door.close()

    def test_the_door_of_a_classic_node(self):
        """It has a thread of its own, which has nothing else to do."""
        options = HopOptions(data_port=0, control_port=0)
        door = ClassicDoor("127.0.0.1", options, lambda: None)
        with socket.socket() as sock:
            with no_descriptors():
                sock.connect(door._control_door.getsockname())
                began_at = time.monotonic()
                assert door._accept(door._control_door) is None
                assert time.monotonic() - began_at > 0.1
            accepted = door._accept(door._control_door)
            assert accepted is not None
            accepted.close()
        door.close()

    def test_a_knock(self):
        context = make_context()
        log = []
        door = socket.create_server(("127.0.0.1", 0))
        activation.answer_knocks(context.reactor, [door], log.append)
        turning = Background(context.reactor.run)
        with door, socket.socket() as sock:
            with no_descriptors():
                sock.connect(door.getsockname())
                before = time.process_time()
                time.sleep(0.5)
                assert time.process_time() - before < 0.2
            until(lambda: log)
            context.reactor.call(lambda: context.reactor.forget(door))
            context.reactor.stop()
            turning.result()
        context.reactor.close()


class Silent:
    """A node that does not mind losing a parent."""

    def upstream_gone(self, parent, reason, goodbye):
        pass


class TestSameEpoch:
    def test_of_two_dialers_one_wins(self, door):
        """Both got a challenge with the same epoch; who finishes first is the parent, the other is closed."""
        socks = [door.connect(), door.connect()]
        handshakes = [DialerHandshake(SECRET, hello(), lambda now: now + 1) for _sock in socks]
        proofs = []
        for sock, handshake in zip(socks, handshakes):
            sock.sendall(handshake.start())
            proofs.append(read_challenge(sock, handshake).data)
        for number, proof in enumerate(proofs):
            socks[number].sendall(proof)
            # The door cannot know; the node's upstream looks again.
            until(lambda number=number: len(door.let_in) == number + 1)
        upstream = Upstream(door.context, Silent())
        accepted = []

        def accept():
            accepted.extend(upstream.accept_link(*party) for party in door.let_in)

        door.context.reactor.call(accept)
        until(lambda: len(accepted) == 2)
        assert accepted == [True, False]
        assert_closed(socks[1])
        door.context.reactor.call(upstream.end)
        for sock in socks:
            sock.close()


class TestDialing:
    def test_a_door_that_was_crowded_is_tried_again(self, parties):
        """Closed before the challenge, as when strangers had taken all the room for unfinished handshakes."""
        with socket.create_server(("127.0.0.1", 0)) as crowded:
            caller = parties(Caller, crowded.getsockname()[1])
            for _unused in range(2):
                crowded.accept()[0].close()
            sock, _address = crowded.accept()
            with sock:
                handshake = ListenerHandshake(bytes(32))
                while not isinstance(event := handshake.next(), HelloReceived):
                    handshake.feed(sock.recv(4096))
                assert event.hello.to == "me"
                sock.sendall(handshake.challenge(SECRET, 0))
                assert caller.outcome() == "in"

    def test_a_door_that_never_opens_is_given_up(self, parties):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            caller = parties(Caller, closed.getsockname()[1])
            for _unused in range(4):
                closed.accept()[0].close()
            assert caller.outcome() != "in"

    def test_nobody_listens(self, parties):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert "refused" in parties(Caller, port).outcome()

    def test_patience(self, parties):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        caller = parties(Caller, port, patience_s=PATIENCE_S)
        door = Door()
        # The receiver comes up a little later, on the very port that was refused so far.
        late = sockets.listen("127.0.0.1", port)
        second = Listener(door.context, late, door._judge, door._on_established)
        try:
            assert caller.outcome() == "in"
        finally:
            door.context.reactor.call(second.close)
            door.close()

    def test_a_dialer_that_is_cancelled_while_nobody_answers_is_gone_soon(self, parties):
        with crowded_port() as port:
            caller = parties(Caller, port, timeouts=dataclasses.replace(TIMEOUTS, connect=60, dead_after=60))
            assert caller.context.attempts.is_busy
            caller.context.reactor.call(caller.context.attempts.cancel)
            until(lambda: not caller.context.attempts.is_busy, 3.0)
        assert not caller.established and not caller.failed

    def test_a_connection_that_comes_when_nobody_wants_it_any_more_is_closed(self, door, parties, monkeypatch):
        dialling, released = threading.Event(), threading.Event()
        made = []
        connect = sockets.connect

        def connect_late(*arguments, **options):
            dialling.set()
            released.wait(PATIENCE_S)
            made.append(connect(*arguments[:4]))
            return made[-1]

        monkeypatch.setattr(sockets, "connect", connect_late)
        caller = parties(Caller, door.listener.port)
        assert dialling.wait(PATIENCE_S)
        caller.context.reactor.call(caller.context.attempts.cancel)
        until(caller.dialer._cancelled.is_set)
        assert caller.context.attempts.is_busy
        released.set()
        until(lambda: not caller.context.attempts.is_busy)
        assert made[0].fileno() < 0 and not caller.established

    def test_nobody_is_dialled_again_for_who_has_given_up(self, parties):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            caller = parties(Caller, closed.getsockname()[1])
            closed.accept()[0].close()
            caller.context.reactor.call(caller.context.attempts.cancel)
            until(lambda: not caller.context.attempts.is_busy)

    def test_cancelled_dialers_call_nobody(self, door):
        caller = Caller(door.listener.port)
        caller.context.reactor.call(caller.dialer.cancel)
        caller.close()
        assert len(caller.established) + len(caller.failed) <= 1
        caller.dialer.cancel()


def test_judge_names_what_was_wrong(door):
    with pytest.raises(AuthError, match="another run"):
        door._judge(hello(run_id="other"))
    with pytest.raises(AuthError, match="looks for you"):
        door._judge(hello(to="you"))
    door.context.name = ""  # a receiver on the command line, before its first parent
    assert door._judge(hello(to="you")) == 0
