# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed streams: a sink that decompresses, a source that compresses, and detecting the codec.

A stream may hold several archives in a row, as gzip, xz, bzip2 and zstd allow. A stream that ends early, does
not decompress, or has other bytes behind its last archive fails the node: the result would be a wrong copy.
Zeros behind the end come from tapes and block devices; for gzip and xz they are skipped.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

from ..buffers import make_buffer
from ..errors import BadArchive, Refused
from .source import Source
from .split_source import SplitSource
from .stream import Stream
from .window import Sink, SinkOpener
from .zstd import ZstdProgram, find_zstd, new_zstd

#: First bytes of each codec; for zstd also those of skippable frames.
MAGIC: Dict[str, Tuple[bytes, ...]] = {
    "gzip": (b"\x1f\x8b\x08",),
    "xz": (b"\xfd7zXZ\x00",),
    "bzip2": (b"BZh",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes((kind, 0x2A, 0x4D, 0x18)) for kind in range(0x50, 0x60))),
}
SUFFIXES = (".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2", ".tbz", ".zst", ".tzst")
HEAD_LENGTH = max(len(magic) for kinds in MAGIC.values() for magic in kinds)
#: Most compressed bytes that are decompressed at once, so that an error has a precise offset.
_PIECE = 64 * 1024
#: Most decompressed bytes at once: a decompression bomb must not fill the memory.
_MAX_OUT = 1024 * 1024
_GZIP_FORMAT = 31  # zlib.decompressobj: largest window, with a header and a checksum of gzip
_XZ_PADDING = 4
_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def codec_of(head: bytes) -> str:
    """Return the codec of a stream from its first bytes, "" if it is none of the known codecs."""
    for codec, kinds in MAGIC.items():
        if head.startswith(kinds):
            return codec
    return ""


def has_known_suffix(path: str) -> bool:
    """Whether a name ends like that of a compressed file."""
    return path.lower().endswith(SUFFIXES)


def check_codec(codec: str) -> None:
    """Raise Refused if this node cannot decompress this codec."""
    if codec == "zstd" and new_zstd() is None and find_zstd() is None:
        found = "this node has no way to decompress zstd"
        raise Refused("the compressed source", found, "Python 3.14 or the program zstd on the node")
    if codec not in MAGIC:
        raise Refused("the compressed source", "it is none of %s" % ", ".join(MAGIC))


class DecompressSink:
    """A sink that decompresses a stream and writes the result to another sink."""

    flushes = True

    def __init__(self, codec: str, sink: Sink) -> None:
        self.path = sink.path
        self.is_lasting = sink.is_lasting
        self._sink = sink
        self._out = 0
        self._decoder = _decoder(codec)

    @property
    def notes(self) -> List[str]:
        """The notes of the sink behind it."""
        return self._sink.notes

    def write(self, view: memoryview, offset: int) -> None:
        for start in range(0, len(view), _PIECE):
            self._pass_on(self._decoder.feed(bytes(view[start : start + _PIECE])), offset + start)

    def finish(self, size: int) -> None:
        self._pass_on(self._decoder.end(), size)
        self._sink.flushes = self.flushes
        self._sink.finish(self._out)

    def close(self) -> None:
        self._decoder.abort()
        self._sink.close()

    def abort(self) -> None:
        self._decoder.abort()
        self._sink.abort()

    def _pass_on(self, pieces: Iterator[bytes], offset: int) -> None:
        while True:
            try:
                piece = next(pieces, None)
            except _ERRORS as error:
                reason = str(error) or type(error).__name__
                raise BadArchive(self.path, offset, reason) from error
            if piece is None:
                return
            self._sink.write(memoryview(piece), self._out)
            self._out += len(piece)


class DecompressOpener:
    """Opens a DecompressSink in front of the sink of another opener."""

    def __init__(self, codec: str, opener: SinkOpener) -> None:
        self._codec = codec
        self._opener = opener

    def prepare(self) -> None:
        check_codec(self._codec)
        self._opener.prepare()

    def open(self) -> Sink:
        return DecompressSink(self._codec, self._opener.open())

    def release(self) -> None:
        self._opener.release()


class Archives:
    """Decompresses archives of one codec in a row, in memory. Raises ValueError, and the library's errors."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._archive: Any = None
        self._count = 0
        self._head = b""
        self._padding = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield the result."""
        while data:
            if self._archive is None:
                data = self._begin(self._head + data)
                continue
            yield from self._pieces(data)
            data = b""
            if self._archive.eof:
                data = self._archive.unused_data
                self._archive = None
                self._count += 1

    def end(self) -> Iterator[bytes]:
        """Note the end of the stream. Raises ValueError if an archive is incomplete."""
        if self._archive is not None or not self._count:
            raise ValueError("it ends in the middle of the archive")
        if self._head:
            raise ValueError("there is something else behind the end of the archive")
        self._check_padding()
        yield from ()

    def abort(self) -> None:
        """Do nothing: there is nothing to close."""

    def _begin(self, data: bytes) -> bytes:
        """Find the next archive; return the data from its beginning on."""
        self._head = b""
        if self._count and self._codec in ("gzip", "xz"):
            stripped = data.lstrip(b"\0")
            self._padding += len(data) - len(stripped)
            data = stripped
        magics = MAGIC[self._codec]
        if any(magic.startswith(data) and len(data) < len(magic) for magic in magics):
            self._head = data  # the rest of it comes with the next bytes
            return b""
        if not data.startswith(magics):
            where = "behind the end of the archive" if self._count else "in its place"
            raise ValueError("there is something else %s" % where)
        self._check_padding()
        self._archive = _LIBRARIES[self._codec]()
        return data

    def _check_padding(self) -> None:
        if self._codec == "xz" and self._padding % _XZ_PADDING:
            raise ValueError("the zeros behind the end are no multiple of %d" % _XZ_PADDING)
        self._padding = 0

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        archive = self._archive
        while True:
            piece = archive.decompress(data, _MAX_OUT)
            if piece:
                yield piece
            if archive.eof:
                return
            if self._codec == "gzip":  # zlib returns the input that it had no room for
                data = archive.unconsumed_tail
                if not data and len(piece) < _MAX_OUT:
                    return
            else:
                data = b""
                if archive.needs_input:
                    return


_LIBRARIES: Dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(_GZIP_FORMAT),
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    "bzip2": bz2.BZ2Decompressor,
    "zstd": new_zstd,
}


def _decoder(codec: str) -> Any:
    if codec == "zstd" and new_zstd() is None:
        return ZstdProgram(_MAX_OUT)
    return Archives(codec)


class SourceStream:
    """A seekable source, read as a stream from beginning to end."""

    def __init__(self, source: Union[Source, SplitSource]) -> None:
        self.path = source.path
        self.source = source
        self._at = 0

    def read(self, view: memoryview, is_wanted: Callable[[], bool]) -> int:
        count = self.source.read(self._at, view) if is_wanted() else 0
        self._at += count
        if not count:
            self.source.check_unchanged()
        return count

    def close(self) -> None:
        self.source.close()


class GzipStream:
    """Compresses a stream while it is read."""

    def __init__(self, stream: Stream) -> None:
        self.path = stream.path
        #: The source on a disk, if one is compressed here.
        self.source = getattr(stream, "source", None)
        self._stream = stream
        self._buffer = make_buffer(_MAX_OUT)
        self._compressor: Optional[Any] = zlib.compressobj(wbits=_GZIP_FORMAT)
        self._ready = memoryview(b"")

    def read(self, view: memoryview, is_wanted: Callable[[], bool]) -> int:
        while not self._ready and self._compressor is not None:
            count = self._stream.read(self._buffer, is_wanted)
            if count:
                self._ready = memoryview(self._compressor.compress(self._buffer[:count]))
            elif is_wanted():
                self._ready = memoryview(self._compressor.flush())
                self._compressor = None
            else:
                return 0
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._stream.close()
