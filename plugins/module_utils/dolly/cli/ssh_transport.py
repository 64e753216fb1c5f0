# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands on another machine over ssh: with paramiko if that is installed, else with OpenSSH's ssh.

Both never prompt, and trust only hosts in known_hosts.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import time
from typing import Any, Dict, List, Optional, Protocol, Tuple

from ..errors import Refused, UsageError
from ..storage.program import Program

CONNECT_S = 15.0
_CALL_S = 60.0  # for a command and its input
_CLOSE_S = 2.0
_CHUNK = 65536
_MAX_ANSWER = 1 << 20
#: Options of OpenSSH. They override its configuration, except where and as which user to connect.
_OPENSSH_OPTIONS = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=%d" % CONNECT_S, "ServerAliveInterval=15",
    "ControlMaster=no", "ControlPath=none", "ClearAllForwardings=yes", "ForwardAgent=no", "ForwardX11=no",
    "RemoteCommand=none", "RequestTTY=no", "PermitLocalCommand=no", "LogLevel=ERROR",
)  # fmt: skip
#: ssh may put names into commands (ProxyCommand, Match exec), and reads a leading dash as an option.
_HOST = re.compile(r"[A-Za-z0-9_:\[][A-Za-z0-9_.:%\[\]-]*\Z")
_USER = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?)?\Z")


def check_names(user: str, hosts: List[str]) -> None:
    """Refuse names that a shell or an option parser could misread. Raises UsageError."""
    if not _USER.match(user):
        raise UsageError("--ssh", user, "the name of a user, of letters, digits and . _ - alone")
    for host in hosts:
        if not _HOST.match(host):
            expected = "names or addresses of letters, digits and . _ - : alone, without a dash at the front"
            raise UsageError("-H", host, expected + ", because ssh may hand them to a shell")


class Transport(Protocol):
    """A connection to one machine. Methods may be called on any thread, but one at a time."""

    #: What the methods may raise if the connection fails.
    errors: Tuple[Any, ...]

    def connect(self) -> None:
        """Connect. Raises one of `errors`."""

    def call(self, command: str, data: bytes = b"") -> str:
        """Run a command on `data` and return its output. Raises OSError with its stderr, or `errors`."""

    def launch(self, command: str) -> None:
        """Start a command and leave it running; `read` returns its output. Call this once."""

    def read(self) -> Tuple[bytes, bytes]:
        """Return new output of the launched command (stdout, stderr). Never waits."""

    def has_ended(self) -> bool:
        """Whether the launched command has ended and all of its output was read."""

    def close(self) -> None:
        """Disconnect."""


def make_transport(host: str, user: str) -> Transport:
    """Create a transport by the means that this machine has. Raises Refused if it has none."""
    try:
        import paramiko
    except ImportError:
        program = shutil.which("ssh")
        if program is None:
            allow = "the program ssh of OpenSSH, or paramiko (pip install paramiko); or start the clients by hand"
            raise Refused("--ssh", "there is neither paramiko nor the program ssh here", allow) from None
        return OpenSshTransport(program, host, user)
    return ParamikoTransport(paramiko, host, user)


class ParamikoTransport:
    """One paramiko connection, with a channel for each command."""

    def __init__(self, paramiko: Any, host: str, user: str) -> None:
        self.errors: Tuple[Any, ...] = (paramiko.SSHException, OSError, EOFError)
        self._paramiko = paramiko
        self._host = host
        self._user = user
        self._client: Any = None
        self._channel: Any = None

    def connect(self) -> None:
        """Log in, following ~/.ssh/config."""
        paramiko = self._paramiko
        client = self._client = paramiko.SSHClient()
        client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        known = read_ssh_config(paramiko, self._host)
        proxy = known.get("proxycommand")
        client.connect(
            known.get("hostname", self._host),
            port=int(known.get("port", 22)),
            username=self._user or known.get("user"),
            key_filename=known.get("identityfile"),
            sock=paramiko.ProxyCommand(proxy) if proxy else None,
            timeout=CONNECT_S,
            banner_timeout=CONNECT_S,
            auth_timeout=CONNECT_S,
        )

    def call(self, command: str, data: bytes = b"") -> str:
        """Run the command on a channel of its own."""
        stdin, out, err = self._client.exec_command(command, timeout=_CALL_S)
        stdin.write(data)
        stdin.channel.shutdown_write()
        text = str(out.read(_CHUNK), "utf-8", "replace").strip()
        if out.channel.recv_exit_status() != 0:
            raise OSError(err.read(4096).decode("utf-8", "replace").strip() or "the command failed")
        return text

    def launch(self, command: str) -> None:
        """Start the command on a channel that stays open."""
        self._channel = self._client.get_transport().open_session(timeout=CONNECT_S)
        self._channel.exec_command(command)

    def read(self) -> Tuple[bytes, bytes]:
        """Return what has arrived."""
        out = err = b""
        while self._channel is not None and self._channel.recv_ready():
            out += self._channel.recv(_CHUNK)
        while self._channel is not None and self._channel.recv_stderr_ready():
            err += self._channel.recv_stderr(_CHUNK)
        return out, err

    def has_ended(self) -> bool:
        """Whether the exit status has arrived and no output is left."""
        return self._channel is None or (self._channel.exit_status_ready() and not self._channel.recv_ready())

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()


class OpenSshTransport:
    """Runs the program ssh once for each command. Anything that would need a prompt fails."""

    errors: Tuple[Any, ...] = (OSError,)

    def __init__(self, program: str, host: str, user: str) -> None:
        self._argv = [program, "-T", *(word for option in _OPENSSH_OPTIONS for word in ("-o", option))]
        self._argv += (["-l", user] if user else []) + ["--", host]
        self._running: Optional[Program] = None

    def connect(self) -> None:
        """Do nothing: the first command connects."""

    def call(self, command: str, data: bytes = b"") -> str:
        """Run ssh and wait until it ends."""
        program = Program([*self._argv, command], is_apart=True)
        try:
            out, err = _converse(program, data, _CALL_S)
            status = program.wait(_CLOSE_S)
        finally:
            program.close(_CLOSE_S)
        if status != 0:
            raise OSError(err.decode("utf-8", "replace").strip()[-1000:] or "ssh ended with status %d" % status)
        return out.decode("utf-8", "replace").strip()

    def launch(self, command: str) -> None:
        """Start ssh and leave it running."""
        self._running = Program([*self._argv, command], is_apart=True)

    def read(self) -> Tuple[bytes, bytes]:
        """Return what has arrived."""
        if self._running is None:
            return b"", b""
        return _available(self._running.stdout), _available(self._running.stderr)

    def has_ended(self) -> bool:
        """Whether ssh has ended and its pipe is empty."""
        running = self._running
        return running is None or (running.poll() is not None and not _is_readable(running.stdout))

    def close(self) -> None:
        """End the launched ssh."""
        if self._running is not None:
            self._running.close(_CLOSE_S)


def _converse(program: Program, data: bytes, patience_s: float) -> Tuple[bytes, bytes]:
    """Write to a program and read its output until it has closed both streams. Raises TimeoutError."""
    found: Dict[int, bytes] = {program.stdout: b"", program.stderr: b""}
    is_open = list(found)
    rest = memoryview(data)
    os.set_blocking(program.stdin, False)
    give_up_at = time.monotonic() + patience_s
    if not data:
        program.close_stdin()
    while is_open:
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("no end after %g s" % patience_s)
        readable, writable, _none = select.select(is_open, [program.stdin] if len(rest) else [], [], left)
        if writable:
            try:
                rest = rest[os.write(program.stdin, rest) :]
            except BrokenPipeError:  # the program has ended; its stderr says why
                rest = rest[:0]
            if not len(rest):
                program.close_stdin()
        for descriptor in readable:
            part = os.read(descriptor, _CHUNK)
            found[descriptor] = (found[descriptor] + part)[-_MAX_ANSWER:]
            if not part:
                is_open.remove(descriptor)
    return found[program.stdout], found[program.stderr]


def _is_readable(descriptor: int) -> bool:
    """Whether there are bytes to read; the end of the stream does not count."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLIN for _descriptor, event in poll.poll(0))


def _available(descriptor: int) -> bytes:
    found = b""
    while _is_readable(descriptor):
        part = os.read(descriptor, _CHUNK)
        if not part:
            break
        found += part
    return found


def read_ssh_config(paramiko: Any, name: str) -> Dict[str, Any]:
    """Return the configuration of a host in ~/.ssh/config."""
    try:
        with open(os.path.expanduser("~/.ssh/config"), encoding="utf-8") as file:
            config = paramiko.SSHConfig()
            config.parse(file)
            return dict(config.lookup(name))
    except OSError:
        return {}
