# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user has mistyped, found on the control node before anything is started."""

from __future__ import annotations

import difflib
import os
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils import ring_numbers, ring_options
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError

PREFIX = "dolly_ring_"
_PRIVATE = "dolly_ring__"
#: Names that are no options of the role: what its playbook takes, and what it leaves for later tasks.
NO_OPTIONS = frozenset(PREFIX + name for name in ("hosts", "result", "results", "summary"))
HOOKS = ("before", "after", "on_failure")


def unknown_option(names: t.Mapping[str, t.Iterable[str]], known: t.Iterable[str]) -> str:
    """Return what is wrong with the names of the variables by host, or the empty string.

    A guard that was mistyped guards nothing: with expect_serail any disk would do.
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


def bad_number(wishes: t.Mapping[str, t.Mapping[str, t.Any]]) -> str:
    """Return which number that a host was told cannot be, or the empty string.

    The modules refuse it in the same words, but the server's only after all receivers have started.
    """
    for host, wish in wishes.items():
        agreed = {name[len(PREFIX) :]: value for name, value in wish["agreed"].items()}
        own = wish["own"]

        def called(option: str, host: str = host) -> str:
            return "%s%s of %s" % (PREFIX, option, host)

        try:
            ring_numbers.check_all({**agreed, **own}, called)
            ring_options.check_seconds(own, called)
            ring_options.check_timeout(own.get("timeout", 0), called("timeout"))
            ring_options.check_ports(own.get("server_port", 0), called("server_port"))
            for image in wish["images"]:
                place = "%%s of the image %s of %s" % (image.get("name") or "", host)
                ring_numbers.check_all(image, lambda option, place=place: place % option)  # type: ignore[misc]
        except UsageError as error:
            return error.sentence
    return ""


def missing_hook(
    wishes: t.Mapping[str, t.Mapping[str, t.Any]],
    playbook_dir: str,
    is_file: t.Callable[[str], bool] = os.path.isfile,
) -> str:
    """Return which file of tasks is named by a host and not there, or the empty string.

    Ansible would find that out in the middle of the run, and go on with the hosts in an undefined state.
    """
    for host, wish in wishes.items():
        for name in HOOKS:
            hook = (wish.get("hooks") or {}).get(name)
            path = os.path.join(playbook_dir, hook or "")
            if hook and not is_file(path):
                return (
                    "%s%s of %s is %s, but there is no file %s on the control node. A relative name is looked for"
                    " beside the playbook." % (PREFIX, name, host, hook, path)
                )
    return ""
