# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target is found to be: real paths, and disks in a /sys and /proc made for the test."""

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.block import BlockTarget
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.file import FileTarget
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.sysfs import Devices, same_wwn
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    TargetFacts,
    _content,
    check_target,
    inspect_device,
    inspect_target,
    open_target,
)


class Machine:
    """A /sys and a /proc of our own. Names start with tst so that no real device answers for them."""

    def __init__(self, root):
        self.root = root
        self.sys = root / "sys"
        self.proc = root / "proc"
        for folder in (self.sys / "dev/block", self.sys / "class/block", self.proc / "self/ns"):
            folder.mkdir(parents=True)
        self.folders = {}
        self.mountinfo = []
        (self.proc / "sys/kernel/random").mkdir(parents=True)
        (self.proc / "sys/kernel/random/boot_id").write_text("boot\n")
        (self.proc / "self/ns/mnt").symlink_to("mnt:[1]")
        self.write_mounts()

    def add(self, name, number, parent=None, slaves=(), **files):
        base = self.folders[parent] if parent else self.sys / "devices/pci0"
        folder = base / name
        for each in ("slaves", "holders"):
            (folder / each).mkdir(parents=True)
        contents = {"dev": number, "size": "2048", "ro": "0", **files}
        if parent:
            contents["partition"] = "1"
        for key, value in contents.items():
            path = folder / key.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(value if isinstance(value, bytes) else (value + "\n").encode())
        (self.sys / "dev/block" / number).symlink_to(folder)
        (self.sys / "class/block" / name).symlink_to(folder)
        for slave in slaves:
            (folder / "slaves" / slave).symlink_to(self.folders[slave])
            (self.folders[slave] / "holders" / name).symlink_to(folder)
        self.folders[name] = folder

    def mount(self, number, point, fstype="ext4", source="/dev/none"):
        self.mountinfo.append("1 0 %s / %s rw - %s %s rw" % (number, point, fstype, source))
        self.write_mounts()

    def write_mounts(self):
        (self.proc / "self/mountinfo").write_text("".join(line + "\n" for line in self.mountinfo))

    def swap(self, path, kind="partition"):
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n%s %s 1 0 -2\n" % (path, kind))

    def look(self, number):
        devices = Devices(str(self.sys), str(self.proc))
        return inspect_device("/dev/tst", "/dev/tst-none", number, devices)


@pytest.fixture
def machine(tmp_path):
    """tsta: root disk (LVM on tsta2, /boot on tsta1, tsta3 free); tstb: two partitions; tstc: nothing."""
    made = Machine(tmp_path)
    made.add("tsta", "8:0")
    made.add("tsta1", "8:1", "tsta")
    made.add("tsta2", "8:2", "tsta")
    made.add("tsta3", "8:3", "tsta")
    made.add("dm-0", "253:0", slaves=["tsta2"])
    made.add("dm-1", "253:1", slaves=["tsta2"])
    made.mount("253:0", "/")
    made.mount("8:1", "/boot")
    made.add("tstb", "8:16", device__model="Big  Disk ", device__vpd_pg80=b"\0\x80\0\x04 SN7", wwid="naa.5")
    made.add("tstb1", "8:17", "tstb")
    made.add("tstb2", "8:18", "tstb")
    made.add("tstc", "8:32", size="4096", serial="VIRT1")
    return made


def test_unused_disk(machine):
    facts = machine.look("8:32")
    assert (facts.kind, facts.size, facts.device, facts.boot_id) == ("block", 4096 * 512, "8:32", "boot")
    assert (facts.serial, facts.is_partition, facts.related) == ("VIRT1", False, ("8:32",))
    check_target(facts, 4096 * 512)


def test_identity_of_a_partition_is_its_disks(machine):
    facts = machine.look("8:17")
    assert (facts.model, facts.serial, facts.wwn) == ("Big Disk", "SN7", "naa.5")
    assert facts.is_partition
    assert facts.related == ("8:16", "8:17")


@pytest.mark.parametrize("number", ["8:0", "8:1", "8:2", "253:0"])
def test_disk_of_the_running_system(machine, number):
    facts = machine.look(number)
    assert facts.is_system_disk
    with pytest.raises(Refused, match="running system"):
        check_target(facts, 1)


@pytest.mark.parametrize("number", ["8:3", "253:1", "8:16"])
def test_neighbours_of_the_running_system_are_free(machine, number):
    facts = machine.look(number)
    assert not facts.is_system_disk
    check_target(facts, 1)


@pytest.mark.parametrize(
    "looked_at, refused", [("8:16", True), ("8:17", True), ("8:18", False), ("8:32", False)]
)
def test_mounted_partition(machine, looked_at, refused):
    machine.mount("8:17", "/mnt/my\\040data")
    facts = machine.look(looked_at)
    assert facts.mounted_at == (("/mnt/my data",) if refused else ())


def test_mounted_disk_refuses_its_partitions(machine):
    machine.mount("8:16", "/mnt")
    assert machine.look("8:17").mounted_at == ("/mnt",)


def test_mounted_in_another_namespace(machine):
    (machine.proc / "4242/ns").mkdir(parents=True)
    (machine.proc / "4242/ns/mnt").symlink_to("mnt:[9]")
    (machine.proc / "4242/mountinfo").write_text("1 0 8:32 / /inside rw - xfs /dev/x rw\n")
    with pytest.raises(Refused, match="/inside"):
        check_target(machine.look("8:32"), 1)


def test_btrfs_is_found_by_its_source_and_by_its_members(machine):
    machine.mount("0:44", "/data", "btrfs", "/dev/tstb1")
    (machine.sys / "fs/btrfs/some-uuid/devices").mkdir(parents=True)
    for name in ("tstb1", "tstc"):
        (machine.sys / "fs/btrfs/some-uuid/devices" / name).symlink_to(machine.folders[name])
    assert machine.look("8:16").mounted_at == ("/data", "btrfs some-uuid")
    assert machine.look("8:32").mounted_at == ("btrfs some-uuid",)
    assert machine.look("8:18").mounted_at == ()


def test_root_on_btrfs(machine):
    machine.mount("0:44", "/", "btrfs", "/dev/tstb1")
    assert machine.look("8:16").is_system_disk


def test_network_file_systems_name_no_device(machine):
    machine.mount("0:50", "/net", "nfs4", "server:/export")
    machine.mount("0:51", "/t", "tmpfs", "tmpfs")
    assert machine.look("8:32").mounted_at == ()


@pytest.mark.parametrize(
    "looked_at, is_swap", [("8:16", True), ("8:18", True), ("8:17", False), ("8:32", False)]
)
def test_swap_partition(machine, looked_at, is_swap):
    machine.swap("/dev/tstb2")
    assert machine.look(looked_at).swap is is_swap


def test_holders_of_a_disk_and_of_its_partitions(machine):
    machine.add("md127", "9:127", slaves=["tstb1", "tstc"])
    assert machine.look("8:16").holders == ("md127",)
    assert machine.look("8:17").holders == ("md127",)
    assert machine.look("8:18").holders == ()
    assert machine.look("8:32").holders == ("md127",)
    with pytest.raises(Refused, match="md127"):
        check_target(machine.look("8:16"), 1)
    assert machine.look("9:127").related == ("8:16", "8:17", "8:32", "9:127")


def test_multipath_over_a_disk_refuses_its_partitions(machine):
    machine.add("dm-7", "253:7", slaves=["tstb"])
    assert machine.look("8:17").holders == ("dm-7",)


@pytest.mark.parametrize("name", ["tstb", "tstb1"])
def test_read_only(machine, name):
    (machine.folders[name] / "ro").write_text("1\n")
    assert machine.look("8:17").read_only
    assert machine.look("8:18").read_only is (name == "tstb")


def test_device_that_sysfs_does_not_know(machine):
    facts = machine.look("99:1")
    assert (facts.size, facts.related) == (0, ("99:1",))
    with pytest.raises(Refused, match="too small"):
        check_target(facts, 1)


@pytest.mark.parametrize(
    "left, right, same",
    [("0x5000", "naa.5000", True), ("EUI.00a", "eui.00A", True), ("5000", "5001", False), ("", "", False)],
)
def test_wwn_spellings(left, right, same):
    assert same_wwn(left, right) is same


def test_content_of_a_disk_with_partitions(machine, tmp_path):
    disk = tmp_path / "disk"
    data = bytearray(4 << 20)
    data[512:520] = b"EFI PART"
    data[(1 << 20) : (1 << 20) + 4] = b"XFSB"
    disk.write_bytes(data)
    for name, start in (("tstb1", 2048), ("tstb2", 4096)):
        (machine.folders[name] / "start").write_text("%d\n" % start)
    devices = Devices(str(machine.sys), str(machine.proc))
    assert devices.partition_starts("8:16") == [1 << 20, 2 << 20]
    with disk.open("rb") as file:
        text = _content(file.fileno(), devices.partition_starts("8:16"))
        assert text == "GPT partition table with 2 partitions: xfs, unknown"
        assert _content(file.fileno(), []) == "GPT partition table"
        assert _content(file.fileno(), [0] * 9).startswith("GPT partition table with 9 partitions: GPT")


def test_file_behind_a_loop_device(machine, tmp_path):
    (tmp_path / "image").write_bytes(b"")
    found = os.stat(tmp_path / "image")
    machine.add("tstd", "7:1", loop__backing_file=str(tmp_path / "image"))
    machine.add("tste", "7:2", loop__backing_file="/gone (deleted)")
    machine.add("loop3", "7:3", loop__backing_file=str(tmp_path / "image"))
    file_facts = inspect_target(str(tmp_path / "image"), str(machine.sys), str(machine.proc))
    assert file_facts.holders == ("loop3",)
    number = "%d:%d" % (os.major(found.st_dev), os.minor(found.st_dev))
    assert machine.look("7:1").backing == "%s %d" % (number, found.st_ino)
    assert machine.look("7:2").backing == machine.look("8:16").backing == ""


# Files and paths, on the real machine


def test_missing_file(tmp_path):
    facts = inspect_target(str(tmp_path / "new"))
    assert (facts.kind, facts.size, facts.inode, facts.mounted_at) == ("missing", 0, 0, ())
    assert facts.free > 0
    assert isinstance(open_target(str(tmp_path / "new")), FileTarget)
    assert os.listdir(tmp_path) == []


def test_existing_file_through_a_symlink(tmp_path):
    (tmp_path / "real").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("real")
    facts = inspect_target(str(tmp_path / "link"))
    assert (facts.kind, facts.size, facts.real_path) == ("file", 5, os.path.realpath(tmp_path / "real"))
    assert facts.inode == (tmp_path / "real").stat().st_ino


@pytest.mark.parametrize("name", ["", "/", "dir/", "a\0b"])
def test_what_is_no_path(name):
    with pytest.raises(UsageError, match="target is"):
        inspect_target(name)


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "loop", "no parent", "below a file"])
def test_what_cannot_be_a_target(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    elif kind == "loop":
        path.symlink_to("x")
    elif kind == "no parent":
        path = tmp_path / "none" / "x"
    else:
        path.write_bytes(b"")
        path = path / "x"
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(Refused):
        inspect_target(str(path))
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "path",
    ["/dev/dolly-typo", "/dev/disk/by-id/dolly-typo", "/dev/mapper/dolly-typo", "/dev/../dev/dolly-typo"],
)
def test_mistyped_device_is_never_a_new_file(path):
    with pytest.raises(Refused, match=r"no such device|cannot be used"):
        open_target(path)
    assert not os.path.lexists(path)


def test_link_to_a_device_that_is_gone(tmp_path):
    (tmp_path / "link").symlink_to("/dev/dolly-typo")
    with pytest.raises(Refused, match="no such device"):
        inspect_target(str(tmp_path / "link"))
    assert not os.path.lexists("/dev/dolly-typo")


def test_character_device():
    with pytest.raises(Refused, match="character device"):
        inspect_target("/dev/null")


def test_devtmpfs_under_another_name(tmp_path):
    number = os.stat(tmp_path).st_dev
    (tmp_path / "proc/self").mkdir(parents=True)
    line = "1 0 %d:%d / /chroot/dev rw - devtmpfs udev rw\n" % (os.major(number), os.minor(number))
    (tmp_path / "proc/self/mountinfo").write_text(line)
    with pytest.raises(Refused, match="no such device"):
        inspect_target(str(tmp_path / "sdx"), proc_root=str(tmp_path / "proc"))


def test_bind_mounted_file_and_swap_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    machine = Machine(tmp_path / "machine")
    machine.mount("8:1", str(path))
    machine.swap(str(path), "file")
    facts = inspect_target(str(path), str(machine.sys), str(machine.proc))
    assert facts.mounted_at == (str(path),)
    assert facts.swap


def test_kind_of_target():
    facts = TargetFacts("/dev/x", "/dev/x", "block", 1, "boot")
    assert isinstance(open_target("/dev/x", facts), BlockTarget)


@pytest.mark.parametrize("may_write", [True, False])
def test_whether_this_user_may_write_there(tmp_path, monkeypatch, may_write):
    """Else --check promises what the run then refuses. Root may do anything, so that it is no use as a user here."""
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: not asked.append((path, mode)) and may_write)
    assert inspect_target(str(tmp_path / "image")).denied is not may_write
    assert asked == [(str(tmp_path), os.W_OK | os.X_OK)]
