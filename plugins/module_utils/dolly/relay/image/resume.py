# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the target holds already, from an earlier run or by chance, and what this run records for a later one.

What may be there is claimed: it is digested on the target, and held only when it matches this run's digest. A
chunk is claimed for a later run only after it was verified and then flushed: when a disk has lost a write,
the page cache still reads back the right bytes.
"""

from __future__ import annotations

import errno
import hmac
import threading
from typing import Callable, Optional

from ...errors import TargetError
from ...integrity.manifest import digest_regions
from ...ranges import RangeSet
from ...recovery import journal
from ...storage.base import Store
from ...workers import Worker
from ..context import Context
from .ledger import Ledger

#: Seconds between two journals: what a killed run has to receive again at most.
INTERVAL_S = 5.0
#: A write refused for these reasons has changed nothing on the medium: with more room the next run can go on.
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))
_REFUSALS = frozenset(("write", "zero"))


def claim(ledger: Ledger, claimed: RangeSet) -> None:
    """Claim whole chunks that may be in the store already: they are digested before they are requested.

    Chunks that were digested before, or are being digested, are digested again.
    """
    with ledger.changed:
        if ledger.verifying is not None and is_claimed(ledger, ledger.verifying):
            ledger.stale = ledger.verifying
        ledger.doubt(claimed)
        ledger.claimed.update(claimed)
        for first, digests in list(ledger.manifest.slices(claimed)):
            ledger.learn(first, digests)  # their digests may have come already


def claim_again(ledger: Ledger) -> None:
    """All that was verified in one place is in another one now, and is to be digested again there."""
    with ledger.changed:  # or a chunk could be verified in the old place behind the copy, and be believed
        claim(ledger, ledger.verified.copy())


def is_claimed(ledger: Ledger, index: int) -> bool:
    """Whether a chunk is claimed and not digested yet."""
    with ledger.changed:
        return ledger.claimed.covers(*ledger.image.chunk_bounds(index))


def settle(ledger: Ledger, index: int, matches: bool, is_zero: bool = False) -> None:
    """A claimed chunk was digested: it is verified now, or missing like any other."""
    with ledger.changed:
        start, end = ledger.image.chunk_bounds(index)
        ledger.checked += end - start
        if ledger.verifying == index:
            ledger.verifying = None  # else the chunk would not be verified when it has come
        if ledger.stale == index:
            ledger.stale = None
            claim(ledger, RangeSet.span(start, end))
            return
        ledger.claimed.discard(start, end)
        if not matches:
            return
        ledger.held.add(start, end)
        ledger.spared.update(RangeSet(ledger.image.chunk_parts(index)))
        if is_zero:
            ledger.zeros.add(start, end)
        ledger.accept(index)


def check_claim(store: Store, ledger: Ledger, index: int, buffer: memoryview) -> None:
    """Digest a claimed chunk in its place; a chunk that cannot be read there is missing."""
    parts, hashing = ledger.image.chunk_parts(index), ledger.manifest.hashing
    expected = ledger.digest(index)
    try:
        actual = digest_regions(store.read, parts, buffer, hashing)
    except (TargetError, EOFError):
        actual = b""  # writing there may go well; if it does not, that is the error to tell
    matches = expected is not None and hmac.compare_digest(expected, actual)
    length = sum(end - start for start, end in parts)
    settle(ledger, index, matches, is_zero=matches and actual == hashing.zero(length))


class Journalist:
    """Keeps the journal of a store on a thread of its own, so that a slow disk blocks nothing else.

    `on_broken` is called on the reactor when the target could not be flushed; the node fails then.
    """

    def __init__(
        self, store: Store, ledger: Ledger, context: Context, on_broken: Callable[[BaseException], None]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._context = context
        self._on_broken = on_broken
        self._written = store.record.claimed.copy() if store.record is not None else RangeSet()
        self._has_complained = False
        self._stopping = threading.Event()
        self._worker: Optional[Worker] = None

    def start(self) -> None:
        """Start the thread, where there is a journal to keep."""
        if self._store.record is not None and self._store.record.shape is not None:
            self._worker = Worker("journal", self._keep, lambda error: None)
            self._worker.start()

    def stop(self) -> None:
        """End the thread and wait for it; it may be flushing."""
        worker, self._worker = self._worker, None
        self._stopping.set()
        while worker is not None and not worker.join(1.0):
            pass

    def finish(self, is_published: bool) -> None:
        """Remove the journal if the image is published; else write the last one, for the next run."""
        self.stop()
        if is_published:
            self._remove(self._store.flushes)
        else:
            self.write(is_last=True)

    def write(self, is_last: bool = False) -> None:
        """Flush, then claim what was verified before the flush.

        Without new claims only the last journal is worth a flush: it finds out whether a write has failed.
        """
        record, ledger = self._store.record, self._ledger
        if record is None or record.shape is None:
            return
        with ledger.changed:
            claims = journal.merge(ledger.verified, ledger.claimed)
        if claims == self._written and not is_last:
            return
        try:
            self._store.flush()
        except TargetError as error:
            self._broken(error)
            return
        try:
            record.save(claims)
        except (OSError, ValueError) as error:
            self._complain("no journal is kept in %s: %s" % (record.path, error))
        else:
            self._written = claims

    def _keep(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self.write()

    def _broken(self, error: TargetError) -> None:
        code = error.fields.get("errno")
        if code == errno.ECANCELED:
            return  # the store was closed: nothing is known that was not known before
        if code not in _NO_ROOM or error.fields.get("operation") not in _REFUSALS:
            # What was read back, and what a later run would read back, need not be what the medium has.
            self._remove()
        self._context.reactor.call(lambda: self._on_broken(error))

    def _remove(self, flushes: bool = True) -> None:
        record = self._store.record
        try:
            if record is not None:
                record.remove(flushes)
        except OSError as error:
            self._complain("the journal %s could not be removed: %s" % (record.path if record else "", error))

    def _complain(self, what: str) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._context.log(what)
