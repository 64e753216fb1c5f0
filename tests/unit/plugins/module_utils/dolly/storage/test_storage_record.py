# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where journals lie, and what is left on a target that an earlier run began."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.journal import Shape
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import record as record_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetFacts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.record import (
    Record,
    default_state_dir,
    device_identity,
    device_journal_name,
    device_record,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    inspect_target,
    open_target,
    purge_target,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    FailsOnce,
    fill,
)

SIZE = 300_001
CHUNK = 65_536
DATA = os.urandom(SIZE)
SHAPE = Shape("target", SIZE, CHUNK)
PARTIAL, JOURNAL = ".image.dolly-partial", ".image.dolly-journal"


@pytest.fixture
def run(tmp_path):
    """One run after another on the same file; each is begun, and all are let go of in the end."""
    stores = []

    def begin(size=SIZE, chunk=CHUNK, **options):
        target = open_target(str(tmp_path / "image"), **options)
        target.prepare()
        stores.append(target.begin(size, chunk))
        return stores[-1]

    yield begin
    for store in stores:
        store.close()


def broken_off(run, claimed=((0, CHUNK),), **options):
    """A run that got as far as its journal."""
    store = run(**options)
    fill(store, DATA[:CHUNK])
    store.flush()
    store.record.save(RangeSet(claimed))
    store.abort()


class TestRecord:
    def test_it_is_written_whole_and_for_its_owner_alone(self, tmp_path):
        record = Record(str(tmp_path / "state" / "dolly"), "disk.journal")
        record.load(SHAPE)
        for claimed in (RangeSet.span(0, CHUNK), RangeSet.span(0, 2 * CHUNK)):
            record.save(claimed)
            assert os.listdir(tmp_path / "state" / "dolly") == ["disk.journal"]
            assert Record(str(tmp_path / "state" / "dolly"), "disk.journal").load(SHAPE) == claimed
        assert stat.S_IMODE(os.stat(record.path).st_mode) == 0o600
        assert record.remove() and not record.remove() and not record.exists()

    def test_without_a_shape_nothing_is_written(self, tmp_path):
        Record(str(tmp_path), "name").save(RangeSet.span(0, CHUNK))
        assert os.listdir(tmp_path) == []

    def test_the_order_of_a_write(self, tmp_path, monkeypatch):
        events = []
        for name in ("fsync", "rename"):
            original = getattr(os, name)

            def note(*arguments, name=name, original=original, **options):
                is_directory = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
                events.append(name + " directory" if is_directory else name)
                return original(*arguments, **options)

            monkeypatch.setattr(record_module.os, name, note)
        record = Record(str(tmp_path), "name")
        record.load(SHAPE)
        record.save(RangeSet.span(0, CHUNK))
        assert events == ["fsync", "rename", "fsync directory"]

    @pytest.mark.parametrize("flushes", [True, False])
    def test_a_loss_of_power_does_not_bring_it_back(self, tmp_path, monkeypatch, flushes):
        record = Record(str(tmp_path), "name")
        record.load(SHAPE)
        record.save(RangeSet.span(0, CHUNK))
        flushed = []
        monkeypatch.setattr(record_module.os, "fsync", lambda fd: flushed.append(os.listdir(fd)))
        assert record.remove(flushes)
        assert flushed == ([[]] if flushes else [])  # the directory, without it
        assert not record.remove() and len(flushed) == flushes  # nothing went, so nothing has to be flushed

    def test_a_write_that_fails_leaves_the_old_one(self, tmp_path, monkeypatch):
        record = Record(str(tmp_path), "name")
        record.load(SHAPE)
        record.save(RangeSet.span(0, CHUNK))
        monkeypatch.setattr(record_module.os, "fsync", FailsOnce(os.fsync))
        with pytest.raises(OSError):
            record.save(RangeSet.span(0, 2 * CHUNK))
        assert record.load(SHAPE) == RangeSet.span(0, CHUNK)
        record.save(RangeSet.span(0, 2 * CHUNK))  # what the failed write left is in nobody's way
        assert record.load(SHAPE) == RangeSet.span(0, 2 * CHUNK)

    @pytest.mark.parametrize("make", ["symlink", "directory", "fifo"])
    def test_what_is_no_file_is_not_read(self, tmp_path, make):
        path = tmp_path / "name"
        if make == "symlink":
            good = Record(str(tmp_path), "good")
            good.load(SHAPE)
            good.save(RangeSet.span(0, CHUNK))
            path.symlink_to("good")
        elif make == "directory":
            path.mkdir()
        else:
            os.mkfifo(path)
        assert not Record(str(tmp_path), "name").load(SHAPE)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_somebody_elses_file_is_not_read(self, tmp_path):
        record = Record(str(tmp_path), "name")
        record.load(SHAPE)
        record.save(RangeSet.span(0, CHUNK))
        os.chown(record.path, 1234, -1)
        assert not record.load(SHAPE)


class TestDevices:
    FACTS = TargetFacts("/dev/x", "/dev/sdb", "block", 1000, "boot")

    def test_the_name_does_not_count_where_the_disk_has_an_identity(self):
        def name(**facts):
            return device_journal_name(replace(self.FACTS, **facts))

        assert name(serial="A", real_path="/dev/sda") == name(serial="A", real_path="/dev/sdb")
        assert name(wwn="A", real_path="/dev/sda") == name(wwn="A", real_path="/dev/sdb")
        assert name(real_path="/dev/sda") != name(real_path="/dev/sdb")
        assert name(serial="A") != name(serial="B")
        assert name(serial="A") != name(serial="A", size=1001)
        first = name(serial="A", is_partition=True, real_path="/dev/sda1")
        assert first != name(serial="A", is_partition=True, real_path="/dev/sda2")
        assert first == name(serial="A", is_partition=True, real_path="/dev/sdc1")
        assert "/" not in name(serial="../../etc/x y")

    def test_where_it_lies(self, tmp_path, monkeypatch):
        assert device_record(self.FACTS, str(tmp_path)).path.startswith(str(tmp_path) + "/sdb-")
        monkeypatch.setattr(record_module.os, "geteuid", lambda: 0)
        assert default_state_dir() == "/var/lib/dolly"
        monkeypatch.setattr(record_module.os, "geteuid", lambda: 1000)
        monkeypatch.setenv("XDG_STATE_HOME", "/home/u/state")
        assert default_state_dir() == "/home/u/state/dolly"
        monkeypatch.setenv("XDG_STATE_HOME", "relative")
        monkeypatch.setenv("HOME", "/home/u")
        assert default_state_dir() == "/home/u/.local/state/dolly"
        assert "/dev/sdb" in device_identity(self.FACTS)


class TestFiles:
    def test_what_a_run_left_is_kept_and_claimed(self, tmp_path, run):
        broken_off(run)
        assert sorted(os.listdir(tmp_path)) == [JOURNAL, PARTIAL]
        store = run()
        assert list(store.record.claimed) == [(0, CHUNK)]
        assert (tmp_path / PARTIAL).read_bytes()[:CHUNK] == DATA[:CHUNK]

    @pytest.mark.parametrize("change", [{"size": SIZE + 1}, {"chunk": CHUNK + 1}, {"chunk": 0}, {"resumes": False}])
    def test_what_cannot_be_checked_goes(self, tmp_path, run, change):
        broken_off(run)
        store = run(**change)
        assert not store.record.claimed
        assert os.listdir(tmp_path) == [PARTIAL]
        assert not any((tmp_path / PARTIAL).read_bytes())

    def test_a_journal_without_its_file_is_nothing(self, tmp_path, run):
        broken_off(run)
        other = tmp_path / "other"
        other.write_bytes(bytes(SIZE))
        other.rename(tmp_path / PARTIAL)
        assert not run().record.claimed
        assert os.listdir(tmp_path) == [PARTIAL]

    def test_a_file_that_somebody_cut_short_is_begun_anew(self, tmp_path, run):
        broken_off(run)
        os.truncate(tmp_path / PARTIAL, SIZE - 1)
        store = run()
        assert not store.record.claimed
        assert (tmp_path / PARTIAL).stat().st_size == SIZE

    def test_zeros_over_what_was_left_are_zeros(self, run):
        """What an earlier run left is no fresh hole, whether its journal knows of it or not."""
        store = run()
        fill(store, DATA)
        store.record.save(RangeSet.span(0, CHUNK))
        store.abort()
        store = run()
        store.zero(CHUNK, SIZE - CHUNK)
        view = bytearray(SIZE)
        store.read(0, memoryview(view))
        assert bytes(view) == DATA[:CHUNK] + bytes(SIZE - CHUNK)

    def test_a_run_that_was_given_up_before_the_first_byte_leaves_what_was_there(self, tmp_path, run):
        broken_off(run)
        run().abort()
        assert list(run().record.claimed) == [(0, CHUNK)]

    def test_purge(self, tmp_path, run):
        broken_off(run)
        (tmp_path / "image").write_bytes(b"the last good one")
        facts = inspect_target(str(tmp_path / "image"))
        both = [str(tmp_path / PARTIAL), str(tmp_path / JOURNAL)]
        assert purge_target(facts, check_mode=True) == both
        assert sorted(os.listdir(tmp_path)) == [JOURNAL, PARTIAL, "image"]
        assert purge_target(facts) == both
        assert purge_target(facts) == []
        assert os.listdir(tmp_path) == ["image"]

    def test_purge_leaves_a_run_alone(self, tmp_path, run):
        store = run()
        fill(store, DATA)
        with pytest.raises(Refused, match="another run"):
            purge_target(inspect_target(str(tmp_path / "image")))
        store.commit()

    def test_no_room_for_a_journal_does_not_hurt_the_target(self, tmp_path, run, monkeypatch):
        store = run()
        monkeypatch.setattr(record_module.os, "fsync", FailsOnce(os.fsync, errno.ENOSPC))
        with pytest.raises(OSError):
            store.record.save(RangeSet.span(0, CHUNK))
        fill(store, DATA)
        store.commit()
        assert (tmp_path / "image").read_bytes() == DATA
