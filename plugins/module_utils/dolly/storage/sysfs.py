# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How block devices depend on each other, read from /sys and /proc. Devices are named "major:minor" here.

A device's directory is /sys/dev/block/MAJOR:MINOR. Its partitions are subdirectories with a file `partition`,
and the disk of a partition is the parent directory. `slaves` and `holders` name the devices below and above
it (Documentation/ABI/stable/sysfs-block and testing/sysfs-block-dm of the kernel).
"""

from __future__ import annotations

import os
import re
import stat
from typing import Iterable, List, Optional, Set, Tuple

from . import linux

#: A device with one of these mount points belongs to the running system.
SYSTEM_MOUNTS = frozenset(("/", "/boot", "/boot/efi", "/efi", "/usr"))


class Devices:
    """The block devices of this machine; other roots than /sys and /proc are for tests."""

    def __init__(self, sys_root: str = "/sys", proc_root: str = "/proc") -> None:
        self.sys_root = sys_root
        self.proc_root = proc_root
        self._mounts: Optional[List[linux.Mount]] = None

    def size(self, device: str) -> int:
        """Return the size in bytes; 0 if sysfs has none."""
        text = self._read(device, "size")
        return int(text) * 512 if text.isdigit() else 0  # in units of 512 bytes for any sector size

    def is_partition(self, device: str) -> bool:
        """Whether the device is a partition."""
        return os.path.exists(self._path(device, "partition"))

    def is_read_only(self, device: str) -> bool:
        """Whether the kernel refuses writes to it or to its disk."""
        return "1" in (self._read(device, "ro"), self._read(self.disk(device), "ro"))

    def disk(self, device: str) -> str:
        """Return the disk of a partition; a disk is returned as it is."""
        if self.is_partition(device):
            return linux.read_text(os.path.join(os.path.dirname(self._path(device)), "dev")).strip()
        return device

    def partitions(self, device: str) -> Set[str]:
        """Return the partitions of a disk."""
        found = set()
        for name in self._list(device, ""):
            if os.path.exists(self._path(device, name, "partition")):
                found.add(self._read(device, name, "dev"))
        return found - {""}

    def partition_starts(self, device: str) -> List[int]:
        """Return the offsets of the partitions of a disk in bytes, ascending."""
        names = [name for name in self._list(device, "") if os.path.exists(self._path(device, name, "partition"))]
        texts = [self._read(device, name, "start") for name in names]
        return sorted(int(text) * 512 for text in texts if text.isdigit())

    def backing(self, device: str) -> str:
        """Return the file behind a loop device as "major:minor inode"; empty if there is none."""
        path = self._read(self.disk(device), "loop", "backing_file")
        try:
            found = os.stat(path) if path else None
        except (OSError, ValueError):  # the file was deleted, or is in another mount namespace
            return ""
        return "%s %d" % (linux.device_name(found.st_dev), found.st_ino) if found else ""

    def loops_on(self, file: os.stat_result) -> Set[str]:
        """Return the names of the loop devices on a file."""
        wanted = "%s %d" % (linux.device_name(file.st_dev), file.st_ino)
        names = [name for name in _list_directory(os.path.join(self.sys_root, "class", "block")) if "loop" in name]
        numbers = {name: self._number(name) for name in names}
        return {
            name
            for name, number in numbers.items()
            if self.backing(number) == wanted and not self.is_partition(number)
        }

    def holders(self, device: str) -> Set[str]:
        """Return the names of the devices that are built directly on this one."""
        return set(self._list(device, "holders"))

    def below(self, device: str) -> Set[str]:
        """Return the device, all devices that it is built on, and the disks of all of these."""
        found: Set[str] = set()
        todo = [device]
        while todo:
            current = todo.pop()
            if current and current not in found:
                found.add(current)
                todo.append(self.disk(current))
                todo += [self._read(current, "slaves", name, "dev") for name in self._list(current, "slaves")]
        return found

    def identity(self, device: str) -> Tuple[str, str, str]:
        """Return model, serial number and WWN of the device's disk; each is empty if unknown."""
        disk = self.disk(device)
        serial = self._first(disk, ("serial",), ("device", "serial")) or self._scsi_serial(disk)
        return (
            self._first(disk, ("device", "model")),
            serial,
            self._first(disk, ("wwid",), ("device", "wwid")),
        )

    def mounts(self) -> List[linux.Mount]:
        """Return the mounts of all namespaces; they are read once."""
        if self._mounts is None:
            self._mounts = [mount for table in linux.mount_tables(self.proc_root) for mount in table]
        return self._mounts

    def mounted_at(self, devices: Set[str]) -> Set[str]:
        """Return where any of `devices` is mounted, in any namespace."""
        points = {mount.point for mount in self.mounts() if self.mount_devices(mount) & devices}
        return points | self._btrfs_members(devices)

    def written_at(self, device: str) -> Set[str]:
        """Return the writable mount points on a device, its partitions, or devices built on them."""
        own = {device} | self.partitions(device)
        mounts = [mount for mount in self.mounts() if mount.is_writable]
        return {mount.point for mount in mounts if any(self.below(one) & own for one in self.mount_devices(mount))}

    def written(self, device: str) -> Tuple[str, ...]:
        """Return the counters of sectors written to a device and discarded; empty if the kernel has none.

        They are the 7th and the 14th number, by Documentation/admin-guide/iostats.rst of the kernel, and
        count completed requests.
        """
        numbers = self._read(device, "stat").split()
        return tuple(numbers[6:7] + numbers[13:14])

    def mount_devices(self, mount: linux.Mount) -> Set[str]:
        """Return the device of a mount; if its number is anonymous (btrfs), the device its source names."""
        if not mount.device.startswith("0:"):
            return {mount.device}
        source = self._device_of(mount.source) if mount.source.startswith("/") else ""
        return {source} - {""}

    def system_devices(self) -> Set[str]:
        """Return the devices of the running system, down to the disks."""
        found: Set[str] = set()
        for mount in self.mounts():
            if mount.point in SYSTEM_MOUNTS:
                for device in self.mount_devices(mount):
                    found |= self.below(device)
        return found

    def swaps(self) -> List[linux.Swap]:
        """Return the active swap areas."""
        return linux.parse_swaps(linux.read_text(self.proc_root + "/swaps"))

    def is_swap(self, devices: Set[str]) -> bool:
        """Whether any of `devices` is an active swap area."""
        return any(
            swap.kind == "partition" and self._device_of(swap.path) in devices for swap in self.swaps()
        )

    def _btrfs_members(self, devices: Set[str]) -> Set[str]:
        # mountinfo names only one member of a mounted btrfs; this directory lists all members.
        base = os.path.join(self.sys_root, "fs", "btrfs")
        found = set()
        for uuid in _list_directory(base):
            for name in _list_directory(os.path.join(base, uuid, "devices")):
                if linux.read_text(os.path.join(base, uuid, "devices", name, "dev")).strip() in devices:
                    found.add("btrfs " + uuid)
        return found

    def _device_of(self, path: str) -> str:
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # in another mount namespace: only the name can be used
            name = os.path.basename(path)
            return self._number(name)
        return linux.device_name(found.st_rdev) if stat.S_ISBLK(found.st_mode) else ""

    def _number(self, name: str) -> str:
        return linux.read_text(os.path.join(self.sys_root, "class", "block", name, "dev")).strip()

    def _scsi_serial(self, disk: str) -> str:
        """Return the unit serial number that the kernel caches (SPC-4, page 80h: text from byte 4 on)."""
        try:
            with open(self._path(disk, "device", "vpd_pg80"), "rb") as file:
                return _clean(file.read()[4:].decode("ascii", "replace"))
        except OSError:
            return ""

    def _first(self, device: str, *places: Iterable[str]) -> str:
        for place in places:
            text = _clean(self._read(device, *place))
            if text:
                return text
        return ""

    def _path(self, device: str, *below: str) -> str:
        return os.path.join(os.path.realpath(os.path.join(self.sys_root, "dev", "block", device)), *below)

    def _read(self, device: str, *below: str) -> str:
        return linux.read_text(self._path(device, *below)).strip() if device else ""

    def _list(self, device: str, below: str) -> List[str]:
        return _list_directory(self._path(device, below))


def same_wwn(left: str, right: str) -> bool:
    """Whether two spellings are one WWN: sysfs writes naa.5000..., lsblk and udev write 0x5000..."""
    return _bare_wwn(left) == _bare_wwn(right) != ""


def _bare_wwn(text: str) -> str:
    return re.sub(r"^(naa\.|eui\.|uuid\.|0x)", "", text.strip().lower())


def _clean(text: str) -> str:
    return " ".join(text.replace("\x00", " ").split())


def _list_directory(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
