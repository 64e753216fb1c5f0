# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a node's log about its neighbours, in words for the person who reads them."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence

from ..recovery import healer as heal
from ..wire.messages import Bye

#: What a neighbour's goodbye means, by its reason.
_GOODBYES = {
    "finished": "it is done",
    "failed": "it failed",
    "aborted": "the run is over",
    "orphaned": "it has lost its own parent",
    "superseded": "it has another parent",
    "ejected": "it gave this node up",
}
#: How a child's link ended, for ends that cause no action of the healer.
_ENDS = {
    "finished": "%s is done",
    "failed": "%s failed: %s",
    "orphaned": "%s looks for another parent: %s",
    "superseded": "%s has another parent now",
}

NameOf = Callable[[int], str]


def goodbye_of(reason: str) -> str:
    """The reason of a goodbye in words."""
    return _GOODBYES.get(reason, "it said goodbye: %s" % reason)


def parent_gone(parent: str, reason: str, goodbye: Optional[Bye]) -> str:
    """That the parent is gone, which is normal when the run is over."""
    if goodbye is None:
        return "lost the parent %s: %s" % (parent, reason)
    if goodbye.reason == "finished":
        return "the parent %s has heard that this node is done" % parent
    if goodbye.reason == "aborted":
        return "the parent %s says that the run is over" % parent
    return "the parent %s let this node go: %s" % (parent, goodbye_of(goodbye.reason))


def child_gone(name: str, outcome: str, reason: str) -> str:
    """How the link to a child ended; empty where `actions` reports that, or where the child never had a link."""
    if outcome == "finished" and reason != goodbye_of("finished"):
        return ""  # this node gave the child up while it was dialling it: nothing is known of the child
    text = _ENDS.get(outcome, "")
    return text % ((name, reason) if text.count("%s") == 2 else (name,)) if text else ""


def actions(event: heal.Event, found: Sequence[heal.Action], name_of: NameOf) -> List[str]:
    """What a node does when a neighbour comes or goes: one line for each action that is of interest."""
    lines = []
    dialled = [name_of(one.rank) for one in found if isinstance(one, heal.DialChild) and not one.is_adoption]
    if dialled:
        lines.append("connecting to %s" % ", ".join(dialled))
    for action in found:
        line = _line(event, action, name_of)
        if line:
            lines.append(line)
    return lines


def _line(event: heal.Event, action: heal.Action, name_of: NameOf) -> str:
    if isinstance(action, heal.DialChild):
        return "taking over %s: %s" % (name_of(action.rank), _why(event, name_of)) if action.is_adoption else ""
    if isinstance(action, heal.DemoteChild) and isinstance(event, heal.ChildFellBehind):
        return "%s has no children any more, because it holds them up: %s" % (name_of(action.rank), event.reason)
    if isinstance(action, heal.DeclareChild):
        form = "%s cannot be reached: %s" if action.state == "unreachable" else "%s is lost: %s"
        return form % (name_of(action.rank), action.reason)
    if isinstance(action, heal.KnockAt):
        return "asking %s to become the parent of this node" % name_of(action.rank)
    if isinstance(action, heal.DropChild) and isinstance(event, heal.MadeLeaf):
        return "%s is left to another parent" % name_of(action.rank)
    return ""  # giving up is reported by the failure that follows


def _why(event: heal.Event, name_of: NameOf) -> str:
    if isinstance(event, heal.Knocked):
        return "it asked for a parent"
    if isinstance(event, heal.ChildGone):
        return "its parent %s is gone" % name_of(event.rank)
    if isinstance(event, heal.ChildFellBehind):
        return "its parent %s is too slow" % name_of(event.rank)
    return "it has no parent"
