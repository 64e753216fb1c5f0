# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collects the result of a host, cleans up, and ends the host accordingly. See the module dolly_result."""

from __future__ import annotations

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dolly.ring.plugins.action import dolly_client
from ansible_collections.dolly.ring.plugins.plugin_utils import ring_logs, ring_results, run_store


class ActionModule(dolly_client.ActionModule):
    def run(self, tmp=None, task_vars=None):
        result = super(dolly_client.ActionModule, self).run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(
            argument_spec={
                "run": {"type": "dict", "required": True},
                "started": {"type": "dict", "default": {}},
                "cause": {"type": "str", "default": ""},
                "ends": {"type": "bool", "default": True},
                "run_dir": {"type": "path"},
                "dest": {"type": "str"},
                "state_dir": {"type": "path"},
                "purge": {"type": "bool", "default": False},
                "timeout": {"type": "float", "default": 120.0},
                "log_dir": {"type": "path"},
            },
        )
        run, host = args["run"], task_vars["inventory_hostname"]
        told = run_store.get(run["id"], "stream") or {}
        heard = self._heard(host, args, told, task_vars)
        said = ring_results.result_of(host, heard)
        run_store.put(run["id"], "host-" + host, said)
        result.update(changed=bool(said["changed"]), msg=said["reason"])
        if args["ends"] and said["state"] not in ring_results.GOOD:
            # At least one host must stay reachable to report the whole run.
            is_lost = said["state"] == "unreachable" and self._is_somebody_left(run, host, told.get("alive") or ())
            result["unreachable" if is_lost else "failed"] = True
        return result

    def _is_somebody_left(self, run, host, alive):
        """Whether another host may still be reachable; each host stores its own result before this check."""
        others = (run_store.get(run["id"], "host-" + name) or {} for name in alive if name != host)
        return any(said.get("state") != "unreachable" for said in others)

    def _heard(self, host, args, told, task_vars):
        run, started = args["run"], args["started"]
        if self._task.check_mode:
            # Starting a receiver changes nothing, but in a real run it would overwrite the target.
            started = dict(started, changed="node" in started and not run["is_dummy"])
        ring, stream = told.get("ring") or {"nodes": [], "problem": ""}, told.get("stream") or {}
        is_lost = bool(started.get("unreachable"))
        common = {"run_id": run["id"], "name": host, "run_dir": started.get("run_dir") or args["run_dir"]}
        common = {name: value for name, value in common.items() if value}
        collected, cleaned = {}, {}
        in_ring = not ring["problem"] and host in [node["name"] for node in ring["nodes"]]
        if in_ring:
            collected = self._asked(lambda: self.client(self._to_collect(common, run, stream, args), task_vars))
        if host in run["nodes"] and not is_lost:
            if args["log_dir"] and "node" in started and not self._task.check_mode:
                self._keep_log(common, args["log_dir"], task_vars)
            cleaned = self._asked(lambda: self.client(self._to_clean(common, run, started, args), task_vars))
        return ring_results.Heard(
            run=run,
            image=run_store.get(run["id"], "image") or {},
            ring=ring,
            stream=stream,
            started={host: started} if started else {},
            collected={host: collected} if collected else {},
            cleaned={host: cleaned} if cleaned else {},
            causes={host: args["cause"]} if args["cause"] else {},
            is_check=self._task.check_mode,
        )

    def _to_collect(self, common, run, stream, args):
        unknown = {"error": {"message": stream.get("msg") or "the server gave no answer"}}
        reported = [node for node in stream.get("nodes") or () if node.get("name") == common["name"]]
        agreed = run["agreed"]
        return {
            **common,
            "state": "finished",
            "dummy": run["is_dummy"],
            "verify": agreed["dolly_ring_verify"],
            "sync": agreed["dolly_ring_sync"],
            "protocol": agreed["dolly_ring_protocol"],
            "timeout": args["timeout"],
            "reported": reported[0] if reported else unknown,
        }

    def _to_clean(self, common, run, started, args):
        # A target that was refused or never checked holds nothing of this run.
        clean = {**common, "state": "absent", "purge": args["purge"] and "node" in started and not run["is_dummy"]}
        clean.update((name, args[name]) for name in ("dest", "state_dir") if args[name])
        return clean

    def _keep_log(self, common, folder, task_vars):
        source = {"src": "%s/%s/%s/log" % (common.get("run_dir"), common["run_id"], common["name"])}
        said = self._asked(
            lambda: self._execute_module(module_name="ansible.legacy.slurp", module_args=source, task_vars=task_vars)
        )
        ring_logs.keep(said, folder, common["run_id"], common["name"])

    def _asked(self, call):
        try:
            said = call()
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "msg": str(error)}
        said.pop("invocation", None)
        return said
