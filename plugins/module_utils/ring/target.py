# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The target of dolly_client: its facts, and whether it may be overwritten."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import checks, facts, target
from ansible_collections.dolly.ring.plugins.module_utils.ring import numbers, streams

Params = t.Mapping[str, t.Any]

#: States of a receiver that may write, and of a receiver whose target holds the image.
_AT_WORK, _WHOLE = ("receiving", "verifying", "flushing"), ("serving", "done")


def source_facts(values: Params) -> facts.SourceFacts:
    """Read the facts about a source that dolly_server has returned. Raises UsageError."""
    try:
        source = facts.SourceFacts.from_dict(values)
    except KeyError as error:
        raise UsageError("source", "without %s" % error, "what dolly_server returns with state=inspected") from None
    if not isinstance(source.size, int) or source.size < 0:
        raise UsageError("source.size", source.size, "a number of bytes")
    return source


def check_dest(params: Params, source: t.Optional[facts.SourceFacts]) -> facts.TargetFacts:
    """Return the facts about the target. Raises Refused if it must not be overwritten."""
    dest = params["dest"]
    if not os.path.isabs(dest):
        raise UsageError("dest", dest, "an absolute path")
    written = streams.Written.of_source(params.get("source"), source.size if source else None)
    found = target.inspect_target(written.path(dest))
    policy = facts.TargetPolicy(**policy_of(params))
    needed = min(source.size, source.allocated) if source is not None and written.is_as_sent else written.size
    if source is not None and not written.is_as_sent:
        source = dataclasses.replace(source, gpt=())  # what is written has no table
    checks.check_target(found, written.size, needed, source, policy)
    written.check(found, params["move_gpt"])
    return found


def policy_of(params: Params) -> t.Dict[str, t.Any]:
    """Return what is expected of a disk, and what may be done to it. Raises UsageError."""
    names = ("expect_size", "expect_serial", "expect_wwn", "allow_sector_size", "move_gpt")
    found = {name: params[name] for name in names}
    if found["expect_size"] is not None:
        found["expect_size"] = numbers.check("expect_size", found["expect_size"])
    return found


def left_behind(config: t.Optional[Params], status: t.Optional[Params]) -> t.Tuple[bool, str]:
    """Return what a receiver without a result did to its target, by its configuration and last status.

    The result is whether the target was changed, and the name of a half-written disk, or the empty string.
    The last status may predate the last write, so a receiver that was at work counts as one that has written.
    """
    status, seen = status or {}, (config or {}).get("seen") or {}
    state, node = status.get("state", "unknown"), status.get("node") or {}
    if state in _WHOLE:
        return bool(node.get("changed")), ""
    has_begun = state in _AT_WORK or bool(node.get("held") or node.get("seconds"))
    if not has_begun or seen.get("kind") == "dummy":
        return False, ""
    return True, str((config or {}).get("target") or "the disk") if seen.get("kind") == "block" else ""


def describe_write(found: facts.TargetFacts) -> str:
    """Describe what a run does to a target, with the identity of the disk."""
    if found.kind == "dummy":
        return "measure the network and write nothing"
    if found.kind == "missing":
        return "make the file %s" % found.path
    parts = ["%s of %d bytes" % ({"block": "block device"}.get(found.kind, found.kind), found.size)]
    parts += [found.model] if found.model else []
    parts += ["serial %s" % found.serial] if found.serial else []
    if found.kind == "block":
        parts.append("it seems to hold %s" % found.content if found.content else "nothing known on it")
    return "overwrite %s (%s)" % (found.path, ", ".join(parts))
