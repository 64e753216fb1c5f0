# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found out about a source or a target, what the user expects: values that travel as dicts."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Tuple


@dataclasses.dataclass(frozen=True)
class SourceFacts:
    """A source as it was when somebody looked. Device numbers are "major:minor"."""

    path: str
    kind: str  #: "file" or "block"
    size: int
    allocated: int  #: bytes that take room: less than `size` for a file with holes
    device: str  #: of a block device its own number, of a file the one of its file system
    inode: int
    mtime_ns: int
    boot_id: str  #: the same on two hosts: they are one machine
    ctime_ns: int = 0  #: of a file: what no program can set back, as it can `mtime_ns`
    #: Its partition tables, as `gpt.Table`; each starts with the size of the sectors that it was made for.
    gpt: Tuple[Tuple[int, ...], ...] = ()
    archive: str = ""  #: the codec of an archive whose bytes are sent as they are, and may go to files alone

    def to_dict(self) -> Dict[str, Any]:
        """For a module's result, and for the hosts that compare their target with it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SourceFacts:
        """The reverse of `to_dict`; what a newer version added is left out. Raises KeyError."""
        fields = dataclasses.fields(cls)
        absent = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
        found = {field.name: {**absent, **values}[field.name] for field in fields}
        found["gpt"] = tuple(tuple(int(number) for number in table) for table in found["gpt"])
        return cls(**found)


@dataclasses.dataclass(frozen=True)
class TargetFacts:
    """A target as it was when somebody looked, its symlinks followed. Sizes in bytes."""

    path: str  #: as the user wrote it
    real_path: str
    kind: str  #: "file", "block", or "missing": a file that is to be made
    size: int  #: of the device or of the existing file
    boot_id: str
    device: str = ""  #: "major:minor" of the device, or of the file's file system
    inode: int = 0  #: of the existing file
    directory: int = 0  #: the inode of the directory that a file goes to
    related: Tuple[str, ...] = ()  #: every device that shares bytes with the target, itself included
    model: str = ""
    serial: str = ""
    wwn: str = ""
    mounted_at: Tuple[str, ...] = ()
    swap: bool = False
    holders: Tuple[str, ...] = ()  #: names of what is built on the device: dm-0, md127
    in_use: bool = False  #: the kernel would not let anybody else have the device (EBUSY)
    backing: str = ""  #: of a loop device "major:minor inode" of the file that it is
    is_system_disk: bool = False
    read_only: bool = False
    denied: bool = False  #: this user may not write to it, or make no file beside it
    is_partition: bool = False
    free: Optional[int] = None  #: of the file system a file goes to; None where it does not say
    content: str = ""  #: what seems to be on a device: a guess for messages
    sector_size: int = 0  #: bytes of a logical block of a device
    sequence: int = 0  #: of a device: no two disks or media of one boot have the same; 0: the kernel does not say

    def to_dict(self) -> Dict[str, Any]:
        """For a module's result."""
        values = dataclasses.asdict(self)
        for name in ("related", "mounted_at", "holders"):
            values[name] = list(values[name])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TargetFacts:
        """For who was told what somebody has seen. Raises KeyError."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class TargetPolicy:
    """What the user says the target is; None: said nothing. And what is wanted of it, which needs a device."""

    expect_size: Optional[int] = None
    expect_serial: Optional[str] = None
    expect_wwn: Optional[str] = None
    allow_sector_size: bool = False  #: also an image whose partition table was made for other sectors than the disk has
    move_gpt: bool = False  #: afterwards the backup of a GUID partition table belongs at the end of the disk
