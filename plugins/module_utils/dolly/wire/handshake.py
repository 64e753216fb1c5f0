# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The handshake: the two ends of a connection prove to each other that they have the run's secret.

::

    dialer   -> HELLO      version, run id, from, to, kind, lane, nonce (32 bytes)
    listener -> CHALLENGE  nonce (32 bytes), current epoch, MAC_listener(HELLO, CHALLENGE up to here)
    dialer   -> PROOF      epoch, MAC_dialer(HELLO, CHALLENGE, PROOF up to here)

The two ends take turns: bytes behind HELLO or CHALLENGE arrive too early and are refused; bytes behind PROOF
are frames. The encoding of the messages is in greeting.py.

Keys are derived from the run's secret by HKDF, each with a label of its own: one for the listener's MAC and
one for the dialer's, so that no message can be reflected; and for each connection one for the frames of each
direction, salted with the three messages, so that no frame can be replayed into another connection.

The epoch that may be claimed depends on the kind of connection:

    link    needs an epoch greater than the current one: a parent takes over
    lane    needs exactly the current one, which is not 0: there is a parent
    adopt   needs 0: an orphan knocks and claims nothing
    probe   needs 0: the dialer only tests whether this address can be dialled
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Optional, TypeVar, Union

from ..errors import AuthError, IllegalTransition, ProtocolError
from . import greeting
from .codec import NEED_MORE, Bytes, NeedMore
from .greeting import MAX_EPOCH, MAX_MESSAGE, Hello
from .keys import check_mac, checked_secret, frame_keys, mac_key

_Event = TypeVar("_Event")


@dataclass(frozen=True)
class Established:
    """Both sides are authenticated. leftover: bytes of frames that arrived together with the PROOF."""

    hello: Hello
    epoch: int
    send_key: bytes = field(repr=False)
    receive_key: bytes = field(repr=False)
    leftover: bytes = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """The listener is authenticated: send data, which is the PROOF, then continue with frames."""

    data: bytes
    established: Established


@dataclass(frozen=True)
class HelloReceived:
    """A dialer requests the connection in hello; call challenge() if it is meant for this node."""

    hello: Hello


def _check_epoch(kind: str, claimed: int, current: int) -> None:
    if kind == "link" and claimed <= current:
        raise AuthError(f"it claims epoch {claimed}, and epoch {current} was granted already")
    if kind == "lane" and (claimed != current or current == 0):
        raise AuthError(f"its lane is for epoch {claimed}, and the current epoch is {current}")
    if kind in ("adopt", "probe") and claimed != 0:
        raise AuthError(f"it knocks, and yet claims epoch {claimed}")


def _checked_epoch(epoch: int) -> int:
    if not 0 <= epoch <= MAX_EPOCH:
        raise ValueError(f"epoch {epoch} is not a u64")
    return epoch


class _Handshake:
    """The common part of both sides: bytes in, whole messages out, and a permanent failure."""

    _role = "nobody"

    def __init__(self, state: str) -> None:
        self._state = state
        self._buffer = bytearray()
        self._failure: Optional[ProtocolError] = None

    @property
    def missing(self) -> int:
        """How many bytes, at least 1, may be read without reading beyond the current message."""
        return greeting.missing(bytes(self._buffer[:MAX_MESSAGE]))

    def feed(self, data: Bytes) -> None:
        """Buffer bytes from the connection; AuthError if there are more than allowed now."""
        if self._state == "established":
            raise IllegalTransition(self._role, self._state, "bytes")
        if self._failure is not None:
            return
        self._buffer += data
        if self._state != "proof" and len(self._buffer) > MAX_MESSAGE:
            self._buffer.clear()
            self._failure = AuthError(f"more than {MAX_MESSAGE} bytes where one message is due")
            raise self._failure

    def _guarded(self, step: Callable[[], _Event]) -> _Event:
        if self._failure is not None:
            raise self._failure
        try:
            return step()
        except ProtocolError as error:
            self._failure = error
            raise

    def _move(self, before: str, after: str, event: str) -> None:
        if self._state != before:
            raise IllegalTransition(self._role, self._state, event)
        self._state = after

    def _take(self, expected: int, alone: bool) -> Optional[bytes]:
        """Return the next whole message, or None; alone: no bytes may follow it yet."""
        size = greeting.size(bytes(self._buffer[:MAX_MESSAGE]), expected)
        if size is None or len(self._buffer) < size:
            return None
        if alone and len(self._buffer) > size:
            raise AuthError("bytes that came before their turn")
        message = bytes(self._buffer[:size])
        del self._buffer[:size]
        return message


class DialerHandshake(_Handshake):
    """The side that dials: send start(), feed the answer, send the data of Reply.

    choose_epoch gets the listener's current epoch, after its MAC was checked, and returns the epoch to claim.
    """

    _role = "dialer"

    def __init__(self, secret: bytes, hello: Hello, choose_epoch: Callable[[int], int]) -> None:
        super().__init__("new")
        self._secret = checked_secret(secret)
        self._hello = hello
        self._choose_epoch = choose_epoch
        self._sent = greeting.pack_hello(hello)

    def start(self) -> bytes:
        """Return the HELLO to send; call this once."""
        self._move("new", "challenge", "start")
        return self._sent

    def next(self) -> Union[Reply, NeedMore]:
        """Return Reply, once, or NEED_MORE. AuthError: close the connection."""
        return self._guarded(self._answer)

    def _answer(self) -> Union[Reply, NeedMore]:
        if self._state != "challenge":
            raise IllegalTransition(self._role, self._state, "next")
        challenge = self._take(greeting.CHALLENGE, alone=True)
        if challenge is None:
            return NEED_MORE
        hello, transcript = self._hello, self._sent + challenge
        current = greeting.unpack_challenge_epoch(challenge)
        check_mac(mac_key(self._secret, hello.run_id, "listener"), self._sent, challenge)
        epoch = _checked_epoch(self._choose_epoch(current))
        _check_epoch(hello.kind, epoch, current)
        proof = greeting.pack_proof(epoch, mac_key(self._secret, hello.run_id, "dialer"), transcript)
        self._state = "established"
        ours, theirs = frame_keys(self._secret, transcript + proof, hello.kind, hello.lane)
        return Reply(proof, Established(hello, epoch, ours, theirs, b""))


class ListenerHandshake(_Handshake):
    """The side that is dialled: feed, decide on HelloReceived, send challenge(), feed, Established.

    The epoch rules apply to the epoch given to challenge(). Two dialers may hold a challenge with the same
    epoch, so the caller must check the epoch again before it advances its own.
    """

    _role = "listener"

    def __init__(self, nonce: bytes) -> None:
        super().__init__("hello")
        self._nonce = greeting.checked_nonce(nonce)
        self._hello: Optional[Hello] = None
        self._secret = b""
        self._epoch = 0
        self._transcript = b""

    def next(self) -> Union[HelloReceived, Established, NeedMore]:
        """Return the next event or NEED_MORE. AuthError: close the connection."""
        return self._guarded(self._listen)

    def challenge(self, secret: bytes, epoch: int) -> bytes:
        """Return the CHALLENGE to send; call this once. epoch: the current one, 0 before the first parent."""
        key = mac_key(checked_secret(secret), self._known_hello().run_id, "listener")
        challenge = greeting.pack_challenge(self._nonce, _checked_epoch(epoch), key, self._transcript)
        self._move("decision", "proof", "challenge")
        self._secret, self._epoch = secret, epoch
        self._transcript += challenge
        return challenge

    def _known_hello(self) -> Hello:
        if self._hello is None:
            raise IllegalTransition(self._role, self._state, "challenge")
        return self._hello

    def _listen(self) -> Union[HelloReceived, Established, NeedMore]:
        if self._state == "hello":
            return self._listen_for_hello()
        if self._state == "proof":
            return self._listen_for_proof(self._known_hello())
        raise IllegalTransition(self._role, self._state, "next")

    def _listen_for_hello(self) -> Union[HelloReceived, NeedMore]:
        message = self._take(greeting.HELLO, alone=True)
        if message is None:
            return NEED_MORE
        self._hello = greeting.unpack_hello(message)
        self._transcript = message
        self._state = "decision"
        return HelloReceived(self._hello)

    def _listen_for_proof(self, hello: Hello) -> Union[Established, NeedMore]:
        proof = self._take(greeting.PROOF, alone=False)
        if proof is None:
            return NEED_MORE
        epoch = greeting.unpack_proof_epoch(proof)
        check_mac(mac_key(self._secret, hello.run_id, "dialer"), self._transcript, proof)
        _check_epoch(hello.kind, epoch, self._epoch)
        self._state = "established"
        theirs, ours = frame_keys(self._secret, self._transcript + proof, hello.kind, hello.lane)
        return Established(hello, epoch, ours, theirs, bytes(self._buffer))
