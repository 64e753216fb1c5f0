# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of a pipeline, docs/examples/pipeline, on real hosts.

What cannot be had in a test is replaced and nothing else: addresses, the name of an interface, and disks, which
are loop devices below links of the test's own.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.ring.networks import call
from tests.integration.ansible.real_hosts import STORE

MIB = 1 << 20
#: Which machine plays which part.
PARTS = {"rack3-n1": "n1", "rack3-n2": "n2", "rack3-n3": "n3", "rack3-n4": "n4", "images1": STORE}
SIZES = {"boot": 2 * MIB, "root": 16 * MIB}


@pytest.fixture
def pipeline(rack):
    """Writes the inventory of the example with the machines of the test; returns it."""
    rack.use("n1")
    ours = json.loads(rack.inventory.read_text())["all"]["vars"]
    inventory = yaml.safe_load((rack.root / "docs/examples/pipeline/inventory.yml").read_text())
    common = inventory["all"]["vars"]
    assert (common["ansible_user"], common["ansible_become"]) == ("ops", True)
    common.update({name: value for name, value in ours.items() if name.startswith("ansible_")})
    common.update(by_id="/srv/by-id", images="/srv")
    racks = inventory["all"]["children"]
    racks["rack3"]["vars"]["dolly_ring_interface"] = "eth1"
    for group in racks.values():
        for name in group["hosts"]:
            group["hosts"][name] = {**(group["hosts"][name] or {}), **rack.hosts.variables(PARTS[name])}
    rack.inventory.write_text(json.dumps(inventory))
    return racks["rack3"]["hosts"]


@pytest.fixture
def disks(rack, pipeline):
    """Two partitions for each host but the last, and their links; the loop devices by host."""
    found = {}
    for name in list(pipeline)[:3]:
        links = rack.hosts.srv(PARTS[name]) / "by-id"
        links.mkdir()
        found[name] = []
        for number, size in enumerate(SIZES.values(), 1):
            path = rack.folder / ("%s-%d" % (name, number))
            with path.open("wb") as file:
                file.truncate(size + MIB)
            found[name].append(attach(path))
            (links / ("%s-part%d" % (pipeline[name]["disk"], number))).symlink_to(found[name][-1])
    yield found
    for devices in found.values():
        for device in devices:
            call("losetup", "--detach", device)


def write_images(rack):
    """A root file system with an identity that no clone may keep."""
    root = rack.folder / "root"
    (root / "etc/ssh").mkdir(parents=True)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/hostname").write_text("golden\n")
    (root / "etc/ssh/ssh_host_ed25519_key").write_text("not a key\n")
    images = {name: rack.hosts.srv(STORE) / (name + ".img") for name in SIZES}
    call("mkfs.ext4", "-q", "-d", str(root), str(images["root"]), "%dk" % (SIZES["root"] // 1024))
    rack.write_image(SIZES["boot"], seed=6)
    rack.image.rename(images["boot"])
    return images


def read(device, path):
    return call("debugfs", "-R", "cat " + path, device)


def test_reimage(rack, pipeline, disks, tmp_path):
    images = write_images(rack)
    for name in list(pipeline)[:3]:  # the last one runs from its disk
        rack.hosts.inside(PARTS[name], "touch", "/run/rescue-system")
    examples = tmp_path / "examples"
    call("cp", "-r", str(rack.root / "docs/examples"), str(examples))
    book = examples / "pipeline" / "reimage.yml"

    settings = {"ANSIBLE_CONFIG": str(book.with_name("ansible.cfg")), "ANSIBLE_LOCALHOST_WARNING": "0"}
    outcome = rack.run(str(book), "--check", code=2, **settings)
    assert outcome.failed() == {"rack3-n4"}, outcome.output
    assert "not booted the rescue system" in outcome.reasons()["rack3-n4"]
    assert outcome.results()["rack3-n1"]["state"] == "predicted"
    assert not any(any(Path(device).read_bytes()) for devices in disks.values() for device in devices)

    outcome = rack.run(str(book), code=2, **settings)
    assert "skipping:" not in outcome.output and "ok: [" not in outcome.output
    assert outcome.failed() == {"rack3-n4"}, outcome.output
    assert [node["name"] for node in outcome.summary()["nodes"]] == ["rack3-n1", "rack3-n3", "rack3-n2", "rack3-n4"]
    for name, (first, second) in disks.items():
        assert Path(first).read_bytes()[: SIZES["boot"]] == images["boot"].read_bytes()
        assert read(second, "/etc/hostname") == name + "\n"
        assert read(second, "/etc/machine-id") == "" == read(second, "/etc/ssh/ssh_host_ed25519_key")
    reports = sorted(path.name for path in (examples / "pipeline" / "reports").iterdir())
    pages = ["rack3-boot.html", "rack3-boot.json", "rack3-root.html", "rack3-root.json"]
    assert reports == [*pages, "rack3-states.json"]
    states = json.loads((examples / "pipeline" / "reports" / "rack3-states.json").read_text())
    assert states == {"rack3-n1": "done", "rack3-n2": "done", "rack3-n3": "done", "rack3-n4": "failed"}
    assert len({path.name for path in (examples / "pipeline" / "logs").rglob("*.log")}) == 4
    lines = outcome.output.splitlines()
    assert [lines[at : at + 4] for at, line in enumerate(lines) if "WARNING" in line] == []
    assert "    3 of 4 hosts hold it" in outcome.output
