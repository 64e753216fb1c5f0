# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what ran, and fails a run as root in which a test was skipped: as root nothing has a reason to be."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import List

import pytest


class SkipPolicy:
    """The hooks; `counts` gets a line such as "12 passed, 0 failed, 3 skipped" for whoever started the tests."""

    def __init__(self, strict: bool, counts: str) -> None:
        self._strict = strict
        self._counts = counts
        self._seen: Counter[str] = Counter()
        self._skipped: List[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report, report.when == "call")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report, False)

    def _note(self, report: pytest.CollectReport | pytest.TestReport, is_call: bool) -> None:
        if report.failed:
            self._seen["failed"] += 1
        elif hasattr(report, "wasxfail"):
            self._seen["xfailed"] += 1
        elif report.skipped:
            self._seen["skipped"] += 1
            self._skipped.append(report.nodeid)
        elif is_call:
            self._seen["passed"] += 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._counts:
            line = ", ".join(f"{self._seen[name]} {name}" for name in ("passed", "failed", "skipped"))
            Path(self._counts).write_text(line + "\n", encoding="utf-8")
        if self._is_refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._is_refused:
            terminalreporter.section("skipped as root", red=True)
            for nodeid in self._skipped:
                terminalreporter.line(nodeid)

    @property
    def _is_refused(self) -> bool:
        return self._strict and bool(self._skipped)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dolly")
    group.addoption("--no-skips-as-root", action="store_true", help="as root, fail when a test was skipped")
    group.addoption("--counts", default="", metavar="FILE", help="write how many tests passed to FILE")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # the process that started the workers sees every report
        return
    strict = config.getoption("--no-skips-as-root") and os.geteuid() == 0
    config.pluginmanager.register(SkipPolicy(strict, config.getoption("--counts")), "dolly-skips")
