# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dolly_client finds out about a target before anything is started."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetFacts
from ansible_collections.dolly.ring.plugins.module_utils.ring import target


def facts_of(**more):
    disk = {"path": "/dev/sdb", "real_path": "/dev/sdb", "kind": "block", "size": 512, "boot_id": ""}
    return TargetFacts(**{**disk, **more})


def test_what_would_be_overwritten_is_told_so_that_it_can_be_recognised():
    text = target.describe_write(facts_of(model="QEMU HARDDISK", serial="3", content="an ext4 file system"))
    assert text == (
        "overwrite /dev/sdb (block device of 512 bytes, QEMU HARDDISK, serial 3, it seems to hold an ext4 file system)"
    )
    assert target.describe_write(facts_of(kind="missing", path="/a.img")) == "make the file /a.img"


def source_values(**more):
    values = dict.fromkeys(("path", "kind", "device", "boot_id"), "x")
    return {**values, "size": 10, "allocated": 10, "inode": 1, "mtime_ns": 1, **more}


def test_the_source_must_be_what_the_server_returned():
    assert target.source_facts(source_values()).size == 10
    with pytest.raises(UsageError, match="source is"):
        target.source_facts({"path": "/a"})
    for size in ("10", -1, None):
        with pytest.raises(UsageError, match=r"source.size"):
            target.source_facts(source_values(size=size))


def params_for(dest, **more):
    nothing = dict.fromkeys(("expect_size", "expect_serial", "expect_wwn"))
    return {"dest": str(dest), **nothing, "allow_sector_size": False, "move_gpt": False, **more}


def test_dest_is_looked_at_and_checked(tmp_path):
    source = target.source_facts(source_values())
    assert target.check_dest(params_for(tmp_path / "a.img"), source).kind == "missing"
    with pytest.raises(UsageError, match=r"dest is 'a.img'"):
        target.check_dest(params_for("a.img"), source)
    huge = target.source_facts(source_values(size=1 << 60, allocated=1 << 60))
    with pytest.raises(Refused):
        target.check_dest(params_for(tmp_path / "a.img"), huge)


def test_room_is_asked_for_what_will_be_written_not_for_what_is_sent(tmp_path):
    values = source_values(size=1 << 60, allocated=1 << 60)
    source = target.source_facts(values)
    unknown = {**values, "written": {"size": None, "codec": "gzip", "is_split": False}}
    assert target.check_dest(params_for(tmp_path / "a", source=unknown), source).kind == "missing"

    values = source_values(size=10, allocated=10)
    huge = {**values, "written": {"size": 1 << 60, "codec": "gzip", "is_split": True}}
    with pytest.raises(Refused, match=r"a_0.* the image needs"):
        target.check_dest(params_for(tmp_path / "a", source=huge), target.source_facts(values))


@pytest.mark.parametrize("state, node, kind, expected", [
    ("receiving", {"held": 0}, "block", (True, "/dev/sdb")),  # in doubt: what was written last is not in the status
    ("verifying", {"held": 9}, "block", (True, "/dev/sdb")),
    ("flushing", {"held": 9}, "block", (True, "/dev/sdb")),
    ("serving", {"held": 9, "changed": True}, "block", (True, "")),
    ("done", {"held": 9, "changed": False}, "block", (False, "")),
    ("failed", {"held": 9}, "block", (True, "/dev/sdb")),
    ("failed", {"held": 0, "seconds": 0.0}, "block", (False, "")),
    ("ready", {"held": 0}, "block", (False, "")),
    ("ready", {"held": 5}, "block", (True, "/dev/sdb")),
    ("unknown", {}, "block", (False, "")),
    ("receiving", {"held": 0}, "file", (True, "")),
    ("receiving", {"held": 3}, "dummy", (False, "")),
])
def test_what_a_receiver_left_that_was_killed(state, node, kind, expected):
    config = {"target": "/dev/sdb", "seen": {"kind": kind}}
    assert target.left_behind(config, {"state": state, "node": node}) == expected
    assert target.left_behind(config, None) == target.left_behind(None, None) == (False, "")
