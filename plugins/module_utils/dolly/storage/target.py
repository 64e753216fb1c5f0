# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspecting and opening the path of a target. An inspection writes nothing and creates nothing."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import List, Optional, Set, Tuple

from ..errors import Refused, TargetError, UsageError
from . import linux, walk
from .base import Target
from .block import BlockTarget
from .checks import check_same, check_target
from .compared import ComparedFile
from .facts import TargetFacts, TargetPolicy
from .file import FileTarget, partial_name
from .record import Record, device_record, file_record
from .sysfs import Devices

__all__ = [
    "TargetFacts",
    "TargetPolicy",
    "check_same",
    "check_target",
    "inspect_device",
    "inspect_target",
    "open_target",
    "purge_target",
]

_LOOKS = 5
_LOOK_PAUSE_S = 0.05
_PARTS_SHOWN = 8

_OTHER_KINDS = (
    (stat.S_ISDIR, "a directory: give the name of a file in it"),
    (stat.S_ISFIFO, "a named pipe, which cannot be read back"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a symbolic link that leads nowhere"),
)


def inspect_target(path: str, sys_root: str = "/sys", proc_root: str = "/proc") -> TargetFacts:
    """Inspect a target. Raises Refused for what can never be a target, UsageError for an invalid path."""
    if not path or path.endswith("/") or "\0" in path:
        raise UsageError("target", path, "the path of a block device or of a file")
    devices = Devices(sys_root, proc_root)
    real_path = walk.resolve(path)
    found = _stat(path, real_path)
    if found is not None and stat.S_ISBLK(found.st_mode):
        return inspect_device(path, real_path, linux.device_name(found.st_rdev), devices)
    if found is not None:
        for is_kind, name in _OTHER_KINDS:
            if is_kind(found.st_mode):
                raise Refused(path, "it is %s" % name)
    _check_not_dev(path, real_path, devices)
    return _inspect_file(path, real_path, found, devices)


def inspect_device(path: str, real_path: str, device: str, devices: Devices) -> TargetFacts:
    """Inspect the block device whose number is `device`, "major:minor"."""
    own = {device} | devices.partitions(device)
    group = own | {devices.disk(device)}
    size, is_claimed, content, sequence, sector_size = _look_inside(real_path, devices.partition_starts(device))
    model, serial, wwn = devices.identity(device)
    return TargetFacts(
        path=path,
        real_path=real_path,
        kind="block",
        size=devices.size(device) or size,
        boot_id=linux.boot_id(devices.proc_root),
        device=device,
        related=_sorted(own | devices.below(device)),
        model=model,
        serial=serial,
        wwn=wwn,
        mounted_at=_sorted(devices.mounted_at(group)),
        swap=devices.is_swap(group),
        holders=_sorted({name for member in group for name in devices.holders(member)}),
        is_system_disk=bool(own & devices.system_devices()),
        read_only=devices.is_read_only(device),
        denied=os.path.exists(real_path) and not os.access(real_path, os.W_OK),
        is_partition=devices.is_partition(device),
        content=content,
        in_use=is_claimed,
        backing=devices.backing(device),
        sector_size=sector_size,
        sequence=sequence,
    )


def open_target(
    path: str,
    facts: Optional[TargetFacts] = None,
    sys_root: str = "/sys",
    proc_root: str = "/proc",
    state_dir: str = "",
    resumes: bool = True,
    compares: bool = False,
) -> Target:
    """Return the target at `path`, not opened yet. `facts`: those that were checked; None: inspect it.

    `state_dir`: where the journal of a device lies; empty: the default. `resumes`: whether to use the data of
    an earlier run. `compares`: whether to compare the present content with the image first.
    """
    if facts is None:
        facts = inspect_target(path, sys_root, proc_root)
    if facts.kind == "block":
        return BlockTarget(facts, state_dir, resumes, compares)
    return ComparedFile(facts, resumes) if compares and facts.kind == "file" else FileTarget(facts, resumes)


def purge_target(facts: TargetFacts, state_dir: str = "", check_mode: bool = False) -> List[str]:
    """Remove what an interrupted run keeps for the next one; return the paths that are, or would be, removed.

    The content of a device is not changed. Raises TargetError; Refused while a run writes to the target.
    """
    if facts.kind == "block":
        return _purge_record(device_record(facts, state_dir), check_mode)
    directory, name = os.path.split(facts.real_path)
    partial = os.path.join(directory, partial_name(name))
    found = [partial] if os.path.lexists(partial) else []
    if found and not check_mode:
        FileTarget(facts).remove_partial()
    return found + _purge_record(file_record(facts.real_path), check_mode)


def _purge_record(record: Record, check_mode: bool) -> List[str]:
    found = [record.path] if record.exists() else []
    if found and not check_mode:
        try:
            record.remove()
        except OSError as error:
            raise TargetError(record.path, "unlink", None, error.errno) from error
    return found


def _stat(path: str, real_path: str) -> Optional[os.stat_result]:
    try:
        return os.lstat(real_path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Refused(path, "it cannot be looked at: %s" % error.strerror) from error


def _check_not_dev(path: str, real_path: str, devices: Devices) -> None:
    """Refuse a file below /dev: a mistyped device must not become a file that fills the memory."""
    directory = os.path.dirname(real_path)
    is_below_dev = real_path.startswith("/dev/") and not real_path.startswith("/dev/shm/")
    if is_below_dev or _is_device_directory(directory, devices):
        if os.path.lexists(real_path):
            raise Refused(path, "it lies among the devices and is none")
        raise Refused(path, "there is no such device")


def _is_device_directory(directory: str, devices: Devices) -> bool:
    """Whether a directory is on the file system of the device nodes, wherever that is mounted."""
    try:
        number = os.stat(directory).st_dev
        if number == os.stat("/dev").st_dev != os.stat("/").st_dev:
            return True
    except OSError:
        return False
    name = linux.device_name(number)
    return any(mount.fstype == "devtmpfs" and mount.device == name for mount in devices.mounts())


def _inspect_file(
    path: str, real_path: str, found: Optional[os.stat_result], devices: Devices
) -> TargetFacts:
    directory = os.path.dirname(real_path)
    try:
        parent = os.stat(directory)
        free, read_only = _room(directory)
    except OSError as error:
        raise Refused(path, "its directory %s cannot be used: %s" % (directory, error.strerror)) from error
    if not stat.S_ISDIR(parent.st_mode):
        raise Refused(path, "%s is not a directory" % directory)
    return TargetFacts(
        path=path,
        real_path=real_path,
        kind="missing" if found is None else "file",
        size=0 if found is None else found.st_size,
        boot_id=linux.boot_id(devices.proc_root),
        device=linux.device_name(parent.st_dev),
        inode=0 if found is None else found.st_ino,
        directory=parent.st_ino,
        related=_sorted(_devices_of_directory(parent.st_dev, devices)),
        mounted_at=_sorted({mount.point for mount in devices.mounts() if mount.point == real_path}),
        swap=any(_is_same_file(swap.path, found) for swap in devices.swaps() if swap.kind == "file"),
        holders=_sorted(devices.loops_on(found)) if found is not None else (),
        read_only=read_only,
        denied=not os.access(directory, os.W_OK | os.X_OK),
        free=None if free is None else free + _partial_bytes(real_path),
    )


def _room(directory: str) -> Tuple[Optional[int], bool]:
    """Return the free bytes for an ordinary user, None if unknown; and whether writing is disabled."""
    room = os.statvfs(directory)
    return (room.f_bavail * room.f_frsize if room.f_blocks else None), bool(room.f_flag & os.ST_RDONLY)


def _partial_bytes(real_path: str) -> int:
    """Return the bytes of an earlier run's partial file, which are freed when a new run begins."""
    directory, name = os.path.split(real_path)
    try:
        return os.lstat(os.path.join(directory, partial_name(name))).st_blocks * 512
    except OSError:
        return 0


def _devices_of_directory(number: int, devices: Devices) -> Set[str]:
    name = linux.device_name(number)
    found: Set[str] = set()
    for mount in devices.mounts():
        if mount.device == name:
            for device in devices.mount_devices(mount):
                found |= devices.below(device)
    return found


def _is_same_file(path: str, found: Optional[os.stat_result]) -> bool:
    try:
        return found is not None and os.path.samestat(os.stat(path), found)
    except (OSError, ValueError):
        return False


def _look_inside(real_path: str, starts: List[int]) -> Tuple[int, bool, str, int, int]:
    """Return size, whether the device is in use, a guess at its content, disk sequence number, sector size.

    Values are zero or empty if the device cannot be opened or read. `starts`: the offsets of its partitions.
    """
    size, is_claimed, sequence, sector_size = 0, False, 0, 0
    try:
        fd, is_claimed = _open_to_look(real_path)
    except OSError:
        return size, is_claimed, "", sequence, sector_size
    try:
        sequence = linux.disk_sequence(fd)
        size, sector_size = linux.device_size(fd), linux.block_size(fd)
        return size, is_claimed, _content(fd, starts), sequence, sector_size
    except OSError:
        return size, is_claimed, "", sequence, sector_size
    finally:
        os.close(fd)


def _open_to_look(real_path: str) -> Tuple[int, bool]:
    """Return a descriptor, and whether the device is in use elsewhere. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    for left in reversed(range(_LOOKS)):
        try:
            # O_EXCL without O_CREAT fails if a block device is mounted, swap, or open with O_EXCL (open(2)).
            return os.open(real_path, flags | os.O_EXCL), False
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if left:
                time.sleep(_LOOK_PAUSE_S)  # another process may just be inspecting it, too
    return os.open(real_path, flags), True


def _content(fd: int, starts: List[int]) -> str:
    whole = linux.guess_content(os.pread(fd, linux.CONTENT_LENGTH, 0))
    if not starts:
        return whole
    parts = [linux.guess_content(os.pread(fd, linux.CONTENT_LENGTH, start)) or "unknown" for start in starts]
    shown = ", ".join(parts[:_PARTS_SHOWN]) + (", ..." if len(parts) > _PARTS_SHOWN else "")
    return "%s with %d partitions: %s" % (whole or "a partition table", len(parts), shown)


def _sorted(names: Set[str]) -> Tuple[str, ...]:
    return tuple(sorted(names))
