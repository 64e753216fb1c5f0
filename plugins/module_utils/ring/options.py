# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What dolly_client and dolly_server share: options, their checks, and how errors are returned."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import DollyError, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.integrity import gmac
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import MAX_SECONDS

SECRET_BYTES_MIN = 32

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_PORTS = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")
_NAME_LENGTH_MAX = 200

_SECONDS_POSITIVE = (
    "dead_after",
    "stall_timeout",
    "connect_timeout",
    "handshake_timeout",
    "join_timeout",
    "barrier_timeout",
    "orphan_timeout",
    "flush_timeout",
)


def shared_spec() -> t.Dict[str, t.Any]:
    """Return the argument spec of the options that both modules have."""
    return {
        "run_id": {"type": "str"},
        "run_dir": {"type": "path"},
        "secret": {"type": "str", "no_log": True},
        "verify": {"type": "str", "choices": ["readback", "mac", "none"], "default": "readback"},
        "bind": {"type": "str", "default": ""},
        "port": {"type": "str", "default": "9998"},
        "sync": {"type": "bool", "default": True},
        "orphan_timeout": {"type": "float", "default": 60.0},
        "dead_after": {"type": "float", "default": 5.0},
        "stall_timeout": {"type": "float", "default": 30.0},
        "connect_timeout": {"type": "float", "default": 10.0},
        "handshake_timeout": {"type": "float", "default": 5.0},
    }


def check_run_id(text: str) -> str:
    if not _RUN_ID.fullmatch(text):
        expected = "1 to 64 letters, digits, dots, underscores and dashes, a letter or digit first"
        raise UsageError("run_id", text, expected)
    return text


def check_name(text: str, option: str = "name") -> str:
    """Check a node's name, which also becomes the name of a folder."""
    is_folder_name = text.isprintable() and "/" not in text and text not in ("", ".", "..")
    if not is_folder_name or len(text.encode("utf-8")) > _NAME_LENGTH_MAX:
        expected = "a node's name: 1 to %d printable characters without a slash" % _NAME_LENGTH_MAX
        raise UsageError(option, text, expected)
    return text


def check_port(port: int, option: str = "port", lowest: int = 0) -> int:
    if not lowest <= port <= 65535:
        raise UsageError(option, port, "a port, %d to 65535" % lowest)
    return port


def check_ports(text: t.Any, option: str = "port") -> t.Tuple[int, int]:
    """Return the first and the last port of a port, or of a range such as 9998-10010."""
    found = _PORTS.fullmatch(str(text).strip())
    if found is None:
        raise UsageError(option, text, "a port, 0 to 65535, or a range of ports such as 9998-10010")
    first, last = int(found.group(1)), int(found.group(2) or found.group(1))
    check_port(last, option)
    if first > last or (first == 0) != (last == 0):
        raise UsageError(option, text, "a range that begins with a port above 0 and ends with a higher one")
    return first, last


def check_seconds(params: t.Mapping[str, t.Any], called: t.Callable[[str], str] = str) -> t.Dict[str, float]:
    """Return timeouts of *params*, in seconds. `called` gives the user's option name. Raises UsageError."""
    return {name: _seconds(params[name], called(name)) for name in _SECONDS_POSITIVE if name in params}


def check_timeout(value: t.Any, name: str = "timeout") -> float:
    """Return the timeout of a run in seconds, 0 for none. Raises UsageError."""
    return 0.0 if value in (0, "0") else _seconds(value, name)


def _seconds(value: t.Any, name: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:  # false for NaN
        raise UsageError(name, value, "seconds, more than 0 and up to %d" % MAX_SECONDS)
    return seconds


def check_checksum(text: str) -> str:
    """Return *text* in lower case. The empty string means that no checksum is expected. Raises UsageError."""
    lowered = text.lower()
    if lowered and not _CHECKSUM.fullmatch(lowered):
        raise UsageError("checksum", text, "sha256: and 64 hexadecimal digits")
    return lowered


def check_verify(level: str) -> None:
    """Raise Refused if this Python, with which the engine will run, does not support the level."""
    if level == "mac":
        gmac.check()


def decode_secret(text: str) -> bytes:
    """Return the bytes of a secret. Raises UsageError, whose message never contains any part of it."""
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        raise UsageError("secret", "(hidden)", "64 hexadecimal digits or more") from None
    if len(secret) < SECRET_BYTES_MIN:
        raise UsageError("secret", "(%d bits)" % (8 * len(secret)), "%d bits or more" % (8 * SECRET_BYTES_MIN))
    return secret


def result_fields(result: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """Return the fields of a result that both modules have."""
    return {
        "bytes": int(result.get("bytes") or 0),
        "seconds": round(float(result.get("seconds") or 0.0), 3),
        "rate_mb_s": megabytes_per_second(result.get("rate")),
        "covers": result.get("covers") or "",
        "digest": result.get("digest") or "",
        "keyed_digest": result.get("keyed_digest") or "",
        "times": result.get("times") or {},
        "refused_connections": int(result.get("refused_connections") or 0),
    }


def megabytes_per_second(rate: t.Optional[float]) -> float:
    """Turn bytes per second into MB/s (10**6 bytes), to one decimal."""
    return round((rate or 0.0) / 1e6, 1)


def sentence_of(error: t.Any) -> str:
    """Return the sentence in an error that was sent as a dictionary; empty if there is none."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("sentence") or error.get("kind") or "")
    return str(error or "")


def describe(error: Exception) -> t.Dict[str, t.Any]:
    """Return the arguments of fail_json for *error*."""
    if isinstance(error, DollyError):
        return {"msg": error.sentence, "error": error.to_dict()}
    return {"msg": str(error)}
