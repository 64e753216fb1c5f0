# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds mistakes of the user on the control node, before anything is started."""

from __future__ import annotations

import difflib
import os
import tempfile
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import numbers, options

PREFIX = "dolly_ring_"
_PRIVATE = "dolly_ring__"
#: Names that are not options of the role: a variable of its playbook, and the results for later tasks.
NO_OPTIONS = frozenset(PREFIX + name for name in ("hosts", "result", "results", "summary"))
ONE_ALONE = (
    "run_once is set for the role, so one host alone would start a receiver: remove it. What has to be done once for"
    " all hosts the role does once."
)
HOOKS = ("before", "after", "on_failure")


def unknown_option(names: t.Mapping[str, t.Iterable[str]], known: t.Iterable[str]) -> str:
    """Return which variable is not an option of the role, with its host, or the empty string.

    A misspelled guard has no effect: with expect_serail, any disk would be accepted.
    """
    good = NO_OPTIONS.union(known)
    for host, found in names.items():
        for name in sorted(found):
            if name.startswith(PREFIX) and not name.startswith(_PRIVATE) and name not in good:
                near = difflib.get_close_matches(name, sorted(good), n=1)
                return (
                    "%s is set for %s, but there is no such option, so it would have no effect.%s Correct the name, or"
                    " give a variable of your own another one: those that begin with %s belong to the role."
                    % (name, host, " Did you mean %s?" % near[0] if near else "", PREFIX)
                )
    return ""


def unnamed(
    named: t.Any, limit: str, hosts: t.Sequence[str], invited: t.Optional[t.Collection[str]], server: str
) -> str:
    """Return why the user cannot have chosen all these hosts to be overwritten, or the empty string.

    *named*: dolly_ring_hosts, or None; *invited*: the hosts that it names; *limit*: --limit.
    """
    if named is None:
        if limit:
            return ""
        told = (
            "Neither a limit nor dolly_ring_hosts says which hosts to overwrite, so this would have overwritten"
            " %d hosts. Name them: -l rack3, or -e dolly_ring_hosts=rack3."
        )
        return told % len([one for one in hosts if one != server])
    uninvited = [host for host in hosts if host not in (invited or ())]
    if not uninvited:
        return ""
    # Ansible chooses the hosts before it reads the inventory's variables: set there, it has no effect.
    return (
        "dolly_ring_hosts is %s, but this would have overwritten %d hosts besides. Set it with -e dolly_ring_hosts=...,"
        " not in the inventory, or use a limit." % (named, len(uninvited))
    )


def bad_number(wishes: t.Mapping[str, t.Mapping[str, t.Any]]) -> str:
    """Return which number of a host is invalid, or the empty string.

    The modules give the same error, but on the server only after all receivers have started.
    """
    for host, wish in wishes.items():
        agreed = {name[len(PREFIX) :]: value for name, value in wish["agreed"].items()}
        own = wish["own"]

        def called(option: str, host: str = host) -> str:
            return "%s%s of %s" % (PREFIX, option, host)

        try:
            numbers.check_all({**agreed, **own}, called)
            options.check_seconds(own, called)
            options.check_timeout(own.get("timeout", 0), called("timeout"))
            options.check_ports(own.get("server_port", 0), called("server_port"))
            for image in wish["images"]:
                place = "%%s of the image %s of %s" % (image.get("name") or "", host)
                numbers.check_all(image, lambda option, place=place: place % option)  # type: ignore[misc]
        except UsageError as error:
            return error.sentence
    return ""


def bad_hook(
    wishes: t.Mapping[str, t.Mapping[str, t.Any]],
    folder: str,
    problem_of: t.Callable[[str], str],
) -> str:
    """Return what is wrong with the task files that hosts have named, or the empty string.

    *problem_of* returns what is wrong with the tasks in a file. Otherwise Ansible would find the mistake in
    the middle of the run, and leave the hosts in an undefined state.
    """
    seen: t.Dict[str, str] = {}
    for host, wish in wishes.items():
        for name in HOOKS:
            hook = (wish.get("hooks") or {}).get(name)
            if not hook:
                continue
            path = place_of(folder, hook)
            if path not in seen:
                seen[path] = problem_of(path) if os.path.isfile(path) else ""
            if not os.path.isfile(path):
                return (
                    "%s%s of %s is %s, but there is no file %s on the control node. A relative name is looked for"
                    " from the directory in which the command was given." % (PREFIX, name, host, hook, path)
                )
            if seen[path]:
                told = "%s%s of %s is %s, but %s holds no tasks that Ansible can run: %s"
                return told % (PREFIX, name, host, hook, path, seen[path])
    return ""


def bad_place(wishes: t.Mapping[str, t.Mapping[str, t.Any]], folder: str) -> str:
    """Return which output of a host cannot be written on the control node, or the empty string.

    A missing permission must not cost the report after a run of an hour.
    """
    seen: t.Set[str] = set()
    for host, wish in wishes.items():
        for name, place in (wish.get("places") or {}).items():
            path = place_of(folder, place)
            if not place or path in seen:
                continue
            seen.add(path)
            problem = problem_of_file(path) if name == "report" else problem_of_folder(path)
            if problem:
                told = "%s%s of %s is %s, but %s. Name another place, or make it one that you can write to."
                return told % (PREFIX, name, host, place, problem)
    return ""


def place_of(folder: str, name: str) -> str:
    """Resolve a path that a user gave, relative to *folder*; ~ is the home directory."""
    return os.path.join(folder, os.path.expanduser(name))


def problem_of_folder(path: str) -> str:
    """Return why no file can be created in a folder, which may not exist yet, or the empty string."""
    there = os.path.abspath(path)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        return "%s is no folder" % there
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return "%s cannot be written to (%s)" % (there, error.strerror)


def problem_of_file(path: str) -> str:
    """Return why a file cannot be written, or the empty string."""
    if os.path.isdir(path):
        return "%s is a folder" % path
    if os.path.exists(path) and not os.access(path, os.W_OK):
        return "%s cannot be written to" % path
    return problem_of_folder(os.path.dirname(path))
