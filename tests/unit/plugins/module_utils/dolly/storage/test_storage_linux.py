# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The /proc tables, the ioctl numbers, and zeroing with and without the kernel's help."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 8:17 / /mnt/with\040space\134and\011tab rw shared:5 master:1 - xfs /dev/sdb1 rw
41 27 0:40 /sub /srv rw - btrfs /dev/sdc rw,subvol=/sub
42 27 0:41 / /mnt/minus\040-\040sign rw - tmpfs some\040name rw
broken line
43 27 8:18 / /short - ext4 /dev/sdb2
44 27 0:50 / /empty rw -  rw
"""


def test_mountinfo():
    assert linux.parse_mountinfo(MOUNTINFO) == [
        linux.Mount("0:21", "/proc", "proc", "proc"),
        linux.Mount("254:0", "/", "ext4", "/dev/vda"),
        linux.Mount("8:17", "/mnt/with space\\and\ttab", "xfs", "/dev/sdb1"),
        linux.Mount("0:40", "/srv", "btrfs", "/dev/sdc"),
        linux.Mount("0:41", "/mnt/minus - sign", "tmpfs", "some name"),
        linux.Mount("0:50", "/empty", "", "rw"),
    ]


def test_mountinfo_of_nothing():
    assert linux.parse_mountinfo("") == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("plain", "plain"),
        (r"a\040b", "a b"),
        (r"\134040", r"\040"),
        (r"\04", r"\04"),
        (r"\999", r"\999"),
        ("", ""),
    ],
)
def test_unescape(text, expected):
    assert linux.unescape(text) == expected


def test_unescape_undoes_escape():
    for code in range(1, 128):
        text = "a%cb\\%c" % (code, code)
        escaped = "".join("\\%03o" % ord(c) if c in " \t\n\\#" else c for c in text)
        assert linux.unescape(escaped) == text


def test_swaps():
    text = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/sdb2                               partition\t8388604\t\t0\t\t-2\n"
        "/swap\\040file                           file\t\t1024\t\t0\t\t-3\n"
        "/short line\n"
    )
    assert linux.parse_swaps(text) == [linux.Swap("/dev/sdb2", "partition"), linux.Swap("/swap file", "file")]
    assert linux.parse_swaps("") == []


@pytest.mark.parametrize("text, expected", [("Name: x\nUmask:\t0027\nX: 1\n", 0o027), ("Name: x\n", 0o022)])
def test_umask(text, expected):
    assert linux.parse_umask(text) == expected


def test_umask_of_this_process():
    old = os.umask(0o026)
    try:
        assert linux.parse_umask(linux.read_text("/proc/self/status")) == 0o026
    finally:
        os.umask(old)


def test_boot_id(tmp_path):
    assert len(linux.boot_id()) == 36
    assert linux.boot_id(str(tmp_path)) == ""


def test_numbers_of_this_machine():
    if os.uname().machine in ("x86_64", "aarch64"):
        assert linux.BLKGETSIZE64 == 0x80081272
        assert linux.BLKZEROOUT == 0x127F
    assert linux.device_name(os.makedev(259, 70000)) == "259:70000"


def test_mount_tables_reads_each_namespace_once(tmp_path):
    for pid, namespace, device in (("1", "mnt:[1]", "8:1"), ("7", "mnt:[2]", "8:2"), ("8", "mnt:[2]", "8:3")):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "mnt").symlink_to(namespace)
        (tmp_path / pid / "mountinfo").write_text("1 0 %s / /m rw - ext4 /dev/x rw\n" % device)
    (tmp_path / "9").mkdir()  # ended meanwhile
    (tmp_path / "self").symlink_to("1")
    tables = linux.mount_tables(str(tmp_path))
    assert tables[0][0].device == "8:1"
    assert len(tables) == 2
    assert tables[1][0].device in ("8:2", "8:3")


def test_mounts_of_a_namespace_whose_first_process_ends_while_it_is_looked_at(tmp_path, monkeypatch):
    for pid, namespace in (("1", "mnt:[1]"), ("7", "mnt:[2]"), ("8", "mnt:[2]")):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "mnt").symlink_to(namespace)
    (tmp_path / "8" / "mountinfo").write_text("1 0 8:3 / /m rw - ext4 /dev/x rw\n")
    (tmp_path / "self").symlink_to("1")
    monkeypatch.setattr(linux, "_processes", lambda proc: ["1", "7", "8"])
    assert [mount.device for table in linux.mount_tables(str(tmp_path)) for mount in table] == ["8:3"]


@pytest.mark.parametrize("offset, length", [(0, 1), (4095, 2), (0, 3 << 20), (123, (1 << 20) + 7)])
def test_write_zeros(tmp_path, offset, length):
    path = tmp_path / "file"
    path.write_bytes(b"x" * (4 << 20))
    fd = os.open(path, os.O_RDWR)
    linux.write_zeros(fd, offset, length)
    os.close(fd)
    data = path.read_bytes()
    assert data[:offset] == b"x" * offset
    assert data[offset : offset + length] == bytes(length)
    assert data[offset + length :] == b"x" * ((4 << 20) - offset - length)


def test_punch_hole_says_no_where_it_cannot():
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError) as error:
            linux.punch_hole(writer, 0, 4096)
        assert error.value.errno == errno.ESPIPE
    finally:
        os.close(reader)
        os.close(writer)


def test_zero_out_says_no_for_a_file(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert linux.zero_out(fd, 0, 4096) is False
    os.close(fd)


@pytest.mark.parametrize(
    "offset, mark, expected",
    [
        (0, b"XFSB", "xfs"),
        (1080, b"\x53\xef", "ext2/3/4"),
        (510, b"\x55\xaa", "MBR partition table"),
        (0, b"", ""),
    ],
)
def test_guess_content(offset, mark, expected):
    head = bytearray(linux.CONTENT_LENGTH)
    head[offset : offset + len(mark)] = mark
    assert linux.guess_content(bytes(head)) == expected


def test_guess_prefers_gpt_to_its_protective_mbr():
    head = bytearray(linux.CONTENT_LENGTH)
    head[510:512], head[512:520] = b"\x55\xaa", b"EFI PART"
    assert linux.guess_content(bytes(head)) == "GPT partition table"
    assert linux.guess_content(b"short") == ""


class Refuses:
    """A function of the C library that always fails."""

    def __init__(self, code):
        self.code = code

    def __call__(self, *_arguments):
        linux.ctypes.set_errno(self.code)
        return -1


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP])
def test_writeback_where_there_is_none(monkeypatch, code):
    monkeypatch.setattr(linux, "_sync_file_range", Refuses(code))
    linux.start_writeback(0, 0, 1)
    monkeypatch.setattr(linux, "_sync_file_range", None)
    linux.start_writeback(0, 0, 1)


def test_writeback_that_fails(monkeypatch):
    monkeypatch.setattr(linux, "_sync_file_range", Refuses(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        linux.start_writeback(0, 0, 1)


class Udev:
    """A clock that is set by whoever sleeps, and what happens in the meantime."""

    def __init__(self):
        self.now = 0.0
        self.events = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()


@pytest.fixture
def udev(monkeypatch):
    made = Udev()
    monkeypatch.setattr(linux, "time", made)
    return made


def test_udev_is_waited_for_where_there_is_one(tmp_path, udev):
    assert linux.await_udev(5, str(tmp_path / "none"))
    assert udev.now == 0
    (tmp_path / "control").touch()
    (tmp_path / "queue").touch()
    assert not linux.await_udev(0.4, str(tmp_path))
    assert udev.now >= 0.4
    udev.now, udev.events = 0.0, [(0.5, (tmp_path / "queue").unlink)]
    assert linux.await_udev(5, str(tmp_path))
    assert 0.5 <= udev.now < 0.6


def test_udev_that_hears_of_the_disk_a_moment_later(tmp_path, udev):
    (tmp_path / "control").touch()
    udev.events = [(0.1, (tmp_path / "queue").touch), (0.5, (tmp_path / "queue").unlink)]
    assert linux.await_udev(5, str(tmp_path))
    assert 0.5 <= udev.now < 0.6


class TestHoles:
    @pytest.fixture
    def file(self, tmp_path):
        with open(str(tmp_path / "file"), "w+b") as file:
            file.truncate(8 << 20)
            file.seek(4 << 20)
            file.write(b"data")
            file.flush()
            if linux.hole_length(file.fileno(), 0, 4096) != 4096:
                pytest.skip("this file system does not tell of holes")
            yield file

    def test_up_to_the_data(self, file):
        assert linux.hole_length(file.fileno(), 0, 8 << 20) == 4 << 20
        assert linux.hole_length(file.fileno(), 4096, 4096) == 4096

    def test_data(self, file):
        assert linux.hole_length(file.fileno(), 4 << 20, 4096) == 0

    def test_up_to_the_end_and_not_beyond(self, file):
        assert linux.hole_length(file.fileno(), 6 << 20, 2 << 20) == 2 << 20
        assert linux.hole_length(file.fileno(), 6 << 20, 3 << 20) == 0

    def test_zeros_that_were_written_are_no_hole(self, file):
        linux.write_zeros(file.fileno(), 0, 1 << 20)
        assert linux.hole_length(file.fileno(), 0, 1 << 20) == 0
        linux.punch_hole(file.fileno(), 0, 1 << 20)
        assert linux.hole_length(file.fileno(), 0, 1 << 20) == 1 << 20

    def test_where_nobody_can_tell_there_is_none(self):
        reader, writer = os.pipe()
        assert linux.hole_length(reader, 0, 4096) == 0
        os.close(reader)
        os.close(writer)
