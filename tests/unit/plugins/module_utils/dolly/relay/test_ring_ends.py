# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole rings in one process, whose nodes are killed, stopped, replaced, or leave."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import re
import socket
import threading
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Aborted
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.dial import Dialer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.server import Policy
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import PATIENCE_S
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    TIMEOUTS,
    SlowTarget,
    assert_all_done,
    slow,
    until,
)


class TestLeaving:
    def test_a_node_waits_for_what_it_is_dialling_and_hangs_up(self, ring, monkeypatch):
        """Its first look at the server takes so long that the run is over meanwhile."""
        dialling, released = threading.Event(), threading.Event()
        made = []
        reach = Dialer._reach

        def reach_late(dialer, limit):
            if dialer._kind != "probe":
                return reach(dialer, limit)
            dialling.set()
            released.wait(PATIENCE_S)
            made.append(reach(dialer, limit))
            return made[-1]

        monkeypatch.setattr(Dialer, "_reach", reach_late)
        bench = ring(count=1)
        assert dialling.wait(PATIENCE_S)
        until(lambda: bench.members[1].node.is_leaving)
        time.sleep(0.3)  # all else is over by then
        assert bench.members[1].is_running
        released.set()
        assert_all_done(bench.join())
        assert all(sock.fileno() < 0 for sock in made)


class TestDeaths:
    @pytest.mark.parametrize("rank", [1, 2, 3])
    def test_a_killed_node_is_lost_and_its_child_adopted(self, ring, rank):
        dying = slow(2 * CHUNK)
        bench = ring(targets={rank: dying})
        until(lambda: dying.store is not None and dying.store.reached.is_set())
        bench.members[rank].kill()
        dying.store.released.set()
        bench.join()
        assert bench.states == ["lost" if one == rank else "done" for one in (1, 2, 3)]
        assert bench.root.node.state == "partial"
        for one in {1, 2, 3} - {rank}:
            assert bench.is_whole(one)

    def test_two_neighbours_at_once(self, ring):
        dying = {2: slow(2 * CHUNK), 3: slow(CHUNK)}
        bench = ring(count=4, targets=dying)
        for target in dying.values():
            until(lambda target=target: target.store is not None and target.store.reached.is_set())
        for rank in (2, 3):
            bench.members[rank].kill()
        for target in dying.values():
            target.store.released.set()
        bench.join()
        # Whoever could have said that the second one is lost had gone too; it cannot be reached any more.
        assert bench.states in (["done", "lost", one, "done"] for one in ("lost", "unreachable"))

    def test_the_server(self, ring):
        stuck = slow(CHUNK)
        timeouts = dataclasses.replace(TIMEOUTS, connect=1, orphan=0.5)
        bench = ring(count=2, targets={1: stuck}, timeouts=timeouts)
        until(lambda: stuck.store is not None and stuck.store.reached.is_set())
        bench.root.kill()
        until(lambda: bench.state_of(1) == "failed")  # else what lies in its socket may make its image whole
        stuck.store.released.set()
        bench.join()
        assert [bench.state_of(rank) for rank in (1, 2)] == ["failed", "failed"]
        assert bench.members[1].node.word.error["kind"] == "PeerLost"
        assert "commit" not in bench.targets[1].store.events

    def test_before_the_start(self, ring):
        waiting = SlowTarget("prepare")
        bench = ring(targets={2: waiting, 3: SlowTarget("prepare")}, policy=Policy(min_nodes=2))
        assert waiting.entered.wait(PATIENCE_S)
        assert bench.targets[3].entered.wait(PATIENCE_S)
        bench.members[2].kill()
        waiting.released.set()
        until(lambda: bench.states[1] == "lost")
        bench.targets[3].released.set()
        bench.join()
        assert bench.states == ["done", "lost", "done"]


class TestStopping:
    def test_a_member_amid_the_run(self, ring):
        stuck = slow(CHUNK)
        bench = ring(targets={2: stuck})
        until(lambda: stuck.store is not None and stuck.store.reached.is_set())
        bench.members[2].call(lambda: bench.members[2].node.fail(Aborted("the test says so")))
        assert bench.state_of(2) == "failed"
        stuck.store.released.set()
        bench.join()
        assert bench.state_of(2) == "failed"
        assert bench.states[0] == "done"
        assert "commit" not in stuck.store.events

    def test_the_server_amid_the_run(self, ring):
        stuck = slow(CHUNK)
        bench = ring(targets={2: stuck})
        until(lambda: stuck.store is not None and stuck.store.reached.is_set())
        bench.root.call(lambda: bench.root.node.fail(Aborted("the test says so")))
        until(lambda: bench.state_of(2) == "failed")  # else what lies in its socket may make its image whole
        stuck.store.released.set()
        bench.join()
        assert bench.root.node.state == "failed"
        assert bench.state_of(2) == bench.state_of(3) == "failed"
        assert re.search("the test says so", bench.members[3].node.word.error["message"])

    def test_a_member_that_opens_its_target(self, ring):
        opening = SlowTarget("begin")
        bench = ring(count=2, targets={2: opening})
        assert opening.entered.wait(PATIENCE_S)
        bench.members[2].call(lambda: bench.members[2].node.fail(Aborted("the test says so")))
        opening.released.set()
        bench.join()
        # Whatever was opened is closed again: by the store, once there is one.
        assert opening.store is not None and opening.store.events == ["abort"]

    def test_a_member_that_nobody_calls(self, ring):
        timeouts = dataclasses.replace(TIMEOUTS, join=0.2, connect=1, orphan=1)
        bench = ring(count=2, timeouts=timeouts, absent=(1,))
        bench.members[2].join()
        assert bench.members[2].node.word.error["kind"] == "TimedOut"
        assert bench.targets[2].calls == []


class TestSuperseded:
    def test_a_second_parent_takes_over(self, ring):
        stuck = slow(2 * CHUNK)
        bench = ring(targets={3: stuck})
        until(lambda: stuck.store is not None and stuck.store.reached.is_set())
        # As after a partition: the child asks its grandparent although its parent lives.
        bench.members[3].call(lambda: bench.members[3].node.knock(1, lambda why: None))
        until(lambda: bench.members[3].node.word.parent == 1)
        stuck.store.released.set()
        bench.join()
        assert_all_done(bench)
        assert bench.members[3].node.word.epoch == 2
        assert bench.members[3].node.word.parent == 1

    def test_the_server_says_so_too(self, ring):
        stuck = slow(2 * CHUNK)
        bench = ring(count=4, targets={2: stuck})
        until(lambda: stuck.store is not None and stuck.store.reached.is_set())
        bench.members[2].call(lambda: bench.members[2].node.knock(0, lambda why: None))
        until(lambda: bench.members[2].node.word.parent == 0)
        stuck.store.released.set()
        assert_all_done(bench.join())


def open_descriptors():
    """What this process has open. The collector runs first: another test's failure may keep its frames until then."""
    gc.collect()
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the list itself
            found.add((name, os.readlink("/proc/self/fd/" + name)))
    return found


def test_a_run_leaves_no_descriptor(ring):
    before = open_descriptors()
    bench = ring(count=2)
    bench.join()
    until(lambda: open_descriptors() <= before)  # the leak checker looks at threads


def test_strangers_do_not_disturb(ring):
    bench = ring(count=2)
    for rank in (1, 2):
        with socket.create_connection(("127.0.0.1", bench.plan.nodes[rank].port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
            stranger.settimeout(PATIENCE_S)
            try:
                assert stranger.recv(100) == b""
            except ConnectionResetError:
                pass
    assert_all_done(bench.join())
