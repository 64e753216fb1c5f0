# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that a person may see: one sentence, fields, who is at fault, an exit code.

The docstring of a class is the sentence its reader gets, with the names of its fields in braces.
Exit codes: 1 the request cannot be carried out as asked, 3 a node failed, 4 the run failed,
70 a defect in the program (EX_SOFTWARE of sysexits.h).
"""

from __future__ import annotations

import errno as errno_of
import math
import os
import re
from typing import Any, Dict, Iterable, Optional, Tuple, Type

FAULTS = ("user", "node", "peer", "source", "bug")
_RESERVED = ("kind", "message", "fault")
_MAX_SENTENCE = 4096
_MAX_DEPTH = 8
_MAX_NAMES = 10
#: What to do about a failed target, by errno, where the disk is not at fault.
_REMEDIES: Dict[Optional[int], str] = {
    errno_of.ENOSPC: "make room there, or take a larger target,",
    errno_of.EDQUOT: "raise that user's quota, or make room,",
    errno_of.ESTALE: "see that nobody renames, replaces or cuts it, or its directory, during a run,",
    errno_of.EPIPE: "find out why the program that read it ended,",
}


class DollyError(Exception):
    """{sentence}

    ``fields`` is a dictionary of JSON values. ValueError: a field is called kind, message or fault.
    """

    fault: str = "bug"
    exit_code: int = 1
    sentence: str
    fields: Dict[str, Any]

    def __init__(self, sentence: str, **fields: Any) -> None:
        for name in _RESERVED:
            if name in fields:
                raise ValueError("an error field may not be called %r" % name)
        self._fill(sentence, fields)

    def _fill(self, sentence: str, fields: Dict[str, Any]) -> None:
        self.sentence = printable(sentence)
        self.fields = {_storable(name): _jsonable(value) for name, value in fields.items()}
        super().__init__(self.sentence)

    def _explain(self, fields: Dict[str, Any], **wording: Any) -> None:
        """Fill in the sentence of the docstring; ``wording`` replaces names in braces that are not fields."""
        form = " ".join((type(self).__doc__ or "").split())
        if not form:  # python -OO strips docstrings
            form = type(self).__name__ + ": " + ", ".join("%s={%s}" % (name, name) for name in fields)
        self._fill(form.format(**{**fields, **wording}), fields)

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuild, (type(self), self.sentence, self.fields, self.fault)

    def to_dict(self) -> Dict[str, Any]:
        """Return the error as JSON values; ``from_dict`` is the way back."""
        own = {"kind": type(self).__name__, "message": self.sentence, "fault": self.fault}
        return {**self.fields, **own}


class UsageError(DollyError):
    """{option} {problem} {expected}."""

    fault = "user"

    def __init__(self, option: str, value: Any, expected: str) -> None:
        if value in ("nothing", None):
            problem = "is missing: give"
        elif isinstance(value, str) and (value == "given" or value.startswith(("with ", "without "))):
            problem = "is %s%s, but must be" % ("used " if value.startswith("with ") else "", value)
        else:
            problem = "is %r, but must be" % (value,)
        self._explain({"option": option, "value": value, "expected": expected}, problem=problem)


class Refused(DollyError):
    """Refused {what}: {found}. {remedy}"""

    fault = "user"

    def __init__(self, what: str, found: str, allow: Optional[str] = None) -> None:
        remedy = "What would allow it: %s." % allow if allow else "No option allows it."
        self._explain({"what": what, "found": found, "allow": allow}, remedy=remedy)


class SourceError(DollyError):
    """The source {path} cannot be read {place} ({reason}): no node has a good copy;
    check the disk or file that is cloned and start again."""

    fault = "source"
    exit_code = 4

    def __init__(self, path: str, offset: Optional[int], errno: Optional[int]) -> None:
        fields = {"path": path, "offset": offset, "errno": errno}
        self._explain(fields, place=_place(offset), reason=_reason(errno))


class SourceChanged(DollyError):
    """The source {path} changed at byte {offset} while it was being cloned: stop whatever writes to it,
    or clone a snapshot, and start again."""

    fault = "source"
    exit_code = 4

    def __init__(self, path: str, offset: int) -> None:
        self._explain({"path": path, "offset": offset})


class ChecksumMismatch(DollyError):
    """The source {path} is not the image that was expected: its SHA-256 is {actual}, expected was
    {expected}; fetch the image again or correct the checksum."""

    fault = "source"

    def __init__(self, path: str, expected: str, actual: str) -> None:
        self._explain({"path": path, "expected": expected, "actual": actual})


class MapMismatch(DollyError):
    """The source {path} is not the image that the block map {name} was made of: its blocks {first} to {last},
    from byte {offset} on, have the checksum {actual}, expected was {expected}; fetch both again."""

    fault = "source"
    exit_code = 4

    def __init__(
        self, path: str, name: str, first: int, last: int, offset: int, expected: str, actual: str
    ) -> None:
        fields = {"path": path, "name": name, "first": first, "last": last, "offset": offset}
        self._explain({**fields, "expected": expected, "actual": actual})


class TargetError(DollyError):
    """The target {path} failed in {operation} {place} ({reason}): what it holds is not a good
    copy; {remedy} and clone this node again."""

    fault = "node"
    exit_code = 3

    def __init__(self, path: str, operation: str, offset: Optional[int], errno: Optional[int]) -> None:
        fields = {"path": path, "operation": operation, "offset": offset, "errno": errno}
        wording = {"path": "standard output" if path == "-" else path, "reason": _reason(errno)}
        self._explain(fields, place=_place(offset), remedy=_REMEDIES.get(errno, "check that disk"), **wording)


class TableNotMoved(DollyError):
    """The image is complete on {path}, but the backup of its partition table could not be moved to the end of the disk
    ({reason}): the disk can be used as it is; check it, then move the backup with sgdisk -e {path}."""

    fault = "node"
    exit_code = 3

    def __init__(self, path: str, reason: str) -> None:
        self._explain({"path": path, "reason": reason})


class BadChunk(DollyError):
    """The target {path} returned wrong bytes for the chunk at byte {offset} after {tries} tries: its disk,
    controller or memory is not to be trusted; replace it and clone this node again."""

    fault = "node"
    exit_code = 3

    def __init__(self, path: str, offset: int, tries: int) -> None:
        self._explain({"path": path, "offset": offset, "tries": tries})


class WrongImage(DollyError):
    """{node} holds another image than the server's (digest {found}, expected was {expected}): a node that has the key
    of this run may have posed as the server; find out which, and clone {node} again."""

    fault = "peer"
    exit_code = 3

    def __init__(self, node: str, found: str, expected: str) -> None:
        fields = {"node": node, "found": found or "none", "expected": expected or "none, for it was not known"}
        self._explain(fields)


class BitRot(DollyError):
    """The target {path} returned wrong bytes for the chunk at byte {offset}, which it had returned right before: its
    disk, controller or memory is not to be trusted; replace it and clone this node again."""

    fault = "node"
    exit_code = 3

    def __init__(self, path: str, offset: int) -> None:
        self._explain({"path": path, "offset": offset})


class DamagedOnTheWay(DollyError):
    """The chunk at byte {offset} came damaged from {peer} {tries} times, although it is right there: the network
    between the two, or the memory of one of them, is not to be trusted; check both and clone this node again."""

    fault = "peer"
    exit_code = 3

    def __init__(self, peer: str, offset: int, tries: int) -> None:
        self._explain({"peer": peer, "offset": offset, "tries": tries})


class BadArchive(DollyError):
    """The compressed stream for {path} is no good {place}: {reason}. Nothing was published; check the archive that
    is cloned and start again."""

    fault = "source"
    exit_code = 3

    def __init__(self, path: str, offset: int, reason: str) -> None:
        self._explain({"path": path, "offset": offset, "reason": reason}, place=_place(offset))


class BytesGone(DollyError):
    """The bytes at {offset} can be had from nobody any more: {holder} has let go of them and the source cannot be
    read twice; clone this node again, or from a file."""

    fault = "peer"
    exit_code = 3

    def __init__(self, holder: str, offset: int) -> None:
        self._explain({"holder": holder, "offset": offset})


class CryptoError(DollyError):
    """The cryptographic library of this Python failed in {call}: the same run with verify readback needs less of it."""

    fault = "node"
    exit_code = 3

    def __init__(self, call: str) -> None:
        self._explain({"call": call})


class PeerLost(DollyError):
    """The connection to {peer} was lost ({reason}): check that machine and the network to it."""

    fault = "peer"
    exit_code = 3

    def __init__(self, peer: str, reason: str) -> None:
        self._explain({"peer": peer, "reason": reason})


class StartFailed(DollyError):
    """No client was started on {host} over ssh ({reason}): does ssh reach it by hand, and does python3 run there?"""

    fault = "peer"
    exit_code = 3

    def __init__(self, host: str, reason: str) -> None:
        self._explain({"host": host, "reason": reason.rstrip(".")})


class CannotConnect(DollyError):
    """{node} cannot connect to {where} ({reason}): does dolly run there, and does every firewall
    between the two let this port through?"""

    fault = "peer"
    exit_code = 3

    def __init__(self, node: str, peer: str, address: str, port: int, reason: str) -> None:
        fields = {"node": node, "peer": peer, "address": address, "port": port, "reason": reason}
        place = "port %d" % port if peer == address else "at %s port %d" % (address, port)
        self._explain(fields, where="%s %s" % (peer, place))


class NameUnknown(DollyError):
    """{node} does not know the name {name} ({reason}): correct it, give an address instead, or add it there to the
    name service or to /etc/hosts."""

    fault = "user"
    exit_code = 3

    def __init__(self, node: str, name: str, reason: str) -> None:
        self._explain({"node": node, "name": name, "reason": reason})


class ProtocolError(DollyError):
    """{peer} broke the rules of the protocol ({what}): check that all nodes run the same version and that
    nothing else talks to this port."""

    fault = "peer"
    exit_code = 3

    def __init__(self, peer: str, what: str) -> None:
        self._explain({"peer": peer, "what": what})


class AuthError(ProtocolError):
    """A peer could not prove that it belongs to this run ({what}): check that all nodes were started for
    the same run."""

    def __init__(self, what: str) -> None:
        self._explain({"what": what})


class IllegalTransition(DollyError):
    """This is a defect in dolly: {role} met {event} in the state {state}; please report it with the log
    of this node."""

    exit_code = 70

    def __init__(self, role: str, state: str, event: str) -> None:
        self._explain({"role": role, "state": state, "event": event})


class TimedOut(DollyError):
    """Gave up {what} after {seconds:g} s: find out what it waits for, or raise the limit with {option}."""

    fault = "peer"
    exit_code = 4

    def __init__(self, what: str, seconds: float, option: str) -> None:
        self._explain({"what": what, "seconds": seconds, "option": option})


class TargetHung(DollyError):
    """The target of this node {what} ({seconds:g} s, {option}): look at that disk and at the kernel's log there, or
    raise the limit if it is only slow."""

    fault = "node"
    exit_code = 3

    def __init__(self, what: str, seconds: float, option: str) -> None:
        self._explain({"what": what, "seconds": seconds, "option": option})


class TooSlow(DollyError):
    """This node took {rate} bytes per second for {seconds:g} s, less than the {min_rate} that min_rate asks for, and
    was left behind: look for what slows its disk or its link down, or lower min_rate."""

    fault = "node"
    exit_code = 3

    def __init__(self, rate: int, seconds: float, min_rate: int) -> None:
        self._explain({"rate": rate, "seconds": seconds, "min_rate": min_rate})


class Aborted(DollyError):
    """The run was aborted ({reason}): what the targets hold is not a good copy; start again when the
    reason is gone."""

    fault = "user"
    exit_code = 4

    def __init__(self, reason: str, has_begun: bool = True) -> None:
        reason = reason.rstrip(".")
        self._explain({"reason": reason})
        if not has_begun:  # no target of this run was written
            end = "" if "nothing was written" in reason else ": nothing was written"
            self._fill("The run ended before it began (%s)%s." % (reason, end), {"reason": reason})


class NotEnoughNodes(DollyError):
    """Too few nodes became ready ({ready}, needed: {needed}), so nothing was written; missing: {names}
    Repair them, leave them out, or lower the number that is needed."""

    fault = "node"
    exit_code = 4

    def __init__(self, ready: int, needed: int, missing: Iterable[str]) -> None:
        listed = [str(name) for name in missing]
        # What is said of a node has commas of its own.
        names = ("; " if any(" " in one for one in listed) else ", ").join(listed[:_MAX_NAMES]) or "none"
        if len(listed) > _MAX_NAMES:
            names += " and %d more" % (len(listed) - _MAX_NAMES)
        names += "" if names.endswith("?") else "."
        self._explain({"ready": ready, "needed": needed, "missing": listed}, names=names)


def said_of(name: str, sentence: str) -> str:
    """Return a node and why it is missing, with its name once, although ``sentence`` may contain the name."""
    start = name + ": "
    reason = (sentence[len(start) :] if sentence.startswith(start) else sentence).rstrip(".")
    if re.search(r"(?<![\w.-])%s(?![\w-])" % re.escape(name), reason):
        return reason
    return "%s (%s)" % (name, reason) if reason else name


def from_dict(data: Any) -> DollyError:
    """Return the error that ``to_dict`` described; never raises, whatever a peer sent.

    An unknown kind becomes a plain DollyError that keeps sentence, fields and fault.
    """
    if not isinstance(data, dict):
        return DollyError("A peer sent an error that cannot be read.")
    kind, message, fault = (data.get(name) for name in _RESERVED)
    if not isinstance(message, str):
        message = "A peer reported a failure without saying which."
    fields = {name: value for name, value in data.items() if isinstance(name, str) and name not in _RESERVED}
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        return _rebuild(DollyError, message, fields, fault if fault in FAULTS else DollyError.fault)
    return _rebuild(known, message, fields, known.fault)


def _rebuild(kind: Type[DollyError], sentence: str, fields: Dict[str, Any], fault: str) -> DollyError:
    error = kind.__new__(kind)
    error._fill(sentence, fields)
    if fault != kind.fault:
        error.fault = fault
    return error


def _place(offset: Optional[int]) -> str:
    return "at an unknown offset" if offset is None else "at byte %d" % offset


def _reason(errno: Optional[int]) -> str:
    return "unknown reason" if errno is None else "errno %d, %s" % (errno, os.strerror(errno))


def printable(text: str) -> str:
    """Return text for a terminal or a log, with control and formatting characters as escapes; cut to 4096."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text[:_MAX_SENTENCE]


def printable_values(value: Any) -> Any:
    """Return JSON values of a peer with all texts made ``printable``, for they will be shown to people."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name)): printable_values(item) for name, item in value.items()}
    return [printable_values(item) for item in value] if isinstance(value, list) else value


def _storable(text: str) -> str:
    """Escape lone surrogates, which undecodable file names contain and most JSON writers refuse."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _jsonable(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, str):
        return _storable(value)
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, dict):
        return {_storable(str(name)): _jsonable(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item, depth + 1) for item in value]
    return _storable(str(value))


_KINDS: Dict[str, Type[DollyError]] = {
    name: kind for name, kind in list(globals().items()) if isinstance(kind, type) and issubclass(kind, DollyError)
}
