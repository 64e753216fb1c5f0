# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines as an operator has them: each a network namespace with two interfaces, an sshd and host key of its own,
its own users, /run, /srv and /tmp.

    control     where ansible-playbook runs; the management network (eth0) alone
    n1 ... n8   the hosts to clone to; management (eth0) and data (eth1)
    store       a host of the same kind, which has the image

`ops` logs in and may become anybody with sudo; `imager` is nobody special. Nothing of this machine is changed:
what differs lies in views of the mounts that end with the processes in them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.dolly.ring.tests.integration.ring.networks import (
    TwinNamespaces,
    call,
    missing_programs,
    why_no_namespaces,
)
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program

NAMES = tuple("n%d" % number for number in range(1, 9))
STORE = "store"
USERS = {"ops": 47001, "imager": 47002}
USER_LINES = {
    "passwd": "{name}:x:{number}:{number}::/home/{name}:/bin/sh\n",
    "group": "{name}:x:{number}:\n",
    "shadow": "{name}:*:1::::::\n",
}
#: Written over in each host's view: what a machine has for itself.
OWN_FOLDERS = ("/srv", "/tmp", "/var/tmp", "/home", "/root", "/var/lib/dolly")
PORT = 9998


def why_no_real_hosts() -> t.Optional[str]:
    missing = missing_programs("sshd", "ssh", "ssh-keygen", "sudo", "setfacl", "unshare")
    return why_no_namespaces() or ("missing here: " + ", ".join(missing) if missing else None)


def node_python() -> str:
    """A Python that users without rights can run too."""
    wished = os.environ.get("DOLLY_NODE_PYTHON")
    return wished or next(path for path in ("/usr/bin/python3", sys.executable) if os.access(path, os.X_OK))


class RealHosts:
    """All of them, up and running; `remove` ends every process in them."""

    def __init__(self) -> None:
        # Short, because the path of a socket has an end (unix(7): 108 bytes).
        self.folder = Path(tempfile.mkdtemp(prefix="dolly-hosts-", dir="/dev/shm" if _has_memory() else None))
        self.folder.chmod(0o711)  # sshd looks for keys as the user who logs in
        self.indices = {name: number for number, name in enumerate(("control", *NAMES, STORE))}
        self._programs: t.List[Program] = []
        self.network: t.Optional[TwinNamespaces] = None
        try:
            self._build()
        except BaseException:
            self.remove()
            raise

    def address(self, name: str) -> str:
        """Of the management network."""
        return self.network.address(self.indices[name])

    def data_address(self, name: str) -> str:
        return self.network.second_address(self.indices[name])

    def srv(self, name: str) -> Path:
        """A host's /srv, seen from outside."""
        return self.folder / name / "srv"

    def command(self, name: str, *command: str) -> t.List[str]:
        """How to run a program in a host's network, but with the files of the test."""
        return self.network.command(self.indices[name], list(command))

    def inside(self, name: str, *command: str) -> str:
        """Run a program on a host, where its files are its own; what it printed."""
        return call("nsenter", "--target", str(self._sshd(name)), "--mount", "--net", "--uts", *command)

    def ssh_arguments(self) -> str:
        """For ansible_ssh_common_args: nothing of the user who runs the tests has a say."""
        options = {
            "UserKnownHostsFile": str(self.folder / "known_hosts"), "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes", "GlobalKnownHostsFile": "/dev/null",
        }
        return "-F none " + " ".join("-o %s=%s" % item for item in options.items())

    def variables(self, name: str) -> t.Dict[str, t.Any]:
        """What an inventory says of a host."""
        return {"ansible_host": self.address(name)}

    def processes(self, name: str) -> t.Dict[int, str]:
        """The receivers and senders of dolly that run on a host, with their arguments."""
        found = {}
        for pid in call("ip", "netns", "pids", self._namespace(name)).split():
            words = _arguments(int(pid))
            if any(word.endswith("engine.pyz") for word in words):
                found[int(pid)] = " ".join(words)
        return found

    def runs(self, name: str) -> t.List[str]:
        """What lies below a host's run directory, whoever it belongs to."""
        script = "find /run/dolly /tmp/dolly-* -mindepth 1 2>/dev/null || true"
        return self.inside(name, "sh", "-c", script).split()

    def unplug(self, name: str) -> None:
        """Pull both cables: the host says nothing any more."""
        self.network.unplug(self.indices[name])
        self.network.unplug_second(self.indices[name])

    def unplug_management(self, name: str) -> None:
        """Pull the cable of Ansible alone."""
        self.network.unplug(self.indices[name])

    def power_off(self, name: str) -> None:
        """End all that runs in a host's network."""
        for pid in call("ip", "netns", "pids", self._namespace(name), check=False).split():
            _kill(int(pid))

    def filter_port(self, name: str, port: int = PORT) -> None:
        """Drop what comes to a port without a word, as a firewall does."""
        where = ("ip", "-n", self._namespace(name), "rule")
        call(*where, "add", "pref", "9", "lookup", "local")
        call(*where, "del", "pref", "0", "lookup", "local")
        call(*where, "add", "pref", "5", "iif", "eth1", "ipproto", "tcp", "dport", str(port), "blackhole")

    def unfilter_port(self, name: str, port: int = PORT) -> None:
        where = ("ip", "-n", self._namespace(name), "rule")
        if "blackhole" in call(*where):
            call(*where, "add", "pref", "0", "lookup", "local")
            call(*where, "del", "pref", "9", "lookup", "local")
            call(*where, "del", "pref", "5", "iif", "eth1", "ipproto", "tcp", "dport", str(port), "blackhole")

    def sent_data(self, name: str) -> int:
        """Bytes that left a host through the data interface, headers included."""
        return self.network.sent(self.indices[name], "eth1")

    def reset(self) -> None:
        """As after a reboot, but for the users' files: no run, nothing in /srv, all cables in place."""
        self.network.restore()
        for name in (*NAMES, STORE):
            index = self.indices[name]
            self.network.unlimit_second(index)
            call("ip", "-n", self.network._switch, "link", "set", "second%d" % index, "up")
            for pid in self.processes(name):
                _kill(pid)
            self.unfilter_port(name)
            self.inside(name, "sh", "-c", "awk '$2 ~ /^\\/srv\\// {print $2}' /proc/mounts | xargs -r umount")
            script = "rm -rf /srv/* /srv/.[!.]* /run/dolly /tmp/* /var/lib/dolly/*"
            self.inside(name, "sh", "-c", script)

    def remove(self) -> None:
        if self.network is not None:
            for name in self.indices:
                self.power_off(name)
            for program in self._programs:
                program.end()
            self.network.remove()
        shutil.rmtree(self.folder)

    def _build(self) -> None:
        self.network = TwinNamespaces(len(self.indices), self.folder / "hosts")
        # The control node has no part in the data network.
        call("ip", "-n", self._namespace("control"), "link", "delete", "eth1")
        lines = ["127.0.0.1 localhost"]
        lines += ["%s %s" % (self.address(name), name) for name in self.indices]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key"))
        self._write_users()
        for name in (*NAMES, STORE):
            self._start(name)
        for program in self._programs:
            program.wait_for_log("Server listening")

    def _write_users(self) -> None:
        """Files that lie over /etc/passwd and the like."""
        etc = self.folder / "etc"
        etc.mkdir()
        for file, line in USER_LINES.items():
            text = Path("/etc", file).read_text()
            for name, number in USERS.items():
                text += line.format(name=name, number=number)
            (etc / file).write_text(text)
        (etc / "shadow").chmod(0o640)
        (etc / "sudoers").write_text("root ALL=(ALL) ALL\nops ALL=(ALL) NOPASSWD: ALL\n")
        (etc / "sudoers").chmod(0o440)
        (etc / "authorized_keys").write_text((self.folder / "key.pub").read_text())

    def _start(self, name: str) -> None:
        """An sshd, and with it the view of the mounts that all that it starts lives in."""
        folder = self.folder / name
        for own in OWN_FOLDERS:
            (folder / own.strip("/").replace("/", "-")).mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        (folder / "var-tmp").chmod(0o1777)
        (folder / "srv").chmod(0o755)
        for user, number in USERS.items():
            (folder / "home" / user).mkdir(mode=0o700)
            os.chown(folder / "home" / user, number, number)
        key = folder / "host_key"
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        with (self.folder / "known_hosts").open("a") as known:
            known.write("%s %s\n" % (self.address(name), " ".join(key.with_suffix(".pub").read_text().split()[:2])))
        settings = {
            "HostKey": key, "AuthorizedKeysFile": self.folder / "etc" / "authorized_keys",
            "ListenAddress": self.address(name), "PidFile": "none", "UsePAM": "no", "StrictModes": "no",
            "PermitRootLogin": "prohibit-password", "PasswordAuthentication": "no", "Subsystem": "sftp internal-sftp",
        }  # fmt: skip
        (folder / "sshd_config").write_text("".join("%s %s\n" % item for item in settings.items()))
        (folder / "view").write_text(self._view(name))
        command = ["unshare", "--uts", "sh", "-e", str(folder / "view")]
        self._programs.append(Program("sshd-" + name, self.command(name, *command), folder))

    def _view(self, name: str) -> str:
        folder = self.folder / name
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        lines = ["hostname %s" % name, "mount -t tmpfs tmpfs /run", "mkdir /run/sshd"]
        for file in (*USER_LINES, "sudoers"):
            lines.append("mount --bind %s /etc/%s" % (self.folder / "etc" / file, file))
        for own in OWN_FOLDERS:
            # What is not there on this machine is made in the view.
            if not os.path.isdir(own):
                lines.append("mount -t tmpfs tmpfs %s && mkdir -p %s" % (os.path.dirname(own), own))
            lines.append("mount --bind %s %s" % (folder / own.strip("/").replace("/", "-"), own))
        lines.append("exec %s -D -e -f %s" % (shlex.quote(sshd), folder / "sshd_config"))
        return "\n".join(lines) + "\n"

    def _namespace(self, name: str) -> str:
        return self.network._name(self.indices[name])

    def _sshd(self, name: str) -> int:
        return next(program.pid for program in self._programs if program.name == "sshd-" + name)


def _has_memory() -> bool:
    return os.access("/dev/shm", os.W_OK)


def _arguments(pid: int) -> t.List[str]:
    try:
        return Path("/proc/%d/cmdline" % pid).read_text(errors="replace").split("\0")
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
