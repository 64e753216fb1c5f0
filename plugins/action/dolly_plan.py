# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is decided once for all hosts of a play, on the control node. See the module dolly_plan."""

from __future__ import annotations

import dataclasses
import os
import secrets

from ansible.errors import AnsibleError
from ansible.playbook.helpers import load_list_of_blocks
from ansible.plugins.action import ActionBase

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_guards, ring_plan

SECRET_BYTES = 32


class ActionModule(ActionBase):
    # The strategy sends the task to one host only, and refuses to under 'free', where each host would build a
    # ring of its own. A failure would be every host's, so none of these fails: the hosts do, each for itself.
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["planned", "secret", "joined"], "required": True},
                "run": {"type": "dict"},
                "options": {"type": "list", "elements": "str", "default": []},
            },
            required_if=[("state", "joined", ("run",))],
        )
        result["changed"] = False
        if args["state"] == "secret":
            result["secret"] = secrets.token_hex(SECRET_BYTES)
        elif args["state"] == "planned":
            result["run"] = self._plan(task_vars, args["options"])
        else:
            run = args["run"]
            started = variables_of(run["nodes"], "dolly_ring__started", task_vars)
            causes = variables_of(run["nodes"], "dolly_ring__cause", task_vars)
            result.update(ring_plan.join(run, started, causes), run_id=run["id"])
        return result

    def _plan(self, task_vars, options):
        everyone = task_vars["ansible_play_hosts_all"]
        play = self._task.get_play()
        limit = play.max_fail_percentage
        # Not beside the playbook: that of the collection lies where nobody would look for a report.
        folder = os.getcwd()
        facts = ring_plan.Play(
            batch=list(task_vars["ansible_play_batch"]),
            hosts=list(task_vars["ansible_play_hosts"]),
            everyone=list(everyone),
            strategy=str(play.strategy),
            is_all_or_nothing=bool(self._task.any_errors_fatal),
            max_fail_percentage=None if limit is None else float(limit),
        )
        wishes = variables_of(facts.batch, "dolly_ring__wish", task_vars)
        names = {host: task_vars["hostvars"].raw_get(host) for host in facts.batch}
        names["the play"] = task_vars
        mistake = ring_guards.unknown_option(names, options) if options else ""
        mistake = mistake or ring_guards.bad_hook(wishes, folder, self._problem_of_tasks)
        mistake = mistake or ring_guards.bad_place(wishes, folder)
        mistake = mistake or ring_guards.bad_number(wishes)
        facts = dataclasses.replace(facts, mistake=mistake)
        plan = ring_plan.make_plan(secrets.token_hex(8), task_vars["inventory_hostname"], wishes, facts)
        return dict(plan, folder=folder)

    def _problem_of_tasks(self, path):
        """What is wrong with a file of tasks, as far as Ansible sees before it runs them, or the empty string."""
        try:
            tasks = self._loader.load_from_file(path)
            if not isinstance(tasks, list):
                return "expected is a list of tasks"
            load_list_of_blocks(
                tasks,
                play=self._task.get_play(),
                variable_manager=self._task.get_variable_manager(),
                loader=self._loader,
            )
        except (AnsibleError, AssertionError, OSError) as error:
            return " ".join(str(error).split())
        return ""


def variables_of(hosts, name, task_vars):
    """Return the variable of each host that has it; only for what was registered or set, which holds no template."""
    found = {}
    for host in hosts:
        value = task_vars["hostvars"].raw_get(host).get(name)
        if value is not None:
            found[host] = value
    return found
