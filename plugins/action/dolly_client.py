# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module dolly_client, with a time limit in case the host has vanished."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.dolly.ring.plugins.plugin_utils import bounded_calls, run_store

#: States that the server reports for hosts that may be gone.
PERHAPS_GONE = ("lost", "unreachable")
#: How long the module waits for a result by default.
DEFAULT_TIMEOUT_S = 120.0


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        args = dict(self._task.args)
        if args.get("state", "started") == "started" and "secret" not in args:
            planned = self._add_planned(args)
            if planned:
                result.update(planned)
                return result
        result.update(self.client(args, task_vars))
        return result

    def client(self, args, task_vars):
        """Call the module. Raises AnsibleConnectionFailure, also if the host stays silent for too long."""
        limit_s = bounded_calls.CALL_S
        if args.get("state") == "finished":
            limit_s += float(args.get("timeout") or DEFAULT_TIMEOUT_S)
            if (args.get("reported") or {}).get("state") in PERHAPS_GONE:
                self._knock()

        def execute():
            return self._execute_module(module_name="dolly.ring.dolly_client", module_args=args, task_vars=task_vars)

        return bounded_calls.call(self._connection, limit_s, execute)

    def _add_planned(self, args):
        """Add what dolly_plan stored for the run. Returns a result if no receiver is to start, else None."""
        run_id = str(args.get("run_id"))
        secret, image = run_store.get(run_id, "secret"), run_store.get(run_id, "image")
        if image is not None and "source" not in image:
            return {"changed": False, "run_id": run_id, "msg": "not started: there is no image"}
        if secret is not None and image is not None:
            args["secret"] = secret
            if image["source"].get("kind") != "dummy":
                args["source"] = image["source"]
        return None

    def _knock(self):
        """Check within seconds that the host answers. Raises AnsibleConnectionFailure."""
        bounded_calls.call(
            self._connection,
            bounded_calls.ANSWER_S,
            lambda: self._low_level_execute_command("true", sudoable=False),
        )
