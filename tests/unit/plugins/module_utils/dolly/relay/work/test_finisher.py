# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The finisher alone knows whether an image is in its place: holding every byte is not enough."""

from __future__ import annotations

import os

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.finisher import Finisher
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.stream import DescriptorSink
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.window import Ring, WindowStore
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    WatchedStore,
)

SIZE = 100


class FailsToCommit(WatchedStore):
    def commit(self):
        raise TargetError(self.path, "commit", 0, 5)


def make(store, syncs=True):
    ledger = Ledger(Image(SIZE, SIZE), False)
    ledger.add(0, SIZE)
    return ledger, Finisher(store, ledger, False, syncs, lambda index: None)


@pytest.mark.parametrize("syncs", [True, False])
def test_published_is_said_after_commit(syncs):
    store = WatchedStore(SIZE)
    _ledger, finisher = make(store, syncs)
    finisher.run()
    assert (finisher.is_published, finisher.is_synced) == (True, syncs)
    assert "commit" in store.events


def test_what_went_into_a_pipe_was_not_flushed():
    reader, writer = os.pipe()
    try:
        store = WindowStore(Ring(1 << 10), DescriptorSink(writer, "-"), SIZE)
        ledger, finisher = make(store)
        ledger.open_window(store.window)
        finisher.drain.run()
        finisher.run()
    finally:
        os.close(reader)
        os.close(writer)
    assert (finisher.is_published, finisher.is_synced) == (True, False)


def test_what_went_to_a_file_as_standard_output_was(tmp_path):
    with (tmp_path / "out").open("wb") as out:
        assert DescriptorSink(out.fileno(), "-").is_lasting


def test_a_node_that_was_stopped_holds_every_byte_and_has_published_nothing():
    store = WatchedStore(SIZE)
    ledger, finisher = make(store)
    ledger.close()
    finisher.run()
    assert ledger.is_complete
    assert not finisher.is_published
    assert "commit" not in store.events


def test_a_commit_that_fails_has_published_nothing():
    _ledger, finisher = make(FailsToCommit(SIZE))
    with pytest.raises(TargetError):
        finisher.run()
    assert not finisher.is_published
