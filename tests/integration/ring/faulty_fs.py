# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system with faults: python3 faulty_fs.py MOUNTPOINT FOLDER FAULT...

    write-error=NAME:OFFSET   every write of the byte at OFFSET of the file NAME fails with EIO
    read-error=NAME:OFFSET    every read of the byte at OFFSET of the file NAME fails with EIO
    fsync-error=NAME          every fsync of the file NAME fails with EIO; other calls succeed
    hang=NAME:CALL            CALL (create, truncate, write, fsync, rename) on the file NAME hangs, and
                              so does every later call, until a file FOLDER.cured exists
    hang-alone=NAME:CALL      the same, but other calls go on

The data goes to FOLDER, where tests can inspect it. A loop device on a file here is a disk with these faults.
"""

from __future__ import annotations

import errno
import os
import sys
import time

import mfusepy


class FaultyFolder(mfusepy.Operations):
    """Passes all calls on to a folder, except those that must fail. Handles are descriptors."""

    use_ns = True

    def __init__(self, folder, faults):
        self._folder = folder
        self._faults = faults

    def _real(self, path):
        return self._folder + path

    def _fault(self, kind, path):
        """Return the value of a fault of this kind for this file, or None."""
        name, _colon, value = self._faults.get(kind, "").partition(":")
        return value if name == os.path.basename(path) else None

    def _hang(self, call, path):
        """Block until cured, if this call is to hang. A file FOLDER.hung shows that the call has begun."""
        if call in (self._fault("hang", path), self._fault("hang-alone", path)):
            open(self._folder + ".hung", "w").close()
            while not os.path.exists(self._folder + ".cured"):
                time.sleep(0.05)

    def getattr(self, path, fh=None):
        try:
            found = os.lstat(self._real(path)) if fh is None else os.fstat(fh)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from None
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_blocks")
        times = {"st_%stime" % kind: getattr(found, "st_%stime_ns" % kind) for kind in "amc"}
        return {**{name: getattr(found, name) for name in names}, **times}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self._real(path))]

    def open(self, path, flags):
        return os.open(self._real(path), flags)

    def create(self, path, mode, fi=None):
        self._hang("create", path)
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path, size, offset, fh):
        place = self._fault("read-error", path)
        if place is not None and offset <= int(place) < offset + size:
            raise mfusepy.FuseOSError(errno.EIO)
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        self._hang("write", path)
        place = self._fault("write-error", path)
        if place is not None and offset <= int(place) < offset + len(data):
            raise mfusepy.FuseOSError(errno.EIO)
        return os.pwrite(fh, data, offset)

    def fsync(self, path, datasync, fh):
        self._hang("fsync", path)
        if self._fault("fsync-error", path) is not None:
            raise mfusepy.FuseOSError(errno.EIO)
        return 0

    def fsyncdir(self, path, datasync, fh):
        return 0

    def flush(self, path, fh):
        return 0

    def release(self, path, fh):
        os.close(fh)
        return 0

    def truncate(self, path, length, fh=None):
        self._hang("truncate", path)
        os.truncate(self._real(path) if fh is None else fh, length)
        return 0

    def rename(self, old, new):
        self._hang("rename", old)
        os.rename(self._real(old), self._real(new))
        return 0

    def unlink(self, path):
        os.unlink(self._real(path))
        return 0

    def chmod(self, path, mode):
        os.chmod(self._real(path), mode)
        return 0

    def chown(self, path, uid, gid):
        os.chown(self._real(path), uid, gid)
        return 0

    def utimens(self, path, times=None):
        os.utime(self._real(path), ns=times)
        return 0

    def statfs(self, path):
        found = os.statvfs(self._folder)
        names = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namemax")
        return {name: getattr(found, name) for name in names}


def main(arguments):
    mountpoint, folder = arguments[:2]
    faults = dict(fault.split("=", 1) for fault in arguments[2:])
    is_single = "hang-alone" not in faults
    mfusepy.FUSE(FaultyFolder(folder, faults), mountpoint, foreground=True, nothreads=is_single, use_ino=True)


if __name__ == "__main__":
    main(sys.argv[1:])
