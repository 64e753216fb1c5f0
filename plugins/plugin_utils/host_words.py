# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks what a host reports: its fields have the documented types, and its digest is the server's.

The owner of a host decides what its modules return. That may spoil this host's result, but no other.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.status import bottleneck

Said = t.Mapping[str, t.Any]

_LARGEST = 2 ** 63 - 1
_MAX_LINES = 100
_MAX_TEXT = 4096
_DIGEST_SHOWN = 8

_COUNTS = ("bytes", "repaired", "received_bytes", "sent_bytes", "resumed_bytes", "equal_bytes", "healed")
_AMOUNTS = ("seconds", "rate_mb_s", "stalled")
_FLAGS = (
    *("changed", "verified", "synced", "late", "demoted", "half_written"),
    *("failed", "clean", "skipped", "unreachable"),
)
_TEXTS = (
    *("msg", "run_id", "run_dir", "digest", "keyed_digest", "covers", "address", "address_rule", "state", "name"),
    *("kind", "message", "fault", "path", "model", "serial", "content"),
)
_LISTS = ("log", "notes")
_OBJECTS = ("error", "target")


def checked(said: t.Any, names: t.Collection[str] = ()) -> t.Dict[str, t.Any]:
    """Return the report of a host without the known fields whose values have the wrong type.

    *names*: the nodes of the run.
    """
    if not isinstance(said, dict):
        return {}
    found = {}
    for name, value in said.items():
        known = _checked(name, value, names)
        if known is not None or value is None:
            found[name] = known
    return found


def _checked(name: str, value: t.Any, names: t.Collection[str]) -> t.Any:
    """Return the value, or None if the field cannot have it."""
    if name in _COUNTS or name in ("position", "port"):
        return value if _is_amount(value) and isinstance(value, int) else None
    if name in _AMOUNTS:
        return float(value) if _is_amount(value) else None
    if name in _FLAGS:
        return value if isinstance(value, bool) else None
    if name in _TEXTS:
        return value[:_MAX_TEXT] if isinstance(value, str) else None
    if name in _LISTS:
        return [str(line)[:_MAX_TEXT] for line in value[-_MAX_LINES:]] if isinstance(value, list) else None
    if name in _OBJECTS:
        return checked(value) if isinstance(value, dict) else None
    return bottleneck.tidy(value, names) if name == "times" else value


def _is_amount(value: t.Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= _LARGEST


def has_digests(run: Said) -> bool:
    """Whether this run has digests. Without digests nothing is verified, whatever a host reports."""
    agreed = run.get("agreed") or {}
    is_classic = agreed.get("dolly_ring_protocol") == "classic"
    return not is_classic and not run.get("is_dummy") and agreed.get("dolly_ring_verify") != "none"


def doubt(run: Said, collected: Said, stream: Said) -> str:
    """Return why a host that is done may hold another image than the server's, or the empty string."""
    if not has_digests(run):
        return ""
    of_server, of_host = digest_of(stream), digest_of(collected)
    if not of_server:
        why = str(stream.get("msg") or "no answer from the server").rstrip(".")
        return (
            "It holds an image with the digest %s, but whether it is the right one nobody can tell, for there is no"
            " digest of the server to compare with (%s): run again, with dolly_ring_compare only what differs is"
            " written."
            % (of_host[:_DIGEST_SHOWN] or "(none)", why)
        )
    if of_host != of_server:
        return (
            "It holds another image than the server has sent (digest %s, the server's is %s), so a host of this run may"
            " have posed as the server: find out which, and clone this one again."
            % (of_host[:_DIGEST_SHOWN] or "(none)", of_server[:_DIGEST_SHOWN])
        )
    return ""


def digest_of(said: Said) -> str:
    """Return the digest by which images of one run are compared: a keyed one with ``verify: mac``."""
    return str(said.get("digest") or said.get("keyed_digest") or "")
