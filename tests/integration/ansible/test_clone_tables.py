# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook over disks that are larger than the image, or have other sectors than it was made for."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.dolly.ring.tests.integration.loops import attach

MIB = 1 << 20
HOSTS = ["n%d" % number for number in range(1, 7)]
IMAGE_SIZE = 12 * MIB

HAS_TOOLS = os.geteuid() == 0 and shutil.which("sfdisk") and shutil.which("losetup")
pytestmark = pytest.mark.skipif(not HAS_TOOLS, reason="needs root, sfdisk and losetup for loop devices with tables")


@pytest.fixture
def disks(lab):
    """A larger disk for each of six hosts; the file behind it by host. The last may get another one."""
    devices = {}
    try:
        for host in HOSTS:
            devices[host] = make_disk(lab, host, IMAGE_SIZE + 3 * MIB)
        lab.write_image(IMAGE_SIZE, seed=5)
        with lab.image.open("r+b") as file:
            file.write(bytes(64 * 1024))
        sfdisk("--quiet", lab.image, text="label: gpt\nstart=2048, name=data\n")
        yield devices
    finally:
        for device in devices.values():
            subprocess.run(["losetup", "--detach", device], check=True)


def make_disk(lab, name, size, *options):
    backing = lab.folder / (name + ".disk")
    backing.write_bytes(b"old" * (size // 3 + 1))
    os.truncate(backing, size)
    return attach(backing, *options)


def sfdisk(*arguments, text=""):
    done = subprocess.run(["sfdisk", *map(str, arguments)], input=text, text=True, capture_output=True, check=True)
    return done.stdout + done.stderr


def write_inventory(lab, disks, **more):
    hosts = {host: {"dolly_ring_dest": disk} for host, disk in disks.items()}
    lab.write_inventory({"rack3": hosts}, dolly_ring_move_gpt=True, **more)


def test_tables_are_moved_on_every_host_and_are_unchanged_the_next_time(lab, disks):
    write_inventory(lab, disks, dolly_ring_fanout=2)
    for more, is_changed in (([], True), (["-e", '{"dolly_ring_compare": true}'], False)):
        outcome = lab.clone("-l", "rack3", *more)
        for host, result in outcome.results().items():
            assert (result["state"], result["changed"]) == ("done", is_changed), (host, result)
        for disk in disks.values():
            found = sfdisk("--verify", disk)
            assert "No errors detected" in found and "backup GPT" not in found


def test_a_disk_with_other_sectors_is_refused_before_anything_is_written(lab, disks):
    wide = make_disk(lab, "wide", IMAGE_SIZE + 3 * MIB, "--sector-size", "4096")
    disks["n6b"] = wide  # so that it is detached
    write_inventory(lab, {"n1": disks["n1"], "n6b": wide})
    outcome = lab.clone("-l", "rack3", "--check", code=2)
    results = outcome.results()
    assert "sectors of 512 bytes, and this disk has sectors of 4096" in results["n6b"]["reason"]
    assert "dolly_ring_allow_sector_size" in results["n6b"]["reason"]
    lab.clone("-l", "rack3", code=2)
    for name in ("n1", "wide"):
        assert (lab.folder / (name + ".disk")).read_bytes()[:3] == b"old"
    write_inventory(lab, {"n1": disks["n1"], "n6b": wide}, dolly_ring_allow_sector_size=True)
    results = lab.clone("-l", "rack3").results()
    assert {result["state"] for result in results.values()} == {"done"}
