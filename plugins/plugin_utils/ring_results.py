# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The results of the hosts and of the run, from what the tasks of the role have returned."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.ring import causes as ring_causes
from ansible_collections.dolly.ring.plugins.plugin_utils import host_words
from ansible_collections.dolly.ring.plugins.plugin_utils.ring_words import printable

Said = t.Mapping[str, t.Any]

#: The result of a node of which nothing is known.
BLANK: t.Dict[str, t.Any] = {
    "changed": False,
    "bytes": 0,
    "seconds": 0.0,
    "rate_mb_s": 0.0,
    "digest": "",
    "position": None,
    "verified": False,
    "synced": False,
    "repaired": 0,
    "received_bytes": 0,
    "sent_bytes": 0,
    "resumed_bytes": 0,
    "equal_bytes": 0,
    "late": False,
    "demoted": False,
    "healed": 0,
    "stalled": 0.0,
    "times": {},
    "covers": "",
    "half_written": False,
}
GOOD = ("done", "predicted", "server")
#: States of a node in which it may write to its target.
_AT_WORK = ("receiving", "verifying", "flushing")
NOT_STARTED = "not started: see "
NO_RESULT = "no result: either it did not come here with the others, or Ansible says above why it broke off"
TAKEN_ALONG = "the run failed, and what its target holds is not a good copy: see "


@dataclasses.dataclass(frozen=True)
class Heard:
    """What the tasks of a run returned: on the server, and by host for each task."""

    run: Said
    image: Said
    ring: Said
    stream: Said
    started: t.Mapping[str, Said]
    collected: t.Mapping[str, Said]
    cleaned: t.Mapping[str, Said]
    causes: t.Mapping[str, str]
    is_check: bool = False
    earlier: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def result_of(host: str, heard: Heard) -> t.Dict[str, t.Any]:
    """Return the result of a host; it may be the server, or a host that Ansible has lost."""
    started = of_run(heard.started.get(host), heard)
    collected = of_run(heard.collected.get(host), heard)
    is_server = host == heard.run["server"]
    said = started if heard.is_check else collected
    state, reason = verdict(host, heard)
    result: t.Dict[str, t.Any] = {"run_id": heard.run["id"], "name": host, "state": state}
    result.update(BLANK)
    seen = from_server(host, heard) if "bytes" not in collected and not heard.is_check else {}
    result.update(seen)
    result.update((name, said[name]) for name in BLANK if said.get(name) is not None)
    for name in ("changed", "half_written"):  # True from either source counts
        result[name] = bool(result[name] or seen.get(name))
    if result["half_written"] and "half-written" not in reason:
        reason = reason.rstrip(".") + "; its disk is half-written"
    result["verified"] = result["verified"] and host_words.has_digests(heard.run) and not doubt_of(host, heard)
    if is_server:
        result["position"] = 0
    if heard.is_check and (state not in GOOD or heard.ring.get("problem")):
        result["changed"] = False
    for name, otherwise in (("address", ""), ("address_rule", ""), ("port", None)):
        result[name] = started.get(name, otherwise)
    result["reason"] = printable(reason)  # from any source: Ansible prints it unchanged
    if state not in GOOD:
        result["log"] = list(collected.get("log") or started.get("log") or [])[-20:]
    for name in ("error", "target", "notes"):
        if collected.get(name) or started.get(name):
            result[name] = collected.get(name) or started.get(name)
    return result


def of_run(said: t.Optional[Said], heard: Heard) -> Said:
    """Return what a host returned in this run. The result of an unreachable host carries no run id."""
    if not said or said.get("skipped") or said.get("run_id", heard.run["id"]) != heard.run["id"]:
        return {}
    return host_words.checked(said, heard.run["nodes"])


def doubt_of(host: str, heard: Heard) -> str:
    """Return why the image that this host claims to hold may be another one, or the empty string."""
    collected = of_run(heard.collected.get(host), heard)
    return host_words.doubt(heard.run, collected, heard.stream) if "bytes" in collected else ""


def verdict(host: str, heard: Heard) -> t.Tuple[str, str]:
    """Return the state of a host and the first cause of its failure, or its message."""
    started = of_run(heard.started.get(host), heard)
    collected = of_run(heard.collected.get(host), heard)
    if heard.causes.get(host):
        return "failed", heard.causes[host]
    if started.get("unreachable"):
        return "unreachable", "Ansible lost this host before its receiver was started: %s" % why_unreachable(started)
    if collected.get("unreachable"):
        return verdict_of_silent(host, heard, why_unreachable(collected))
    if "source" not in heard.image:
        return "failed", "%s: %s" % (heard.run["server"], heard.image.get("msg") or "no answer from the server")
    if host == heard.run["server"]:
        problem = heard.ring.get("problem") or problem_of_stream(heard.stream)
        return ("failed", problem) if problem else ("server", str(heard.stream.get("msg") or ""))
    return verdict_of_node(host, heard, started, collected)


def verdict_of_silent(host: str, heard: Heard, why: str) -> t.Tuple[str, str]:
    """Judge a host that has started but that Ansible can no longer reach, by what the ring saw of it."""
    for node in heard.stream.get("nodes") or ():
        if node.get("name") == host and node.get("state") == "lost":
            seen = (node.get("error") or {}).get("message") or "it fell silent"
            told = "The ring lost it in the middle of the run (%s), and Ansible cannot reach it either: %s"
            return "lost", told % (seen, why)
    told = "Ansible lost this host before its result was collected: %s%s"
    return "unreachable", told % (why, seen_by_server(host, heard))


def why_unreachable(said: Said) -> str:
    """Return Ansible's reason without its prefixes."""
    text = str(said.get("msg") or "").strip()
    while text.startswith("Task failed: "):
        text = text[len("Task failed: ") :]
    return text.rstrip(":. ") or "it did not say why"


def verdict_of_node(host: str, heard: Heard, started: Said, collected: Said) -> t.Tuple[str, str]:
    if "node" not in started:
        return "failed", str(started.get("msg") or "its receiver was not started")
    if heard.ring.get("problem"):
        problem = str(heard.ring["problem"])
        if heard.is_check and heard.ring.get("missing"):
            # The fault lies with other hosts, which report it; this host was asked what it would do.
            return "predicted", "%s, but as it stands: %s" % (started.get("msg"), problem)
        missing = list(heard.ring.get("missing") or ())
        return "failed", NOT_STARTED + ring_causes.names(missing) if missing else problem
    if heard.is_check:
        problem = problem_of_stream(heard.stream)
        if problem:
            return "failed", "%s: %s" % (heard.run["server"], problem)
        return "predicted", str(started.get("msg") or "")
    syncs = bool(heard.run.get("agreed", {}).get("dolly_ring_sync", True)) and not heard.run.get("is_dummy")
    if not is_good(collected, syncs):
        return "failed", why_failed(host, heard, collected)
    if doubt_of(host, heard):
        return "failed", doubt_of(host, heard)
    cleaned = of_run(heard.cleaned.get(host), heard)
    if not cleaned.get("clean"):
        return "failed", "Could not clean up after the run: %s" % (cleaned.get("msg") or "no answer")
    return "done", str(collected.get("msg") or "")


def why_failed(host: str, heard: Heard, collected: Said) -> str:
    """Return why a started node has no good copy. An innocent node names the culprits."""
    problem = problem_of_stream(heard.stream)
    nodes = heard.stream.get("nodes") or ()
    culprits = [str(node.get("name")) for node in nodes if problem and ring_causes.is_culprit(node)]
    is_own = host in culprits or ring_causes.is_culprit(collected)
    if culprits and not is_own:
        wrote = collected.get("changed") or collected.get("half_written")
        return (TAKEN_ALONG if wrote else NOT_STARTED) + ring_causes.names(culprits)
    why = str(collected.get("msg") or problem or "it left no result")
    if problem and problem not in why and not is_own:
        why = "%s: %s; this node: %s" % (heard.run["server"], problem.rstrip("."), why)
    return why if "bytes" in collected else why + seen_by_server(host, heard, why)


def is_innocent(result: Said) -> bool:
    """Whether a host failed only because of other hosts."""
    return str(result.get("reason") or "").startswith((NOT_STARTED, TAKEN_ALONG))


def is_good(collected: Said, syncs: bool = True) -> bool:
    """Whether the module reported success: `bytes`, and none of the fields of a failure.

    *syncs*: the run was to flush the image, so a node that did not flush it has failed.
    """
    is_failed = collected.get("failed") or collected.get("log") is not None or "exception" in collected
    # A task that ended otherwise, for example by its timeout, returns no `bytes`.
    return "bytes" in collected and not is_failed and (bool(collected.get("synced")) or not syncs)


def problem_of_stream(stream: Said) -> str:
    if stream.get("state") in ("done", "partial", "predicted"):
        return ""
    return str(stream.get("msg") or "the server gave no answer")


def from_server(host: str, heard: Heard) -> t.Dict[str, t.Any]:
    """Return what the server knows about a node that gave no result itself."""
    for node in heard.stream.get("nodes") or ():
        if node.get("name") == host:
            known = {name: node[name] for name in BLANK if node.get(name) is not None and name != "changed"}
            # The seconds count from the moment at which the node may write.
            has_begun = node.get("bytes") or node.get("seconds") or node.get("state") in _AT_WORK
            wrote = bool(has_begun) and not heard.run.get("is_dummy")
            is_whole = node.get("state") in ("serving", "done") or bool(node.get("synced"))
            half = wrote and not is_whole and is_disk(host, heard)
            return dict(known, changed=wrote, half_written=half)
    return {}


def is_disk(host: str, heard: Heard) -> bool:
    return (of_run(heard.started.get(host), heard).get("target") or {}).get("kind") == "block"


def seen_by_server(host: str, heard: Heard, told: str = "") -> str:
    """Return what the server last saw of a node, with its reason unless *told* holds it already."""
    for node in heard.stream.get("nodes") or ():
        if node.get("name") == host:
            why = (node.get("error") or {}).get("message")
            because = " (%s)" % why if why and why not in told else ""
            return "; the server last saw it %s%s" % (node.get("state"), because)
    return ""


def said_of_run(heard: Heard) -> str:
    """Return the message of a run, or the first cause of its failure. A missing image is no host's fault."""
    if heard.image.get("msg") and "source" not in heard.image:
        return "nothing was written: %s" % heard.image["msg"]
    return str(heard.ring.get("problem") or heard.stream.get("msg") or heard.image.get("msg") or "nothing was sent")


def of_refused(
    plan: Said, hosts: t.Sequence[str], otherwise: str
) -> t.Tuple[t.Dict[str, t.Dict[str, t.Any]], t.Dict[str, t.Any]]:
    """Return results by host and the summary of a run that never began. *otherwise*: the default reason.

    Without them, the hosts would keep the results of an earlier run.
    """
    common = {"run_id": plan["id"], "state": "failed"}
    reasons = {host: printable(plan["problem"] or plan["problems"].get(host) or otherwise) for host in hosts}
    results = {host: dict(BLANK, **common, name=host, reason=reason) for host, reason in reasons.items()}
    image = {"msg": str(plan["problem"] or otherwise)}
    heard = Heard(plan, image, ring={}, stream={}, started={}, collected={}, cleaned={}, causes={})
    return results, summary_of(heard, results)


def summary_of(heard: Heard, results: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Dict[str, t.Any]:
    """Return the result of the run. A host that was lost before the role began has no result of its own."""
    stream = heard.stream
    order = list(heard.run["nodes"]) + [name for name in heard.run["expected"] if name not in heard.run["nodes"]]
    nodes = []
    for name in order:
        lost = {"run_id": heard.run["id"], "name": name, "state": "unreachable"}
        lost["reason"] = "lost before the ring was built"
        if name in heard.run["nodes"]:  # the host was there, but none of its tasks came to an end
            lost.update(state="failed", reason=NO_RESULT)
        if name in heard.earlier:
            lost.update(state="failed", reason="it has failed with an image before this one: " + heard.earlier[name])
        nodes.append(dict(results[name]) if name in results else dict(BLANK, **lost))
    state = stream.get("state", "failed")
    if state == "done" and any(node["state"] != "done" for node in nodes):
        state = "partial"  # the server does not know hosts that never joined
    return {
        "run_id": heard.run["id"],
        "state": state,
        "server": heard.run["server"],
        "server_reachable": stream.get("server_reachable"),
        "source": heard.image.get("source") or {},
        "bytes": stream.get("bytes", 0),
        "seconds": stream.get("seconds", 0.0),
        "rate_mb_s": stream.get("rate_mb_s", 0.0),
        "covers": stream.get("covers", ""),
        "digest": stream.get("digest", ""),
        "sha256": stream.get("sha256", ""),
        "msg": said_of_run(heard),
        "limited_by": stream.get("limited_by", ""),
        "times": stream.get("times") or {},
        "notes": [str(note) for note in heard.image.get("warnings") or ()],
        "nodes": nodes,
    }
