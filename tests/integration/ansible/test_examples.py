# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the files of docs/examples. Replaced are machines by local hosts, and what talks to their firmware."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import textwrap
import threading
from pathlib import Path

import pytest
import yaml

from ansible_collections.dolly.ring.tests.integration.loops import attach

HOSTS = ("rack3-n1", "rack3-n2", "rack3-n3", "rack3-n4")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


@pytest.fixture
def examples(lab):
    """The folder of the examples beside the laboratory's inventory, so that what a run writes stays in there."""
    folder = lab.folder / "examples"
    shutil.copytree(lab.root / "docs/examples", folder)
    return folder


@pytest.fixture
def ssh_port():
    """Says what an ssh server says first, to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_of_a_test\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.fixture
def rack(lab, ssh_port):
    """The machines of the example's inventory, on this one. A host's variables outdo those of its groups."""
    said = "echo $0 {{ inventory_hostname }} >> %s; [ {{ inventory_hostname }} != dead ]" % (lab.folder / "said")
    variables = {
        "ansible_connection": "local",
        "ansible_host": "127.0.0.1",
        "ansible_port": ssh_port,
        "ansible_user": None,
        "boot_delay": 0,
        "boot_timeout": 20,
        "dolly_ring_dest": str(lab.targets) + "/{{ inventory_hostname }}.img",
        "dolly_ring_interface": "lo",
        "dolly_ring_server": "localhost",
        "dolly_ring_source": str(lab.image),
    }
    for name in ("boot_from_network", "boot_from_disk", "restart"):
        variables[name] = ["/bin/sh", "-c", said, name]
    base = json.loads(lab.inventory.read_text())["all"]["vars"]
    lab.write_inventory({"rack3": {host: {**base, **variables} for host in HOSTS}})
    return variables


def said(lab):
    path = lab.folder / "said"
    return path.read_text().splitlines() if path.exists() else []


def test_the_inventory_names_every_variable_that_the_pipeline_uses(lab, examples):
    listed = json.loads(lab.tool("ansible-inventory", "-i", str(examples / "pxe/inventory.yml"), "--list"))
    assert sorted(listed["rack3"]["hosts"]) == sorted(HOSTS)
    one = listed["_meta"]["hostvars"]["rack3-n1"]
    for name in ("boot_from_network", "boot_from_disk", "restart", "dolly_root", "disk_id", "switch", "bmc"):
        assert name in one


def test_reimaging_a_rack(lab, examples, rack):
    (examples / "new-identity.yml").write_text("[]")  # it has a test of its own
    outcome = lab.run("-i", str(examples / "pxe/inventory.yml"), str(examples / "pxe/reimage.yml"), "-e", "rack=rack3")
    assert lab.copies() == set(HOSTS)
    assert [node["name"] for node in outcome.summary()["nodes"]] == ["rack3-n1", "rack3-n3", "rack3-n2", "rack3-n4"]
    assert sorted(said(lab)[:4]) == sorted("boot_from_network %s" % host for host in HOSTS)
    assert sorted(said(lab)[8:12]) == sorted("boot_from_disk %s" % host for host in HOSTS)
    assert len(said(lab)) == 16
    assert (examples / "pxe/reports/rack3.html").exists() and list((examples / "pxe/logs").rglob("rack3-n4.log"))


def test_a_machine_that_does_not_boot_is_left_out(lab, examples, rack):
    (examples / "new-identity.yml").write_text("[]")
    extra = ["-e", "rack=rack3", "-e", json.dumps({"dolly_ring_min_nodes": 3})]
    racks = json.loads(lab.inventory.read_text())["all"]["children"]
    racks["rack3"]["hosts"]["rack3-n2"]["boot_from_network"] = ["false"]
    lab.inventory.write_text(json.dumps({"all": {"children": racks}}))
    outcome = lab.run("-i", str(examples / "pxe/inventory.yml"), str(examples / "pxe/reimage.yml"), *extra, code=2)
    assert outcome.failed() == {"rack3-n2"}
    assert lab.copies() == set(HOSTS) - {"rack3-n2"}
    assert "restart rack3-n2" not in said(lab)


def test_a_playbook_for_runners_keeps_the_summary(lab, rack):
    """It is in a guide alone: Galaxy lints the files of a collection where the collection itself cannot be found."""
    guide = (lab.root / "docs/docsite/rst/guide_awx.rst").read_text("utf-8")
    shown = re.search(r"^  # clone\.yml\n(?:  .*\n|\n)+", guide, re.MULTILINE)
    book = lab.folder / "clone.yml"
    book.write_text(textwrap.dedent(shown[0]))
    outcome = lab.run(str(book), "-l", "rack3", ANSIBLE_SHOW_CUSTOM_STATS="1")
    assert lab.copies() == set(HOSTS)
    stats = outcome.output[outcome.output.index("CUSTOM STATS") :]
    assert "dolly_ring_summary" in stats and "rack3-n4" in stats
    refused = lab.run(str(book), code=2)
    assert "Neither a limit nor dolly_ring_hosts" in refused.output


# --- the hook ---------------------------------------------------------------------------------------


def run(*command):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


@pytest.fixture
def root_image(lab):
    """A root file system as an installed machine leaves it."""
    tree = lab.folder / "tree"
    content = {
        "etc/machine-id": "d0e41a\n",
        "etc/hostname": "golden\n",
        "etc/ssh/ssh_host_ed25519_key": "secret",
        "etc/ssh/ssh_host_ed25519_key.pub": "public",
        "etc/ssh/sshd_config": "Port 22\n",
        "var/lib/systemd/random-seed": "seed",
        "var/lib/systemd/timesync/clock": "",
    }
    for name, text in content.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "var/lib/dbus").mkdir()
    (tree / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(lab.image), "8M")


@pytest.fixture
def disks(lab):
    """A loop device for each of two hosts."""
    found = {}
    try:
        for host in HOSTS[:2]:
            backing = lab.folder / (host + ".disk")
            backing.write_bytes(bytes(8 << 20))
            found[host] = attach(backing)
        yield found
    finally:
        for device in found.values():
            run("losetup", "--detach", device)


@NEEDS_ROOT
def test_each_clone_gets_an_identity_of_its_own(lab, examples, root_image, disks):
    hosts = {host: {"dolly_ring_dest": disk, "dolly_root": disk} for host, disk in disks.items()}
    lab.write_inventory({"rack3": hosts}, dolly_ring_after=str(examples / "new-identity.yml"))
    lab.clone("-l", "rack3")
    for host, disk in disks.items():
        where = lab.folder / "look"
        where.mkdir(exist_ok=True)
        run("mount", "-o", "ro", disk, str(where))
        try:
            assert (where / "etc/machine-id").read_bytes() == b""
            assert (where / "etc/hostname").read_text() == host + "\n"
            assert os.listdir(where / "etc/ssh") == ["sshd_config"]
            assert os.listdir(where / "var/lib/systemd") == ["timesync"]
            assert os.listdir(where / "var/lib/dbus") == []
        finally:
            run("umount", str(where))


@NEEDS_ROOT
def test_nothing_stays_mounted_when_the_hook_fails(lab, examples, disks):
    """The image is no file system, so that it cannot even be mounted."""
    hosts = {host: {"dolly_ring_dest": disk, "dolly_root": disk} for host, disk in disks.items()}
    lab.write_inventory({"rack3": hosts}, dolly_ring_after=str(examples / "new-identity.yml"))
    outcome = lab.clone("-l", "rack3", code=2)
    assert outcome.failed() == set(disks)
    assert not any(disk + " " in Path("/proc/mounts").read_text() for disk in disks.values())
    assert not any(os.path.exists(place) for place in places(outcome))


@NEEDS_ROOT
def test_two_runs_on_a_host_mount_at_different_places(lab, examples):
    """With one place for both, the first to end would remove what the second has just mounted there."""
    lab.write_inventory({"rack3": {"rack3-n1": {"dolly_root": "/dev/null"}}})
    hook = {"hosts": "rack3", "tasks": [{"ansible.builtin.include_tasks": str(examples / "new-identity.yml")}]}
    first, second = (places(lab.play(hook, code=2)) for _run in range(2))
    assert first.isdisjoint(second)


def test_a_check_changes_no_identity(lab, examples):
    lab.write_inventory({"rack3": {"rack3-n1": {"dolly_root": "/dev/null"}}})
    hook = {"hosts": "rack3", "tasks": [{"ansible.builtin.include_tasks": str(examples / "new-identity.yml")}]}
    outcome = lab.play(hook, arguments=["--check"])
    assert outcome.stats()["rack3-n1"]["changed"] == 0 and "Mount the clone" in outcome.output


def places(outcome):
    return {result["path"] for result in outcome.task("Make a place for the clone").values()}


def test_the_examples_are_shown_in_the_guides(lab):
    """A guide shows the file itself, so that both say the same."""
    guide = (lab.root / "docs/docsite/rst/guide_identity.rst").read_text("utf-8")
    hook = (lab.root / "docs/examples/new-identity.yml").read_text("utf-8")
    shown = hook[hook.index("# For dolly_ring_after") :]
    indented = "".join("  " + line if line.strip() else line for line in shown.splitlines(True))
    assert indented in guide
    assert yaml.safe_load(hook)
