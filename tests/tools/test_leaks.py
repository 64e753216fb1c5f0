# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The leak checker catches what it promises to, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Optional

import pytest

pytest_plugins = ["pytester"]

LEAKS = Path(__file__).resolve().parent.parent / "plugins" / "leaks.py"

LEAKY = """
import os, socket, subprocess, sys, threading, time
import pytest

kept = []

def start(target, **options):
    thread = threading.Thread(target=target, **options)
    thread.start()
    kept.append(thread)

def test_thread():
    start(time.sleep, args=(3,))

def test_engine_thread():
    start(time.sleep, args=(3,), daemon=True, name="dolly-lane-1")

def test_descriptor():
    kept.append(socket.socket())

def test_reused_descriptor():
    kept.append(os.open(__file__, os.O_RDONLY))

def test_child():
    kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"]))

def test_zombie():
    kept.append(subprocess.Popen(["true"]))

def test_innocent():
    pass
"""

CLEAN = """
import os, socket, subprocess, threading, time
import pytest

kept = []

@pytest.fixture(scope="module")
def server():
    with socket.socket() as server:
        yield server

@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)

def test_other_daemon():
    threading.Thread(target=time.sleep, args=(4,), daemon=True).start()

def test_thread_that_ends_soon():
    threading.Thread(target=time.sleep, args=(0.2,)).start()

def test_fixtures(server, pipe):
    assert server.fileno() > 0

def test_fixture_of_the_module_again(server):
    assert server.fileno() > 0

def test_child():
    subprocess.run(["true"], check=True)

def test_garbage_in_a_cycle():
    loop = [open(__file__)]
    loop.append(loop)

@pytest.mark.leaks("to see the mark at work")
def test_marked():
    kept.append(socket.socket())

def test_after_a_leak():
    pass

@pytest.mark.xfail(strict=True)
def test_failed():
    kept.append(socket.socket())
    assert False
"""


@pytest.fixture(autouse=True)
def _plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    shutil.copy(LEAKS, pytester.path / "leaks.py")


def _run(pytester: pytest.Pytester, source: str, grace_s: Optional[float] = None) -> pytest.RunResult:
    pytester.makepyfile(test_it=source)
    if grace_s is not None:  # what is there for good is waited for in vain
        pytester.makeconftest(f"import leaks\nleaks.GRACE_S = {grace_s}")
    # ResourceWarning is not what is tested here.
    return pytester.runpytest_subprocess("-p", "leaks", "-p", "no:cacheprovider", "-W", "ignore", "-q")


def test_each_kind_of_leak_is_caught(pytester: pytest.Pytester) -> None:
    result = _run(pytester, LEAKY, grace_s=0.3)
    result.assert_outcomes(passed=7, errors=6)  # each leak is charged once, not to the test after it
    result.stdout.fnmatch_lines(
        [
            "left behind: thread 'Thread-1 (sleep)' is running",
            "left behind: thread 'dolly-lane-1' is running",
            "left behind: descriptor * (socket:*) is open",
            "left behind: descriptor * (*test_it.py) is open",
            "left behind: child process * is there",
            "left behind: child process * (true) is there",
        ]
    )


def test_what_is_no_leak_passes(pytester: pytest.Pytester) -> None:
    _run(pytester, CLEAN).assert_outcomes(passed=8, xfailed=1)


def test_an_error_of_the_teardown_is_not_hidden(pytester: pytest.Pytester) -> None:
    source = """
        import socket
        import pytest

        kept = []

        @pytest.fixture
        def breaks():
            yield
            kept.append(socket.socket())
            raise RuntimeError("the first error")

        def test_it(breaks):
            pass
    """
    result = _run(pytester, source)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: the first error"])
