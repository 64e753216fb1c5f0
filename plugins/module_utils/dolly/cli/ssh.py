# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts receivers over ssh, with nothing installed beforehand, and collects their results.

On the node, everything lies in a new directory that only its user can enter: the engine, and the run's key
until the receiver has read it. The key is never on a command line.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from ..errors import DollyError, StartFailed, said_of
from .ssh_transport import Transport

_START_S = 60.0
_RESULT_S = 15.0
_LISTENING = "listening on port "
_POLL_S = 0.05
_LARGEST_OUTPUT = 1 << 20
#: The first line of standard input is the key, which `read` takes byte by byte; the rest is the engine.
_COPY = (
    'umask 077 && folder=$(mktemp -d) && IFS= read -r key && printf %s "$key" > "$folder/key" && '
    'cat > "$folder/dolly.pyz" && echo "$folder"'
)


class Machine:
    """A node reached over ssh. Each method may be called on any thread. `close` must always be called."""

    def __init__(self, name: str, transport: Transport, options: Sequence[str], log: Callable[[str], None]) -> None:
        self.name = name
        self.port = 0
        self._transport = transport
        self._options = list(options)
        self._log = log
        self._folder = ""
        self._pid = 0
        self._is_launched = False
        self._out = b""
        self._err = b""

    def start(self, engine: bytes, key: bytes) -> None:
        """Connect, copy and start a receiver, and set `port`. `key`: one line. Raises StartFailed."""
        try:
            self._transport.connect()
            self._folder = self._transport.call("sh -c %s" % shlex.quote(_COPY), key + b"\n" + engine)
            self._launch()
            self._await_port()
        except self._transport.errors as error:
            # Not str(error): paramiko raises OSErrors without a number, which would begin with "[Errno None]".
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise StartFailed(self.name, why) from error

    def finish(self) -> Optional[Dict[str, Any]]:
        """Return the receiver's own result, or None if none arrives within 15 s."""
        give_up_at = time.monotonic() + _RESULT_S
        while self._is_launched and time.monotonic() < give_up_at:
            has_ended = self._transport.has_ended()
            self.poll()
            if has_ended:
                break
            time.sleep(_POLL_S)
        lines = self._out.decode("utf-8", "replace").splitlines()
        try:
            found = json.loads(lines[-1]) if lines else None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        """End the receiver if it still runs, remove what was copied, and disconnect. Never raises."""
        try:
            if self._folder:
                kill = "kill %d 2>/dev/null; " % self._pid if self._pid and not self._transport.has_ended() else ""
                self._transport.call("%srm -rf -- %s" % (kill, shlex.quote(self._folder)))
        except Exception as error:  # whatever failed, the other machines must still be cleaned up
            self._log("%s could not be cleaned up, %s is left there: %s" % (self.name, self._folder, error))
        finally:
            self._transport.close()

    def poll(self) -> None:
        """Read what has arrived, so that the receiver never blocks. Only the end of its output is kept."""
        if self._is_launched:
            out, err = self._transport.read()
            self._out = (self._out + out)[-_LARGEST_OUTPUT:]
            self._err = (self._err + err)[-_LARGEST_OUTPUT:]

    def _launch(self) -> None:
        arguments = ["--key-file", self._folder + "/key", "--json", "-v", *self._options]
        command = "echo $$; exec python3 -I %s %s" % (
            shlex.quote(self._folder + "/dolly.pyz"),
            " ".join(map(shlex.quote, arguments)),
        )
        self._transport.launch("sh -c %s" % shlex.quote(command))
        self._is_launched = True

    def _await_port(self) -> None:
        give_up_at = time.monotonic() + _START_S
        while not self.port:
            has_ended = self._transport.has_ended()
            self.poll()
            text = self._err.decode("utf-8", "replace")
            for line in text.splitlines():
                if _LISTENING in line:
                    self.port = int(line.rpartition(_LISTENING)[2])
            if not self.port and (has_ended or time.monotonic() > give_up_at):
                raise StartFailed(self.name, text.strip()[-300:] or "it said nothing")
            time.sleep(_POLL_S)
        self._pid = int(self._out.split(b"\n")[0])
        self._transport.call("rm -f -- %s" % shlex.quote(self._folder + "/key"))


def reasons(failed: Dict[str, DollyError]) -> List[str]:
    """Return a sentence for each machine that did not start."""
    return [said_of(name, error.sentence) for name, error in sorted(failed.items())]
