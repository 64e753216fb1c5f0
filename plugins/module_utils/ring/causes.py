# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The causes of a failed run, in the same sentences for all hosts: innocent hosts name the culprits."""

from __future__ import annotations

import typing as t

Said = t.Mapping[str, t.Any]

#: How the reason of a run begins that ran to its end without a single good copy.
NO_NODE = "no node holds the image."
MOST_CAUSES = 5
MOST_NAMES = 5
#: Kinds of errors of a node that has no fault itself.
_INNOCENT_KINDS = ("Aborted", "NotEnoughNodes", "PeerLost")


def is_culprit(node: Said) -> bool:
    """Whether a node of a sender's result failed by its own fault, not because another node failed."""
    error = node.get("error")
    if not isinstance(error, dict):
        return node.get("state") in ("lost", "unreachable")
    is_own = error.get("fault") != "peer" and error.get("kind") not in _INNOCENT_KINDS
    return is_own or node.get("state") in ("lost", "unreachable")


def of_nodes(nodes: t.Iterable[Said]) -> t.Dict[str, str]:
    """Return by name why nodes of a sender's result failed: the culprits, else all that failed."""
    bad = [node for node in nodes if node.get("state") != "done"]
    chosen = [node for node in bad if is_culprit(node)] or bad
    return {str(node.get("name")): _sentence(node) for node in chosen}


def together(causes: t.Mapping[str, str]) -> str:
    """Return each cause once, as a sentence after the names of its nodes: 'n1, n2: it is mounted.'"""
    grouped: t.Dict[str, t.List[str]] = {}
    for name, cause in causes.items():
        grouped.setdefault(cause.strip().rstrip(".:"), []).append(name)
    told = ["%s: %s." % (names(group), cause) for cause, group in list(grouped.items())[:MOST_CAUSES]]
    if len(grouped) > MOST_CAUSES:
        told.append("%d more causes are told by the other hosts." % (len(grouped) - MOST_CAUSES))
    return " ".join(told)


def names(found: t.Sequence[str]) -> str:
    """Return the first few names and the number of the others."""
    more = len(found) - MOST_NAMES
    return ", ".join(found[:MOST_NAMES]) + (" and %d more" % more if more > 0 else "")


def _sentence(node: Said) -> str:
    error = node.get("error")
    said = error.get("message") if isinstance(error, dict) else error
    return str(said or "it is %s, and nobody knows why" % (node.get("state") or "not done"))
