# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module dolly_server once for all hosts, and shows the progress of the sender meanwhile."""

from __future__ import annotations

import time

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dolly.ring.plugins.plugin_utils import bounded_calls, ring_words

display = Display()

SHORTEST_INTERVAL_S = 1.0
#: How long the server may be unreachable while the sender, which runs by itself, goes on.
PATIENCE_S = 120.0
PAUSE_S = 3.0
#: Arguments for the start only: later calls must not send the secret again.
FOR_THE_START = ("source", "source_facts", "nodes", "secret")


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._args = dict(self._task.args)
        try:
            result.update(self.sent(task_vars))
        except AnsibleConnectionFailure as error:
            # An unreachable server would make every host of the play unreachable, with the reason on one.
            reason = "the server cannot be reached: %s" % ring_words.printable(error)
            result.update(failed=True, changed=False, msg=reason)
        return result

    def sent(self, task_vars):
        """Return the module's result once the sender has ended. Raises AnsibleConnectionFailure."""
        is_wait = self._args.get("state", "finished") == "finished" and self._args.get("wait") is None
        if not is_wait or self._task.check_mode:
            return self._module(self._args, task_vars)
        return self._watch(task_vars)

    def _module(self, args, task_vars):
        def execute():
            return self._execute_module(module_name="dolly.ring.dolly_server", module_args=args, task_vars=task_vars)

        is_short = args.get("state") in ("recorded", "absent")
        if not is_short and args.get("wait") is None:
            return execute()  # no limit: the module may read a whole image
        return bounded_calls.call(self._connection, float(args.get("wait") or 0) + bounded_calls.CALL_S, execute)

    def _watch(self, task_vars):
        """Start the sender, then poll it until it has ended."""
        interval_s = max(SHORTEST_INTERVAL_S, float(self._args.get("progress_interval") or 5.0))
        shows = boolean(self._args.get("progress", True)) and ring_words.is_for_people(str(C.DEFAULT_STDOUT_CALLBACK))
        words = ring_words.ProgressLine()
        args = dict(self._args)
        args["wait"] = interval_s
        while True:
            result = self._look(args, task_vars)
            if result.get("state") != "running" or result.get("failed"):
                return result
            for name in FOR_THE_START:
                args.pop(name, None)
            if shows and result["progress"]["total"]:
                for line in ring_words.folded(words.line(time.monotonic(), result["progress"])):
                    display.display(line)

    def _look(self, args, task_vars):
        """Call the module once. After the start, a lost connection is retried for a while."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._module(args, task_vars)
            except AnsibleConnectionFailure:
                if "secret" in args or time.monotonic() > give_up_at:
                    raise
                time.sleep(PAUSE_S)
