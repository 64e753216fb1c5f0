# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Builds the ring from the receivers that have started, and sends the image. See the module dolly_stream."""

from __future__ import annotations

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dolly.ring.plugins.action import dolly_server
from ansible_collections.dolly.ring.plugins.action.dolly_plan import variables_of
from ansible_collections.dolly.ring.plugins.plugin_utils import (
    ring_calls,
    ring_logs,
    ring_plan,
    ring_words,
    run_store,
)


class ActionModule(dolly_server.ActionModule):
    def run(self, tmp=None, task_vars=None):
        result = super(dolly_server.ActionModule, self).run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(
            argument_spec={
                "run": {"type": "dict", "required": True},
                "run_dir": {"type": "path"},
                "progress": {"type": "bool", "default": True},
                "progress_interval": {"type": "float", "default": 5.0},
                "report": {"type": "bool", "default": False},
                "log_dir": {"type": "path"},
            },
        )
        run = args["run"]
        started = variables_of(run["nodes"], "dolly_ring__started", task_vars)
        causes = dict(run["problems"])
        for name in ("dolly_ring__broken", "dolly_ring__refused"):
            said = variables_of(run["nodes"], name, task_vars)
            causes.update((host, one[run["family"]]) for host, one in said.items() if one.get(run["family"]))
        causes.update((host, ring_plan.STAYED_AWAY) for host in run["nodes"] if host not in {**started, **causes})
        ring = ring_plan.join(run, started, causes)
        alive = [host for host in run["nodes"] if not (started.get(host) or {}).get("unreachable")]
        image = run_store.get(run["id"], "image") or {}
        stream = {}
        swept = {"clean": True}
        if "source" in image and not ring["problem"]:
            stream = self._send(run, image, ring, args, task_vars)
            if stream.get("state") != "running":
                swept = self._end(run, stream, args, task_vars)
        run_store.put(run["id"], "stream", {"ring": ring, "stream": stream, "swept": swept, "alive": alive})
        result.update(stream, run_id=run["id"], problem=ring["problem"], missing=ring["missing"], changed=False)
        result.pop("failed", None)  # each host fails by itself
        return result

    def _send(self, run, image, ring, args, task_vars):
        self._args = ring_calls.send(run, image, ring["nodes"])
        self._args["secret"] = run_store.take(run["id"], "secret")
        self._args.update((name, args[name]) for name in ("progress", "progress_interval"))
        if args["run_dir"]:
            self._args["run_dir"] = args["run_dir"]
        stream = self.reached(lambda: self.sent(task_vars))
        stream.pop("invocation", None)
        return stream

    def _end(self, run, stream, args, task_vars):
        """Collect the history and the log if asked for, then end the sender and remove its folder."""
        common = {"run_id": run["id"], "name": run["server"]}
        run_dir = stream.get("run_dir") or args["run_dir"]
        if run_dir:
            common["run_dir"] = run_dir
        if args["log_dir"] and run_dir and not self._task.check_mode:
            source = "%s/%s/%s/log" % (run_dir, run["id"], run["server"])
            said = self.reached(
                lambda: self._execute_module(
                    module_name="ansible.legacy.slurp", module_args={"src": source}, task_vars=task_vars
                )
            )
            ring_logs.keep(said, args["log_dir"], run["id"], run["server"])
        if args["report"] and run_dir:
            said = self.reached(lambda: self._module({**common, "state": "recorded"}, task_vars))
            run_store.put(run["id"], "history", said.get("history") or {})
        swept = self.reached(lambda: self._module({**common, "state": "absent"}, task_vars))
        return {"clean": bool(swept.get("clean")), "msg": ring_words.printable(swept.get("msg") or "no answer")}

    def reached(self, call):
        """Return the result of a call. An unreachable server is a result, too: no host has failed."""
        try:
            return call()
        except AnsibleConnectionFailure as error:
            reason = "the server cannot be reached: %s" % ring_words.printable(error)
            return {"failed": True, "changed": False, "msg": reason}
