# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback for programs: standard output is one JSON object per line and nothing else."""

from __future__ import annotations

import json
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: jsonl
type: stdout
short_description: Writes one JSON object per line
description:
  - For the tests of this collection.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "jsonl"

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            sys.stdout.write(json.dumps({host: stats.summarize(host)}) + "\n")
