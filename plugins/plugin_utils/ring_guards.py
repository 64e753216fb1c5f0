# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user has mistyped, found on the control node before anything is started."""

from __future__ import annotations

import difflib
import os
import typing as t

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
