# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to the disk early, what leaves the memory, and above all what does not."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import node
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work import writeback as settling
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.writeback import Writeback, is_large
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.memory import MemoryStore
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import Background
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    MemoryTarget,
    WatchedStore,
    make_image,
    until,
)

MIB = 1 << 20
SIZE = 8 * MIB + 5
END = 1 << 62  # no child wants anything below it


class NotingStore(MemoryStore):
    def __init__(self, error=None):
        super().__init__(0)
        self.size = SIZE
        self.settled = []
        self.released = []
        self.error = error

    def settle(self, offset, length):
        if self.error is not None:
            raise self.error
        self.settled.append((offset, offset + length))

    def release(self, offset, length):
        self.released.append((offset, offset + length))


class NotingSource:
    """No Store: nothing is written to it."""

    path, size = "source", SIZE

    def __init__(self):
        self.released = []

    def release(self, offset, length):
        self.released.append((offset, offset + length))


@pytest.fixture
def store():
    return NotingStore()


@pytest.fixture
def ledger():
    return Ledger(Image(SIZE, MIB), True)


class TestSettling:
    def test_only_whole_grains_and_each_once(self, store, ledger):
        writeback = Writeback(store, ledger, False)
        ledger.add(0, 3 * MIB - 1)
        writeback.settle(store)
        assert store.settled == [(0, 2 * MIB)]
        ledger.add(3 * MIB - 1, 4 * MIB)
        ledger.add(5 * MIB + 1, 7 * MIB)
        writeback.settle(store)
        writeback.settle(store)
        assert store.settled == [(0, 2 * MIB), (2 * MIB, 4 * MIB), (6 * MIB, 7 * MIB)]

    def test_the_ragged_end_of_the_image(self, store, ledger):
        ledger.add(7 * MIB, SIZE)
        Writeback(store, ledger, False).settle(store)
        assert store.settled == [(7 * MIB, SIZE)]

    def test_in_steps_between_which_the_run_may_end(self, store, ledger, monkeypatch):
        monkeypatch.setattr(settling, "_STEP", 3 * MIB)
        ledger.add(0, SIZE)
        Writeback(store, ledger, False).settle(store)
        assert store.settled == [(0, 3 * MIB), (3 * MIB, 6 * MIB), (6 * MIB, SIZE)]
        store.settled.clear()
        ledger.close()
        Writeback(store, ledger, False).settle(store)
        assert store.settled == []


class TestDropping:
    def test_what_the_verifier_needs_stays(self, store, ledger):
        ledger.keep(END, END)
        ledger.add(0, SIZE)
        writeback = Writeback(store, ledger, True)
        writeback.drop()
        assert store.released == []
        with ledger.changed:
            ledger.verified.add(0, 3 * MIB)
            ledger.verified.add(4 * MIB, 6 * MIB)
        writeback.drop()
        assert store.released == [(0, 3 * MIB)]

    def test_what_a_child_needs_stays(self, store, ledger):
        ledger.add(0, SIZE)
        with ledger.changed:
            ledger.verified.add(0, SIZE)
        writeback = Writeback(store, ledger, True)
        writeback.drop()  # no child has said anything yet
        assert store.released == []
        ledger.keep(2 * MIB - 1, 2 * MIB - 1)
        writeback.drop()
        assert store.released == [(0, MIB)]
        ledger.keep(END, END)
        writeback.drop()
        assert store.released[-1] == (0, 8 * MIB)

    def test_of_a_source_what_was_digested_and_arrived(self):
        source, ledger = NotingSource(), Ledger(Image(SIZE, MIB), False)
        writeback = Writeback(source, ledger, True)
        ledger.keep(4 * MIB, 4 * MIB)
        ledger.hold(RangeSet([(0, 2 * MIB)]), RangeSet())
        writeback.drop()
        assert source.released == [(0, 2 * MIB)]

    def test_only_images_that_are_large_beside_the_memory(self):
        assert not is_large(1 << 20)
        assert is_large(1 << 60)


class TestThread:
    def test_it_goes_on_until_the_ledger_is_closed(self, store, ledger, monkeypatch):
        monkeypatch.setattr(settling, "_PAUSE_S", 0.005)
        running = Background(Writeback(store, ledger, True).run)
        ledger.keep(END, END)
        ledger.add(0, SIZE)
        until(lambda: store.settled)
        with ledger.changed:
            ledger.verified.add(0, SIZE)
        until(lambda: store.released)
        assert running.is_running
        ledger.close()
        running.result()

    def test_a_disk_that_takes_nothing_is_an_error(self, ledger):
        store = NotingStore(TargetError("disk", "writeback", 0, errno.EIO))
        ledger.add(0, SIZE)
        running = Background(Writeback(store, ledger, False).run)
        with pytest.raises(TargetError, match="writeback"):
            running.result()

    def test_when_there_is_nothing_to_do(self, store, ledger):
        assert Writeback(store, ledger, False).is_needed
        assert Writeback(NotingSource(), ledger, True).is_needed
        assert not Writeback(NotingSource(), ledger, False).is_needed
        store.window = 64 * MIB
        assert not Writeback(store, ledger, True).is_needed


class ForgetfulStore(WatchedStore):
    """What is released is gone for good: whoever still needs it gets rubbish."""

    def release(self, offset, length):
        self._image[offset : offset + length] = b"!" * length


def test_a_ring_never_lets_go_of_what_somebody_needs(make_ring, monkeypatch):
    monkeypatch.setattr(settling, "_PAUSE_S", 0.002)
    monkeypatch.setattr(settling, "_DROP_EVERY", 1)
    monkeypatch.setattr(settling, "_GRAIN", 4096)
    monkeypatch.setattr(node, "is_large", lambda size: True)
    image = make_image(6 * MIB)
    forgetful = {rank: MemoryTarget(ForgetfulStore) for rank in (1, 2)}
    bench = make_ring(image, targets=forgetful).join()
    assert bench.states == ["done"] * 3
    assert bench.content(3) == image
