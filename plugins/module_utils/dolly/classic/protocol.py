# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of the original dolly, 0.5x to 0.64: the bytes that are sent on a hop.

::

    parent                                     child
      connects to data 9998, then to control 9997
      connects again to data for each further interface
      data: index, 4 bytes --------------------->        only where there are further interfaces
      control: text ---------------------------->        at most 4095 bytes, in one piece
      <----------- control: Host got parameters 'NAME'.
                                                         the child does all this with its own children
      <---------------------- control: Host ready 'NAME'.
      <------------ control: the same lines of all below
      data: raw bytes -------------------------->        when all hosts are ready
      control: length, 8 bytes ----------------->        when all has been sent (our server: all but a tail)
      data: end of stream ---------------------->
      <---------------------- control: length, 8 bytes   when all below have it too

Numbers are little-endian: the original writes them as they lie in the memory of an x86. With further interfaces
blocks of the transfer size go round-robin over the data connections. Nothing is authenticated or verified.
"""

from __future__ import annotations

import re
import struct
from typing import Dict, Iterator, List, Optional, Tuple

from ..errors import ProtocolError

DATA_PORT = 9998
CONTROL_PORT = 9997
#: The transfer size of an original without its option -b. A text may have one byte less.
BLOCK = 4096
MAX_TEXT = BLOCK - 1
#: After a read of exactly this many bytes (the payload of one Ethernet frame) an original reads on.
SEGMENT = 1448
LENGTH_SIZE = 8
INDEX_SIZE = 4
_LENGTH = struct.Struct("<Q")
_INDEX = struct.Struct("<i")
_MAX_LENGTH = 2 ** 63 - 1
_END = re.compile(rb"^endconfig", re.MULTILINE)
_LINE = re.compile(rb"Host (got parameters|ready) '([^'\n]*)'")
_MAX_LINE = 65536
_GREETING = b"Host "

# fmt: off
#: What is read from the other side of a control connection, by role: {state: {event: next state}}.
TRANSITIONS: Dict[Tuple[str, str], Dict[str, str]] = {
    ("child", "text"): {"endconfig": "trailing"},
    ("child", "trailing"): {"more text": "trailing", "passed on": "length"},
    ("child", "length"): {"8 bytes": "over"},
    ("child", "over"): {"more": "over"},
    ("parent", "lines"): {"line": "lines", "length sent": "answer"},
    ("parent", "answer"): {"line": "answer", "8 bytes": "over"},
    ("parent", "over"): {"more": "over"},
}
# fmt: on


def frame_text(text: bytes) -> bytes:
    """The text as it has to be sent, in one piece. Raises ValueError if an original could not read it."""
    if _END.search(text) is None:
        raise ValueError("the dollytab does not end in endconfig")
    if len(text) == SEGMENT:
        text += b" "
    if len(text) > MAX_TEXT:
        raise ValueError("the dollytab is %d bytes long, and originals take %d" % (len(text), MAX_TEXT))
    return text


def got_parameters(name: str) -> bytes:
    """A client sends this when it has read and understood the text."""
    return b"Host got parameters '%s'.\n" % _name(name)


def ready(name: str) -> bytes:
    """A client sends this when it has opened its target and passed the text on."""
    return b"Host ready '%s'.\n" % _name(name)


def pack_length(length: int) -> bytes:
    """Encode the number of bytes of the image, or of those that a node has."""
    return _LENGTH.pack(length)


def unpack_length(data: bytes, peer: str) -> int:
    """Decode a length. Raises ProtocolError for more than any file can have."""
    length: int = _LENGTH.unpack(data)[0]
    if length > _MAX_LENGTH:
        raise ProtocolError(peer, "said that the image has %d bytes" % length)
    return length


def pack_index(index: int) -> bytes:
    """Encode the index that comes first on a data connection, where there are several."""
    return _INDEX.pack(index)


def unpack_index(data: bytes) -> int:
    """Decode an index."""
    index: int = _INDEX.unpack(data)[0]
    return index


def spans(offset: int, length: int, block: int, lanes: int) -> Iterator[Tuple[int, int, int]]:
    """Cut a range at blocks: (number of the data connection, offset, length), in order."""
    end = offset + length
    while offset < end:
        stop = min(end, offset - offset % block + block)
        yield offset // block % lanes, offset, stop - offset
        offset = stop


class FromParent:
    """What a client reads on its control connection: the text, then the length.

    The text is complete when a line begins with endconfig, however the bytes were cut on the way. What comes
    after that, until the text is passed on, belongs to it: nothing else is sent before all are ready.
    """

    def __init__(self, peer: str, limit: int = MAX_TEXT) -> None:
        self.state = "text"
        self._peer = peer
        self._limit = limit
        self._text = b""
        self._tail = b""

    @property
    def has_text(self) -> bool:
        """Whether the text is complete."""
        return self.state != "text"

    @property
    def wants_space(self) -> bool:
        """Whether an original would read on, so that the one space that it appends is still on its way."""
        return self.state == "trailing" and len(self._text) == SEGMENT

    def feed(self, data: bytes) -> Optional[int]:
        """Take bytes. Returns the image's length once known. Raises ProtocolError for bytes that do not fit."""
        if self.state in ("text", "trailing"):
            self._text += data
            if len(self._text) > self._limit:
                raise ProtocolError(self._peer, "sent a dollytab of more than %d bytes" % self._limit)
            if self.state == "text" and _END.search(self._text):
                self._move("endconfig")
            return None
        # 0.64 sends the length to a child as often as it has children, and to the first one only: the first counts.
        self._tail += data[: LENGTH_SIZE - len(self._tail)]
        if len(self._tail) < LENGTH_SIZE:
            return None
        if self.state == "length":
            self._move("8 bytes")
        return unpack_length(self._tail, self._peer)

    def take_text(self) -> bytes:
        """The text to be passed on unchanged; what comes from now on is the length."""
        self._move("passed on")
        return self._text

    @property
    def text(self) -> bytes:
        """What has come of the text so far."""
        return self._text

    def _move(self, event: str) -> None:
        self.state = TRANSITIONS["child", self.state][event]


class FromChild:
    """What a parent reads on the control connection to a child: lines, then the length that the child has.

    Lines have to be passed on undivided: an original server looks for `ready` in each read by itself.
    """

    def __init__(self, peer: str) -> None:
        self.state = "lines"
        self.answer: Optional[int] = None
        self._peer = peer
        self._buffer = b""
        self._sent: Optional[bytes] = None

    def feed(self, data: bytes) -> List[bytes]:
        """Take bytes. Returns the complete lines, unchanged. Raises ProtocolError for a line without an end."""
        self._buffer += data
        lines = []
        while self.state != "over":
            if self._take_answer():
                break
            end = self._buffer.find(b"\n") + 1
            if not end or (self.state == "answer" and not self._is_line()):
                break
            lines.append(self._buffer[:end])
            self._buffer = self._buffer[end:]
        if len(self._buffer) > _MAX_LINE:
            raise ProtocolError(self._peer, "sent a line of more than %d bytes" % _MAX_LINE)
        return lines

    def length_sent(self, length: int) -> None:
        """The child has been sent the length: from now on it may answer."""
        self._sent = pack_length(length)
        self.state = TRANSITIONS["parent", self.state]["length sent"]

    def flush(self) -> bytes:
        """The start of an unfinished line, to be passed on as well; b"" once the answer may come."""
        if self.state != "lines":
            return b""
        rest, self._buffer = self._buffer, b""
        return rest

    def _take_answer(self) -> bool:
        if self.state != "answer" or len(self._buffer) < LENGTH_SIZE:
            return False
        if self._buffer[:LENGTH_SIZE] != self._sent and self._is_line():
            return False
        self.answer = unpack_length(self._buffer[:LENGTH_SIZE], self._peer)
        self.state = TRANSITIONS["parent", self.state]["8 bytes"]
        return True

    def _is_line(self) -> bool:
        return self._buffer.startswith(_GREETING)


class ReadyCounter:
    """Counts the word `ready` in the bytes from below, however they were cut, but not within a host's name.

    An original counts that too, and starts before all are ready if a host is called already7.
    """

    def __init__(self) -> None:
        self.count = 0
        self._word = b""
        self._is_quoted = False

    def feed(self, data: bytes) -> int:
        """Take bytes. Returns how often `ready` came with them."""
        before = self.count
        for byte in data:
            letter = bytes((byte,))
            if letter in (b"'", b"\n"):
                self._is_quoted = letter == b"'" and not self._is_quoted
                self._word = b""
            elif not letter.isalpha() or self._is_quoted:
                self._word = b""
            else:
                self._word = (self._word + letter)[-6:]
                self.count += self._word == b"ready"
        return self.count - before


def hosts_in(line: bytes) -> List[Tuple[str, str]]:
    """What a line from below says: ("got parameters" or "ready", name of the host)."""
    return [(what.decode(), name.decode("utf-8", "backslashreplace")) for what, name in _LINE.findall(line)]


def _name(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
