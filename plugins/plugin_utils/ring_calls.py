# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module arguments for a run of the role, and the task files that a run consists of."""

from __future__ import annotations

import typing as t

Run = t.Mapping[str, t.Any]

#: Options of dolly_server: on which all hosts agree, and which belong to an image.
AGREED = ("verify", "protocol", "compare", "dummy_size", "dummy_seconds")
OF_IMAGE = ("checksum", "uncompressed_size", "source_split", "dest_compressed", "dest_split")


def look(run: Run) -> t.Dict[str, t.Any]:
    """Return the arguments of dolly_server for inspecting the image of a run."""
    agreed, image = run["agreed"], run["image"]
    args = {name: agreed["dolly_ring_" + name] for name in AGREED}
    args.update(state="inspected", sha256=run["own"]["sha256"], chunk_size=run["own"]["chunk_size"])
    args.update((name, image[name]) for name in OF_IMAGE)
    args.update((name, image[name]) for name in ("source", "bmap", "compressed") if image.get(name, "") != "")
    return args


def send(run: Run, image: t.Mapping[str, t.Any], nodes: t.Sequence[t.Any]) -> t.Dict[str, t.Any]:
    """Return the arguments of dolly_server for the run itself, without the secret."""
    args = {**look(run), "state": "finished", "run_id": run["id"], "name": run["server"], "nodes": list(nodes)}
    if not run["is_dummy"]:
        args["source_facts"] = image["source"]
    args["fanout"] = run["agreed"]["dolly_ring_fanout"]
    args["sync"] = run["agreed"]["dolly_ring_sync"]
    args["min_nodes"] = min(run["needed"], len(nodes))
    own = dict(run["own"])
    args["port"] = own.pop("server_port")
    args.update((name, value) for name, value in own.items() if name != "statistics_log" or value)
    return args


def runs_of(plan: Run) -> t.List[t.Dict[str, t.Any]]:
    """Return a run for each image, with an id of its own if there are several."""
    several = len(plan["images"]) > 1
    kept = {name: value for name, value in plan.items() if name != "images"}
    return [
        dict(kept, id="%s-%d" % (plan["id"], number + 1) if several else plan["id"], image=image, family=plan["id"])
        for number, image in enumerate(plan["images"])
    ]


def steps_of(plan: Run, hooks: t.Collection[str], is_check: bool) -> t.List[t.Dict[str, t.Any]]:
    """Return the task files that this run needs. *hooks*: the hooks that any host has.

    With one image and no `before` hook, the image is inspected while the ring is planned.
    """
    if plan["problem"] or plan["is_refused"]:
        return [{"file": "refused.yml", "label": "refused"}]
    steps = [("lost.yml", 0, "lost before")] if plan["lost"] else []
    if "before" in hooks:
        steps.append(("before.yml", 0, "before"))
    if len(plan["images"]) > 1:
        steps.append(("preflight.yml", 0, "check"))
    elif "before" in hooks:
        steps.append(("look.yml", 0, "look"))
    for number, image in enumerate(plan["images"]):
        label = image.get("name") or image.get("source") or "measure"
        steps.append(("image.yml", number, label))
        if "on_failure" in hooks:
            steps.append(("failed.yml", number, "on failure"))
        elif plan["max_fail_percentage"] is not None:
            steps.append(("limit.yml", number, "limit"))
    if "after" in hooks and not is_check:  # in check mode no host has an image
        steps.append(("after.yml", 0, "after"))
    return [{"file": file, "index": index, "label": label} for file, index, label in steps]


def title_of(plan: Run) -> str:
    """Return the title that the operator reads above the names of the hosts."""
    count = len(plan["nodes"])
    hosts = "%d host%s" % (count, "" if count == 1 else "s")
    if plan["is_dummy"]:
        return "Measure the network from %s to %s" % (plan["server"], hosts)
    names = [str(image.get("source") or "?") for image in plan["images"]]
    return "Clone %s from %s to %s" % (", ".join(names), plan["server"], hosts)
