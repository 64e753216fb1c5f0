# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run side by side: started, watched from outside, ended by their own process id."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from typing import Dict, List, Optional, Sequence, TextIO

_STATUS_INTERVAL_S = 0.03
_TICKS = os.sysconf("SC_CLK_TCK")


class Stage:
    """One program of a node."""

    def __init__(self, rank: int, argv: Sequence[str], process: subprocess.Popen[bytes]) -> None:
        self.rank = rank
        self.argv = list(argv)
        self.process = process
        self.pidfd = os.pidfd_open(process.pid)
        self.ended_at: Optional[float] = None
        self.cpu_s = 0.0
        self.cpu_before_s = 0.0
        self.peak = 0
        self.status = 0

    def sample(self) -> None:
        """Note the peak memory so far. The kernel's own maximum at the end would count the parent's before exec."""
        try:
            with open("/proc/%d/status" % self.process.pid, "rb") as file:
                for line in file:
                    if line.startswith(b"VmHWM:"):
                        self.peak = max(self.peak, int(line.split()[1]) * 1024)
        except OSError:
            pass  # it has ended

    def note_cpu(self) -> None:
        """Note the processor time so far as start-up."""
        try:
            with open("/proc/%d/stat" % self.process.pid, "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return  # it has ended
        self.cpu_before_s = (int(fields[11]) + int(fields[12])) / _TICKS

    def reap(self, now: float) -> None:
        """Take what the kernel counted for the program and the children that it waited for."""
        _pid, status, usage = os.wait4(self.process.pid, 0)
        self.ended_at = now
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.status = os.waitstatus_to_exitcode(status)
        self.process.returncode = self.status

    def end(self) -> None:
        """End it and what it started, now."""
        if self.ended_at is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.reap(time.monotonic())
        os.close(self.pidfd)


class Crew:
    """All programs of one measurement; none outlives it."""

    def __init__(self, log: TextIO) -> None:
        self.stages: List[Stage] = []
        self._log = log
        self._sampled_at = 0.0

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_ignored: object) -> None:
        for stage in self.stages:
            stage.end()

    def start(
        self,
        rank: int,
        commands: Sequence[Sequence[str]],
        folder: str,
        stdin: str = os.devnull,
        stdout: str = "",
        prefix: Sequence[str] = (),
    ) -> None:
        """Start a pipeline of programs; its last output goes to the file `stdout`, or to the log."""
        feed = open(stdin, "rb")  # noqa: SIM115 - handed on in the loop
        for number, command in enumerate(commands):
            is_last = number == len(commands) - 1
            output: object = subprocess.PIPE
            if is_last:
                output = open(stdout, "wb") if stdout else self._log  # noqa: SIM115
            try:
                process = subprocess.Popen(
                    [*prefix, *command], cwd=folder, stdin=feed, stdout=output, stderr=self._log,  # type: ignore
                    start_new_session=True, env=_environment(),
                )  # fmt: skip
            finally:
                feed.close()
                if is_last and stdout:
                    output.close()  # type: ignore
            self.stages.append(Stage(rank, command, process))
            if process.stdout is not None:
                feed = process.stdout  # type: ignore

    def poll(self, timeout_s: float) -> None:
        """Wait for the next end of a program, at most so long."""
        running: Dict[int, Stage] = {stage.pidfd: stage for stage in self.stages if stage.ended_at is None}
        poller = select.poll()
        for fd in running:
            poller.register(fd, select.POLLIN)
        ready = poller.poll(timeout_s * 1000)
        now = time.monotonic()
        for fd, _event in ready:
            running[fd].reap(now)
        if now - self._sampled_at >= _STATUS_INTERVAL_S:
            self._sampled_at = now
            for stage in running.values():
                stage.sample()

    def is_over(self) -> bool:
        return all(stage.ended_at is not None for stage in self.stages)

    def failure(self) -> str:
        """Which program ended badly, or ""."""
        for stage in self.stages:
            if stage.status:
                name = os.path.basename(stage.argv[0])
                return "%s of rank %d ended with status %d" % (name, stage.rank, stage.status)
        return ""


def _environment() -> Dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAKE", "MFLAGS"))
    }
    return dict(kept, LC_ALL="C.UTF-8")


def is_listening(pid: int, port: int) -> bool:
    """Whether somebody in the network namespace of a process listens on a port; asks without connecting."""
    for name in ("tcp", "tcp6"):
        try:
            with open("/proc/%d/net/%s" % (pid, name), encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        if any(row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port for row in rows):
            return True
    return False


def received_bytes(pid: int) -> int:
    """What the interfaces of a process's network namespace have received."""
    total = 0
    try:
        with open("/proc/%d/net/dev" % pid, encoding="ascii") as file:
            for line in file.readlines()[2:]:
                total += int(line.partition(":")[2].split()[0])
    except OSError:
        pass
    return total
