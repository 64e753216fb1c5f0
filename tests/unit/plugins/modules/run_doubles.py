# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run and a clock that do what a test says."""

from __future__ import annotations


class Folder:
    """A run directory that goes through a script: one entry for each look, the last one stays."""

    path = "/run/dolly/r/n1"

    def __init__(self, *script, is_there=True, can_stop=True):
        self.script = list(script) or [{}]
        self.is_there = is_there
        self.can_stop = can_stop
        self.removed = False

    def exists(self):
        return self.is_there

    def is_running(self):
        self.now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return self.now.get("is_running", False)

    def read_result(self):
        return self.now.get("result")

    def read_json(self, name):
        return self.now.get(name)

    def read_status(self):
        return self.now.get("status")

    def log_tail(self, lines):
        return ["the last words"]

    def file(self, name):
        return "/no-such-run/" + name

    def stop(self, timeout_s):
        return self.can_stop

    def remove(self):
        self.removed = True


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
