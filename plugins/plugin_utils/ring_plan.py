# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The members of the ring and their order, decided once for a play, or why there can be no ring.

A wish is what one host asks for: its name, the values on which all must agree, its images and groups.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.ring import causes as ring_causes

LOCKSTEP = ("linear", "debug", "mitogen_linear")
STAYED_AWAY = "did not come here with the others: apply the role to all hosts of the play alike"
#: Options of compressed and split images. An image without a value takes the role's, else this default.
#: None: there is no default, and nobody has given a value.
STREAM_KEYS: t.Mapping[str, t.Any] = {
    "compressed": None,
    "uncompressed_size": "",
    "source_split": False,
    "dest_compressed": False,
    "dest_split": "",
}
IMAGE_KEYS = (
    *("name", "source", "dest", "checksum", "bmap", "expect_size", "expect_serial", "expect_wwn"),
    *("allow_sector_size", "move_gpt"),
    *STREAM_KEYS,
)
#: Values of an image on which the hosts must agree.
SHARED_KEYS = ("name", "source", "checksum", "bmap")

Wish = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Play:
    """What the play says about its hosts: those of this batch, those still active, and all at its start.

    `mistake`: a mistake of the user, or the empty string. `invalid`: mistakes in the options of a host, by
    name.
    """

    batch: t.Sequence[str]
    hosts: t.Sequence[str]
    everyone: t.Sequence[str]
    strategy: str = "linear"
    is_all_or_nothing: bool = False
    max_fail_percentage: t.Optional[float] = None
    mistake: str = ""
    invalid: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def make_plan(run_id: str, me: str, wishes: t.Mapping[str, Wish], play: Play) -> t.Dict[str, t.Any]:
    """Return the plan, with `problem` (empty if there is none) and `problems` by host.

    The wish of a host that another host names as the server is ignored: it may lack the nodes' variables.
    """
    current = {name: wish for name, wish in wishes.items() if wish["round"] == 1}
    if not current:
        return no_plan(run_id, play)
    servers = {wish["agreed"]["dolly_ring_server"] for wish in current.values()}
    nodes = [name for name in play.batch if name in current and name not in servers]
    first = current[nodes[0]] if nodes else current.get(me) or next(iter(current.values()))
    is_dummy = measures(first["agreed"])
    images = [{}] if is_dummy else first["images"]
    lost = [name for name in play.everyone if name not in play.batch and name not in servers]
    invalid = {name: told for name, told in play.invalid.items() if name not in servers}
    expected = nodes + list(invalid) + lost
    plan = {
        "id": run_id,
        "server": first["agreed"]["dolly_ring_server"],
        "nodes": in_order([current[name] for name in nodes]),
        "expected": expected,
        "lost": lost,
        "is_refused": False,
        "needed": needed(int(first["agreed"]["dolly_ring_min_nodes"]), len(expected), play),
        "agreed": first["agreed"],
        "own": first["own"],
        "is_dummy": is_dummy,
        "images": [shared(image, first["agreed"]) for image in images],
        "problem": "",
        "problems": {},
    }
    plan["problem"] = problem_of_play(play, current) or play.mistake or problem_of_images(plan, images)
    if not plan["problem"]:
        plan["problems"] = differences([current[name] for name in nodes]) or lacks([current[name] for name in nodes])
        plan["is_refused"] = bool(differences([current[name] for name in nodes]))
    plan["problems"] = {**plan["problems"], **invalid}
    return plan


def no_plan(run_id: str, play: Play) -> t.Dict[str, t.Any]:
    """Return the plan for a play in which no host has a valid wish."""
    plan = {"id": run_id, "server": "", "nodes": [], "expected": list(play.invalid), "lost": [], "needed": 1}
    plan.update(agreed={}, own={}, is_dummy=False, images=[], is_refused=True, problems=dict(play.invalid), problem="")
    if not play.invalid:
        plan["problem"] = problem_of_play(play, {})
    return plan


def measures(agreed: t.Mapping[str, t.Any]) -> bool:
    """Whether the run measures the network without an image. Without a size and a time, it clones."""
    return bool(agreed.get("dolly_ring_dummy_size") or agreed.get("dolly_ring_dummy_seconds"))


def shared(image: t.Mapping[str, t.Any], agreed: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """Return the values of an image that are the same on all hosts of the ring."""
    found: t.Dict[str, t.Any] = {key: image.get(key) or "" for key in SHARED_KEYS}
    for key, default in STREAM_KEYS.items():
        found[key] = image.get(key, agreed.get("dolly_ring_" + key, default))
    if found["compressed"] in ("", None):
        del found["compressed"]
    return found


def needed(min_nodes: int, expected: int, play: Play) -> int:
    """Return the smallest number of nodes with which the run may start.

    If the ring's own option is not set, the play's limit of failures applies. any_errors_fatal needs all
    hosts.
    """
    if play.is_all_or_nothing:
        return expected
    if min_nodes:
        return min_nodes
    if play.max_fail_percentage is None:
        return expected
    return max(1, expected - int(expected * play.max_fail_percentage / 100.0))


def in_order(wishes: t.Sequence[Wish]) -> t.List[str]:
    """Return the names in the order of the play, with the hosts of one group next to each other."""
    seen: t.Dict[t.Tuple[str, ...], int] = {}
    for wish in wishes:
        for depth in range(len(wish["groups"])):
            seen.setdefault(tuple(wish["groups"][: depth + 1]), len(seen))

    def place(wish: Wish) -> t.List[int]:
        return [seen[tuple(wish["groups"][: depth + 1])] for depth in range(len(wish["groups"]))]

    return [wish["host"] for wish in sorted(wishes, key=place)]


def problem_of_play(play: Play, current: t.Mapping[str, Wish]) -> str:
    """Return why this play cannot be a ring, or the empty string."""
    if play.strategy.rpartition(".")[2] not in LOCKSTEP:
        return (
            "The ring is built once for all hosts, but with 'strategy: %s' the hosts of this play do not move together."
            " Use 'strategy: linear', the default." % play.strategy
        )
    if set(play.hosts) - set(play.batch):
        return (
            "This play runs on %d of its %d hosts at a time, but all hosts of a ring must run together:"
            " remove 'serial' from the play." % (len(play.batch), len(play.hosts))
        )
    absent = [name for name in play.batch if name not in current and name not in play.invalid]
    if absent:
        return (
            "The ring is built once for all hosts, but %s did not come here with the others:"
            " apply the role to all hosts of the play alike." % ", ".join(absent)
        )
    return ""


def problem_of_images(plan: t.Mapping[str, t.Any], images: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    if not plan["nodes"]:
        return "There is no host to clone to: the play has no host besides the server, %s." % plan["server"]
    is_list = len(images) > 1 or bool(plan["agreed"].get("dolly_ring_images"))
    asked = int(plan["agreed"]["dolly_ring_min_nodes"])
    if asked > len(plan["expected"]):
        told = "dolly_ring_min_nodes is %d, but the play has %d hosts to clone to: ask for no more."
        return told % (asked, len(plan["expected"]))
    if plan["is_dummy"]:
        return problem_of_measuring(plan["agreed"])
    names = [image["name"] for image in plan["images"]]
    for number, image in enumerate(images):
        where = "Entry %d of dolly_ring_images" % (number + 1) if is_list else ""
        unknown = sorted(set(image) - set(IMAGE_KEYS))
        if unknown:
            return "%s has %s, but known are only %s." % (where, ", ".join(unknown), ", ".join(IMAGE_KEYS))
        if not image.get("source"):
            return "%s is not set: give the absolute path of the image on %s." % (
                "The source in e" + where[1:] if is_list else "dolly_ring_source", plan["server"],
            )
    if len(names) > 1 and ("" in names or len(set(names)) < len(names)):
        return "The entries of dolly_ring_images need names that differ, but they are: %s." % ", ".join(
            name or "(none)" for name in names
        )
    return ""


def problem_of_measuring(agreed: t.Mapping[str, t.Any]) -> str:
    """Return which option contradicts a run without disks, or the empty string. The module refuses others."""
    for name in ("images", "checksum", "bmap"):
        if agreed.get("dolly_ring_" + name):
            return (
                "dolly_ring_%s is set, but dolly_ring_dummy_size and dolly_ring_dummy_seconds measure the network"
                " without an image. Leave out one or the other." % name
            )
    return ""


def differences(wishes: t.Sequence[Wish]) -> t.Dict[str, str]:
    """Return the differing values of each host, if the hosts of one ring do not agree."""
    names = [
        name
        for name in wishes[0]["agreed"]
        if any(wish["agreed"].get(name) != wishes[0]["agreed"][name] for wish in wishes)
    ]
    if not names:
        return {}
    return {
        wish["host"]: "The hosts of this play have different values of %s, but the hosts of one ring must agree."
        " %s has %s. Limit the play to hosts that belong together."
        % (
            ", ".join(names),
            wish["host"],
            ", ".join("%s=%s" % (name, wish["agreed"].get(name)) for name in names),
        )
        for wish in wishes
    }


def lacks(wishes: t.Sequence[Wish]) -> t.Dict[str, str]:
    """Return the hosts that lack a value of their own, and which; only these hosts fail."""
    found = {}
    for wish in wishes:
        if not measures(wish["agreed"]) and not all(image.get("dest") for image in wish["images"]):
            found[wish["host"]] = (
                "dolly_ring_dest is not set: give the absolute path of what is to be overwritten."
                " It has no default."
            )
        elif not measures(wish["agreed"]) and one_place_for_two(wish["images"]):
            found[wish["host"]] = one_place_for_two(wish["images"])
        elif not all(wish["groups"]):
            found[wish["host"]] = (
                "The ring is ordered by %s (dolly_ring_order_by), but this host has no such variable."
                % ", ".join(wish["agreed"]["dolly_ring_order_by"])
            )
    return found


def one_place_for_two(images: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return which of a host's images would overwrite an earlier one, or the empty string."""
    seen: t.Dict[str, str] = {}
    for image in images:
        dest, name = os.path.normpath(str(image["dest"])), str(image.get("name") or "")
        if dest in seen:
            return "The images %s and %s have the same dest on this host, %s: the second would overwrite the first." % (
                seen[dest], name, image["dest"],
            )
        seen[dest] = name
    return ""


def join(
    plan: t.Mapping[str, t.Any],
    started: t.Mapping[str, t.Mapping[str, t.Any]],
    causes: t.Optional[t.Mapping[str, str]] = None,
) -> t.Dict[str, t.Any]:
    """Return the nodes whose receiver has started for this run, in ring order, and why they are not enough.

    `causes`: why hosts could not even be asked to start a receiver.
    """
    nodes = []
    for name in plan["nodes"]:
        said = started.get(name) or {}
        node = node_of(name, said.get("node")) if said.get("run_id") == plan["id"] else None
        if node is not None:
            nodes.append(node)
    there = {node["name"] for node in nodes}
    missing = [name for name in plan["expected"] if name not in there]
    problem = ""
    if len(nodes) < plan["needed"]:
        problem = "Nothing was written: %d of %d hosts can take part and %d are needed%s.%s %s" % (
            len(nodes),
            len(plan["expected"]),
            plan["needed"],
            "; missing: " + ring_causes.names(missing) if missing else "",
            all_causes(missing, started, causes or {}),
            what_next(len(nodes), missing),
        )
    return {"nodes": nodes, "missing": missing, "problem": problem}


def node_of(name: str, said: t.Any) -> t.Optional[t.Dict[str, t.Any]]:
    """Return the addresses that a host gave, under its name in the inventory; None if they are invalid.

    The host's own choice of a name does not count: it could take another host's place, or break the ring.
    """
    if not isinstance(said, dict):
        return None
    host, port, extra = said.get("host"), said.get("port"), said.get("extra") or []
    is_number = isinstance(port, int) and not isinstance(port, bool)
    is_list = isinstance(extra, list) and all(isinstance(address, str) for address in extra)
    if not isinstance(host, str) or not host or not is_number or not is_list:
        return None
    return {"name": name, "host": host, "port": port, "extra": list(extra)}


def all_causes(
    missing: t.Sequence[str], started: t.Mapping[str, t.Mapping[str, t.Any]], causes: t.Mapping[str, str]
) -> str:
    """Return the known causes why hosts cannot take part, each cause once."""
    found = {}
    for name in missing:
        said = started.get(name) or {}
        if causes.get(name):
            found[name] = causes[name]
        elif said.get("msg") and not said.get("skipped"):
            found[name] = str(said["msg"]).replace("Task failed: ", "")
    return " " + ring_causes.together(found) if found else ""


def what_next(there: int, missing: t.Sequence[str]) -> str:
    if not missing:
        return "Lower dolly_ring_min_nodes."
    otherwise = ", or set dolly_ring_min_nodes to %d or less" % there if there else ""
    return "Repair them%s take them out of the play%s." % ("," if otherwise else " or", otherwise)
