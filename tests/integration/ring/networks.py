# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of test nodes: addresses of the loopback device, or network namespaces on a bridge."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import List, Optional, Sequence

#: Below the range from which the kernel takes ports for outgoing connections.
FIRST_PORT = 21000
_PORTS = 9000


def call(*command: str, check: bool = True) -> str:
    """Run a program to its end. Returns its output."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.strip()))
    return done.stdout


def missing_programs(*names: str) -> List[str]:
    """Return the programs that are not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in names if shutil.which(name, path=path) is None]


_NUMBERS = itertools.count()


class Loopback:
    """Every node has its own address in 127/8, which differs from those of parallel test processes."""

    def __init__(self, is_v6: bool = False) -> None:
        own = os.getpid() % (250 * 250)
        self._prefix = "127.%d.%d." % (own // 250 + 2, own % 250 + 2)
        self._is_v6 = is_v6
        self.port = free_port("::1" if is_v6 else self.address(0))

    def address(self, index: int) -> str:
        """Return the address of a node; 0 is the server. IPv6 has only one."""
        return "::1" if self._is_v6 else self._prefix + str(index + 1)

    def command(self, _index: int, command: Sequence[str]) -> List[str]:
        """Return the command line that starts a program on a node."""
        return list(command)


class Namespaces:
    """A rack of machines: namespaces joined by a bridge in another one. The host's network stays as it is."""

    def __init__(self, count: int) -> None:
        self.port = 9998
        self.count = count
        # A set for the session and a set for one test may exist at the same time.
        self._stem = "dolly-ring-%d-%d-" % (os.getpid(), next(_NUMBERS))
        self._switch = self._stem + "switch"
        _sweep()
        try:
            self._build()
        except BaseException:
            self.remove()
            raise

    def address(self, index: int) -> str:
        return "10.99.0.%d" % (index + 1)

    def address_v6(self, index: int) -> str:
        return "fd99::%x" % (index + 1)

    def command(self, index: int, command: Sequence[str]) -> List[str]:
        return ["ip", "netns", "exec", self._name(index), *command]

    def limit(self, index: int, bytes_per_s: int) -> None:
        """Limit the rate at which a node sends, so that a run lasts long enough to disturb it."""
        call(
            *("tc", "-n", self._name(index), "qdisc", "replace", "dev", "eth0", "root", "tbf"),
            *("rate", "%dbit" % (bytes_per_s * 8), "burst", "128kb", "limit", "1mb"),
        )

    def limit_both(self, index: int, bytes_per_s: int) -> None:
        """Limit the rate in both directions, like a slow cable."""
        for name, device in ((self._name(index), "eth0"), (self._switch, "port%d" % index)):
            # The burst must hold the largest packet that segmentation offload makes: 64 KiB.
            call(
                *("tc", "-n", name, "qdisc", "replace", "dev", device, "root", "tbf"),
                *("rate", "%dbit" % (bytes_per_s * 8), "burst", "256kb", "latency", "50ms"),
            )

    def unplug(self, index: int) -> None:
        """Pull a node's cable at the switch: the node notices nothing but silence."""
        call("ip", "-n", self._switch, "link", "set", "port%d" % index, "down")

    def restore(self) -> None:
        """Undo `limit`, `limit_both` and `unplug`."""
        for index in range(self.count):
            call("tc", "-n", self._name(index), "qdisc", "del", "dev", "eth0", "root", check=False)
            call("tc", "-n", self._switch, "qdisc", "del", "dev", "port%d" % index, "root", check=False)
            call("ip", "-n", self._switch, "link", "set", "port%d" % index, "up")

    def remove(self) -> None:
        """Remove the namespaces, and with them the links between them."""
        for index in range(self.count):
            call("ip", "netns", "delete", self._name(index), check=False)
        call("ip", "netns", "delete", self._switch, check=False)

    def _name(self, index: int) -> str:
        return self._stem + str(index)

    def _build(self) -> None:
        call("ip", "netns", "add", self._switch)
        call("ip", "-n", self._switch, "link", "add", "bridge", "type", "bridge")
        call("ip", "-n", self._switch, "link", "set", "bridge", "up")
        for index in range(self.count):
            self._plug(index, "port%d" % index)

    def _plug(self, index: int, port: str) -> None:
        name = self._name(index)
        call("ip", "netns", "add", name)
        peer = ("type", "veth", "peer", "name", "eth0", "netns", name)
        call("ip", "-n", self._switch, "link", "add", port, *peer)
        call("ip", "-n", self._switch, "link", "set", port, "master", "bridge", "up")
        call("ip", "-n", name, "address", "add", self.address(index) + "/24", "dev", "eth0")
        # Without nodad, an address cannot be bound until duplicate address detection has ended.
        call("ip", "-n", name, "address", "add", self.address_v6(index) + "/64", "dev", "eth0", "nodad")
        call("ip", "-n", name, "link", "set", "lo", "up")
        call("ip", "-n", name, "link", "set", "eth0", "up")


class TwinNamespaces(Namespaces):
    """Machines with two interfaces on two switches. The names of their addresses are `n1` and `n1-fast`."""

    def __init__(self, count: int, hosts: Path) -> None:
        self._hosts = hosts
        super().__init__(count)
        names = ["127.0.0.1 localhost"]
        for index in range(count):
            names += ["%s n%d" % (self.address(index), index), "%s n%d-fast" % (self.second_address(index), index)]
        hosts.write_text("\n".join(names) + "\n")

    def second_address(self, index: int) -> str:
        return "10.99.1.%d" % (index + 1)

    def command(self, index: int, command: Sequence[str]) -> List[str]:
        # ip netns exec gives the program its own mount namespace, so that this mount is not visible outside.
        bind = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return super().command(index, ["sh", "-c", bind, str(self._hosts), *command])

    def limit_second(self, index: int, bytes_per_s: int) -> None:
        """Like `limit`, for the second interface."""
        call(
            *("tc", "-n", self._name(index), "qdisc", "replace", "dev", "eth1", "root", "tbf"),
            *("rate", "%dbit" % (bytes_per_s * 8), "burst", "32kb", "limit", "256kb"),
        )

    def unlimit_second(self, index: int) -> None:
        """Undo `limit_second`."""
        call("tc", "-n", self._name(index), "qdisc", "del", "dev", "eth1", "root", check=False)

    def unplug_second(self, index: int) -> None:
        """Like `unplug`, for the second interface."""
        call("ip", "-n", self._switch, "link", "set", "second%d" % index, "down")

    def sent(self, index: int, interface: str) -> int:
        """Return the bytes that a node has sent through an interface."""
        command = self.command(index, ["cat", "/sys/class/net/%s/statistics/tx_bytes" % interface])
        return int(call(*command))

    def _build(self) -> None:
        super()._build()
        call("ip", "-n", self._switch, "link", "add", "bridge1", "type", "bridge")
        call("ip", "-n", self._switch, "link", "set", "bridge1", "up")
        for index in range(self.count):
            name, port = self._name(index), "second%d" % index
            peer = ("type", "veth", "peer", "name", "eth1", "netns", name)
            call("ip", "-n", self._switch, "link", "add", port, *peer)
            call("ip", "-n", self._switch, "link", "set", port, "master", "bridge1", "up")
            call("ip", "-n", name, "address", "add", self.second_address(index) + "/24", "dev", "eth1")
            call("ip", "-n", name, "link", "set", "eth1", "up")


def why_no_namespaces() -> Optional[str]:
    """Return the reason to skip tests that need namespaces, or None."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    missing = missing_programs("ip", "tc")
    return "missing here: " + ", ".join(missing) if missing else None


def _sweep() -> None:
    """Remove what a killed test process left behind."""
    for line in call("ip", "netns", "list").splitlines():
        found = re.match(r"dolly-ring-(\d+)-[\w-]+", line)
        if found and not Path("/proc", found.group(1)).exists():
            call("ip", "netns", "delete", found.group(0), check=False)


def free_port(address: str) -> int:
    """Return a port that is free on this address and on all; outgoing connections do not take it later."""
    # Parallel test processes have adjacent ids, and a test may also use the next ports.
    first = os.getpid() * 131 % _PORTS
    for step in range(_PORTS):
        port = FIRST_PORT + (first + step) % _PORTS
        try:
            socket.create_server((address, port), family=_family(address)).close()
            socket.create_server(("", port)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
