# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Combines the results of a run once for all hosts, on the control node. See the module dolly_report."""

from __future__ import annotations

import json
import os
import time

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dolly.ring.plugins.plugin_utils import (
    bounded_calls,
    report,
    ring_results,
    ring_words,
    run_store,
)

display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(
            argument_spec={
                "run": {"type": "dict", "required": True},
                "path": {"type": "str", "default": ""},
                "run_dir": {"type": "path"},
            },
        )
        run = args["run"]
        told = run_store.get(run["id"], "stream") or {}
        said = {host: run_store.get(run["id"], "host-" + host) for host in run["hosts"]}
        results = {host: one for host, one in said.items() if one}
        earlier = earlier_of(run)
        summary = ring_results.summary_of(self._heard(run, told, earlier, results), results)
        lines = ring_words.table(summary)
        swept = told.get("swept") or {"clean": True}
        if not swept.get("clean") or (told.get("stream") or {}).get("state") == "running":
            swept = self._end_sender(run, told, args, task_vars)
        if not swept.get("clean"):
            lines.append("Could not clean up on %s: %s" % (run["server"], swept.get("msg") or "no answer"))
        if args["path"]:
            result["path"] = path_of(args["path"], run)
            lines.append(self._write(result["path"], run, summary))
        if ring_words.is_for_people(str(C.DEFAULT_STDOUT_CALLBACK)):
            for line in lines:
                display.display(ring_words.printable(line))
        hosts = {node["name"]: node for node in summary["nodes"]}
        hosts.update(results)
        result.update(changed=False, run_id=run["id"], msg=lines, hosts=hosts, summary=summary)
        run_store.tell(run["id"], run["family"], with_earlier(hosts, run, earlier), summary)
        run_store.forget(run["id"])
        return result

    def _end_sender(self, run, told, args, task_vars):
        """Try again to end the sender: the server was unreachable before."""
        wanted = {"state": "absent", "run_id": run["id"], "name": run["server"]}
        run_dir = (told.get("stream") or {}).get("run_dir") or args["run_dir"]
        if run_dir:
            wanted["run_dir"] = run_dir

        def execute():
            return self._execute_module(
                module_name="dolly.ring.dolly_server", module_args=wanted, task_vars=task_vars
            )

        try:
            return bounded_calls.call(self._connection, bounded_calls.CALL_S, execute)
        except AnsibleConnectionFailure as error:
            return {"msg": "the server cannot be reached: %s" % ring_words.printable(error)}

    def _write(self, path, run, summary):
        """Write the page and its data; return a line for the operator. A write error fails no run."""
        history = run_store.get(run["id"], "history") or {}
        options = {**run["agreed"], **run["own"]}
        data = {"summary": summary, "history": history, "options": options, "made": round(time.time(), 3)}
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(os.path.splitext(path)[0] + ".json", "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1, sort_keys=True, default=str)
            with open(path, "w", encoding="utf-8") as file:
                file.write(report.page(data))
        except OSError as error:
            return "The report could not be written: %s" % error
        return "Report: %s" % path

    def _heard(self, run, told, earlier, results):
        """Return what is known of the run as a whole; each host already has its result."""
        return ring_results.Heard(
            run=run,
            image=run_store.get(run["id"], "image") or {},
            ring=told.get("ring") or {},
            stream=told.get("stream") or {},
            started={},
            collected={},
            cleaned={},
            causes={},
            is_check=self._task.check_mode,
            earlier={
                host: (said.get("result") or {}).get("reason") or ""
                for host, said in earlier.items()
                if host not in results
            },
        )


def earlier_of(run):
    """Return the results of this run's hosts for earlier images."""
    told = {host: run_store.told(host) for host in (*run["hosts"], *run["expected"])}
    return {host: said for host, said in told.items() if said.get("family") == run["family"]}


def with_earlier(hosts, run, earlier):
    """Return by host its result, and its results for all images so far with the names of the images."""
    name = run["image"].get("name", "")
    return {
        host: {
            "result": said,
            "results": [*(earlier.get(host) or {}).get("results", ()), dict(said, image=name)],
        }
        for host, said in hosts.items()
    }


def path_of(path, run):
    """Return the path of the page of a run; with several images, each has a page of its own."""
    if run["id"] == run["family"]:
        return path
    stem, ending = os.path.splitext(path)
    return "%s-%s%s" % (stem, run["image"]["name"].replace("/", "_"), ending or ".html")
