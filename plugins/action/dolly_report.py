# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts together what became of a run, once for all hosts, on the control node. See the module dolly_report."""

from __future__ import annotations

import json
import os
import time

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dolly.ring.plugins.action.dolly_plan import variables_of
from ansible_collections.dolly.ring.plugins.plugin_utils import report, ring_results, ring_words

display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(
            argument_spec={
                "run": {"type": "dict", "required": True},
                "image": {"type": "dict", "default": {}},
                "ring": {"type": "dict", "default": {}},
                "stream": {"type": "dict", "default": {}},
                "swept": {"type": "dict", "default": {}},
                "path": {"type": "str", "default": ""},
            },
        )
        heard = self._heard(args, task_vars)
        hosts = list(task_vars["ansible_play_batch"])
        results = {host: ring_results.result_of(host, heard) for host in hosts}
        summary = ring_results.summary_of(heard, results)
        lines = ring_words.table(summary)
        if args["swept"] and not args["swept"].get("clean"):
            why = args["swept"].get("msg", "no answer")
            lines.append("Could not clean up on %s: %s" % (args["run"]["server"], why))
        if args["path"]:
            result["path"] = path_of(args["path"], args["run"])
            lines.append(self._write(result["path"], args["run"], summary, task_vars))
        if ring_words.is_for_people(str(C.DEFAULT_STDOUT_CALLBACK)):
            for line in lines:
                display.display(ring_words.printable(line))
        result.update(changed=False, run_id=args["run"]["id"], msg=lines, hosts=results, summary=summary)
        return result

    def _write(self, path, run, summary, task_vars):
        """Write the page and the data beside it; a run does not fail for want of a report."""
        told = variables_of(task_vars["ansible_play_batch"], "dolly_ring__history", task_vars).values()
        history = next((one["history"] for one in told if one.get("history")), {})
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

    def _heard(self, args, task_vars):
        """What was registered on each host, as it is: results hold no templates."""
        raw = {host: task_vars["hostvars"].raw_get(host) for host in task_vars["ansible_play_batch"]}

        def by_host(name):
            return {host: values[name] for host, values in raw.items() if values.get(name)}

        return ring_results.Heard(
            run=args["run"],
            image=args["image"],
            ring=args["ring"],
            stream=args["stream"],
            started=by_host("dolly_ring__started"),
            collected=by_host("dolly_ring__collected"),
            cleaned=by_host("dolly_ring__cleaned"),
            causes=by_host("dolly_ring__cause"),
            is_check=self._task.check_mode,
            earlier=self._earlier(args["run"], raw, task_vars),
        )

    def _earlier(self, run, raw, task_vars):
        """Why hosts are gone that an earlier image of the same play has failed on."""
        found = {}
        for host in run["expected"]:
            result = {} if host in raw else task_vars["hostvars"].raw_get(host).get("dolly_ring_result") or {}
            if result.get("run_id", "").rpartition("-")[0] == run["id"].rpartition("-")[0] != "":
                found[host] = result.get("reason", "")
        return found


def path_of(path, run):
    """Return where the page of a run goes: with several images each has one of its own."""
    if len(run.get("images") or ()) < 2:
        return path
    stem, ending = os.path.splitext(path)
    return "%s-%s%s" % (stem, run["image"]["name"].replace("/", "_"), ending or ".html")
