# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts receivers over ssh, with nothing installed beforehand, and takes their results home.

On the node all lies in one fresh directory that only its user can enter: the engine, and the run's key until the
receiver has read it. The key is never on a command line. paramiko is needed here, on the control side, alone.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from ..errors import DollyError, PeerLost, Refused, said_of

_CONNECT_S = 15.0
_START_S = 60.0
_RESULT_S = 15.0
_LISTENING = "listening on port "
_POLL_S = 0.05
_LARGEST_OUTPUT = 1 << 20


def load_paramiko() -> Any:
    """The library. Raises Refused where it is not installed."""
    try:
        import paramiko
    except ImportError as error:
        allow = "pip install paramiko, or start the clients by hand"
        raise Refused("--ssh", "there is no paramiko here", allow) from error
    return paramiko


class Machine:
    """A node as ssh reaches it. Each method may be called on a thread of its own; `close` in any case."""

    def __init__(self, name: str, user: str, options: Sequence[str], log: Callable[[str], None]) -> None:
        self.name = name
        self.port = 0
        self._user = user
        self._options = list(options)
        self._log = log
        self._client: Any = None
        self._channel: Any = None
        self._folder = ""
        self._pid = 0
        self._out = b""
        self._err = b""

    def start(self, engine: str, key: bytes) -> None:
        """Connect, copy and start a receiver; `port` is set then. Raises PeerLost with the reason."""
        paramiko = load_paramiko()
        try:
            self._client = self._connect(paramiko)
            self._folder = self._call("umask 077 && mktemp -d")
            self._copy(engine, key)
            self._launch()
            self._await_port()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise PeerLost(self.name, "ssh: %s" % (error or type(error).__name__)) from error

    def finish(self) -> Optional[Dict[str, Any]]:
        """The receiver's own result; None when it left none in time."""
        give_up_at = time.monotonic() + _RESULT_S
        while self._channel is not None and time.monotonic() < give_up_at:
            self._drain()
            if self._channel.exit_status_ready() and not self._channel.recv_ready():
                break
            time.sleep(_POLL_S)
        lines = self._out.decode("utf-8", "replace").splitlines()
        try:
            found = json.loads(lines[-1]) if lines else None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        """End the receiver if it still runs, remove what was copied, hang up. Never raises: it is over."""
        if self._client is None:
            return
        try:
            if self._folder:
                kill = "kill %d 2>/dev/null; " % self._pid if self._pid and not self._has_ended() else ""
                self._call("%srm -rf -- %s" % (kill, shlex.quote(self._folder)))
        except Exception as error:  # whatever it is, the run is over and the others are to be cleaned, too
            self._log("%s: could not be cleaned up: %s" % (self.name, error))
        finally:
            self._client.close()

    def _connect(self, paramiko: Any) -> Any:
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        known = read_ssh_config(paramiko, self.name)
        proxy = known.get("proxycommand")
        client.connect(
            known.get("hostname", self.name),
            port=int(known.get("port", 22)),
            username=self._user or known.get("user"),
            key_filename=known.get("identityfile"),
            sock=paramiko.ProxyCommand(proxy) if proxy else None,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
        )
        return client

    def _copy(self, engine: str, key: bytes) -> None:
        sftp = self._client.open_sftp()
        try:
            sftp.put(engine, self._folder + "/dolly.pyz")
            with sftp.open(self._folder + "/key", "wx") as file:  # in a directory that is its user's alone
                file.chmod(0o600)
                file.write(key)
        finally:
            sftp.close()

    def _launch(self) -> None:
        arguments = ["--key-file", self._folder + "/key", "--json", "-v", *self._options]
        command = "echo $$; exec python3 -I %s %s" % (
            shlex.quote(self._folder + "/dolly.pyz"),
            " ".join(map(shlex.quote, arguments)),
        )
        self._channel = self._client.get_transport().open_session(timeout=_CONNECT_S)
        self._channel.exec_command(command)

    def _await_port(self) -> None:
        give_up_at = time.monotonic() + _START_S
        while not self.port:
            self._drain()
            text = self._err.decode("utf-8", "replace")
            for line in text.splitlines():
                if _LISTENING in line:
                    self.port = int(line.rpartition(_LISTENING)[2])
            if not self.port and (self._has_ended() or time.monotonic() > give_up_at):
                raise PeerLost(self.name, "its receiver did not start: %s" % (text.strip()[-300:] or "it said nothing"))
            time.sleep(_POLL_S)
        self._pid = int(self._out.split(b"\n")[0])
        self._call("rm -f -- %s" % shlex.quote(self._folder + "/key"))

    def _drain(self) -> None:
        """Take what has come, so that the receiver never waits for us. Only the end of what it logs is kept."""
        while self._channel.recv_ready():
            self._out = (self._out + self._channel.recv(65536))[-_LARGEST_OUTPUT:]
        while self._channel.recv_stderr_ready():
            self._err = (self._err + self._channel.recv_stderr(65536))[-_LARGEST_OUTPUT:]

    def poll(self) -> None:
        """To be called while the run goes on."""
        if self._channel is not None:
            self._drain()

    def _has_ended(self) -> bool:
        return self._channel is None or bool(self._channel.exit_status_ready())

    def _call(self, command: str) -> str:
        _stdin, out, err = self._client.exec_command(command, timeout=_CONNECT_S)
        text = str(out.read(65536), "utf-8", "replace").strip()
        if out.channel.recv_exit_status() != 0:
            reason = err.read(4096).decode("utf-8", "replace").strip()
            raise OSError("%s: %s" % (command.partition(" ")[0], reason or "it failed"))
        return text


def read_ssh_config(paramiko: Any, name: str) -> Dict[str, Any]:
    """What ~/.ssh/config says of a host."""
    try:
        with open(os.path.expanduser("~/.ssh/config"), encoding="utf-8") as file:
            config = paramiko.SSHConfig()
            config.parse(file)
            return dict(config.lookup(name))
    except OSError:
        return {}


def reasons(failed: Dict[str, DollyError]) -> List[str]:
    """A sentence for each machine that did not start."""
    return [said_of(name, error.sentence) for name, error in sorted(failed.items())]
