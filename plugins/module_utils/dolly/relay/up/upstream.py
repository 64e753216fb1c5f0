# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parents of one node: the present one, and earlier ones whose threads have not ended yet."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Protocol, Tuple

from ...net.channel import Channel
from ...plan.job import MAX_SIZE
from ...ranges import RangeSet
from ...storage.base import Store
from ...wire.handshake import Established
from ...wire.messages import MAX_RANGES, Bye, Manifest, Setup, Start
from ..context import Context
from ..image.ledger import Ledger
from ..log_text import goodbye_of
from .parent import ParentLink


class UpstreamOwner(Protocol):
    """What a node hears from above; every call comes on the reactor."""

    def upstream_setup(self, parent: str, message: Setup) -> None:
        """A parent brought the plan."""

    def upstream_start(self, message: Start) -> None:
        """START: begin, or abort."""

    def upstream_manifest(self, parent: str, message: Manifest) -> bool:
        """Digests. Returns False when they cannot be right; the parent is not to be trusted then."""

    def upstream_end(self, parent: str, size: int) -> bool:
        """The size of the image. Returns False when it cannot be right."""

    def upstream_demotes(self) -> None:
        """This node is too slow to have children: the parent takes them."""

    def upstream_lacks(self, parent: str, offset: int) -> bool:
        """The parent no longer has wanted bytes. Returns whether another parent is needed for them."""

    def upstream_gone(self, parent: str, reason: str, goodbye: Optional[Bye]) -> None:
        """There is no parent any more. `goodbye`: its last message, if it said goodbye."""

    def storage_failed(self, error: BaseException) -> None:
        """The target cannot be written."""


def wanted(ledger: Ledger, missing: RangeSet) -> RangeSet:
    """The missing bytes in as few ranges as possible; the ranges may span bytes that are not mapped.

    A parent sends mapped bytes alone, and with a map of many ranges every NEED would be as long as the map.
    """
    mapped = ledger.image.mapped
    if mapped is None or not missing:
        return missing
    gaps = RangeSet.span(0, ledger.size) - (ledger.held & mapped) - ledger.claimed
    return RangeSet((start, end) for start, end in gaps if missing.overlaps(start, end))


def first_of(wanted: RangeSet, repair: RangeSet) -> Tuple[RangeSet, RangeSet]:
    """Of both as much from the beginning as one NEED names. They end at one place: what is asked for beyond the
    repairs that are named would be taken for bytes that never came."""
    end = min(ranges.end_of_first(MAX_RANGES, MAX_SIZE) for ranges in (wanted, repair))
    return (wanted, repair) if end == MAX_SIZE else (wanted.within(0, end), repair.within(0, end))


class Upstream:
    """One parent at a time. A new parent has a greater epoch and replaces the old one.

    Nothing is requested from a parent before every lane thread of earlier parents has ended: a range has one
    writer at a time.
    """

    def __init__(self, context: Context, owner: UpstreamOwner) -> None:
        self.epoch = 0
        self._context = context
        self._owner = owner
        self._link: Optional[ParentLink] = None
        self._closing: List[ParentLink] = []

    @property
    def has_parent(self) -> bool:
        """Whether there is a link to a parent."""
        return self._link is not None

    @property
    def is_heard(self) -> bool:
        """Whether the parent takes status messages: before it has sent the plan it takes only a goodbye."""
        return self._link is not None and self._link.is_set_up

    @property
    def has_said_bye(self) -> bool:
        """Whether the parent was told that this node leaves it."""
        return self._link is not None and self._link.has_said_bye

    @property
    def is_receiving(self) -> bool:
        """Whether any lane's thread still runs; it may be writing."""
        return self._is_closing() or (self._link is not None and self._link.is_receiving)

    @property
    def is_waiting(self) -> bool:
        """Whether the node waits for bytes from above, rather than for its own target."""
        # An earlier parent's thread that hangs in the target keeps this node from asking the present parent.
        links = self._closing if self._is_closing() else [self._link]
        return all(link is None or link.is_waiting_for_parent for link in links)

    def accept_link(self, established: Established, channel: Channel) -> bool:
        """Take a new parent; False when another one was faster with the same epoch."""
        if established.epoch <= self.epoch:
            channel.abort()
            return False
        self.epoch = established.epoch
        old, self._link = self._link, ParentLink(self._context, established, channel, self)
        if old is not None:
            old.bye("superseded")
            self._retire(old)
        return True

    def begin(self, leftover: bytes) -> None:
        """Process bytes that followed the new parent's handshake."""
        if self._link is not None:
            self._link.begin(leftover)

    def accept_lane(self, established: Established, channel: Channel) -> None:
        """Accept a lane if it belongs to the present parent."""
        link = self._link
        if link is None or link.name != established.hello.sender or link.epoch != established.epoch:
            channel.abort()
        else:
            link.add_lane(established, channel)

    def ask(self, store: Store, ledger: Ledger) -> None:
        """Tell the parent what is missing."""
        if self._link is None or self._is_closing():
            return  # the heartbeat asks again
        self._link.open(store, ledger)
        with ledger.changed:
            missing = ledger.missing()
            first = first_of(wanted(ledger, missing), ledger.rejected & missing)
            self._link.need(*first, ledger.safe, ledger.below)

    def status(self, snapshots: List[Dict[str, Any]]) -> None:
        """Send news of the subtree up."""
        if self._link is not None:
            self._link.status(snapshots)

    def bye(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Say goodbye; `upstream_gone` follows when it was answered."""
        if self._link is not None:
            self._link.bye(reason, error)

    def beat(self, now: float) -> None:
        """Call twice a second: sends pings, detects silence."""
        self._is_closing()
        if self._link is not None:
            self._link.beat(now)

    def end(self) -> None:
        """Close everything; `is_receiving` tells when the last thread has ended."""
        if self._link is not None:
            self._retire(self._link)
            self._link = None

    # --- events of the link -------------------------------------------------------------------------

    def parent_setup(self, link: ParentLink, message: Setup) -> None:
        """Forward to the owner."""
        if link is self._link:
            self._owner.upstream_setup(link.name, message)

    def parent_start(self, link: ParentLink, message: Start) -> None:
        """Forward to the owner."""
        if link is self._link:
            self._owner.upstream_start(message)

    def parent_manifest(self, link: ParentLink, message: Manifest) -> None:
        """Forward to the owner; a parent whose digests contradict earlier ones is dropped."""
        if link is self._link and not self._owner.upstream_manifest(link.name, message):
            self._drop(link, "it sent digests that cannot be", None)

    def parent_end(self, link: ParentLink, size: int) -> None:
        """Forward to the owner; a parent whose size cannot be right is dropped."""
        if link is self._link and not self._owner.upstream_end(link.name, size):
            self._drop(link, "it sent a size that cannot be", None)

    def parent_demotes(self, link: ParentLink) -> None:
        """Forward to the owner."""
        if link is self._link:
            self._owner.upstream_demotes()

    def parent_lacks(self, link: ParentLink, offset: int) -> None:
        """Look for a parent that has the byte; the present one is told that its child lives."""
        if link is self._link and self._owner.upstream_lacks(link.name, offset):
            self.pass_over(link.name, "it has let go of the bytes at %d" % offset)

    def pass_over(self, parent: str, reason: str) -> None:
        """Leave `parent`, if it still is the parent, and look for another. It is told that its child lives."""
        link = self._link
        if link is not None and link.name == parent:
            link.bye("superseded")
            self._drop(link, reason, None)

    def parent_bye(self, link: ParentLink, message: Bye) -> None:
        """The parent ends the link, or has heard that this node does."""
        self._drop(link, goodbye_of(message.reason), message)

    def parent_lost(self, link: ParentLink, reason: str) -> None:
        """The link broke."""
        self._drop(link, reason, None)

    def storage_failed(self, error: BaseException) -> None:
        """Forward to the owner."""
        self._owner.storage_failed(error)

    def _drop(self, link: ParentLink, reason: str, goodbye: Optional[Bye]) -> None:
        if link is self._link:
            self._link = None
            self._retire(link)
            self._owner.upstream_gone(link.name, reason, goodbye)

    def _retire(self, link: ParentLink) -> None:
        link.abort()
        self._closing.append(link)

    def _is_closing(self) -> bool:
        self._closing = [link for link in self._closing if link.is_receiving]
        return bool(self._closing)
