# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for the socket's side and for disks that fail, and the cases that every store must pass."""

from __future__ import annotations

import errno
import os
import random
import stat
from typing import Any, Callable, Dict, List

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import PeerLost
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.base import Readable, Store

#: Not a multiple of any block size, so that every store meets a ragged end.
IMAGE_SIZE = 300_001
IMAGE = random.Random(7).randbytes(IMAGE_SIZE)


class BytesLane:
    """Gives `incoming`, at most `step` bytes a call; keeps what is sent in `sent`."""

    def __init__(self, incoming: bytes = b"", step: int = 65_536) -> None:
        self.incoming = incoming
        self.step = step
        self.sent = bytearray()

    def _take(self, length: int) -> bytes:
        count = min(length, self.step)
        data, self.incoming = self.incoming[:count], self.incoming[count:]
        if not data:
            raise PeerLost("double", "no more bytes")
        return data

    def to_file(self, fd: int, offset: int, length: int) -> int:
        data = self._take(length)
        linux.write_all(fd, memoryview(data), offset)
        return len(data)

    def to_view(self, view: memoryview) -> int:
        data = self._take(len(view))
        view[: len(data)] = data
        return len(data)

    def from_file(self, fd: int, offset: int, length: int) -> int:
        data = os.pread(fd, min(length, self.step), offset)
        self.sent += data
        return len(data)

    def from_view(self, view: memoryview) -> None:
        self.sent += view


class FailingWriteLane(BytesLane):
    """The file refuses the bytes, once."""

    def __init__(self, incoming: bytes, code: int) -> None:
        super().__init__(incoming)
        self.code = code

    def to_file(self, fd: int, offset: int, length: int) -> int:
        if self.code:
            code, self.code = self.code, 0
            raise OSError(code, os.strerror(code))
        return super().to_file(fd, offset, length)


class FailsOnce:
    """Replaces a function of os: the first call fails, later ones pretend that all is well."""

    def __init__(self, original: Callable[..., Any], code: int = errno.EIO) -> None:
        self.original = original
        self.code = code
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise OSError(self.code, os.strerror(self.code))
        return self.original(*args, **kwargs)


def fill(store: Store, data: bytes, offset: int = 0, step: int = 65_536) -> None:
    lane = BytesLane(data, step)
    end = offset + len(data)
    while offset < end:
        count = store.receive(lane, offset, end - offset)
        assert 1 <= count <= end - offset
        offset += count


def refuse_to_sync_directories(monkeypatch: Any, code: int) -> None:
    """As a file system does that cannot, or whose disk fails just then."""
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)


def content(store: Store) -> bytes:
    buffer = bytearray(store.size)
    assert store.read(0, memoryview(buffer)) == store.size
    return bytes(buffer)


def sent(store: Readable, offset: int, length: int) -> bytes:
    lane = BytesLane()
    store.send(lane, offset, length)
    return bytes(lane.sent)


def case_receive_and_read(store: Store) -> None:
    fill(store, IMAGE)
    assert content(store) == IMAGE


def case_receive_in_odd_steps(store: Store) -> None:
    fill(store, IMAGE, step=4099)
    assert content(store) == IMAGE


def case_receive_out_of_order(store: Store) -> None:
    bounds = list(range(0, IMAGE_SIZE, 10_007))
    for start in reversed(bounds):
        fill(store, IMAGE[start : start + 10_007], start)
    assert content(store) == IMAGE


def case_send(store: Store) -> None:
    fill(store, IMAGE)
    lane = BytesLane(step=1234)
    store.send(lane, 0, IMAGE_SIZE)
    store.send(lane, 5, 10)
    assert bytes(lane.sent) == IMAGE + IMAGE[5:15]


def case_fresh_range_zeroed(store: Store) -> None:
    fill(store, IMAGE[:1000])
    store.zero(1000, IMAGE_SIZE - 1000)
    assert content(store) == IMAGE[:1000] + bytes(IMAGE_SIZE - 1000)


def case_written_range_zeroed(store: Store) -> None:
    fill(store, IMAGE)
    store.zero(100, 250_000)  # ragged at both ends
    store.zero(IMAGE_SIZE - 1, 1)
    assert content(store) == IMAGE[:100] + bytes(250_000) + IMAGE[250_100:-1] + b"\0"


def case_written_flushed_zeroed_and_written(store: Store) -> None:
    fill(store, IMAGE)
    store.flush()
    store.zero(0, IMAGE_SIZE)
    assert content(store) == bytes(IMAGE_SIZE)
    fill(store, IMAGE[8192:20_000], 8192)
    store.flush()
    assert content(store) == bytes(8192) + IMAGE[8192:20_000] + bytes(IMAGE_SIZE - 20_000)


def case_read_at_the_end(store: Store) -> None:
    fill(store, IMAGE)
    buffer = bytearray(100)
    assert store.read(IMAGE_SIZE - 10, memoryview(buffer)) == 10
    assert bytes(buffer) == IMAGE[-10:] + bytes(90)
    assert store.read(IMAGE_SIZE, memoryview(buffer)) == 0


def case_outside_the_image(store: Store) -> None:
    for offset, length in ((0, IMAGE_SIZE + 1), (IMAGE_SIZE, 1), (-1, 2), (5, 0), (5, -1)):
        for call in (
            lambda: store.receive(BytesLane(IMAGE), offset, length),
            lambda: store.send(BytesLane(), offset, length),
            lambda: store.zero(offset, length),
        ):
            try:
                call()
            except ValueError:
                continue
            raise AssertionError("%d+%d was let through" % (offset, length))


def case_lost_peer_is_not_sticky(store: Store) -> None:
    lane = BytesLane(IMAGE[:10])
    assert store.receive(lane, 0, 100) == 10
    try:
        store.receive(lane, 10, 90)
    except PeerLost:
        pass
    else:
        raise AssertionError("the lane's error was swallowed")
    fill(store, IMAGE)
    store.flush()
    assert content(store) == IMAGE


def case_commit_and_read_on(store: Store) -> None:
    fill(store, IMAGE)
    store.commit()
    store.commit()
    assert content(store) == IMAGE
    lane = BytesLane()
    store.send(lane, 0, IMAGE_SIZE)
    assert bytes(lane.sent) == IMAGE


def case_settling_and_releasing_change_no_byte(store: Store) -> None:
    fill(store, IMAGE)
    store.settle(0, IMAGE_SIZE)
    store.release(0, IMAGE_SIZE)
    assert content(store) == IMAGE
    store.commit()
    store.release(0, IMAGE_SIZE)
    assert content(store) == IMAGE
    store.close()
    store.release(0, IMAGE_SIZE)  # nobody is hurt by what is gone


def case_nothing_works_after_close(store: Store) -> None:
    store.close()
    store.close()
    _all_refuse(store)


def case_nothing_works_after_abort(store: Store) -> None:
    fill(store, IMAGE[:100])
    store.abort()
    store.abort()
    store.close()
    _all_refuse(store)


def _all_refuse(store: Store) -> None:
    calls: List[Callable[[], Any]] = [
        lambda: store.receive(BytesLane(IMAGE), 0, 10),
        lambda: store.zero(0, 10),
        lambda: store.send(BytesLane(), 0, 10),
        lambda: store.read(0, memoryview(bytearray(10))),
        store.flush,
        store.commit,
    ]
    for call in calls:
        try:
            call()
        except Exception as error:
            assert type(error).__name__ == "TargetError", error
        else:
            raise AssertionError("a closed store still works")


#: Name -> what a store of IMAGE_SIZE bytes must do. The store is closed by the caller.
CASES: Dict[str, Callable[[Store], None]] = {
    name[len("case_") :]: value for name, value in sorted(globals().items()) if name.startswith("case_")
}
