# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine with named faults: python3 doubles.py ENGINE FAULT=VALUE ARGUMENTS...

    slow-source=BYTES     the server sends at most this many bytes a second, until it is `cured`
    slow-digest=BYTES     the server reads at most this many bytes a second for digests
    slow-target=BYTES     the target takes at most this many bytes a second, until it is `cured`
    halt=BYTES            the target takes no byte beyond this offset until it is `cured`
    no-library            this Python has no OpenSSL to call
    flip-once=OFFSET      a bit of the target's byte at OFFSET flips unnoticed, after its first write
    flip-always=OFFSET    the same after every write
    record-writes=FILE    every written range is appended to FILE
    lying-zeros           devices say that they have zeroed a range, and have not
    blind                 nothing can be read from the target once a file `blind` exists, as when a disk dies
    bad-copy=OFFSET       a bit of the byte at OFFSET flips while an old file is copied to be patched
    slow-prepare=SECONDS  the target takes this long to open, or until it is `cured`
    journal-interval=S    the journal is written every S seconds
    slow-look=SECONDS     the node starts to read back this much later
    late-news=SECONDS     the report of a bad chunk comes this much later
    slow-stream=BYTES     the server reads a pipe at most at this many bytes a second
    config=JSON           further configuration of the sender
    policy=JSON           the target policy of a client

A fault that can be `cured` ends as soon as a file `cured` exists in the folder where the node was started.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time

CURE = os.path.abspath("cured")


def take_time(seconds):
    if not os.path.exists(CURE):
        time.sleep(seconds)


def slow_source(rate):
    from dolly.storage.source import Source

    send = Source.send

    def slowly(self, lane, offset, length):
        step = 64 * 1024
        for start in range(offset, offset + length, step):
            count = min(step, offset + length - start)
            send(self, lane, start, count)
            take_time(count / int(rate))

    Source.send = slowly


def slow_digest(rate):
    from dolly.storage.source import Source

    read = Source.read

    def slowly(self, offset, view):
        count = read(self, offset, view)
        time.sleep(count / int(rate))
        return count

    Source.read = slowly


def slow_target(rate):
    from dolly.storage.descriptor_store import DescriptorStore

    receive = DescriptorStore.receive

    def slowly(self, lane, offset, length):
        count = receive(self, lane, offset, length)
        take_time(count / int(rate))
        return count

    DescriptorStore.receive = slowly


def halt(limit):
    from dolly.storage.descriptor_store import DescriptorStore

    receive, end = DescriptorStore.receive, int(limit)

    def up_to_the_limit(self, lane, offset, length):
        while offset >= end and not os.path.exists(CURE):
            time.sleep(0.02)
        if offset < end:
            length = min(length, end - offset)
        return receive(self, lane, offset, length)

    DescriptorStore.receive = up_to_the_limit


def flip_once(place):
    _flip(int(place), 1)


def flip_always(place):
    _flip(int(place), 1 << 30)


def _flip(place, times):
    from dolly.storage.descriptor_store import DescriptorStore

    receive = DescriptorStore.receive
    left = [times]

    def corrupting(self, lane, offset, length):
        count = receive(self, lane, offset, length)
        if left[0] and offset <= place < offset + count:
            left[0] -= 1
            with self._descriptor as fd:
                byte = os.pread(fd, 1, place)
                os.pwrite(fd, bytes([byte[0] ^ 0x20]), place)
        return count

    DescriptorStore.receive = corrupting


def no_library(_nothing):
    """Act like a Python without OpenSSL or ctypes; modules that are already loaded are not affected."""
    import hashlib
    import hmac

    sys.modules.update(_hashlib=None)
    return hashlib, hmac


def slow_look(seconds):
    from dolly.relay.work.verifier import Verifier

    run = Verifier.run

    def later(self):
        time.sleep(float(seconds))
        run(self)

    Verifier.run = later


def late_news(seconds):
    from dolly.relay.repairs import Repairs

    tell = Repairs.report_bad

    def late(self, index):
        time.sleep(float(seconds))
        tell(self, index)

    Repairs.report_bad = late


def record_writes(path):
    from dolly.storage.descriptor_store import DescriptorStore

    receive = DescriptorStore.receive

    def recording(self, lane, offset, length):
        count = receive(self, lane, offset, length)
        with open(path, "a", encoding="ascii") as file:
            file.write("%d %d\n" % (offset, offset + count))
        return count

    DescriptorStore.receive = recording


def lying_zeros(_nothing):
    from dolly.storage import linux

    linux.zero_out = linux.punch_hole = lambda fd, offset, length: True


def blind(_nothing):
    from dolly.errors import TargetError
    from dolly.storage.descriptor_store import DescriptorStore

    send, read = DescriptorStore.send, DescriptorStore.read
    place = os.path.abspath("blind")

    def check(store, offset):
        if os.path.exists(place):
            raise TargetError(store.path, "read", offset, errno.EIO)

    def send_or_fail(self, lane, offset, length):
        step = 256 * 1024
        for start in range(offset, offset + length, step):
            check(self, start)
            send(self, lane, start, min(step, offset + length - start))

    def read_or_fail(self, offset, view):
        check(self, offset)
        return read(self, offset, view)

    DescriptorStore.send, DescriptorStore.read = send_or_fail, read_or_fail


def slow_prepare(seconds):
    from dolly.storage.file import FileTarget

    prepare = FileTarget.prepare

    def slowly(self):
        for _tenth in range(int(seconds) * 10):
            take_time(0.1)
        prepare(self)

    FileTarget.prepare = slowly


def journal_interval(seconds):
    from dolly.relay.image import resume

    resume.INTERVAL_S = float(seconds)


def slow_stream(rate):
    from dolly.storage.stream import PipeStream

    read = PipeStream.read

    def slowly(self, view, is_wanted):
        count = read(self, view[: 64 * 1024], is_wanted)
        time.sleep(count / int(rate))
        return count

    PipeStream.read = slowly


def more_config(text):
    """Patch the place where the command line builds the configuration: every reader sees the change."""
    from dolly.cli import foreground

    sender_config = foreground.sender_config
    foreground.sender_config = lambda *asked: {**sender_config(*asked), **json.loads(text)}


def policy(text):
    from dolly.cli import foreground
    from dolly.storage.facts import TargetPolicy

    foreground.TargetPolicy = lambda *_given, **_more: TargetPolicy(**json.loads(text))


def bad_copy(place):
    from dolly.storage.compared import ComparedStore

    copy = ComparedStore._copy

    def copy_badly(self, old, partial):
        copy(self, old, partial)
        byte = os.pread(partial, 1, int(place))
        os.pwrite(partial, bytes([byte[0] ^ 1]), int(place))

    ComparedStore._copy = copy_badly


FAULTS = {
    "blind": blind,
    "halt": halt,
    "lying-zeros": lying_zeros,
    "bad-copy": bad_copy,
    "journal-interval": journal_interval,
    "slow-stream": slow_stream,
    "config": more_config,
    "policy": policy,
    "slow-prepare": slow_prepare,
    "slow-source": slow_source,
    "slow-digest": slow_digest,
    "slow-target": slow_target,
    "no-library": no_library,
    "flip-once": flip_once,
    "flip-always": flip_always,
    "record-writes": record_writes,
    "slow-look": slow_look,
    "late-news": late_news,
}


def main(arguments):
    sys.path.insert(0, arguments.pop(0))
    while arguments and arguments[0].partition("=")[0] in FAULTS:
        name, _equals, value = arguments.pop(0).partition("=")
        FAULTS[name](value)
    from dolly.cli.entry import main as engine

    return engine(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
