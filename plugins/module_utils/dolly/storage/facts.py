# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found out about a source or a target, and what the user expects. All travel as dicts."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Tuple


@dataclasses.dataclass(frozen=True)
class SourceFacts:
    """A source as it was when it was inspected. Device numbers are "major:minor"."""

    path: str
    kind: str  #: "file" or "block"
    size: int
    allocated: int  #: allocated bytes: less than `size` for a file with holes
    device: str  #: the number of the block device, or of the file's file system
    inode: int
    mtime_ns: int
    boot_id: str  #: two hosts with the same boot id are one machine
    ctime_ns: int = 0  #: of a file: unlike `mtime_ns`, no program can set it back
    #: The partition tables, as `gpt.Table`; each starts with the sector size that it was made for.
    gpt: Tuple[Tuple[int, ...], ...] = ()
    archive: str = ""  #: the codec of an archive that is sent packed and may go only to files

    def to_dict(self) -> Dict[str, Any]:
        """Return the facts as a dict, for a module's result and for hosts that compare their target."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SourceFacts:
        """Return the facts that `to_dict` described; unknown keys are ignored. Raises KeyError."""
        fields = dataclasses.fields(cls)
        absent = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
        found = {field.name: {**absent, **values}[field.name] for field in fields}
        found["gpt"] = tuple(tuple(int(number) for number in table) for table in found["gpt"])
        return cls(**found)


@dataclasses.dataclass(frozen=True)
class TargetFacts:
    """A target as it was when it was inspected, with symlinks followed. Sizes are in bytes."""

    path: str  #: as the user wrote it
    real_path: str
    kind: str  #: "file", "block", or "missing": a file that is to be created
    size: int  #: of the device or of the existing file
    boot_id: str
    device: str = ""  #: "major:minor" of the device, or of the file's file system
    inode: int = 0  #: of the existing file
    directory: int = 0  #: the inode of the directory of a file
    related: Tuple[str, ...] = ()  #: every device that shares bytes with the target, itself included
    model: str = ""
    serial: str = ""
    wwn: str = ""
    mounted_at: Tuple[str, ...] = ()
    swap: bool = False
    holders: Tuple[str, ...] = ()  #: names of the devices built on this one: dm-0, md127
    in_use: bool = False  #: the kernel refused to open the device exclusively (EBUSY)
    backing: str = ""  #: "major:minor inode" of the file behind a loop device
    is_system_disk: bool = False
    read_only: bool = False
    denied: bool = False  #: this user may not write to it, or create a file beside it
    is_partition: bool = False
    free: Optional[int] = None  #: free bytes of a file's file system; None: unknown
    content: str = ""  #: a guess at the content of a device, for messages
    sector_size: int = 0  #: the logical block size of a device
    sequence: int = 0  #: the disk sequence number, unique among disks and media of one boot; 0: unknown

    def to_dict(self) -> Dict[str, Any]:
        """Return the facts as a dict, for a module's result."""
        values = dataclasses.asdict(self)
        for name in ("related", "mounted_at", "holders"):
            values[name] = list(values[name])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TargetFacts:
        """Return the facts that `to_dict` described. Raises KeyError."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class TargetPolicy:
    """What the user expects of the target (None: nothing), and options that only a device can have."""

    expect_size: Optional[int] = None
    expect_serial: Optional[str] = None
    expect_wwn: Optional[str] = None
    allow_sector_size: bool = False  #: allow a partition table made for another sector size than the disk's
    move_gpt: bool = False  #: move the backup of a GUID partition table to the end of the disk afterwards
