# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what every task returned on every host, one JSON object per line, for the tests to read."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: dolly_record
type: aggregate
short_description: Writes what every task returned to the file that DOLLY_RECORD names
description:
  - For the tests of this collection.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dolly_record"

    def __init__(self):
        super().__init__()
        self._path = os.environ.get("DOLLY_RECORD")
        self.disabled = not self._path

    def _write(self, **entry):
        with open(self._path, "a", encoding="utf-8") as record:
            record.write(json.dumps(entry, default=str) + "\n")

    def _result(self, status, result, **more):
        self._write(
            status=status,
            host=result._host.get_name(),
            task=result._task.get_name().split(" : ")[-1],
            result=json.loads(self._dump_results(dict(result._result), keep_invocation=True)),
            **more,
        )

    def v2_runner_on_ok(self, result):
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("failed", result, ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            self._write(status="stats", host=host, task="", result=stats.summarize(host))
