# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of chunks, SHA-256 or a keyed MAC: computing them, collecting them, and the root digest over all of them."""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Protocol, Tuple, Union

from ..errors import ProtocolError
from ..plan.job import Image
from ..ranges import Range, RangeSet
from ..wire import keys
from . import gmac

DIGEST_SIZE = 32
SLICE_DIGESTS = 1024  # 32 KiB: half a frame
#: Bytes read and digested at once. Eight nodes on two cores moved 108 MB/s each with 1 MiB and 89 with 256
#: KiB (medians of three interleaved runs): switching the interpreter's lock less often outweighs the L2
#: cache.
PIECE = 1024 * 1024
_ZERO_STEP = 1024 * 1024
_SHA256_HEX = re.compile(r"[0-9A-Fa-f]{64}\Z")

Slice = Tuple[int, bytes]


class Digest(Protocol):
    """The interface of the object that `hashlib.sha256()` returns."""

    def update(self, data: Any) -> None:
        """Add these bytes to the message."""

    def digest(self) -> bytes:
        """Return the 32-byte digest of the message."""


class Hashing:
    """How chunks are digested. `new` returns a new digest object; `check` raises Refused if `new` cannot.

    `is_lasting`: whether the digests have a meaning without the secret of the run.
    """

    def __init__(
        self, new: Callable[[], Digest], is_lasting: bool, check: Callable[[], None] = lambda: None
    ) -> None:
        self.new = new
        self.is_lasting = is_lasting
        self.check = check
        self._zero = lru_cache(maxsize=64)(self._digest_zeros)

    def zero(self, length: int) -> bytes:
        """Return the digest of ``length`` zero bytes, which is computed once. ValueError: a negative length."""
        return self._zero(length)

    def _digest_zeros(self, length: int) -> bytes:
        if length < 0:
            raise ValueError("length is %d, expected at least 0" % length)
        digest, zeros = self.new(), memoryview(bytearray(min(length, _ZERO_STEP)))
        for offset in range(0, length, _ZERO_STEP):
            digest.update(zeros[:length - offset])
        return digest.digest()


class _Mac:
    """GMAC, then HMAC over the tag, so that the result need not be secret: see docs/decisions/mac.md."""

    def __init__(self, first: bytes, second: bytes) -> None:
        self._gmac = gmac.Gmac(first)
        self._second = second
        self.update = self._gmac.update

    def digest(self) -> bytes:
        return hmac.digest(self._second, self._gmac.digest(), "sha256")


SHA256 = Hashing(hashlib.sha256, True)


def hashing_of(verify: str, secret: bytes, run_id: str) -> Hashing:
    """Return how the chunks of a run are digested, by the value of its option `verify`."""
    if verify != "mac":
        return SHA256
    first, second = keys.chunk_keys(secret, run_id)
    return Hashing(lambda: _Mac(first, second), False, gmac.check)


class Manifest:
    """The known digests of an image by chunk index. Not thread-safe."""

    def __init__(self, image: Image, hashing: Hashing = SHA256) -> None:
        self.image = image
        self.hashing = hashing
        self._digests: Dict[int, bytes] = {}
        #: Indexes of the chunks whose digest is known; not to be changed from outside.
        self.known = RangeSet()

    @property
    def known_count(self) -> int:
        """The number of chunks whose digest is known."""
        return self.known.total

    @property
    def is_complete(self) -> bool:
        """Whether every digest is known; False while the size of the image is unknown."""
        return self.known.total == self.image.chunk_count

    def add(self, first: int, digests: bytes) -> None:
        """Add the digests of the chunks from ``first`` on, 32 bytes each; all of them or none.

        ProtocolError: not whole digests, chunks the image does not have, or a digest that contradicts a
        known one.
        """
        count, rest = divmod(len(digests), DIGEST_SIZE)
        if rest:
            raise _broken("%d bytes are not whole digests" % len(digests))
        if count == 0:
            return
        self._check_chunks(first, first + count - 1)
        new = {}
        for index in range(first, first + count):
            at = (index - first) * DIGEST_SIZE
            new[index] = bytes(digests[at:at + DIGEST_SIZE])
            is_empty = self.image.mapped is not None and not self.image.chunk_parts(index)
            if is_empty and new[index] != self.hashing.zero(0):
                # No data could match this digest, so the chunk could never be repaired.
                raise _broken("a digest of some bytes for chunk %d, which is empty" % index)
            if self._digests.get(index, new[index]) != new[index]:
                raise _broken("a second, different digest for chunk %d" % index)
        self._digests.update(new)
        self.known.add(first, first + count)

    def end(self, size: int) -> None:
        """Set the size of the image in bytes, where it was unknown.

        ProtocolError: the size contradicts a known size or digest. ValueError: not a size.
        """
        if self.image.size is not None and self.image.size != size:
            raise _broken("the image ends at %d and at %d" % (self.image.size, size))
        image = self.image.with_size(size)
        if self.known.span_end > (image.chunk_count or 0):
            raise _broken("digests for chunks behind the end of the image at %d" % size)
        self.image = image

    def get(self, index: int) -> Optional[bytes]:
        """Return the digest of a chunk, None if it is not known."""
        return self._digests.get(index)

    def missing(self) -> RangeSet:
        """Return the bytes of the image whose chunks' digests are not known.

        While the size is unknown these are only the gaps below the last known chunk.
        """
        image = self.image
        end = self.known.span_end * image.chunk_size if image.size is None else image.size
        known = RangeSet((start * image.chunk_size, stop * image.chunk_size) for start, stop in self.known)
        return RangeSet.span(0, end) - known

    def slices(self, wanted: Optional[RangeSet] = None) -> Iterator[Slice]:
        """Yield known digests as (first chunk, digests), at most 1024 at a time, ascending.

        ``wanted`` are bytes of the image: only the chunks that hold one of them.
        """
        chunks = self.known.copy()
        if wanted is not None:
            size = self.image.chunk_size
            chunks = chunks & RangeSet((start // size, -(-end // size)) for start, end in wanted)
        for start, end in chunks:
            for first in range(start, end, SLICE_DIGESTS):
                last = min(first + SLICE_DIGESTS, end)
                yield first, b"".join(self._digests[index] for index in range(first, last))

    def run_root(self) -> str:
        """Return `root`, to compare images within one run; empty when digests are missing."""
        return self.root() if self.is_complete else ""

    def told_root(self, root: str) -> Dict[str, str]:
        """Return `root` by its name in results: `digest`, or `keyed_digest` if invalid after the run."""
        is_lasting = self.hashing.is_lasting
        return {"digest": root if is_lasting else "", "keyed_digest": "" if is_lasting else root}

    def root(self) -> str:
        """Return the hex SHA-256 over all digests in order. ValueError: some are not known."""
        if not self.is_complete:
            counts = (self.known_count, self.image.chunk_count)
            raise ValueError("no root digest: %d of %s chunk digests are known" % counts)
        whole = hashlib.sha256()
        for _unused, digests in self.slices():
            whole.update(digests)
        return whole.hexdigest()

    def _check_chunks(self, first: int, last: int) -> None:
        try:
            self.image.chunk_bounds(first)
            self.image.chunk_bounds(last)
        except IndexError:
            raise _broken("digests for chunks %d to %d, not all in the image" % (first, last)) from None


def digest_regions(
    read: Callable[[int, memoryview], int],
    regions: Iterable[Range],
    buffer: Union[bytearray, memoryview],
    hashing: Hashing = SHA256,
) -> bytes:
    """Return the digest of the bytes of ``regions`` in turn, read through ``buffer`` piece by piece.

    Without regions, this is the digest of no bytes. ``read(offset, view)`` fills the beginning of ``view``
    and returns the number of bytes, like preadv. EOFError: ``read`` returned 0 early. ValueError: ``buffer``
    is empty or a region is invalid.
    """
    digest = hashing.new()
    with memoryview(buffer) as whole, whole[:PIECE] as view:
        for start, end in regions:
            if not buffer or not 0 <= start <= end:
                raise ValueError("digest of [%d, %d) in a buffer of %d bytes" % (start, end, len(buffer)))
            offset = start
            while offset < end:
                with view[:end - offset] as piece:
                    length = read(offset, piece)
                    if not 0 < length <= len(piece):
                        raise EOFError("no more bytes at offset %d, expected some up to %d" % (offset, end))
                    digest.update(piece[:length])
                offset += length
    return digest.digest()


def parse_checksum(text: str) -> str:
    """Return the lower-case hex digest of ``sha256:<64 hex digits>``. ValueError: anything else."""
    kind, _unused, digits = text.partition(":")
    if kind != "sha256" or not _SHA256_HEX.match(digits):
        raise ValueError("%r is no checksum: expected sha256: and 64 hexadecimal digits" % text)
    return digits.lower()


def _broken(what: str) -> ProtocolError:
    return ProtocolError("The sender of the manifest", what)
