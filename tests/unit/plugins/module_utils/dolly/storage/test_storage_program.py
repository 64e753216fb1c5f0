# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An external program is fed, heard, reaped and ended."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.program import Program

SHELL = "/bin/sh"


@pytest.fixture
def start():
    programs = []

    def start_one(*argv):
        programs.append(Program(list(argv)))
        return programs[-1]

    yield start_one
    for program in programs:
        program.close(10)
        program.close(10)
        with pytest.raises(ChildProcessError):
            os.waitpid(program._pid, os.WNOHANG)


def everything(descriptor):
    found = b""
    while True:
        data = os.read(descriptor, 100)
        if not data:
            return found
        found += data


def test_three_pipes_and_a_status(start):
    program = start(SHELL, "-c", "read line; echo heard $line; echo a complaint >&2; exit 3")
    assert program.poll() is None
    os.write(program.stdin, b"this\n")
    assert everything(program.stdout) == b"heard this\n"
    assert everything(program.stderr) == b"a complaint\n"
    assert program.wait(10) == program.poll() == 3


def test_the_end_of_its_input(start):
    program = start(SHELL, "-c", "cat")
    os.write(program.stdin, b"all of it")
    program.close_stdin()
    program.close_stdin()
    assert everything(program.stdout) == b"all of it"
    assert program.wait(10) == 0


def test_one_that_does_not_end_is_killed(start):
    program = start(SHELL, "-c", "exec sleep 100")
    with pytest.raises(TimeoutError):
        program.wait(0.05)
    program.close(10)
    assert program.poll() == -signal.SIGKILL


def test_what_cannot_be_started_has_a_status_too(start):
    assert start("/nonexistent/program").wait(10) == 127


def test_it_dies_of_a_pipe_that_nobody_reads(start):
    """Python ignores this signal, and what is ignored stays so in a program that is executed."""
    program = start(SHELL, "-c", "kill -PIPE $$; exit 5")
    assert program.wait(10) == -signal.SIGPIPE


def test_no_descriptor_of_the_caller_stays_open_in_it(start, tmp_path):
    kept = os.open(tmp_path, os.O_RDONLY)
    try:
        program = start(SHELL, "-c", "ls -l /proc/$$/fd; echo done")
        listed = everything(program.stdout).decode()
    finally:
        os.close(kept)
    assert str(tmp_path) not in listed and listed.endswith("done\n")
