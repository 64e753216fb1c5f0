# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server is killed before the start, and another one comes for the same nodes with the same key."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import sockets
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import NodeSpec
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.streams import Infile, Outfile
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.transport import Transport
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.node import check_plan
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.server import Policy, Server
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import result_of as root_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    Running,
    SlowTarget,
    make_context,
    until,
)

#: What a second server may be told otherwise.
CHANGES = [
    {"output": "/b"},
    {"verify": "none"},
    {"sync": False},
    {"compare": True},
    {"fanout": 2},
    {"source": {"path": "/another"}},
    {"outfile": Outfile(is_compressed=True)},
    {"infile": Infile(kind="compressed")},
    {"transport": Transport(min_rate=1000)},
]


@pytest.fixture
def second_server():
    made = []

    def begin(bench, **changes):
        sock = sockets.listen("127.0.0.1", 0)
        server = NodeSpec("n0", "127.0.0.1", sock.getsockname()[1])
        plan = dataclasses.replace(bench.plan, nodes=(server, *bench.plan.nodes[1:]), **changes)
        source = Source(str(bench.path))
        made.append(Running(Server(make_context("n0"), sock, lambda node: None, plan, source, Policy())))
        return made[-1]

    yield begin
    for server in made:
        server.kill()
        server.join()


def at_the_barrier(ring, **options):
    """A ring whose first node has the plan and is ready, whose second is not; the server is killed there."""
    slow = SlowTarget()
    bench = ring(count=2, targets={2: slow}, **options)
    until(lambda: bench.members[1].node.word.state == "ready" and slow.entered.is_set())
    bench.root.kill()
    slow.released.set()
    return bench


@pytest.mark.parametrize("changes", [{"output": "/b"}, {"verify": "none"}])
def test_another_plan_is_refused_before_anything_is_written(ring, second_server, changes):
    """It ended with 0 and said done and verified, and the node had done what the first one had asked for."""
    bench = at_the_barrier(ring)
    second = second_server(bench, **changes)
    second.join()
    bench.members[1].join()
    result, own = root_result(second.node), member_result(bench.members[1].node)
    assert (result["state"], own["state"], own["changed"]) == ("failed", "failed", False)
    assert "begin" not in bench.targets[1].calls + bench.targets[2].calls
    assert "given before: %s differ" % next(iter(changes)) in result["error"]["message"]


@pytest.mark.parametrize("verify", ["readback", "none"])
def test_the_same_plan_goes_on_and_says_what_the_nodes_did(ring, second_server, verify):
    bench = at_the_barrier(ring, verify=verify)
    second = second_server(bench)
    second.join()
    for member in bench.members.values():
        member.join()
    rows = [*root_result(second.node)["nodes"], *(member_result(one.node) for one in bench.members.values())]
    assert {(row["state"], row["verified"]) for row in rows} == {("done", verify != "none")}
    assert bench.is_whole(1) and bench.is_whole(2)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_every_option_counts(ring, changes):
    known = ring(count=1).join().plan
    with pytest.raises(ValueError, match=next(iter(changes))):
        check_plan(dataclasses.replace(known, **changes), known, 1, 0)
    moved = dataclasses.replace(known.nodes[0], host="127.0.0.9", port=7)
    check_plan(dataclasses.replace(known, nodes=(moved, *known.nodes[1:])), known, 1, 0)
