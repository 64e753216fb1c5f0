# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client in a classic ring, at any place: receives the image from its parent, writes it, passes it on."""

from __future__ import annotations

import socket
import threading
import time
from typing import Callable, List, Optional, Tuple

from ..errors import DollyError, PeerLost, ProtocolError, Refused, TimedOut
from ..storage.base import Store, Target
from . import config_text as plan
from . import protocol
from .child import Child, HopOptions
from .flow import Flow
from .parent import Door, Parent
from .striped_stream import Stream, Striped, wait_readable

_TICK_S = 0.02
_PAGE = 4096
_STEP = 4 * 1024 * 1024
_MEASURED = 16 * 1024 * 1024
_LINGER_S = 2.0
#: Part of stall_s after which a child that blocks a window is given up: before this node counts as hung.
_SHARE = 0.8
#: How often, and for how long, to wait for the rest of a page. More would slow a stream of small blocks.
_PATIENCE, _SCRAP_S = 5, 0.001

#: Chooses the target for a text and prepares it; raises Refused and the like.
Choose = Callable[[plan.ClassicText], Target]


class ClassicClient:
    """One run. `run` returns when it is over, good or bad; then look at `error`, `is_whole` and `lost`."""

    def __init__(
        self,
        bind: str,
        options: HopOptions,
        choose: Choose,
        find_self: Callable[[plan.ClassicText, str], Tuple[int, str]],
        log: Callable[[str], None],
        report: Callable[[ClassicClient], None],
    ) -> None:
        self.flow = Flow()
        self.state = "waiting"
        self.name = ""
        self.index = -1
        self.text: Optional[plan.ClassicText] = None
        self.store: Optional[Store] = None
        self.error: Optional[DollyError] = None
        self.seconds = 0.0
        #: Children that have not confirmed that they have the image.
        self.lost: List[str] = []
        self._options = options
        self._choose = choose
        self._find_self = find_self
        self._log = log
        self._report = report
        self._children: List[Child] = []
        self._parent: Optional[Parent] = None
        self._up_lock = threading.Lock()
        self._began_at = 0.0
        self._scraps = 0
        self._door = Door(bind, options, self.flow.check)

    @property
    def data_port(self) -> int:
        """The port on which it listens for data."""
        return self._options.data_port

    @property
    def control_port(self) -> int:
        """The port on which it listens for its parent's control connection."""
        return self._options.control_port

    @property
    def syncs(self) -> bool:
        """Whether the target is flushed before it is done."""
        return self._options.syncs

    @property
    def progress(self) -> int:
        """Bytes of the image that are here."""
        return self.flow.held

    @property
    def is_whole(self) -> bool:
        """Whether all of the image is here and on the medium."""
        return self.state == "done"

    def stop(self, error: DollyError) -> None:
        """End the run. May be called from any thread and from a signal handler."""
        self.flow.fail(error)

    def run(self) -> None:
        """Take part in one run; blocks until it is over."""
        target: Optional[Target] = None
        self._move("waiting")
        try:
            self._join()
            if self.text is None:
                raise AssertionError("no text yet")
            target = self._choose(self.text)
            self.store = target.begin(None)
            self.store.flushes = self._options.syncs
            self._build_ring()
            self._receive(self.store)
            self._finish(self.store)
        except DollyError as error:
            self.error = error
            self._move("failed")
        finally:
            self._clean_up(target)

    # --- building the ring ------------------------------------------------------------------------------

    def _join(self) -> None:
        parent = self._parent = self._door.await_parent()
        text = self.text = _parse(parent)
        self.index, self.name = self._find_self(text, parent.dialled)
        if self.index < 0:
            found = "none of its hosts (%s) is this machine" % ", ".join(text.hosts[:20])
            raise Refused("the dollytab of %s" % parent.name, found, "MYNODENAME=HOST in the environment")
        self._log("dollytab from %s: this is %s, client %d of %d" % (
            parent.name, self.name, self.index + 1, len(text.hosts)))  # fmt: skip
        self._door.await_stream(parent, text.lanes)
        self._door.close()

    def _build_ring(self) -> None:
        if self._parent is None or self.text is None:
            raise AssertionError("no parent or text yet")
        self._up(protocol.got_parameters(self.name))
        self._children = make_children(self.text, self.index, self._options, self.flow, self._up)
        for child in self._children:
            child.dial(self._parent.take_text)
        text = self._parent.take_text()
        for child in self._children:
            child.send_text(text)
        self._up(protocol.ready(self.name))
        self._move("ready")
        for child in self._children:
            child.listen()

    def _up(self, line: bytes) -> None:
        """Send one line to the parent, undivided: lines of several children must not mix."""
        if self._parent is None:
            raise AssertionError("no parent yet")
        with self._up_lock:
            self._parent.say(line)
        self.flow.touch()

    # --- the image ----------------------------------------------------------------------------------------

    def _receive(self, store: Store) -> None:
        if self._parent is None or self._parent.stream is None:
            raise AssertionError("no parent or stream yet")
        stream = self._parent.stream
        for child in self._children:
            child.feed(store)
        while not self.flow.is_whole:
            self.flow.check()
            self._check_moving()
            self._look_at_control(stream)
            if not self._take(store, stream):
                self._wait(stream)
            self._report(self)
        self._check_whole()
        self.seconds = time.monotonic() - self._began_at

    def _take(self, store: Store, stream: Stream) -> bool:
        """Store what has come. Returns whether there was anything."""
        count = stream.pending()
        if stream.has_ended and not count:
            self._on_end_of_data(stream)
            return False
        if self.flow.total is not None:
            count = min(count, self.flow.total - self.flow.held)
        else:
            # A block device first reads each page from the disk that is written in part.
            whole = count - (self.flow.held + count) % _PAGE
            self._scraps = self._scraps + 1 if count and whole <= 0 else 0
            if 0 < self._scraps < _PATIENCE:
                time.sleep(_SCRAP_S)
                return True
            count = whole if whole > 0 else count
        count = min(count, _STEP)
        if count <= 0:
            return False
        count = min(count, self._room(store))
        if count <= 0:
            return False
        if self.flow.held + count > store.size:
            raise Refused(store.path, "it is too small: it has %d bytes, and the image has more" % store.size)
        if not self._began_at:
            self._began_at = time.monotonic()
            self._move("receiving")
        start = self.flow.held
        count = store.receive(stream, start, count)
        if store.window is not None:
            store.sink(start, start + count)
        self.flow.add(count)
        return True

    def _room(self, store: Store) -> int:
        """Bytes that there is room for: a window drops only what all children have been sent."""
        window = store.window
        if window is None and self.text is not None and self.text.dummy is not None:
            window = _MEASURED  # a dummy run measures the ring, not this node's speed of dropping bytes
        if window is None:
            return _STEP
        alive = [child for child in self._children if child.error is None]
        slowest = min(alive, key=lambda child: child.sent, default=None)
        if slowest is None:
            return window
        room = window - (self.flow.held - slowest.sent)
        if room <= 0 and self.flow.idle_s > self._options.stall_s * _SHARE:
            slowest.fail(TimedOut("waiting for %s to take what it is sent" % slowest.name, self._options.stall_s, "-a"))
        return room

    def _wait(self, stream: Stream) -> None:
        if self._parent is None:
            raise AssertionError("no parent yet")
        socks: List[socket.socket] = stream.waiting_for()
        if self.flow.total is None:
            socks = [*socks, self._parent.control]
        wait_readable(socks, _TICK_S)

    def _look_at_control(self, stream: Stream) -> None:
        if self._parent is None:
            raise AssertionError("no parent yet")
        if self.flow.total is not None or not wait_readable([self._parent.control], 0.0):
            return
        total = self._parent.hear()
        self.flow.touch()
        if total is None:
            return
        if isinstance(stream, Striped):
            stream.release()
        if total < self.flow.held:
            what = "sent %d bytes, and says that the image has %d" % (self.flow.held, total)
            raise ProtocolError(self._parent.name, what)
        for child in self._children:
            try:
                child.tell_length(total)
            except DollyError as error:
                child.fail(error)
        self._began_at = self._began_at or time.monotonic()
        self.flow.end(total)

    def _on_end_of_data(self, stream: Stream) -> None:
        """There will be no more data; the length may still be on its way."""
        if self._parent is None:
            raise AssertionError("no parent yet")
        if isinstance(stream, Striped):
            stream.release()
            if stream.pending():
                return
        if self.flow.total is not None and not self.flow.is_whole:
            what = "the data ended after %d of %d bytes" % (self.flow.held, self.flow.total)
            raise PeerLost(self._parent.name, what)

    def _check_moving(self) -> None:
        """Raise TimedOut without progress. Before the first byte, the slowest host of the ring counts."""
        has_begun = self.flow.held > 0 or self.flow.total is not None
        limit = self._options.stall_s if has_begun else self._options.join_s
        if self.flow.idle_s > limit:
            what = "waiting for more than %d bytes" % self.flow.held if has_begun else "waiting for the first byte"
            raise TimedOut(what, limit, "-a")

    def _check_whole(self) -> None:
        if self._parent is None:
            raise AssertionError("no parent yet")
        if self.flow.held != self.flow.total:
            what = "%d bytes have come, %s were announced" % (self.flow.held, self.flow.total)
            raise PeerLost(self._parent.name, what)

    # --- the end ------------------------------------------------------------------------------------------

    def _finish(self, store: Store) -> None:
        if self._parent is None:
            raise AssertionError("no parent yet")
        self._move("flushing")
        store.end(self.flow.held)
        store.commit()
        self._move("done")
        self._await_children()
        store.finalize()  # no child reads it any more
        if self.lost:
            return  # the missing answer tells the nodes above
        answers = [child.answer for child in self._children if child.answer != self.flow.total]
        try:
            self._up(protocol.pack_length(answers[0] if answers and answers[0] is not None else self.flow.held))
        except PeerLost as error:  # this node has the image all the same
            self._log("%s has not heard that this node has the image: %s" % (self._parent.name, error))
        self.lost += [child.name for child in self._children if child.answer != self.flow.total]
        self._parent.linger(_LINGER_S)

    def _await_children(self) -> None:
        self.flow.touch()
        while not all(child.has_settled for child in self._children) and self.flow.error is None:
            if self.flow.idle_s > self._options.flush_s:
                break
            if self._parent is not None and self._parent.stream is not None:
                self._parent.stream.discard()
            time.sleep(_TICK_S)
            self._report(self)
        for child in self._children:
            if child.answer is None:
                self._log("%s: %s" % (child.name, child.error or "it has not said that it has the image"))
                child.abort()
                self.lost.append(child.name)

    def _move(self, state: str) -> None:
        self.state = state
        self.flow.touch()
        self._report(self)

    def _clean_up(self, target: Optional[Target]) -> None:
        self.flow.fail(DollyError("The run is over."))  # wakes every thread that still waits
        self._door.close()
        for child in self._children:
            child.abort()
        for child in self._children:
            child.close()
        if self.store is not None:
            self.store.close() if self.is_whole else self.store.abort()
        elif target is not None:
            target.release()
        if self._parent is not None:
            self._parent.close()


def make_children(
    text: plan.ClassicText, index: int, options: HopOptions, flow: Flow, pass_up: Callable[[bytes], None]
) -> List[Child]:
    """The children of host `index`; -1 is the server. Raises Refused where add2 makes no name."""
    found = []
    for number in text.children(index):
        try:
            addresses = text.addresses(number)
        except ValueError as error:
            raise Refused("the dollytab", str(error), "add instead of add2") from error
        found.append(Child(text.hosts[number], addresses, options, flow, pass_up))
    return found


def _parse(parent: Parent) -> plan.ClassicText:
    try:
        return plan.parse(parent.text.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise Refused("the dollytab of %s" % parent.name, str(error)) from error
