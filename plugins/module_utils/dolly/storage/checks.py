# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a target is refused: decided from facts alone, with one sentence for each reason."""

from __future__ import annotations

import dataclasses
import os
from typing import Optional

from ..errors import Refused
from ..units import format_size
from .facts import SourceFacts, TargetFacts, TargetPolicy
from .sysfs import same_wwn

NO_EXPECTATIONS = TargetPolicy()
_BY_ID = "; a name below /dev/disk/by-id stays with its disk"
_ALLOW_SECTOR_SIZE = (
    "an image that was made on a disk with such sectors; or, for who knows better, --allow-sector-size"
    " (in a play: dolly_ring_allow_sector_size: true)"
)
_WHO_MAY = "root, or another user who may write there (in a play: ansible_become)"


def check_target(
    facts: TargetFacts,
    image_size: Optional[int],
    needed_bytes: Optional[int] = None,
    source: Optional[SourceFacts] = None,
    policy: TargetPolicy = NO_EXPECTATIONS,
) -> None:
    """Raise Refused, with the gravest reason, if the image must not be written to this target.

    `image_size`: bytes, None if not known yet. `needed_bytes`: bytes that the image takes on a file system
    without its holes; `image_size` if None. `source`: may be on another host, which its boot id shows.
    """
    _check_expectations(facts, policy)
    _check_source(facts, source)
    _check_archive(facts, source)
    _check_use(facts)
    if source is not None and not policy.allow_sector_size:
        _check_sector_size(facts, source)
    if image_size is not None:
        _check_room(facts, image_size, image_size if needed_bytes is None else needed_bytes)


def check_same(facts: TargetFacts, seen: Optional[TargetFacts]) -> None:
    """Raise Refused if a path leads to another place than it did when `seen` was found there."""
    if seen is None or os.path.abspath(facts.path) != os.path.abspath(seen.path):  # the first of several parts
        return
    is_same = _is_same_device if "block" in (facts.kind, seen.kind) else _is_same_place
    if not is_same(facts, seen):
        found = "it is not what it was when it was checked: that was %s, now it is %s" % (_tell(seen), _tell(facts))
        raise Refused(facts.path, found, "a new run, which checks it again" + (_BY_ID if seen.kind == "block" else ""))


def _is_same_device(facts: TargetFacts, seen: TargetFacts) -> bool:
    is_told = bool(facts.sequence and seen.sequence)
    names = ("kind", "model", "serial", "wwn", "sequence" if is_told else "backing")
    if any(getattr(facts, name) != getattr(seen, name) for name in names):
        return False
    is_known = is_told or bool(seen.serial or seen.wwn)
    if facts.device != seen.device and not (is_known and facts.real_path == seen.real_path):
        return False  # known by its path: rereading a table renumbers partitions
    return facts.size == seen.size or (is_known and not seen.is_partition)  # a disk may have grown


def _is_same_place(facts: TargetFacts, seen: TargetFacts) -> bool:
    """Compare files. A new mount may change directory inodes, and device numbers without a disk."""
    is_numbered = not facts.device.startswith("0:") or not seen.device.startswith("0:")
    return facts.real_path == seen.real_path and (facts.device == seen.device or not is_numbered)


def _tell(facts: TargetFacts) -> str:
    if facts.kind != "block":
        return "the file %s on device %s" % (facts.real_path, facts.device)
    known = [facts.real_path, "%d bytes" % facts.size, facts.model]
    named = (("serial", facts.serial), ("wwn", facts.wwn), ("file", facts.backing), ("disk number", facts.sequence))
    known += ["%s %s" % (name, value) for name, value in named if value]
    return "device %s (%s)" % (facts.device, ", ".join(text for text in known if text))


def _check_expectations(facts: TargetFacts, policy: TargetPolicy) -> None:
    if facts.kind != "block":
        said = dataclasses.replace(policy, allow_sector_size=False)  # a file has no sector size
        asked = [field.name for field in dataclasses.fields(said) if getattr(said, field.name) not in (None, False)]
        if asked:
            found = "it is a file, and %s can only be said of a disk" % " and ".join(asked)
            raise Refused(facts.path, found, "a run without %s" % " and ".join(asked))
        return
    if policy.expect_size is not None and policy.expect_size != facts.size:
        _refuse_other(facts, "size", str(facts.size), str(policy.expect_size))
    if policy.expect_serial is not None and policy.expect_serial.strip() != (facts.serial or None):
        _refuse_other(facts, "serial", facts.serial, policy.expect_serial)
    if policy.expect_wwn is not None and not same_wwn(policy.expect_wwn, facts.wwn):
        _refuse_other(facts, "wwn", facts.wwn, policy.expect_wwn)


def _refuse_other(facts: TargetFacts, name: str, found: str, expected: str) -> None:
    if not found:
        raise Refused(facts.path, "its %s is not known, expected was %s" % (name, expected))
    sentence = "it is another device: its %s is %s, expected was %s" % (name, found, expected)
    raise Refused(facts.path, sentence, "expect_%s: %s" % (name, found))


def _check_source(facts: TargetFacts, source: Optional[SourceFacts]) -> None:
    if source is None or not source.boot_id or source.boot_id != facts.boot_id:
        return
    if source.kind == "file":
        if facts.kind == "file" and (facts.device, facts.inode) == (source.device, source.inode):
            raise Refused(facts.path, "it is the source, %s, under another name or the same" % source.path)
        if facts.backing == "%s %d" % (source.device, source.inode):
            raise Refused(facts.path, "it is a loop device on the source, %s" % source.path)
    elif source.device == facts.device and facts.kind == "block":
        raise Refused(facts.path, "it is the source, %s, itself" % source.path)
    elif source.device in facts.related:
        raise Refused(facts.path, "it shares its bytes with the source, %s" % source.path)


def _check_archive(facts: TargetFacts, source: Optional[SourceFacts]) -> None:
    """Refuse a packed archive for a device: no machine boots from a disk with an archive's bytes."""
    if source is not None and source.archive and facts.kind == "block":
        found = "the source, %s, is compressed (%s), and its bytes would be written to this device without unpacking"
        allow = 'compressed: true (in a play dolly_ring_compressed, in a file for -f "compressed infile"), or a file'
        raise Refused(facts.path, found % (source.path, source.archive), allow + " as the target")


def _check_use(facts: TargetFacts) -> None:
    if facts.is_system_disk:
        raise Refused(facts.path, "the running system lives on it" + _identity(facts))
    if facts.mounted_at:
        places = ", ".join(facts.mounted_at)
        raise Refused(facts.path, "it is mounted (%s)%s; unmount it first" % (places, _identity(facts)))
    if facts.swap:
        raise Refused(facts.path, "it is active swap space; run swapoff first")
    if facts.holders:
        names = ", ".join(facts.holders)
        if facts.kind == "file":
            raise Refused(facts.path, "it is in use as %s; detach that first (losetup -d)" % names)
        found = "%s is built on it (LVM, RAID, encryption or multipath); take that apart first" % names
        raise Refused(facts.path, found)
    if facts.in_use:
        found = "the kernel says that it is in use, but not by what (EBUSY)"
        raise Refused(facts.path, found + ": perhaps a mount that cannot be seen from here, ZFS, or another run")
    if facts.read_only:
        raise Refused(facts.path, "it is read-only")
    if facts.denied:
        found = "this user may make no file in its directory, %s" % os.path.dirname(facts.real_path)
        raise Refused(facts.path, "this user may not write to it" if facts.kind == "block" else found, _WHO_MAY)


def _check_sector_size(facts: TargetFacts, source: SourceFacts) -> None:
    """Refuse a GUID partition table made for another sector size: no firmware finds it on this disk."""
    made_for = [table[0] for table in source.gpt]
    if facts.kind != "block" or facts.is_partition or not facts.sector_size or not made_for:
        return
    if facts.sector_size not in made_for:
        found = "the partition table of %s was made for sectors of %d bytes, and this disk has sectors of %d" % (
            source.path, made_for[0], facts.sector_size,
        )  # fmt: skip
        raise Refused(facts.path, found + ": nothing would start from it", _ALLOW_SECTOR_SIZE)


def _check_room(facts: TargetFacts, image_size: int, needed_bytes: int) -> None:
    if facts.kind == "block":
        if facts.size < image_size:
            sizes = _bytes(facts.size), _bytes(image_size)
            raise Refused(facts.path, "it is too small: it has %s, the image has %s" % sizes)
    elif facts.free is not None and facts.free < needed_bytes:
        found = "its file system has %s free, the image needs %s beside what is there" % (
            _bytes(facts.free),
            _bytes(needed_bytes),
        )
        raise Refused(facts.path, found)


def _bytes(count: int) -> str:
    return "%d bytes (%s)" % (count, format_size(count))


def _identity(facts: TargetFacts) -> str:
    known = [text for text in (facts.model, facts.serial, facts.content) if text]
    return " [%s]" % ", ".join(known) if known else ""
