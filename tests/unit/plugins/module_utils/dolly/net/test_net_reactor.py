# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reactor: timers, calls from other threads, readiness, one at a time."""

from __future__ import annotations

import socket
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.reactor import Reactor
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    PATIENCE_S,
    Background,
)


@pytest.fixture
def reactor():
    made = Reactor()
    give_up = made.after(PATIENCE_S, made.stop)
    yield made
    give_up.cancel()
    made.close()


def test_timers_fire_in_order_of_time(reactor):
    fired = []
    for delay in (0.03, 0.01, 0.02):
        reactor.after(delay, lambda delay=delay: fired.append(delay))
    reactor.after(0.04, reactor.stop)
    reactor.run()
    assert fired == [0.01, 0.02, 0.03]


def test_timers_of_one_moment_fire_in_order_of_asking(reactor):
    fired = []
    for number in range(10):
        reactor.after(0.0, lambda number=number: fired.append(number))
    reactor.after(0.0, reactor.stop)
    reactor.run()
    assert fired == list(range(10))


def test_timer_fires_once_and_not_early(reactor):
    started = reactor.now()
    fired = []
    timer = reactor.after(0.02, lambda: fired.append(reactor.now()))
    reactor.after(0.05, reactor.stop)
    reactor.run()
    timer.fire()
    assert len(fired) == 1
    assert fired[0] - started >= 0.02


def test_cancelled_timer(reactor):
    fired = []
    timer = reactor.after(0.0, lambda: fired.append("cancelled"))
    timer.cancel()
    timer.cancel()
    reactor.after(0.01, reactor.stop)
    reactor.run()
    assert fired == []


def test_timer_cancelled_by_the_one_before_it(reactor):
    fired = []
    timers = []
    reactor.after(0.0, lambda: timers.pop().cancel())
    timers.append(reactor.after(0.0, lambda: fired.append("late")))
    reactor.after(0.01, reactor.stop)
    reactor.run()
    assert fired == []


def test_every(reactor):
    beats = []

    def beat():
        beats.append(1)
        if len(beats) == 3:
            reactor.stop()

    reactor.every(0.005, beat)
    reactor.run()
    assert len(beats) == 3


def test_call_from_another_thread_wakes_the_reactor(reactor):
    seen = []
    runner = Background(reactor.run)

    def called():
        seen.append(threading.current_thread().name)
        reactor.stop()

    reactor.call(called)
    runner.result()
    assert seen == ["test-background"]


def test_many_calls_keep_their_order(reactor):
    # More than fit into the socket that wakes the reactor.
    seen = []
    for number in range(3000):
        reactor.call(lambda number=number: seen.append(number))
    reactor.call(reactor.stop)
    reactor.run()
    assert seen == list(range(3000))


def test_calls_that_call_do_not_starve_timers(reactor):
    fired = []

    def again():
        if not fired:
            reactor.call(again)

    reactor.call(again)
    reactor.after(0.0, lambda: fired.append("timer"))
    reactor.after(0.01, reactor.stop)
    reactor.run()
    assert fired == ["timer"]


def test_error_of_a_callback_ends_the_loop(reactor):
    def broken():
        raise RuntimeError("a defect")

    reactor.call(broken)
    with pytest.raises(RuntimeError, match="a defect"):
        reactor.run()


def test_stop_before_run(reactor):
    reactor.stop()
    Background(reactor.run).result()


def test_call_after_close_is_harmless():
    reactor = Reactor()
    reactor.close()
    reactor.call(lambda: None)
    reactor.stop()


class TestWatch:
    @pytest.fixture
    def pair(self):
        near, far = socket.socketpair()
        yield near, far
        near.close()
        far.close()

    def test_readable_and_writable(self, reactor, pair):
        events = []

        def on_event(readable, writable):
            events.append((readable, writable))
            reactor.stop()

        pair[1].send(b"x")
        reactor.watch(pair[0], on_event, read=True, write=True)
        reactor.run()
        assert events == [(True, True)]

    def test_what_is_asked_for_is_replaced(self, reactor, pair):
        events = []
        reactor.watch(pair[0], lambda *event: events.append("old"), read=True, write=True)
        reactor.watch(pair[0], lambda *event: events.append("new"), read=True, write=False)
        pair[1].send(b"x")
        reactor.after(0.01, reactor.stop)
        reactor.run()
        assert set(events) == {"new"}

    def test_nothing_asked_for(self, reactor, pair):
        events = []
        reactor.watch(pair[0], lambda *event: events.append(event), read=True, write=True)
        reactor.watch(pair[0], lambda *event: events.append(event), read=False, write=False)
        reactor.watch(pair[0], lambda *event: events.append(event), read=False, write=False)
        pair[1].send(b"x")
        reactor.after(0.01, reactor.stop)
        reactor.run()
        assert events == []

    def test_forget(self, reactor, pair):
        reactor.watch(pair[0], lambda *event: pytest.fail("forgotten"), read=True, write=False)
        reactor.forget(pair[0])
        reactor.forget(pair[0])
        pair[1].send(b"x")
        reactor.after(0.01, reactor.stop)
        reactor.run()
        pair[0].close()
        reactor.forget(pair[0])


def test_what_is_still_watched_at_the_end_is_closed():
    """Such as a connection that has said goodbye, and whose peer has not closed it yet."""
    reactor = Reactor()
    left, right = socket.socketpair()
    with right:
        reactor.watch(left, lambda readable, writable: None, read=True, write=False)
        reactor.call(reactor.stop)
        reactor.run()
        reactor.close()
        assert left.fileno() == -1 and right.recv(1) == b""
