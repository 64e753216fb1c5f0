# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers that are started over ssh: a real sshd on each machine, where nothing of dolly is installed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB, digest
from ansible_collections.dolly.ring.tests.integration.ring.networks import call, missing_programs
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program, until

SSHD = "/usr/sbin/sshd"
IMAGE_SIZE = 5 * MIB


class Cluster:
    """Machine 0 runs dolly with a home of its own; the others have an sshd and nothing else."""

    def __init__(self, rack, way):
        if way == "paramiko":
            pytest.importorskip("paramiko")
        missing = missing_programs("sshd", "ssh-keygen", *(["ssh"] if way == "openssh" else []))
        if missing:
            pytest.skip("missing here: " + ", ".join(missing))
        self.rack = rack
        # -S: without site-packages, in which paramiko lies.
        self._python = [sys.executable] if way == "paramiko" else [sys.executable, "-S"]
        self.home = rack.folder / "home"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self._host_key = rack.folder / "host_key"
        for path in (self.home / ".ssh" / "id_ed25519", self._host_key):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
        self.known = self.home / ".ssh" / "known_hosts"
        self.known.touch()

    def start_sshd(self, index, is_known=True):
        folder = self.rack.node_folder(index)
        (folder / "tmp").mkdir()
        address = self.rack.address(index)
        settings = {
            "HostKey": self._host_key,
            "AuthorizedKeysFile": self.home / ".ssh" / "id_ed25519.pub",
            "ListenAddress": address,
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
            "SetEnv": "PATH=%s:/usr/bin:/bin TMPDIR=%s" % (os.path.dirname(sys.executable), folder / "tmp"),
        }
        config = folder / "sshd_config"
        config.write_text("".join("%s %s\n" % item for item in settings.items()))
        # ip netns exec has made a view of the mounts for it: a home, and the directory that sshd insists on.
        script = "mount --bind %s /root && mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec %s -D -e -f %s" % (
            *map(shlex.quote, (str(folder), SSHD, str(config))),
        )
        command = self.rack.network.command(index, ["sh", "-c", script])
        program = Program("sshd%d" % index, command, folder)
        self.rack.programs.append(program)
        program.wait_for_log("Server listening")
        if is_known:
            public = self._host_key.with_suffix(".pub").read_text().split()[:2]
            with self.known.open("a") as file:
                file.write("%s %s\n" % (address, " ".join(public)))

    def start_server(self, *options, nodes=(1, 2)):
        hosts = ",".join(self.rack.address(index) for index in nodes)
        image = self.rack.image(IMAGE_SIZE)
        arguments = ["--ssh", "root@", "--json", "-v", "-I", str(image), "-O", "out.img", "-H", hosts, *options]
        engine = str(self.rack._engine)
        # OpenSSH asks the system for the home directory, and not the environment.
        users = self.home / "passwd"
        users.write_text("root:x:0:0:root:%s:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n" % self.home)
        script = 'mount --bind %s /etc/passwd && exec "$@"' % shlex.quote(str(users))
        run = ["env", "HOME=%s" % self.home, "SSH_AUTH_SOCK=", *self._python, engine, *arguments]
        command = ["sh", "-c", script, "sh", *run]
        program = Program("server", self.rack.network.command(0, command), self.rack.node_folder(0))
        self.rack.programs.append(program)
        self.rack.server = program
        return program

    def left_over(self, index):
        return sorted(path.name for path in (self.rack.node_folder(index) / "tmp").iterdir())


@pytest.fixture(params=["paramiko", "openssh"])
def cluster(namespaces, request):
    return Cluster(namespaces, request.param)


def test_nothing_but_a_fresh_key_and_python(cluster):
    for index in (1, 2):
        cluster.start_sshd(index)
    server = cluster.start_server()
    assert server.wait() == 0
    result = json.loads(server.out)
    assert [(node["state"], node["own"]["verified"]) for node in result["nodes"]] == [("done", True)] * 2
    for index in (1, 2):
        assert digest(cluster.rack.target(index)) == digest(cluster.rack.image(IMAGE_SIZE))
        assert cluster.left_over(index) == []


def test_a_host_that_nobody_knows_is_not_trusted(cluster):
    cluster.start_sshd(1)
    cluster.start_sshd(2, is_known=False)
    server = cluster.start_server()
    assert server.wait() == 4
    told = ("not found in known_hosts", "Host key verification failed")
    assert any(text in server.log for text in told) and cluster.rack.address(2) in server.log
    assert json.loads(server.out)["error"]["kind"] == "NotEnoughNodes"
    assert cluster.left_over(1) == [] and not cluster.rack.target(1).exists()
    until(lambda: not receivers(cluster), "the receiver that was started to end")


def test_one_that_cannot_be_reached_is_left_out_where_that_is_allowed(cluster):
    cluster.start_sshd(1)
    server = cluster.start_server("--min-nodes", "1", nodes=(2, 1))
    assert server.wait() == 3
    result = json.loads(server.out)
    assert [node["state"] for node in result["nodes"]] == ["unreachable", "done"]
    assert digest(cluster.rack.target(1)) == digest(cluster.rack.image(IMAGE_SIZE))


def test_the_key_is_in_no_argument_and_its_file_is_gone_while_it_runs(cluster):
    cluster.start_sshd(1)
    cluster.rack.network.limit(0, 1 * MIB)
    server = cluster.start_server(nodes=(1,))
    cluster.rack.await_data(1, 1 * MIB)
    (arguments,) = receivers(cluster)
    folder = next(word for word in arguments if word.endswith("/key"))
    assert not os.path.exists(folder), "read and removed"
    assert not any(len(word) >= 32 and "/" not in word for word in arguments)
    assert server.wait() == 0


def receivers(cluster):
    """The arguments of the receivers that run on machine 1."""
    found = []
    pids = call("ip", "netns", "pids", cluster.rack.network._name(1)).split()
    for pid in pids:
        try:
            with open("/proc/%s/cmdline" % pid) as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if any(word.endswith("dolly.pyz") for word in words):
            found.append(words)
    return found


def test_without_any_ssh_it_says_so(namespaces, tmp_path):
    image = str(namespaces.image(IMAGE_SIZE))
    # -S: without site-packages
    command = [sys.executable, "-S", str(namespaces._engine), "--ssh", "-I", image, "-H", "a"]
    environment = dict(os.environ, PATH=str(tmp_path))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, env=environment
    )
    assert done.returncode == 1 and "neither paramiko nor the program ssh" in done.stderr


def test_hosts_that_a_shell_would_take_for_more_are_refused(cluster):
    """A configuration of ssh may hand the name to a command: Match exec "... %h" ran what the name said."""
    ran = cluster.rack.node_folder(0) / "ran"
    (cluster.home / ".ssh" / "config").write_text('Match exec "true %h"\n  Port 22\n')
    cluster.rack.use_address(8, "a")
    for host in ("$(touch${IFS}ran)", "a;touch${IFS}ran", "-oProxyCommand=touch${IFS}ran", "a'b"):
        cluster.rack.use_address(9, host)
        server = cluster.start_server("--connect-timeout", "1", nodes=(8, 9))
        assert server.wait() == 1
        assert "-H is " in server.log and "hand them to a shell" in server.log
        assert not ran.exists()
