# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run directory: private, whole files, and no process mistaken for another."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import rundir as rundir_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir, default_base

SLEEPER = "import signal, time\n%s\nprint(flush=True)\ntime.sleep(60)\n"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def rundir(tmp_path):
    made = RunDir(str(tmp_path / "base"), "run-1", "node")
    made.create()
    return made


@pytest.fixture
def sleeper():
    """Starts processes that sleep until they are told not to."""
    started = []

    def start(code=""):
        child = subprocess.Popen([sys.executable, "-c", SLEEPER % code], stdout=subprocess.PIPE)
        started.append(child)
        child.stdout.readline()
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def note(rundir, pid):
    rundir.write_json("process.json", {"pid": pid, "born": rundir_module._born(pid)})


def mode(path):
    return stat.S_IMODE(os.lstat(str(path)).st_mode)


class TestPermissions:
    def test_only_its_owner_can_enter(self, rundir):
        assert rundir.exists()
        path = rundir.path
        for _unused in range(3):
            assert mode(path) == 0o700
            path = os.path.dirname(path)

    def test_whatever_the_umask(self, tmp_path):
        old = os.umask(0)
        try:
            made = RunDir(str(tmp_path / "base"), "r", "n")
            made.create()
            made.write("secret", b"x" * 32)
        finally:
            os.umask(old)
        assert (mode(made.path), mode(made.file("secret"))) == (0o700, 0o600)

    @pytest.mark.parametrize("level", ["base", "run", "node"])
    @pytest.mark.parametrize("kind", ["open", "file", "link"])
    def test_what_others_could_enter_is_refused(self, tmp_path, level, kind):
        made = RunDir(str(tmp_path / "base"), "run", "node")
        path = {"base": made.base, "run": os.path.dirname(made.path), "node": made.path}[level]
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.chmod(made.base, 0o700) if level != "base" else None
        os.chmod(os.path.dirname(made.path), 0o700) if level == "node" else None
        if kind == "open":
            os.mkdir(path)
            os.chmod(path, 0o710)
        elif kind == "file":
            with open(path, "wb"):
                pass
        else:
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            os.symlink(str(tmp_path / "elsewhere"), path)
        with pytest.raises(Refused) as caught:
            made.create()
        assert caught.value.fields["what"] == path

    def test_what_belongs_to_somebody_else_is_refused(self, tmp_path, monkeypatch):
        made = RunDir(str(tmp_path / "base"), "run", "node")
        made.create()
        monkeypatch.setattr(rundir_module.os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(Refused):
            made.create()

    def test_twice(self, rundir):
        rundir.create()

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\0b"])
    def test_names_that_are_no_directory(self, name):
        with pytest.raises(UsageError):
            RunDir("/nonexistent", name, "node")
        with pytest.raises(UsageError):
            RunDir("/nonexistent", "run", name)

    def test_a_relative_base(self, tmp_path, monkeypatch):
        # The process changes to / before it looks for its directory.
        monkeypatch.chdir(tmp_path)
        assert RunDir("base", "run", "node").path == str(tmp_path / "base" / "run" / "node")


def test_default_base(monkeypatch, tmp_path):
    monkeypatch.setattr(rundir_module.os, "geteuid", lambda: 1234)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_base() == str(tmp_path / "dolly")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert default_base() == "/tmp/dolly-1234"
    monkeypatch.setattr(rundir_module.os, "geteuid", lambda: 0)
    assert default_base() == "/run/dolly"


class TestFiles:
    def test_whole_or_not_at_all(self, rundir):
        rundir.write("x", b"one")
        with open(rundir.file("x"), "rb") as old:
            rundir.write("x", b"two")
            assert old.read() == b"one"
        with open(rundir.file("x"), "rb") as new:
            assert new.read() == b"two"
        assert os.listdir(rundir.path) == ["x"]
        assert mode(rundir.file("x")) == 0o600

    def test_no_link_is_followed(self, rundir, tmp_path):
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        os.symlink(str(victim), rundir.file("x"))
        os.symlink(str(victim), rundir.file(".y.%d" % os.getpid()))
        rundir.write("x", b"new")
        with pytest.raises(OSError):
            rundir.write("y", b"new")
        assert victim.read_bytes() == b"precious"

    def test_json(self, rundir):
        rundir.write_json("status.json", {"state": "ready"})
        rundir.write_json("result.json", {"state": "done"})
        assert rundir.read_status() == {"state": "ready"}
        assert rundir.read_result() == {"state": "done"}

    @pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
    def test_what_is_no_object_counts_as_nothing(self, rundir, content):
        rundir.write("status.json", content)
        assert rundir.read_status() is None
        assert rundir.read_result() is None

    def test_the_secret_is_gone_once_taken(self, rundir):
        rundir.write("secret", b"s" * 32)
        assert rundir.take_secret() == b"s" * 32
        assert os.listdir(rundir.path) == []
        with pytest.raises(FileNotFoundError):
            rundir.take_secret()

    def test_log_tail(self, rundir):
        assert rundir.log_tail() == []
        rundir.write("log", b"\xff\n" + b"\n".join(b"line %d" % number for number in range(20_000)))
        assert rundir.log_tail(2) == ["line 19998", "line 19999"]

    def test_remove(self, rundir):
        other = RunDir(rundir.base, "run-1", "other")
        other.create()
        rundir.write("x", b"")
        assert rundir.remove()
        assert not rundir.remove()
        assert os.listdir(rundir.base) == ["run-1"]
        assert other.remove()
        assert os.listdir(rundir.base) == []

    @pytest.mark.parametrize("level", ["base", "run"])
    def test_nothing_is_removed_through_a_link_of_somebody_else(self, tmp_path, level):
        """Without a runtime directory of its own a user's base is a name in /tmp that everybody can guess."""
        made, elsewhere = RunDir(str(tmp_path / "base"), "run", "node"), tmp_path / "elsewhere"
        (elsewhere / "run" / "node" / "precious").mkdir(parents=True)
        if level == "base":
            os.symlink(str(elsewhere), made.base)
        else:
            os.mkdir(made.base, 0o700)
            os.symlink(str(elsewhere / "run"), os.path.dirname(made.path))
        with pytest.raises(Refused):
            made.remove()
        assert (elsewhere / "run" / "node" / "precious").is_dir()


class TestProcess:
    def test_itself(self, rundir):
        assert rundir.process_id() is None
        rundir.note_process()
        assert rundir.process_id() == os.getpid()
        assert rundir.is_running()

    def test_another_one_with_the_same_id(self, rundir):
        rundir.write_json("process.json", {"pid": os.getpid(), "born": "1"})
        assert not rundir.is_running()

    @pytest.mark.parametrize("noted", [{}, {"pid": "1"}, {"pid": 2 ** 40, "born": ""}, {"pid": -1, "born": ""}])
    def test_nonsense(self, rundir, noted):
        rundir.write_json("process.json", noted)
        assert rundir.process_id() is None
        assert rundir.stop(0.1)

    def test_remains_of_a_process_do_not_run(self, rundir, sleeper):
        child = sleeper()
        note(rundir, child.pid)
        assert rundir.process_id() == child.pid
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not rundir.is_running()

    def test_a_name_with_brackets(self, tmp_path, rundir, sleeper):
        child = sleeper("open('/proc/self/comm', 'w').write('a) S (b')")
        note(rundir, child.pid)
        assert rundir.process_id() == child.pid

    def test_stop_ends_that_process_alone(self, rundir, sleeper):
        other, child = sleeper(), sleeper()
        note(rundir, child.pid)
        assert rundir.stop(5.0)
        assert child.wait(5) == -signal.SIGTERM
        assert other.poll() is None

    def test_stop_kills_what_does_not_listen(self, rundir, sleeper):
        child = sleeper(STUBBORN)
        note(rundir, child.pid)
        assert rundir.stop(0.1)
        assert child.wait(5) == -signal.SIGKILL

    def test_stop_leaves_a_stranger_with_the_same_id_alone(self, rundir, sleeper):
        child = sleeper()
        rundir.write_json("process.json", {"pid": child.pid, "born": "1"})
        assert rundir.stop(0.1)
        assert child.poll() is None

    def test_stop_does_not_believe_a_directory_that_others_can_write(self, rundir, sleeper):
        child = sleeper()
        note(rundir, child.pid)
        os.chmod(os.path.dirname(rundir.path), 0o777)
        assert rundir.process_id() is None
        rundir.stop(0.1)
        assert child.poll() is None

    def test_stop_when_it_is_over(self, rundir, sleeper):
        child = sleeper()
        note(rundir, child.pid)
        child.kill()
        child.wait()
        started = time.monotonic()
        assert rundir.stop(30.0)
        assert time.monotonic() - started < 5


def test_one_at_a_time(tmp_path):
    """Two that look whether the other is there, and then come, must not both look first."""
    first, second = (RunDir(str(tmp_path / "runs"), "run", name) for name in ("n1", "n2"))
    entered, left = threading.Event(), []

    def enter():
        with second.one_at_a_time(10):
            assert left == ["n1"]
            entered.set()

    thread = threading.Thread(target=enter)
    with first.one_at_a_time(10):
        thread.start()
        assert not entered.wait(0.2)
        left.append("n1")
    thread.join(10)
    assert entered.is_set()
    assert os.listdir(first.base) == []  # no file is left of it


def test_one_who_never_ends_is_not_waited_for(tmp_path):
    first, second = (RunDir(str(tmp_path / "runs"), "run", name) for name in ("n1", "n2"))
    with first.one_at_a_time(10), pytest.raises(Refused, match=r"for 0\.1 s"), second.one_at_a_time(0.1):
        pass


def test_a_place_that_others_can_enter_is_not_waited_at(tmp_path):
    """There they could keep everybody out for ever."""
    (tmp_path / "runs").mkdir(mode=0o777)
    (tmp_path / "runs").chmod(0o777)
    with pytest.raises(Refused), RunDir(str(tmp_path / "runs"), "run", "n1").one_at_a_time(10):
        pass


def test_a_file_system_without_locks_is_no_reason(tmp_path, monkeypatch):
    def fail(fd, operation):
        raise OSError(errno.EBADF, "as NFS says")

    monkeypatch.setattr(rundir_module.fcntl, "flock", fail)
    with RunDir(str(tmp_path / "runs"), "run", "n1").one_at_a_time(10):
        assert os.path.isdir(str(tmp_path / "runs"))
