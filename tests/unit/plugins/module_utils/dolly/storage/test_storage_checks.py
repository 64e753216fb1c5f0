# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason to refuse a target, from facts alone."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import (
    SourceFacts,
    TargetFacts,
    TargetPolicy,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import check_same, check_target

GIB = 1 << 30
DISK = TargetFacts(
    path="/dev/disk/by-id/x",
    real_path="/dev/sdb",
    kind="block",
    size=10 * GIB,
    boot_id="this boot",
    device="8:16",
    related=("8:16", "8:17"),
    model="Fast Disk",
    serial="S1",
    wwn="naa.5000c500a1b2c3d4",
)
FILE = TargetFacts(
    path="/srv/a.img",
    real_path="/srv/a.img",
    kind="file",
    size=5,
    boot_id="this boot",
    device="8:1",
    inode=77,
    related=("8:0", "8:1"),
    free=GIB,
)
BLOCK_SOURCE = SourceFacts("/dev/src", "block", GIB, GIB, "8:32", 1, 1, "this boot")
FILE_SOURCE = SourceFacts("/srv/src.img", "file", GIB, GIB, "8:1", 78, 1, "this boot")


@pytest.mark.parametrize("facts", [DISK, FILE, dataclasses.replace(FILE, kind="missing", free=None)])
@pytest.mark.parametrize("source", [None, BLOCK_SOURCE, FILE_SOURCE])
def test_good_targets(facts, source):
    check_target(facts, GIB, GIB, source)
    check_target(facts, None, None, source)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"is_system_disk": True}, "running system lives on it.*Fast Disk, S1"),
        ({"mounted_at": ("/a", "/b")}, "mounted .*/a, /b.*unmount"),
        ({"swap": True}, "active swap.*swapoff"),
        ({"holders": ("dm-0", "md127")}, "dm-0, md127 is built on it"),
        ({"read_only": True}, "read-only"),
        ({"in_use": True}, "in use, but not by what .EBUSY.*ZFS"),
        ({"size": GIB - 1}, "too small: it has 1073741823 bytes .*, the image has 1073741824 bytes"),
    ],
)
def test_refused_disks(change, words):
    with pytest.raises(Refused, match=words) as error:
        check_target(dataclasses.replace(DISK, **change), GIB)
    assert error.value.fields["what"] == "/dev/disk/by-id/x"
    assert error.value.fields["allow"] is None


@pytest.mark.parametrize("facts, words", [
    (DISK, "this user may not write to it"),
    (FILE, "this user may make no file in its directory, /srv"),
])
def test_a_user_who_may_not_write_is_told_who_may(facts, words):
    with pytest.raises(Refused, match=words) as error:
        check_target(dataclasses.replace(facts, denied=True), GIB)
    assert "ansible_become" in error.value.fields["allow"]


def test_the_gravest_reason_comes_first():
    facts = dataclasses.replace(DISK, is_system_disk=True, mounted_at=("/",), size=1)
    with pytest.raises(Refused, match="running system"):
        check_target(facts, GIB)


def test_room_for_a_file():
    check_target(FILE, 100 * GIB, needed_bytes=GIB)  # holes take no room
    with pytest.raises(Refused, match=r"1073741824 bytes .* free, .* 1073741825 bytes"):
        check_target(FILE, GIB + 1)
    check_target(dataclasses.replace(FILE, free=None), 100 * GIB)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"mounted_at": ("/srv/a.img",)}, "mounted"),
        ({"swap": True}, "active swap"),
        ({"read_only": True}, "read-only"),
        ({"holders": ("loop3",)}, "in use as loop3; detach"),
    ],
)
def test_refused_files(change, words):
    with pytest.raises(Refused, match=words):
        check_target(dataclasses.replace(FILE, **change), 1)


@pytest.mark.parametrize(
    "policy, allowed",
    [
        (TargetPolicy(expect_size=10 * GIB, expect_serial=" S1 ", expect_wwn="0x5000C500A1B2C3D4"), None),
        (TargetPolicy(expect_wwn="naa.5000c500a1b2c3d4"), None),
        (TargetPolicy(expect_size=GIB), "expect_size: %d" % (10 * GIB)),
        (TargetPolicy(expect_serial="S2"), "expect_serial: S1"),
        (TargetPolicy(expect_wwn="naa.5000c500a1b2c3d5"), "expect_wwn: naa.5000c500a1b2c3d4"),
    ],
)
def test_expectations(policy, allowed):
    if allowed is None:
        check_target(DISK, GIB, policy=policy)
        return
    with pytest.raises(Refused, match="another device") as error:
        check_target(DISK, GIB, policy=policy)
    assert error.value.fields["allow"] == allowed


@pytest.mark.parametrize("policy", [TargetPolicy(expect_serial=""), TargetPolicy(expect_wwn="")])
def test_unknown_identity_is_not_a_match(policy):
    facts = dataclasses.replace(DISK, serial="", wwn="")
    with pytest.raises(Refused, match="not known"):
        check_target(facts, GIB, policy=policy)


def test_file_where_a_device_was_expected():
    with pytest.raises(Refused, match="file, and expect_serial and move_gpt can only be said of a disk") as error:
        check_target(FILE, 1, policy=TargetPolicy(expect_serial="S1", move_gpt=True))
    assert error.value.fields["allow"] == "a run without expect_serial and move_gpt"


@pytest.mark.parametrize(
    "facts, source",
    [
        (DISK, dataclasses.replace(BLOCK_SOURCE, device="8:16")),
        (DISK, dataclasses.replace(BLOCK_SOURCE, device="8:17")),
        (FILE, dataclasses.replace(FILE_SOURCE, inode=77)),
        (FILE, dataclasses.replace(BLOCK_SOURCE, device="8:0")),
        (dataclasses.replace(DISK, backing="8:1 78"), FILE_SOURCE),
    ],
    ids=["same disk", "partition of the target", "same file", "file system on the source", "loop device on the source"],
)
def test_target_that_is_the_source(facts, source):
    with pytest.raises(Refused, match="source"):
        check_target(facts, 1, 1, source)
    check_target(facts, 1, 1, dataclasses.replace(source, boot_id="another machine"))
    unknown = dataclasses.replace(facts, boot_id="")
    check_target(unknown, 1, 1, dataclasses.replace(source, boot_id=""))


def test_the_bytes_of_an_archive_are_for_files():
    source = dataclasses.replace(FILE_SOURCE, archive="xz")
    check_target(FILE, GIB, GIB, source)
    with pytest.raises(Refused, match=r"/srv/src.img, is compressed \(xz\).*compressed: true"):
        check_target(DISK, GIB, GIB, source)


def test_facts_of_an_older_server_are_understood():
    told = FILE_SOURCE.to_dict()
    del told["archive"]
    assert SourceFacts.from_dict(told) == FILE_SOURCE


def test_facts_travel():
    values = dataclasses.replace(DISK, holders=("md0",)).to_dict()
    assert values["holders"] == ["md0"]
    assert values["wwn"] == "naa.5000c500a1b2c3d4"


NO_NAMES = {"serial": "", "wwn": ""}
LOOP = dataclasses.replace(DISK, model="", **NO_NAMES, backing="8:1 77")


@pytest.mark.parametrize("seen, change", [
    (DISK, {}),
    (DISK, {"size": 20 * GIB}),  # it has grown, and is the same by its names
    (DISK, {"mounted_at": ("/a",), "content": "xfs"}),  # that is for other checks
    (dataclasses.replace(DISK, sequence=9), {"size": 20 * GIB, "sequence": 9}),
    (dataclasses.replace(DISK, sequence=9), {"sequence": 0}),  # it could not be opened
    (dataclasses.replace(DISK, is_partition=True), {"device": "259:7"}),  # its table was read again
    (dataclasses.replace(LOOP, sequence=9), {"size": 20 * GIB}),
    (dataclasses.replace(LOOP, sequence=9), {"backing": ""}),  # the file behind it was unlinked
    (LOOP, {}),
    (FILE, {}),
    (FILE, {"kind": "missing", "size": 0, "inode": 0}),
    (FILE, {"size": 7, "inode": 78}),
    (dataclasses.replace(FILE, device="0:40"), {"device": "0:41"}),  # of the automounter
])
def test_what_may_change_while_a_receiver_waits(seen, change):
    check_same(dataclasses.replace(seen, **change), seen)
    check_same(dataclasses.replace(seen, **change), None)


@pytest.mark.parametrize("seen, change, words", [
    (DISK, {"device": "8:32", "real_path": "/dev/sdc"}, "was device 8:16 ./dev/sdb, .*now it is device 8:32 ./dev/sdc"),
    (DISK, {"serial": "S2"}, "serial S1, .*now .*serial S2"),
    (DISK, {"serial": ""}, "serial S1"),
    (DISK, {"wwn": "naa.6"}, "wwn naa.5000c500a1b2c3d4.*wwn naa.6"),
    (DISK, {"model": "Slow Disk"}, "Fast Disk.*Slow Disk"),
    (dataclasses.replace(DISK, sequence=9), {"sequence": 10}, "disk number 9.*disk number 10"),
    (dataclasses.replace(DISK, **NO_NAMES), {"size": 1}, "10737418240 bytes.* 1 bytes"),
    (dataclasses.replace(DISK, **NO_NAMES), {"device": "8:32"}, "device 8:16 .*device 8:32"),
    (dataclasses.replace(DISK, is_partition=True), {"size": 1}, "10737418240 bytes.* 1 bytes"),
    (LOOP, {"backing": "8:1 78"}, "file 8:1 77.*file 8:1 78"),
    (DISK, {"kind": "missing", "real_path": "/dev/sdx"}, "now it is the file /dev/sdx"),
    (FILE, {"real_path": "/srv/b.img"}, "was the file /srv/a.img on device 8:1, now it is the file /srv/b.img"),
    (FILE, {"device": "8:2"}, "device 8:1, now .* device 8:2"),  # its file system was unmounted
    (FILE, {"kind": "block"}, "was the file"),
])
def test_another_place_under_the_same_name_is_refused(seen, change, words):
    with pytest.raises(Refused, match=words) as refused:
        check_same(dataclasses.replace(seen, **change), seen)
    assert "a new run, which checks it again" in refused.value.sentence
    assert ("name below /dev/disk/by-id" in refused.value.sentence) is (seen.kind == "block")


def test_nobody_has_looked_at_this_path():
    """Of an image in parts the first one is looked at, where that was known."""
    check_same(dataclasses.replace(FILE, path="/srv/a.img_0", real_path="/srv/a.img_0"), FILE)


def test_what_was_seen_travels():
    assert TargetFacts.from_dict(DISK.to_dict()).to_dict() == DISK.to_dict()
    check_same(DISK, TargetFacts.from_dict(DISK.to_dict()))


MADE_FOR_512, MADE_FOR_4096 = (512, 2097151, 2097118, 2097119, 2097151), (4096, 262143, 262138, 262139, 262143)


@pytest.mark.parametrize("sector_size, tables, is_good", [
    (512, [MADE_FOR_512], True),
    (4096, [MADE_FOR_512], False),
    (512, [MADE_FOR_4096], False),
    (4096, [MADE_FOR_4096], True),
    (4096, [MADE_FOR_512, MADE_FOR_4096], True),
    (4096, [], True),  # no table, or none that says for which sectors it was made
    (0, [MADE_FOR_512], True),  # the disk does not say
])
def test_a_partition_table_that_was_made_for_other_sectors(sector_size, tables, is_good):
    disk = dataclasses.replace(DISK, sector_size=sector_size)
    source = SourceFacts.from_dict(dict(BLOCK_SOURCE.to_dict(), gpt=[list(table) for table in tables]))
    check_target(disk, GIB, GIB, source, TargetPolicy(allow_sector_size=True))
    check_target(dataclasses.replace(disk, is_partition=True), GIB, GIB, source)
    check_target(FILE, GIB, GIB, source, TargetPolicy(allow_sector_size=True))
    if is_good:
        check_target(disk, GIB, GIB, source)
    else:
        words = "sectors of %d bytes.*has sectors of %d" % (tables[0][0], sector_size)
        with pytest.raises(Refused, match=words) as error:
            check_target(disk, GIB, GIB, source)
        assert "allow_sector_size" in error.value.fields["allow"]
