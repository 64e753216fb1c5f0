# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every command in the README, and compares its table of options with what the role takes.

What cannot be had in a test is replaced and nothing else: machines by local hosts, a disk by a file, and a
collection that is installed by the one under test.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys

import pytest
import yaml

from ansible_collections.dolly.ring.tests.integration.ring.networks import free_port
from ansible_collections.dolly.ring.tests.integration.ring.processes import PATIENCE_S, until

RUNS_ITSELF = "it runs this very test; only that make knows it is looked at"
LOCAL = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "dolly_ring_interface": "lo",
    "dolly_ring_port": 0,
}


def blocks(text, language):
    return re.findall(r"^```%s\n(.*?)^```$" % language, text, re.DOTALL | re.MULTILINE)


def commands(text):
    return [line for block in blocks(text, "sh") for line in block.splitlines() if line.strip()]


@pytest.fixture
def readme(lab):
    return (lab.root / "README.md").read_text("utf-8")


@pytest.fixture
def rack(lab, readme):
    """The README's inventory, with its machines on this one."""
    inventory = yaml.safe_load(next(block for block in blocks(readme, "yaml") if block.startswith("all:")))
    assert inventory["all"]["vars"].pop("ansible_user") == "root"
    files = {"dolly_ring_source": str(lab.image), "dolly_ring_dest": str(lab.targets / "{{ inventory_hostname }}.img")}
    inventory["all"]["vars"].update(LOCAL, **files, dolly_ring_run_dir=str(lab.runs))
    lab.inventory.write_text(yaml.safe_dump(inventory))
    return ["rack3-n%d" % number for number in range(1, 5)]


def make(lab, *arguments):
    done = subprocess.run(
        ["make", *arguments], cwd=str(lab.root), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def playbook(lab, words):
    """Run a command line of ansible-playbook; its inventory.yml is the laboratory's."""
    assert words[:3] == ["ansible-playbook", "-i", "inventory.yml"]
    rest = [str(lab.root / word) if word.startswith("playbooks/") else word for word in words[3:]]
    return lab.run(*rest)


def test_every_command_is_known_here(readme):
    assert commands(readme) == [
        "make demo",
        "make test",
        "make test-all",
        "ansible-playbook -i inventory.yml dolly.ring.clone -l rack3 --check",
        "ansible-playbook -i inventory.yml dolly.ring.clone -l rack3",
        "make install",
        "export ANSIBLE_COLLECTIONS_PATH=$PWD/build/collections",
        "ansible-playbook -i inventory.yml playbooks/clone.yml -l rack3",
        "ansible-playbook -i inventory.yml dolly.ring.clone -l rack3 -e dolly_ring_dummy_seconds=5",
        "ansible-doc dolly.ring.dolly_client dolly.ring.dolly_server",
        "make pyz",
        "(umask 077 && head -c 32 /dev/urandom > run.key)",
        "python3 dolly.pyz -v --key-file run.key",
        "python3 dolly.pyz -v --key-file run.key -S 10.0.0.1 -H 10.0.0.11,10.0.0.12 -I node.img -O /dev/sda",
    ]


def test_make_demo(lab, readme):
    assert "make demo" in commands(readme)
    assert "make demo: ok, 4 disks hold the image, verified" in make(lab, "demo")


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_make_test(lab, readme, target):
    assert "make " + target in commands(readme)
    assert "pytest" in make(lab, "--dry-run", target), RUNS_ITSELF


def test_make_install_is_where_the_export_says(lab, readme):
    assert "make install" in commands(readme)
    make(lab, "install")
    (export,) = [line for line in commands(readme) if line.startswith("export ")]
    script = export + '\nprintf %s "$ANSIBLE_COLLECTIONS_PATH"'
    where = subprocess.run(["sh", "-c", script], cwd=str(lab.root), capture_output=True, text=True, check=True).stdout
    assert os.path.isfile(where + "/ansible_collections/dolly/ring/MANIFEST.json")


def test_the_example(lab, readme, rack):
    plays = [shlex.split(line) for line in commands(readme) if line.startswith("ansible-playbook")]
    check, clone, by_path, _measure = plays

    outcome = playbook(lab, check)
    assert {result["state"] for result in outcome.results().values()} == {"predicted"}
    assert list(lab.targets.iterdir()) == []

    outcome = playbook(lab, clone)
    assert lab.copies() == set(rack)
    assert [node["name"] for node in outcome.summary()["nodes"]] == rack
    (told,) = outcome.task("Result of the run").values()
    (shown,) = blocks(readme, "text")
    assert shown.splitlines()[0].split() in [line.split() for line in told["msg"]]

    for path in lab.targets.iterdir():
        path.unlink()
    playbook(lab, by_path)
    assert lab.copies() == set(rack)


def test_the_network_is_measured(lab, readme, rack):
    measure = [shlex.split(line) for line in commands(readme) if line.startswith("ansible-playbook")][-1]
    outcome = playbook(lab, measure)
    assert [node["state"] for node in outcome.summary()["nodes"]] == ["done"] * len(rack)
    assert outcome.summary()["seconds"] >= 5 and list(lab.targets.iterdir()) == []


def test_a_playbook_of_your_own(lab, readme, rack):
    (own,) = [block for block in blocks(readme, "yaml") if "hosts: rack3\n" in block and "roles:" in block]
    lab.play(*yaml.safe_load(own))
    assert lab.copies() == set(rack)


def test_ansible_doc(lab, readme):
    from_readme = [shlex.split(line) for line in commands(readme) if line.startswith("ansible-doc")]
    for words in from_readme:
        text = lab.tool(*words)
        assert "DOLLY_CLIENT" in text.upper() and "DOLLY_SERVER" in text.upper()


def is_listening(address, port):
    with socket.socket() as probe:
        return probe.connect_ex((address, int(port))) == 0


def test_the_command_line(lab, readme):
    lines = commands(readme)
    assert "make pyz" in lines
    make(lab, "pyz")
    make_key, client, server = lines[-3:]
    port = str(free_port("127.0.0.11"))
    folders = [lab.folder / name for name in ("server", "node1", "node2")]
    for folder in folders:
        folder.mkdir()
        shutil.copy(lab.root / "dist" / "dolly.pyz", folder)
    subprocess.run(["sh", "-c", make_key], cwd=str(folders[0]), check=True)
    for folder in folders[1:]:
        shutil.copy(folders[0] / "run.key", folder)
    shutil.copy(lab.image, folders[0] / "node.img")

    clients = []
    try:
        for folder, address in zip(folders[1:], ("127.0.0.11", "127.0.0.12")):
            words = [*shlex.split(client), "--bind", address, "--port", port]
            clients.append(subprocess.Popen(words, cwd=str(folder), stdin=subprocess.DEVNULL))
        for address in ("127.0.0.11", "127.0.0.12"):
            until(lambda: is_listening(address, port), "a client that listens on " + address)
        words = shlex.split(server.replace("10.0.0.", "127.0.0.").replace("/dev/sda", "copy.img"))
        subprocess.run([*words, "--port", port], cwd=str(folders[0]), check=True, timeout=120)
        assert [process.wait(PATIENCE_S) for process in clients] == [0, 0]
    finally:
        for process in clients:
            process.kill()
            process.wait()
    for folder in folders[1:]:
        assert (folder / "copy.img").read_bytes() == lab.image.read_bytes()


def test_the_table_of_options_is_that_of_the_role(lab, readme):
    specs = yaml.safe_load((lab.root / "roles/dolly_ring/meta/argument_specs.yml").read_text("utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((lab.root / "roles/dolly_ring/defaults/main.yml").read_text("utf-8"))
    rows = dict(re.findall(r"^\| `(dolly_ring_\w+)` \| (?:`(.*?)`)? *\|", readme, re.MULTILINE))

    assert list(rows) and set(rows) == set(options)
    for name, told in rows.items():
        written = defaults.get(name, "")
        if name == "dolly_ring_server_port":
            assert written == "{{ %s }}" % told
            continue
        assert told == (str(written).lower() if isinstance(written, bool) else str(written)), name
        assert options[name].get("default", "") == written, name
