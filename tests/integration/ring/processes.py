# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that a test starts: their output is kept, every wait is bounded, each is ended by its own id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Callable, Dict, List, NamedTuple, Optional, Sequence

#: No wait of a test takes this long, even on a busy machine.
PATIENCE_S = 60.0
_PAUSE_S = 0.02
#: The end of a program's output to show; the whole may be an image.
_MAX_SHOWN = 20000


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> float:
    """Wait for a condition. Returns the seconds it took. Raises AssertionError with `what` on a timeout."""
    began_at = time.monotonic()
    while not condition():
        assert time.monotonic() - began_at < patience_s, "waited %gs in vain for %s" % (patience_s, what)
        time.sleep(_PAUSE_S)
    return time.monotonic() - began_at


class Counts(NamedTuple):
    """Bytes of the image."""

    received: int
    sent: int
    resumed: int


class Program:
    """One process. Its output goes to two files. `end` must always be called."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, stdin: Optional[IO[bytes]] = None,
        stdout: Optional[IO[bytes]] = None,
    ) -> None:
        self.name = name
        self.folder = folder
        #: The largest resident size seen while waiting for it, in KiB.
        self.peak_kib = 0
        self._paths = folder / (".%s.out" % name), folder / (".%s.log" % name)
        with self._paths[0].open("wb") as out, self._paths[1].open("wb") as log:
            self._process = subprocess.Popen(
                list(command), cwd=folder, stdin=stdin or subprocess.DEVNULL, stdout=stdout or out, stderr=log
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        """Return the processor time that it has used so far, in seconds."""
        fields = Path("/proc/%d/stat" % self.pid).read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime, stime

    @property
    def code(self) -> Optional[int]:
        """The exit status, negative for a signal, None while it runs."""
        return self._process.poll()

    @property
    def out_path(self) -> Path:
        """The file for its standard output, unless `stdout` was given."""
        return self._paths[0]

    @property
    def out(self) -> str:
        """Its standard output."""
        return self._paths[0].read_text(errors="replace")

    @property
    def log(self) -> str:
        """Its standard error."""
        return self._paths[1].read_text(errors="replace")

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait until it ends by itself, watching its memory. Returns the exit status."""
        until(self.has_ended, "the end of %s" % self.name, patience_s)
        return self._process.returncode

    def wait_for_log(self, text: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until it has written `text` to standard error."""
        until(
            lambda: text in self.log or self.code is not None, "%r of %s" % (text, self.name), patience_s
        )
        assert text in self.log, "%s ended (%s) and never said %r" % (self.name, self.code, text)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def end(self) -> bool:
        """Kill it if it still runs. Returns whether it did."""
        if self.code is not None:
            return False
        self.kill()
        return True

    def is_listening(self) -> bool:
        """Whether it reports that it listens, or has ended."""
        return "listening on port" in self.log or self.code is not None

    @property
    def counts(self) -> Counts:
        """The bytes that a client reports as received, sent, and held before."""
        found = re.search(r"received (\d+) bytes, sent (\d+), had (\d+) from", self.log)
        assert found, "%s did not say what it received" % self.name
        return Counts(*map(int, found.groups()))

    def report(self) -> str:
        """Format its log and output for a failed test."""
        return "--- %s (exit status %s)\n%s%s" % (self.name, self.code, self.log, self.out[-_MAX_SHOWN:])

    def has_ended(self) -> bool:
        """Whether it has ended. Also records the memory that it has used so far."""
        self._note_memory()
        return self.code is not None

    def _note_memory(self) -> None:
        # proc(5): VmHWM never decreases, and disappears with the process.
        try:
            status = Path("/proc/%d/status" % self.pid).read_text()
        except OSError:
            return
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        if found:
            self.peak_kib = max(self.peak_kib, int(found.group(1)))


class Row:
    """A row of the table of results."""

    def __init__(self, cells: List[str], reason: str) -> None:
        self.name, self.state, self.size, _seconds, _rate, verified, repaired, *more = cells
        self.happened = more[0] if more else ""
        self.verified = verified == "yes"
        self.repaired = int(repaired)
        self.reason = reason


def results(output: str) -> Dict[str, Row]:
    """Return the rows of the table that a server or a client prints, by name of the node."""
    lines = output.splitlines()
    heads = [index for index, line in enumerate(lines) if line.startswith("node ")]
    assert heads, "there is no table of results in: %s" % output
    rows: Dict[str, Row] = {}
    for line in lines[heads[0] + 1 :]:
        cells = re.split(r"\s{2,}", line.strip())
        if len(cells) in (7, 8) and not line.startswith(tuple("%s: " % name for name in rows)):
            rows[cells[0]] = Row(cells, "")
            continue
        for name, row in rows.items():
            if line.startswith(name + ": "):
                row.reason = line[len(name) + 2 :]
    return rows
