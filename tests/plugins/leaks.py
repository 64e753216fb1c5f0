# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fails a test that leaves a thread, an open descriptor or a child process behind.

What is there is noted before a test's fixtures are set up and looked at again after they are torn down. What
fixtures of a wider scope open while they are set up belongs to them, not to the first test that uses them. A test
that failed is not looked at: its traceback keeps its objects alive.

    @pytest.mark.leaks("reason")    on a test that has to leave something behind
"""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Callable, Dict, FrozenSet, Generator, List, NamedTuple, Set

import pytest

#: How long something may take to go away by itself, such as a thread that has been told to stop. On a busy machine one
#: second was not enough for a thread that had only to be given a processor once more.
GRACE_S = 3.0
#: Engine threads are daemons, so that a hung disk cannot keep a process alive; they have to end all the same.
ENGINE_THREADS = "dolly-"
#: Opened once by the interpreter or a library, whenever it is first needed, and kept.
KEPT_OPEN = ("/dev/random", "/dev/urandom", "/dev/null")

_FDS = "/proc/self/fd"


class Snapshot(NamedTuple):
    """What this process has: each entry is a sentence part that a person can read."""

    threads: FrozenSet[threading.Thread]
    descriptors: FrozenSet[str]
    children: FrozenSet[str]

    def lacking(self, other: Snapshot) -> Snapshot:
        """What is here and not in `other`."""
        return Snapshot(*(mine - theirs for mine, theirs in zip(self, other)))

    def joined(self, other: Snapshot) -> Snapshot:
        return Snapshot(*(mine | theirs for mine, theirs in zip(self, other)))

    def sentences(self) -> List[str]:
        found = [f"thread {thread.name!r} is running" for thread in self.threads]
        found += [f"descriptor {entry} is open" for entry in self.descriptors]
        found += [f"child process {entry} is there" for entry in self.children]
        return sorted(found)


def _threads() -> FrozenSet[threading.Thread]:
    return frozenset(
        thread
        for thread in threading.enumerate()
        if not thread.daemon or thread.name.startswith(ENGINE_THREADS)
    )


def _descriptors() -> FrozenSet[str]:
    found: Set[str] = set()
    try:
        numbers = os.listdir(_FDS)
    except OSError:  # not Linux, or /proc is not mounted
        return frozenset()
    for number in numbers:
        try:
            target = os.readlink(f"{_FDS}/{number}")
        except OSError:  # the one that listed the folder
            continue
        if target not in KEPT_OPEN:
            found.add(f"{number} ({target})")
    return frozenset(found)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> FrozenSet[str]:
    """The children of this process. Walks /proc only when the kernel says that there is one."""
    if not _has_children():
        return frozenset()
    found: Set[str] = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:
                text = stat.read().decode(errors="replace")
        except OSError:
            continue
        command, rest = text.partition("(")[2].rsplit(")", 1)
        if rest.split()[1] == str(os.getpid()):
            found.add(f"{entry} ({command})")
    return frozenset(found)


def snapshot() -> Snapshot:
    return Snapshot(_threads(), _descriptors(), _children())


def leaked_since(before: Snapshot, clock: Callable[[], float] = time.monotonic) -> Snapshot:
    """What is there and was not `before`, once the grace is over or nothing is left."""
    left = snapshot().lacking(before)
    if not any(left):
        return left
    gc.collect()
    deadline = clock() + GRACE_S
    while True:
        left = snapshot().lacking(before)
        if not any(left) or clock() >= deadline:
            return left
        time.sleep(0.01)


class LeakChecker:
    """The hooks. One test runs at a time in a process, so one baseline is enough."""

    def __init__(self) -> None:
        self._before: Dict[str, Snapshot] = {}
        self._failed: Set[str] = set()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        self._before = {item.nodeid: snapshot()}
        self._failed.clear()
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, None, None]:
        if fixturedef.scope == "function":
            yield
            return
        before = snapshot()
        yield
        opened = snapshot().lacking(before)
        self._before = {name: known.joined(opened) for name, known in self._before.items()}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, None, None]:
        yield
        if call.excinfo is not None:
            self._failed.add(item.nodeid)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        outcome = yield
        outcome.get_result()  # an error of the teardown itself comes first
        before = self._before.pop(item.nodeid, None)
        if before is None or item.nodeid in self._failed or item.get_closest_marker("leaks"):
            return
        left = leaked_since(before)
        if any(left):
            pytest.fail("left behind: " + "; ".join(left.sentences()), pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaks(reason): the test may leave something behind")
    config.pluginmanager.register(LeakChecker(), "dolly-leaks")
