# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module dolly_client, and does not wait for ever for a host that is not there any more."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.dolly.ring.plugins.plugin_utils import bounded_calls

#: By the last word of the server nobody knows whether these hosts are still there.
PERHAPS_GONE = ("lost", "unreachable")
#: How long the module waits for a result, unless it is told.
DEFAULT_TIMEOUT_S = 120.0


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        args = self._task.args
        limit_s = bounded_calls.CALL_S
        if args.get("state") == "finished":
            limit_s += float(args.get("timeout") or DEFAULT_TIMEOUT_S)
            if (args.get("reported") or {}).get("state") in PERHAPS_GONE:
                self._knock()
        result.update(bounded_calls.call(self._connection, limit_s, lambda: self._execute_module(task_vars=task_vars)))
        return result

    def _knock(self):
        """Find out in seconds that the host is not there. Raises AnsibleConnectionFailure."""
        bounded_calls.call(
            self._connection,
            bounded_calls.ANSWER_S,
            lambda: self._low_level_execute_command("true", sudoable=False),
        )
