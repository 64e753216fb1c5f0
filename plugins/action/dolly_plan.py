# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decides once for all hosts of a play, on the control node. See the module dolly_plan."""

from __future__ import annotations

import os
import secrets

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.playbook.helpers import load_list_of_blocks
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar

from ansible_collections.dolly.ring.plugins.plugin_utils import (
    ring_calls,
    ring_guards,
    ring_plan,
    ring_results,
    ring_words,
    run_store,
)

SECRET_BYTES = 32


class ActionModule(ActionBase):
    # The strategy sends this task to one host only, and refuses to under 'free', where each host would build
    # a ring of its own. Its failure would fail every host, so it never fails: later tasks do.
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, args = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["planned", "inspected", "limited"], "required": True},
                "specs": {"type": "dict", "default": {}},
                "must_be_named": {"type": "bool", "default": False},
                "runs": {"type": "list", "elements": "dict"},
                "run": {"type": "dict"},
            },
            required_if=[("state", "inspected", ("runs",)), ("state", "limited", ("run",))],
        )
        result["changed"] = False
        if args["state"] == "planned":
            result.update(self._plan(task_vars, args))
        elif args["state"] == "inspected":
            result.update(self._look(args["runs"], task_vars))
        else:
            result.update(limited(args["run"]))
        return result

    def _plan(self, task_vars, args):
        play = self._task.get_play()
        # Not the directory of the playbook: for the collection's own, no user would look for a report there.
        folder = os.getcwd()
        wishes, invalid, names = self._wishes(task_vars, args["specs"].get("main") or {})
        options = [name for spec in args["specs"].values() for name in spec.get("options") or ()]
        mistake = ring_guards.ONE_ALONE if self._is_for_one() else ""
        if args["must_be_named"]:
            mistake = mistake or self._unnamed(task_vars, wishes)
        mistake = mistake or (ring_guards.unknown_option(names, options) if options else "")
        mistake = mistake or ring_guards.bad_hook(wishes, folder, self._problem_of_tasks)
        mistake = mistake or ring_guards.bad_place(wishes, folder)
        mistake = mistake or ring_guards.bad_number(wishes)
        limit = play.max_fail_percentage
        facts = ring_plan.Play(
            batch=list(task_vars["ansible_play_batch"]),
            hosts=list(task_vars["ansible_play_hosts"]),
            everyone=list(task_vars["ansible_play_hosts_all"]),
            strategy=str(play.strategy),
            is_all_or_nothing=bool(self._task.any_errors_fatal),
            max_fail_percentage=None if limit is None else float(limit),
            mistake=mistake,
            invalid=invalid,
        )
        plan = ring_plan.make_plan(secrets.token_hex(8), task_vars["inventory_hostname"], wishes, facts)
        plan.update(folder=folder, hosts=facts.batch, max_fail_percentage=facts.max_fail_percentage)
        plan["title"] = ring_words.printable(ring_calls.title_of(plan))
        return self._prepared(plan, wishes, task_vars)

    def _is_for_one(self):
        """Whether a block or role around this task has run_once: the tasks of the role inherit that."""
        parent = self._task._parent
        while parent is not None:
            if parent.run_once or getattr(getattr(parent, "_role", None), "_run_once", None) is True:
                return True
            parent = parent._parent
        return False

    def _unnamed(self, task_vars, wishes):
        """Return why the user cannot have chosen all hosts of the play, or the empty string."""
        named = self._templar.template(task_vars.get("dolly_ring_hosts"))
        invited = None
        if named is not None:
            name = "ansible.builtin.inventory_hostnames"
            terms = list(named) if isinstance(named, (list, tuple)) else [named]
            invited = lookup_loader.get(name, loader=self._loader, templar=self._templar).run(terms, task_vars)
        servers = [wish["agreed"]["dolly_ring_server"] for wish in wishes.values()]
        limit = str(task_vars.get("ansible_limit") or "")
        hosts = task_vars["ansible_play_hosts_all"]
        return ring_guards.unnamed(named, limit, hosts, invited, servers[0] if servers else "")

    def _prepared(self, plan, wishes, task_vars):
        """Store the secrets, and inspect the images unless another step comes first."""
        hooks = {name for wish in wishes.values() for name, file in (wish.get("hooks") or {}).items() if file}
        steps = ring_calls.steps_of(plan, () if plan["is_dummy"] else hooks, self._task.check_mode)
        runs = ring_calls.runs_of(plan)
        told = {"run": plan, "runs": runs, "steps": steps, "lost": plan["lost"], "holds_back": "on_failure" in hooks}
        if plan["is_dummy"]:
            told["holds_back"] = False
        if steps[0]["file"] == "refused.yml":
            results, summary = ring_results.of_refused(plan, plan["hosts"], "the hosts of one ring must agree")
            told_of = {host: {"result": said, "results": [dict(said, image="")]} for host, said in results.items()}
            run_store.tell(plan["id"], plan["id"], told_of, summary)
        else:
            for run in runs:
                run_store.put(run["id"], "secret", secrets.token_hex(SECRET_BYTES))
            if not {step["file"] for step in steps} & {"look.yml", "preflight.yml"}:
                self._look(runs, task_vars)
        return told

    def _look(self, runs, task_vars):
        """Inspect the images on the server, which may be unreachable, and store the results."""
        images = []
        for run in runs:
            try:
                image = self._execute_module(
                    module_name="dolly.ring.dolly_server", module_args=ring_calls.look(run), task_vars=task_vars
                )
            except AnsibleConnectionFailure as error:
                image = {"failed": True, "msg": "the server cannot be reached: %s" % ring_words.printable(error)}
            image.pop("invocation", None)
            run_store.put(run["id"], "image", image)
            images.append(image)
        unread = [str(image.get("msg") or "no answer") for image in images if "source" not in image]
        problem = "%s: %s" % (runs[0]["server"], " ".join(unread)) if unread else ""
        return {"images": images, "problem": problem}

    def _wishes(self, task_vars, spec):
        """Return three maps by host: its wish, what is wrong with its options, its dolly_ring variables."""
        options = spec.get("options") or {}
        validator = ArgumentSpecValidator(options)
        wishes, invalid, names = {}, {}, {}
        for host in task_vars["ansible_play_batch"]:
            variables = self._variables_of(host, task_vars)
            names[host] = [name for name in variables if name.startswith(ring_guards.PREFIX)]
            templar = Templar(loader=self._loader, variables=variables)
            try:
                if not all(templar.evaluate_conditional(condition) for condition in self._task.when or ()):
                    continue  # the role does not apply to this host
                given = templar.template({name: variables[name] for name in options if name in variables})
                mistakes = validator.validate(given, validate_role_argument_spec=True).error_messages
                if mistakes:
                    invalid[host] = " ".join(mistakes)
                    continue
                wishes[host] = dict(templar.template(variables["dolly_ring__wish"]), round=1)
            except AnsibleError as error:
                invalid[host] = " ".join(str(error).split())
        return wishes, invalid, names

    def _variables_of(self, host, task_vars):
        """Return the variables that a task sees on a host, including those of the play and of the role."""
        manager = self._task.get_variable_manager()
        return manager.get_vars(
            play=self._task.get_play(),
            host=manager._inventory.get_host(host),
            task=self._task,
            _hosts=list(task_vars["ansible_play_hosts"]),
            _hosts_all=list(task_vars["ansible_play_hosts_all"]),
        )

    def _problem_of_tasks(self, path):
        """Return what Ansible finds wrong with a task file before it runs it, or the empty string."""
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


def limited(run):
    """Fail if more hosts have failed than the play allows. As in Ansible, unreachable hosts do not count."""
    states = {name: (run_store.told(name).get("result") or {}).get("state") for name in run["hosts"]}
    failed = [name for name, state in states.items() if state not in (*ring_results.GOOD, "unreachable")]
    allowed = run["max_fail_percentage"]
    if 100.0 * len(failed) / max(1, len(run["hosts"])) <= allowed:
        return {}
    told = "%d of %d hosts have failed (%s), and the play allows %g %% (max_fail_percentage)."
    return {"failed": True, "msg": told % (len(failed), len(run["hosts"]), ", ".join(failed), allowed)}


def variables_of(hosts, name, task_vars):
    """Return a registered variable or fact by host, where it is set. Templates are not resolved."""
    found = {}
    for host in hosts:
        value = task_vars["hostvars"].raw_get(host).get(name)
        if value is not None:
            found[host] = value
    return found
