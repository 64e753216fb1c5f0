# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Linux offers for disks and files beyond the os module: ioctls, fallocate, /proc tables."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
import time
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from ..buffers import make_buffer

# include/uapi/asm-generic/ioctl.h; these four architectures have their own: arch/*/include/uapi/asm/ioctl.h
_is_odd_machine = os.uname().machine.startswith(("ppc", "mips", "sparc", "alpha"))
_IOC_NONE = 0x20000000 if _is_odd_machine else 0
_IOC_READ = 0x40000000 if _is_odd_machine else 0x80000000

BLKROGET = _IOC_NONE | 0x125E  # linux/fs.h: _IO(0x12, 94), int: device is read-only
BLKRRPART = _IOC_NONE | 0x125F  # linux/fs.h: _IO(0x12, 95): re-read the partition table
BLKSSZGET = _IOC_NONE | 0x1268  # linux/fs.h: _IO(0x12, 104), int: logical block size
BLKZEROOUT = _IOC_NONE | 0x127F  # linux/fs.h: _IO(0x12, 127), uint64_t[2]: offset and length
# linux/fs.h: _IOR(0x12, 114, size_t), uint64_t: bytes; 0x80081272 on most 64-bit machines
BLKGETSIZE64 = _IOC_READ | struct.calcsize("N") << 16 | 0x1272
# linux/fs.h: _IOR(0x12, 128, __u64), since Linux 5.15: no two disks or media of one boot have the same number
BLKGETDISKSEQ = _IOC_READ | 8 << 16 | 0x1280

# linux/fs.h: _IOW(0x94, 9, int), the descriptor of the source itself
FICLONE = (0x80000000 if _is_odd_machine else 0x40000000) | 4 << 16 | 0x9409

FALLOC_FL_KEEP_SIZE = 0x01  # linux/falloc.h
FALLOC_FL_PUNCH_HOLE = 0x02  # linux/falloc.h; only together with KEEP_SIZE
SYNC_FILE_RANGE_WRITE = 0x02  # linux/fs.h

#: One ioctl cannot be interrupted; with 64 MiB even a disk without WRITE ZEROES returns within a second.
ZERO_STEP = 64 << 20
_ZEROS = bytes(1 << 20)
_UDEV_HEARS_S = 0.2
_UDEV_PAUSE_S = 0.02
#: Errors of fallocate and BLKZEROOUT that mean "not supported here": zeros have to be written instead.
_NOT_SUPPORTED = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EINVAL, errno.ENODEV))


class Mount(NamedTuple):
    """A line of /proc/PID/mountinfo."""

    device: str  #: "major:minor"; on btrfs an anonymous number that belongs to no disk
    point: str
    fstype: str
    source: str
    is_writable: bool = True  #: whether the file system is writable, even if this mount of it is not


class Swap(NamedTuple):
    """A line of /proc/swaps."""

    path: str
    kind: str  #: "partition" (any block device) or "file"


def _find(names: Sequence[str], *arguments: Any) -> Optional[Any]:
    """Return the first of these functions, all returning int, that the C library has; None if it has none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None
    for name in names:
        function = getattr(libc, name, None)
        if function is not None:
            function.argtypes = arguments
            function.restype = ctypes.c_int
            return function
    return None


# On 32-bit glibc plain fallocate takes 32-bit offsets; musl knows only the plain name, with 64 bits.
_fallocate = _find(("fallocate64", "fallocate"), ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _find(("sync_file_range",), ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Make a range of a file or a device read as zeros and free its blocks; return False if unsupported.

    On a device the range must be whole logical blocks (since Linux 4.9), and the kernel refuses unless they
    then read as zeros. Raises OSError for every other failure.
    """
    if _fallocate is None:
        return False
    while _fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) != 0:
        code = ctypes.get_errno()
        if code in _NOT_SUPPORTED:
            return False
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True


def start_writeback(fd: int, offset: int, length: int) -> None:
    """Start the writeback of a range without waiting; do nothing if that is not supported. Raises OSError.

    The flags that wait are never used: they would consume the report of a failed write, and a later fsync
    would not report it again.
    """
    if _sync_file_range is None:
        return
    while _sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE) != 0:
        code = ctypes.get_errno()
        if code in _NOT_SUPPORTED or code == errno.ESPIPE:
            return
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def drop_cache(fd: int, offset: int, length: int) -> None:
    """Drop the clean pages of a range from the page cache. Files on tmpfs keep theirs."""
    os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def zero_out(fd: int, offset: int, length: int) -> bool:
    """Let the device zero a range that is a multiple of its block size; return False if it cannot.

    The kernel drops the page cache of the range first, so that later reads come from the device.
    """
    try:
        fcntl.ioctl(fd, BLKZEROOUT, struct.pack("=QQ", offset, length))
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return False
        raise
    return True


def clone_range(source: int, target: int, offset: int, length: int) -> None:
    """Copy a range of a file to the same offset in another file, within the file system where possible."""
    end = offset + length
    while offset < end:
        try:
            count = os.copy_file_range(source, target, end - offset, offset, offset)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED | {errno.EXDEV, errno.EBADF, errno.EPERM}:
                raise
            buffer = make_buffer(min(end - offset, len(_ZEROS)))
            count = read_into(source, buffer, offset)
            write_all(target, buffer[:count], offset)
        if not count:
            raise OSError(errno.EIO, os.strerror(errno.EIO))  # another program truncated the source
        offset += count


def reflink(source: int, target: int) -> bool:
    """Make a file share all blocks of another one; return False if the file system cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED | {errno.EXDEV, errno.EPERM}:
            return False
        raise
    return True


def drop_cached(fd: int, offset: int, length: int) -> None:
    """Drop the clean pages of a range, so that the next read comes from the medium, where possible."""
    try:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)
    except OSError:
        pass  # only advice: a file system in memory has no medium to read from


def write_all(fd: int, data: memoryview, offset: int) -> None:
    """Call pwrite until everything is written."""
    while data:
        count = os.pwrite(fd, data, offset)
        offset += count
        data = data[count:]


def write_zeros(fd: int, offset: int, length: int) -> None:
    """Write zeros: the method that always works."""
    zeros = memoryview(_ZEROS)
    end = offset + length
    while offset < end:
        count = min(len(zeros), end - offset)
        write_all(fd, zeros[:count], offset)
        offset += count


def read_into(fd: int, view: memoryview, offset: int) -> int:
    """Call preadv until `view` is full or the file ends; return the count."""
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if not count:
            break
        done += count
    return done


def hole_length(fd: int, offset: int, length: int) -> int:
    """Return the bytes of a hole from `offset` on, at most `length`; 0 if the file system cannot tell."""
    try:
        data = os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        is_hole = error.errno == errno.ENXIO and os.fstat(fd).st_size >= offset + length  # else it ended
        return length if is_hole else 0
    return max(0, min(data - offset, length))


def device_size(fd: int) -> int:
    """Return the size of an open block device in bytes."""
    answer = fcntl.ioctl(fd, BLKGETSIZE64, bytes(8))
    return int(struct.unpack("=Q", answer)[0])


def disk_sequence(fd: int) -> int:
    """Return the disk sequence number of an open block device; 0 if the kernel has none.

    Each disk or medium since boot has its own number, even behind the same loop device or in the same drive.
    """
    try:
        return int(struct.unpack("=Q", fcntl.ioctl(fd, BLKGETDISKSEQ, bytes(8)))[0])
    except OSError:
        return 0


def block_size(fd: int) -> int:
    """Return the logical block size of an open block device in bytes."""
    return int(struct.unpack("=i", fcntl.ioctl(fd, BLKSSZGET, bytes(4)))[0])


def is_read_only_device(fd: int) -> bool:
    """Whether an open block device refuses writes."""
    return bool(struct.unpack("=i", fcntl.ioctl(fd, BLKROGET, bytes(4)))[0])


def reread_partitions(fd: int) -> None:
    """Make the kernel reread the partition table of an open whole disk."""
    fcntl.ioctl(fd, BLKRRPART)


def device_name(number: int) -> str:
    """Return a device number as sysfs and mountinfo write it, "major:minor"."""
    return "%d:%d" % (os.major(number), os.minor(number))


def unescape(text: str) -> str:
    r"""Undo the octal escapes of /proc tables: a space is written \040 there (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def parse_mountinfo(text: str) -> List[Mount]:
    """Return the mounts of one namespace from mountinfo (proc(5)); malformed lines are skipped."""
    mounts = []
    for line in text.split("\n"):
        left, dash, right = line.partition(" - ")
        head, tail = left.split(" "), right.split(" ")
        if dash and len(head) >= 6 and len(tail) >= 2:
            is_writable = "ro" not in tail[2].split(",") if len(tail) > 2 else True
            mounts.append(Mount(head[2], unescape(head[4]), unescape(tail[0]), unescape(tail[1]), is_writable))
    return mounts


def parse_swaps(text: str) -> List[Swap]:
    """Return the active swap areas from /proc/swaps: a header, then lines that start with path and kind."""
    swaps = []
    for line in text.split("\n")[1:]:
        fields = re.split("[ \t]+", line)
        if len(fields) >= 5:
            swaps.append(Swap(unescape(fields[0]), fields[1]))
    return swaps


def parse_umask(status: str) -> int:
    """Return the umask from /proc/self/status (since Linux 4.7): umask(2) would change it for all threads."""
    found = re.search(r"^Umask:\s*([0-7]+)$", status, re.MULTILINE)
    return int(found.group(1), 8) if found else 0o022


def read_text(path: str) -> str:
    """Return the text of a small file of /proc or /sys; empty if it is missing or unreadable."""
    try:
        # surrogateescape: mount points may be named in any encoding
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def boot_id(proc: str = "/proc") -> str:
    """Return the id of this boot of this machine (random(4)): processes with equal ids share devices."""
    return read_text(proc + "/sys/kernel/random/boot_id").strip()


def mount_tables(proc: str = "/proc") -> List[List[Mount]]:
    """Return the mounts of each mount namespace that a visible process is in, our own first."""
    tables = [parse_mountinfo(read_text(proc + "/self/mountinfo"))]
    seen = {_namespace(proc, "self")}
    for pid in _processes(proc):
        name = _namespace(proc, pid)
        text = "" if name is None or name in seen else read_text("%s/%s/mountinfo" % (proc, pid))
        if text:  # otherwise the process has ended; another one may be in the same namespace
            seen.add(name)
            tables.append(parse_mountinfo(text))
    return tables


def _processes(proc: str) -> List[str]:
    try:
        return [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return []


def _namespace(proc: str, pid: str) -> Optional[str]:
    try:
        return os.readlink("%s/%s/ns/mnt" % (proc, pid))
    except OSError:  # the process has ended, or belongs to another user
        return None


def await_udev(timeout_s: float, run_dir: str = "/run/udev") -> bool:
    """Wait until udev has handled its events; return whether it has. True at once where there is no udev.

    udev probes a disk after a writer has closed it, and keeps a file while it has work, which is what
    `udevadm settle` waits for (systemd's src/udev/udevadm-settle.c).
    """
    if not os.path.exists(os.path.join(run_dir, "control")):
        return True
    queue = os.path.join(run_dir, "queue")
    begin = time.monotonic()
    while time.monotonic() - begin < timeout_s:
        # udev takes a moment to receive the event of the disk.
        if time.monotonic() - begin > _UDEV_HEARS_S and not os.path.exists(queue):
            return True
        time.sleep(_UDEV_PAUSE_S)
    return False


#: Magic bytes of each format: name, offset, bytes (libblkid's superblocks/*.c and partitions/*.c).
_MARKS: Tuple[Tuple[str, int, bytes], ...] = (
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("xfs", 0, b"XFSB"),
    ("squashfs", 0, b"hsqs"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("BitLocker", 3, b"-FVE-FS-"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("bcache", 4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
    ("vfat", 54, b"FAT16   "),
    ("vfat", 82, b"FAT32   "),
    ("GPT partition table", 512, b"EFI PART"),
    ("GPT partition table", 4096, b"EFI PART"),
    ("LVM physical volume", 512, b"LABELONE"),
    ("ext2/3/4", 1080, b"\x53\xef"),
    ("md RAID member", 4096, b"\xfc\x4e\x2b\xa9"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("iso9660", 32769, b"CD001"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("MBR partition table", 510, b"\x55\xaa"),
)
#: How many bytes `guess_content` needs.
CONTENT_LENGTH = 65600 + 8


def guess_content(head: bytes) -> str:
    """Return the likely format of a disk from its first bytes; empty if it is unknown."""
    for name, offset, mark in _MARKS:
        if head[offset : offset + len(mark)] == mark:
            return name
    return ""
