# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans are valid or are not made; they survive the wire."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import job
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet

MIB = 1024 * 1024


def plan_dict():
    return {
        "run_id": "run-1",
        "nodes": [{"name": "n%d" % rank, "host": "10.0.0.%d" % rank, "port": 9998, "extra": ["10.0.1.%d" % rank]}
                  for rank in range(4)],
        "fanout": 2,
        "image": {"size": 10 * MIB, "chunk_size": 4 * MIB, "sha256": "a" * 64, "mapped": [0, 4096, 4096, 8192]},
        "verify": "readback",
        "sync": True,
        "timeouts": job.Timeouts().to_dict(),
        "output": "/dev/sda",
        "source": {"path": "/dev/sdb"},
        "infile": {
            "kind": "compressed", "is_split": True, "codec": "xz", "is_seekable": True,
            "uncompressed_size": 5, "dummy_seconds": None,
        },
        "outfile": {"is_compressed": False, "split_size": 1024},
        "transport": {"segsize": 536, "socket_buffer": 65536, "block_size": 4096, "tries": 40, "min_rate": 1000000},
        "compare": True,
    }


def test_plan_survives_the_wire():
    plan = job.Plan.from_dict(plan_dict())
    assert plan.to_dict() == plan_dict()
    assert job.Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert hash(plan) == hash(job.Plan.from_dict(plan_dict()))


def test_plan_answers():
    plan = job.Plan.from_dict(plan_dict())
    assert plan.rank_of("n3") == 3
    assert (plan.parent(3), plan.parent(2)) == (1, 0)
    assert [list(plan.children(rank)) for rank in range(4)] == [[1, 2], [3], [], []]
    with pytest.raises(KeyError):
        plan.rank_of("n4")
    for rank in (0, 4):
        with pytest.raises(ValueError, match="rank"):
            plan.parent(rank)
    with pytest.raises(ValueError, match="rank"):
        plan.children(4)


def test_plan_is_frozen_and_can_be_replaced():
    plan = job.Plan.from_dict(plan_dict())
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.fanout = 3
    other = dataclasses.replace(plan, fanout=1)
    assert other.rank_of("n3") == 3 and list(other.children(1)) == [2] and other != plan


def _set(*path_and_value):
    *path, last, value = path_and_value

    def change(data):
        for step in path:
            data = data[step]
        data[last] = value
    return change


BAD_PLANS = [
    ("run_id", _set("run_id", "")), ("run_id", _set("run_id", "a" * 65)), ("run_id", _set("run_id", "a/b")),
    ("run_id", _set("run_id", "a\n")), ("run_id", _set("run_id", 5)), ("run_id", lambda d: d.pop("run_id")),
    ("surprise", _set("surprise", 1)),
    ("nodes", _set("nodes", [])), ("nodes", _set("nodes", {})), ("node is", _set("nodes", 0, "n0")),
    (r"nodes\[2\].name", _set("nodes", 2, "name", "n1")), (r"nodes\[1\].port", _set("nodes", 1, "port", 0)),
    ("name", _set("nodes", 1, "name", "")), ("name", _set("nodes", 1, "name", "a/b")),
    ("name", _set("nodes", 1, "name", "a\x1b")), ("name", _set("nodes", 1, "name", "a" * 256)),
    ("name", _set("nodes", 1, "name", None)), ("host", _set("nodes", 1, "host", "")),
    ("host", _set("nodes", 1, "host", "a\n")), ("port", _set("nodes", 1, "port", 65536)),
    ("port", _set("nodes", 1, "port", -1)), ("port", _set("nodes", 1, "port", True)),
    ("port", _set("nodes", 1, "port", "9998")), ("port", lambda d: d["nodes"][1].pop("port")),
    ("fanout", _set("fanout", 0)), ("fanout", _set("fanout", True)), ("fanout", _set("fanout", 1.0)),
    ("image", _set("image", None)), ("size", _set("image", "size", -1)),
    ("size", _set("image", "size", 2 ** 63)), ("size", _set("image", "size", 1.0)),
    ("chunk_size", _set("image", "chunk_size", 0)), ("chunk_size", _set("image", "chunk_size", None)),
    ("sha256", _set("image", "sha256", "A" * 64)), ("sha256", _set("image", "sha256", "a" * 64 + "\n")),
    ("sha256", _set("image", "sha256", 5)), ("image", _set("image", "extra", 5)),
    ("verify", _set("verify", "media")), ("verify", _set("verify", [])), ("sync", _set("sync", 1)),
    ("timeouts", _set("timeouts", [])), ("join", _set("timeouts", "join", 0)),
    ("stall", _set("timeouts", "stall", -1)), ("stall", _set("timeouts", "stall", float("nan"))),
    ("stall", _set("timeouts", "stall", float("inf"))), ("stall", _set("timeouts", "stall", 10 ** 400)),
    ("orphan", _set("timeouts", "orphan", True)), ("orphan", _set("timeouts", "orphan", "60")),
    ("timeouts", _set("timeouts", "sleep", 5)), ("output", _set("output", None)),
    ("output", _set("output", "a\0b")), ("output", _set("output", "a" * 4097)),
    ("source", _set("source", [])),
]


@pytest.mark.parametrize("what, change", BAD_PLANS)
def test_hostile_plans_are_refused_by_name(what, change):
    data = copy.deepcopy(plan_dict())
    change(data)
    with pytest.raises(ValueError, match=what):
        job.Plan.from_dict(data)


@pytest.mark.parametrize("kind", [job.Plan, job.Image, job.NodeSpec, job.Timeouts])
@pytest.mark.parametrize("data", [None, 5, "x", [], [["size", 5]]])
def test_only_objects_are_read(kind, data):
    with pytest.raises(ValueError, match="an object"):
        kind.from_dict(data)


def test_deeply_nested_values_are_refused_as_any_other():
    deep = []
    for _unused in range(100000):
        deep = [deep]
    with pytest.raises(ValueError, match="run_id"):
        job.Plan.from_dict({**plan_dict(), "run_id": deep})


@pytest.mark.parametrize("field, value", [("nodes", []), ("image", {}), ("timeouts", {}), ("sync", None)])
def test_a_plan_made_in_code_is_checked_too(field, value):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(job.Plan.from_dict(plan_dict()), **{field: value})


def test_only_the_server_s_port_may_be_unknown():
    data = plan_dict()
    data["nodes"][0]["port"] = 0
    assert job.Plan.from_dict(data).nodes[0].port == 0


def test_the_largest_plan():
    nodes = [{"name": "n%d" % rank, "host": "h", "port": 1} for rank in range(65536)]
    assert len(job.Plan.from_dict({**plan_dict(), "nodes": nodes[:-1]}).nodes) == 65535
    with pytest.raises(ValueError, match="65535 nodes"):
        job.Plan.from_dict({**plan_dict(), "nodes": nodes})


def test_missing_limits_have_defaults():
    assert job.Timeouts.from_dict({"stall": 7}) == job.Timeouts(stall=7.0)
    assert job.Timeouts().to_dict() == {
        "join": 600.0, "barrier": 60.0, "connect": 10.0, "orphan": 60.0, "dead_after": 5.0, "stall": 30.0,
        "flush": 1800.0, "handshake": 5.0,
    }


def test_output_and_source_may_be_left_out():
    data = plan_dict()
    del data["output"], data["source"]
    plan = job.Plan.from_dict(data)
    assert (plan.output, plan.source) == ("", {})


@given(st.integers(0, 1000), st.integers(1, 50))
def test_chunks_tile_the_image(size, chunk_size):
    image = job.Image(size, chunk_size)
    bounds = [image.chunk_bounds(index) for index in range(image.chunk_count)]
    assert [start for start, _unused in bounds] + [size] == [0] + [end for _unused, end in bounds]
    assert all(end - start == chunk_size for start, end in bounds[:-1])
    assert all(0 < end - start <= chunk_size for start, end in bounds)
    for index in (-1, image.chunk_count):
        with pytest.raises(IndexError):
            image.chunk_bounds(index)


def test_chunks_of_an_image_of_unknown_size():
    image = job.Image(None, 10)
    assert image.chunk_count is None
    assert image.chunk_bounds(7) == (70, 80)
    assert image.with_size(75) == job.Image(75, 10)
    for index in (-1, 2 ** 63):
        with pytest.raises(IndexError):
            image.chunk_bounds(index)
    assert job.Image.from_dict({"size": None, "chunk_size": 10}) == image


@pytest.mark.parametrize("size, chunk_size", [
    (None, 4 * MIB), (0, 4 * MIB), (256 * 1024 * MIB, 4 * MIB), (256 * 1024 * MIB + 1, 8 * MIB),
    (1024 ** 4, 16 * MIB), (2 ** 63 - 1, 2 ** 47),
])
def test_default_chunk_size(size, chunk_size):
    assert job.default_chunk_size(size) == chunk_size
    if size is not None:
        assert job.Image(size, chunk_size).chunk_count <= 65536


def test_only_the_servers_address_may_be_unknown():
    data = plan_dict()
    data["nodes"][0].update(host="", port=0)
    assert job.Plan.from_dict(data).nodes[0].host == ""
    data["nodes"][2]["host"] = ""
    with pytest.raises(ValueError, match=r"nodes\[2\].host"):
        job.Plan.from_dict(data)


def test_a_chunk_has_the_parts_that_are_mapped():
    image = job.Image(30, 10, mapped=RangeSet([(2, 5), (8, 13)]))
    assert [image.chunk_parts(index) for index in range(3)] == [[(2, 5), (8, 10)], [(10, 13)], []]
    assert (image.covered, image.coverage) == (8, "mapped blocks, 8 of 30 bytes")
    assert list(image.unmapped()) == [(0, 2), (5, 8), (13, 30)]
    with pytest.raises(IndexError):
        image.chunk_parts(3)


@given(st.sets(st.integers(0, 24)), st.sampled_from((25, None)))
def test_whole_chunks_by_counting(offsets, size):
    image = job.Image(size, 10)
    found = {index for first, end in image.whole_chunks(RangeSet((one, one + 1) for one in offsets))
             for index in range(first, end)}
    ends = (10, 20, 25 if size else 30)
    assert found == {index for index in range(3) if set(range(index * 10, ends[index])) <= offsets}


def test_without_a_map_everything_is_mapped():
    image = job.Image(25, 10)
    assert image.chunk_parts(2) == [(20, 25)]
    assert (image.covered, image.coverage, list(image.unmapped())) == (25, "all bytes", [])


@pytest.mark.parametrize("mapped", [
    [0], [0, 0], [-1, 5], [0, 5, 0, 5], [0, 11], [5, 6], "0,5", [0, True], [0, 1.5], {"0": 5}, [[0, 5]],
])
def test_a_map_that_cannot_be(mapped):
    with pytest.raises(ValueError):
        job.Image.from_dict({"size": 10, "chunk_size": 4, "mapped": mapped})


def test_a_map_needs_a_size_and_has_an_end(monkeypatch):
    with pytest.raises(ValueError, match="mapped"):
        job.Image(None, 4, mapped=RangeSet([(0, 4)]))
    monkeypatch.setattr(job, "MAX_MAPPED", 1)
    with pytest.raises(ValueError, match="mapped"):
        job.Image(9, 4, mapped=RangeSet([(0, 4), (5, 6)]))
