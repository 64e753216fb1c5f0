# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link after its handshake: which messages are legal in which state, on both sides.

::

    parent                                  child
      Setup ------------------------------->        new          -> barrier
      <------------------------------- Status       barrier
      Manifest, End ----------------------->        barrier
      Start(go) --------------------------->        barrier      -> running
        or Start(abort) ------------------->        barrier      -> closing
      <------------------------- Need, Status       running
      Manifest, End, Gone, Demotion ------->        running
      <------------------- Ping, Pong ----->        any
      Bye --------------------------------->        any          -> bye-sent / bye-received
      <---------------------------------- Bye                    -> closed

Both sides send at the same time, so each side has its own state, which changes when it sends and when it
receives. Only the parent drives: its state is never behind the child's, and it accepts what the child sent in
an earlier state. Bye is the last message of its direction. After sending it, a side still accepts messages
until the other's Bye. After receiving it, a side may answer a last Ping, a child may send one more Status,
and then the side sends Bye too.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple, Union

from ..errors import IllegalTransition, ProtocolError
from .codec import NEED_MORE, Bytes, ControlOpener, NeedMore, Sealer
from .messages import Message, Start, decode, encode

ROLES = ("parent", "child")

# fmt: off
TRANSITIONS: Dict[Tuple[str, str, str], Dict[str, str]] = {
    # (role, state, direction): {message: next state}
    ("parent", "new", "send"): {
        "Setup": "barrier", "Ping": "new", "Pong": "new", "Bye": "bye-sent"},
    ("parent", "new", "receive"): {
        "Ping": "new", "Pong": "new", "Bye": "bye-received"},
    ("parent", "barrier", "send"): {
        "Start(go)": "running", "Start(abort)": "closing", "Manifest": "barrier", "End": "barrier",
        "Ping": "barrier", "Pong": "barrier", "Bye": "bye-sent"},
    ("parent", "barrier", "receive"): {
        "Status": "barrier", "Ping": "barrier", "Pong": "barrier", "Bye": "bye-received"},
    ("parent", "running", "send"): {
        "Manifest": "running", "End": "running", "Gone": "running", "Demotion": "running",
        "Ping": "running", "Pong": "running", "Bye": "bye-sent"},
    ("parent", "running", "receive"): {
        "Need": "running", "Status": "running", "Ping": "running", "Pong": "running", "Bye": "bye-received"},
    ("parent", "closing", "send"): {
        "Ping": "closing", "Pong": "closing", "Bye": "bye-sent"},
    ("parent", "closing", "receive"): {
        "Status": "closing", "Ping": "closing", "Pong": "closing", "Bye": "bye-received"},
    ("parent", "bye-sent", "send"): {},
    ("parent", "bye-sent", "receive"): {
        "Need": "bye-sent", "Status": "bye-sent", "Ping": "bye-sent", "Pong": "bye-sent", "Bye": "closed"},
    ("parent", "bye-received", "send"): {"Pong": "bye-received", "Bye": "closed"},
    ("parent", "bye-received", "receive"): {},
    ("parent", "closed", "send"): {},
    ("parent", "closed", "receive"): {},

    ("child", "new", "send"): {
        "Ping": "new", "Pong": "new", "Bye": "bye-sent"},
    ("child", "new", "receive"): {
        "Setup": "barrier", "Ping": "new", "Pong": "new", "Bye": "bye-received"},
    ("child", "barrier", "send"): {
        "Status": "barrier", "Ping": "barrier", "Pong": "barrier", "Bye": "bye-sent"},
    ("child", "barrier", "receive"): {
        "Start(go)": "running", "Start(abort)": "closing", "Manifest": "barrier", "End": "barrier",
        "Ping": "barrier", "Pong": "barrier", "Bye": "bye-received"},
    ("child", "running", "send"): {
        "Need": "running", "Status": "running", "Ping": "running", "Pong": "running", "Bye": "bye-sent"},
    ("child", "running", "receive"): {
        "Manifest": "running", "End": "running", "Gone": "running", "Demotion": "running",
        "Ping": "running", "Pong": "running", "Bye": "bye-received"},
    ("child", "closing", "send"): {
        "Status": "closing", "Ping": "closing", "Pong": "closing", "Bye": "bye-sent"},
    ("child", "closing", "receive"): {
        "Ping": "closing", "Pong": "closing", "Bye": "bye-received"},
    ("child", "bye-sent", "send"): {},
    ("child", "bye-sent", "receive"): {
        "Setup": "bye-sent", "Start(go)": "bye-sent", "Start(abort)": "bye-sent", "Manifest": "bye-sent",
        "End": "bye-sent", "Gone": "bye-sent", "Demotion": "bye-sent", "Ping": "bye-sent", "Pong": "bye-sent",
        "Bye": "closed"},
    ("child", "bye-received", "send"): {"Status": "bye-received", "Pong": "bye-received", "Bye": "closed"},
    ("child", "bye-received", "receive"): {},
    ("child", "closed", "send"): {},
    ("child", "closed", "receive"): {},
}
# fmt: on


def _event(message: Message) -> str:
    if isinstance(message, Start):
        return "Start(go)" if message.abort is None else "Start(abort)"
    return type(message).__name__


class Session:
    """One end of a link: messages to sealed bytes and back, in a legal order. Not thread-safe.

    state is one of new, barrier, running, closing (aborted), bye-sent, bye-received, closed. After a peer
    broke the rules, nothing more is read from it, but Bye can still be sent to it.
    """

    def __init__(self, role: str, send_key: bytes, receive_key: bytes, peer: str) -> None:
        if role not in ROLES:
            raise ValueError(f"{role!r} is no role on a link")
        self._role = role
        self._peer = peer
        self._state = "new"
        self._sealer = Sealer(send_key)
        self._opener = ControlOpener(receive_key, peer)
        self._failure: Optional[ProtocolError] = None

    @property
    def state(self) -> str:
        """The state of this end."""
        return self._state

    def may_send(self, message: Message) -> bool:
        """Whether send() accepts message now; ask before a send that may race with the peer's Bye."""
        return _event(message) in TRANSITIONS[self._role, self._state, "send"]

    def send(self, message: Message) -> bytes:
        """Return the frames of message. IllegalTransition: not legal now; ValueError: not valid at all."""
        event = _event(message)
        after = TRANSITIONS[self._role, self._state, "send"].get(event)
        if after is None:
            raise IllegalTransition(self._role, self._state, f"{event} to send")
        frames = self._sealer.control(*encode(message))
        self._state = after
        return frames

    def feed(self, data: Bytes) -> None:
        """Buffer bytes from the connection; next() decodes them."""
        if self._failure is None:
            self._opener.feed(data)

    def next(self) -> Union[Message, NeedMore]:
        """Return the peer's next message or NEED_MORE. ProtocolError: raised again by every later call."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._receive()
        except ProtocolError as error:
            self._failure = error
            raise

    def _receive(self) -> Union[Message, NeedMore]:
        frame = self._opener.next()
        if frame is NEED_MORE:
            return NEED_MORE
        kind, payload = frame
        message = decode(kind, payload, self._peer)
        event = _event(message)
        after = TRANSITIONS[self._role, self._state, "receive"].get(event)
        if after is None:
            raise ProtocolError(self._peer, f"sent {event} to a {self._role} in the state {self._state}")
        self._state = after
        return message
