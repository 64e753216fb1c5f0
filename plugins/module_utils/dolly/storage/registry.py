# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the source and the target of a run: the only module that knows all kinds of both."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Optional, Protocol, Union

from ..errors import Refused, UsageError
from ..plan.job import Plan
from ..plan.streams import CODECS, Infile, Outfile, node_decompresses, server_compresses
from .base import Target
from .compressed import HEAD_LENGTH, DecompressOpener, GzipStream, SourceStream, check_codec, codec_of
from .dummy import DummySource, DummyTarget
from .facts import SourceFacts, TargetFacts
from .parts import part_name
from .source import Source, check_unmounted
from .split import SplitTarget
from .split_source import SplitSource
from .stream import DescriptorOpener, PipeStream, StoreOpener, Stream, is_null
from .target import inspect_target, open_target
from .window import SinkOpener, WindowTarget

#: The name that means standard input or standard output.
STANDARD = "-"
_STDIN = 0
#: What to do with a plain source whose first bytes are those of an archive: refuse it, allow it for files
#: only, or allow it for any target.
ARCHIVE_REFUSED, ARCHIVE_TO_FILES, ARCHIVE_ANYWHERE = ARCHIVES = ("refused", "files", "anywhere")

Seekable = Union[Source, SplitSource, DummySource]


class Opened:
    """What the server sends: a seekable `source`, or a `stream` that is read once.

    `infile`: the description for the plan, completed with what was found out about the source.
    """

    def __init__(self, infile: Infile, source: Optional[Seekable] = None, stream: Optional[Stream] = None) -> None:
        self.infile = infile
        self.source = source
        self.stream = stream

    @property
    def size(self) -> Optional[int]:
        """The number of bytes on the wire, None while it is unknown."""
        if self.source is None or self.infile.dummy_seconds is not None:
            return None
        return self.source.size

    @property
    def facts(self) -> Optional[SourceFacts]:
        """The facts of a source on a disk, otherwise None."""
        return getattr(self.source or getattr(self.stream, "source", None), "facts", None)

    def close(self) -> None:
        """Close the source or the stream."""
        for one in (self.source, self.stream):
            if one is not None:
                one.close()


def open_source(
    path: str,
    infile: Infile,
    outfile: Outfile,
    patience_s: float,
    expected: Optional[SourceFacts] = None,
    dummy_bytes: Optional[int] = None,
    archives: str = ARCHIVE_REFUSED,
) -> Opened:
    """Open what a run sends.

    `patience_s`: seconds to wait for the first bytes of a pipe; `archives`: one of `ARCHIVES`. Raises
    UsageError, SourceError, TimedOut; Refused for an archive, an empty source, or a disk mounted for writing.
    """
    if infile.kind == "dummy":
        return _open_dummy(infile, dummy_bytes)
    if path == STANDARD:
        return _open_standard(infile, outfile, patience_s)
    source = SplitSource(path, expected) if infile.is_split else Source(path, expected)
    try:
        check_unmounted(source.facts)
        if not source.size:
            raise Refused(path, "the source is empty (0 bytes), so there is nothing to clone", "an image in its place")
        head = memoryview(bytearray(HEAD_LENGTH))
        found = bytes(head[: source.read(0, head)])
        if node_decompresses(infile, outfile):
            infile = _with_codec(path, infile, found)
        elif infile.kind == "plain":
            _note_archive(source, codec_of(found), archives)
        if server_compresses(infile, outfile):
            return Opened(replace(infile, is_seekable=False), stream=GzipStream(SourceStream(source)))
    except BaseException:
        source.close()
        raise
    return Opened(replace(infile, is_seekable=True), source)


def _open_dummy(infile: Infile, size: Optional[int]) -> Opened:
    if infile.dummy_seconds is not None:
        size = None
    elif size is None:
        raise UsageError("dummy", "without a size", "with one, or with a time in seconds")
    return Opened(replace(infile, is_seekable=True), DummySource(size))


def _open_standard(infile: Infile, outfile: Outfile, patience_s: float) -> Opened:
    if infile.is_split:
        raise UsageError("source", STANDARD, "the name of files in parts: the standard input is one")
    if is_null(_STDIN):
        raise UsageError("source", STANDARD, "a standard input that something comes from")
    pipe = PipeStream(_STDIN)
    infile = replace(infile, is_seekable=False)
    if node_decompresses(infile, outfile):
        infile = _with_codec(STANDARD, infile, pipe.peek(HEAD_LENGTH, patience_s))
    if server_compresses(infile, outfile):
        return Opened(infile, stream=GzipStream(pipe))
    return Opened(infile, stream=pipe)


def _note_archive(source: Union[Source, SplitSource], codec: str, archives: str) -> None:
    """Note in the facts of a source that it is an archive for files only. Raises Refused."""
    if codec and archives == ARCHIVE_REFUSED:
        found = "the source is compressed (%s), and nobody said whether it is to be unpacked" % codec
        allow = "compressed: true (the nodes unpack it) or false (they write it to files as it is); in a play"
        raise Refused(source.path, found, allow + " dolly_ring_compressed")
    if codec and archives == ARCHIVE_TO_FILES:
        source.facts = replace(source.facts, archive=codec)


def _with_codec(path: str, infile: Infile, head: bytes) -> Infile:
    codec = codec_of(head)
    if not codec:
        raise UsageError("compressed source", path, "a file compressed with one of %s" % ", ".join(CODECS))
    return replace(infile, codec=codec)


class Check(Protocol):
    """A function that checks a target by its facts; `size` of the image in bytes, None if unknown."""

    def __call__(self, facts: TargetFacts, size: Optional[int]) -> None:
        """Raise Refused if the target must not be written."""


class OutputOpener:
    """Chooses the target of a node without opening it.

    `stdout`: the descriptor for the name "-", None if there is none. `resumes`, `state_dir`: as for
    `open_target`.
    """

    def __init__(
        self, check: Check, stdout: Optional[int] = None, resumes: bool = True, state_dir: str = ""
    ) -> None:
        self._check = check
        self._stdout = stdout
        self._resumes = resumes
        self._state_dir = state_dir

    def open(self, plan: Plan, path: str) -> Target:
        """Return the target for a plan. Raises Refused, UsageError."""
        if plan.infile.kind == "dummy":
            return DummyTarget()
        decompresses = node_decompresses(plan.infile, plan.outfile)
        if plan.compare and (decompresses or path == STANDARD or plan.outfile.split_size):
            found = "only a file or a device that gets the image as it is can be compared"
            raise Refused(path, found, "a run without compare")
        if decompresses:
            check_codec(plan.infile.codec)
        if path == STANDARD:
            return self._to_standard(plan, decompresses)
        target = self._random_access(plan, os.path.abspath(path), None if decompresses else plan.image.size)
        if not decompresses:
            return target
        opener = DecompressOpener(plan.infile.codec, StoreOpener(target, plan.verify != "none"))
        return WindowTarget(target.facts, opener, plan.image.chunk_size)

    def _random_access(self, plan: Plan, path: str, size: Optional[int]) -> Target:
        if not plan.outfile.split_size:
            facts = inspect_target(path)
            self._check(facts, size)
            is_mapped = plan.image.mapped is not None
            # Without a map, another size changes the last chunk; with a map, possibly no mapped chunk
            # shows it.
            compares = plan.compare and (not is_mapped or facts.kind == "block" or facts.size == size)
            # Bytes that an earlier run wrote outside the map would stay in a new file.
            resumes = self._resumes and not is_mapped
            return open_target(path, facts, state_dir=self._state_dir, resumes=resumes, compares=compares)
        facts = inspect_target(part_name(path, 0))
        self._check(facts, size)
        if facts.kind == "block":
            raise Refused(path, "%s is a device, and an image in parts needs files" % facts.path)
        return SplitTarget(path, facts, plan.outfile.split_size)

    def _to_standard(self, plan: Plan, decompresses: bool) -> Target:
        if self._stdout is None or is_null(self._stdout):
            raise Refused("the standard output", "this node has none that leads anywhere")
        if plan.outfile.split_size:
            raise UsageError("output", STANDARD, "the name of a file, for an output in parts")
        facts = TargetFacts(path=STANDARD, real_path=STANDARD, kind="stream", size=0, boot_id="")
        opener: SinkOpener = DescriptorOpener(self._stdout)
        if decompresses:
            opener = DecompressOpener(plan.infile.codec, opener)
        return WindowTarget(facts, opener, plan.image.chunk_size)
