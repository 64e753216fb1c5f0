# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_plan

AGREED = {
    "dolly_ring_server": "head",
    "dolly_ring_source": "/i",
    "dolly_ring_min_nodes": 0,
    "dolly_ring_order_by": [],
    "dolly_ring_images": [],
}
FIRST = {"name": "a", "source": "/i", "dest": "/d"}


def node(name, **changes):
    return {"name": name, "host": "10.0.0.1", "port": 9998, "extra": [], **changes}


def wish(host, groups=(), **agreed):
    images = [{"source": "/i", "dest": "/d"}]
    return {
        "round": 1, "host": host, "own": {}, "groups": list(groups), "images": images, "agreed": {**AGREED, **agreed},
    }


def plan(*wishes, everyone=None, hosts=None, **play):
    batch = [one["host"] for one in wishes]
    facts = ring_plan.Play(batch=batch, hosts=hosts or batch, everyone=everyone or batch, **play)
    return ring_plan.make_plan("run1", batch[0], {one["host"]: one for one in wishes}, facts)


def test_plan_has_the_order_of_the_play_and_the_server_is_no_node():
    made = plan(wish("head"), wish("b"), wish("a"), everyone=["head", "b", "gone", "a"])
    assert (made["nodes"], made["server"], made["problem"], made["problems"]) == (["b", "a"], "head", "", {})
    assert made["expected"] == ["b", "a", "gone"] and made["needed"] == 3


def test_more_nodes_than_there_are_cannot_be_needed():
    assert plan(wish("a", dolly_ring_min_nodes=2), wish("b", dolly_ring_min_nodes=2))["problem"] == ""
    told = plan(wish("a", dolly_ring_min_nodes=3), wish("b", dolly_ring_min_nodes=3))["problem"]
    assert told.startswith("dolly_ring_min_nodes is 3, but the play has 2 hosts")


def test_hosts_of_one_group_stand_side_by_side_at_every_level():
    wishes = [
        wish("a", ["room1", "s1"]),
        wish("b", ["room2", "s1"]),
        wish("c", ["room1", "s2"]),
        wish("d", ["room1", "s1"]),
        wish("e", ["room2", "s1"]),
    ]
    assert plan(*wishes)["nodes"] == ["a", "d", "c", "b", "e"]


def test_a_host_without_the_variable_that_orders_fails_alone():
    wishes = [wish("a", ["x"], dolly_ring_order_by=["rack"]), wish("b", [""], dolly_ring_order_by=["rack"])]
    made = plan(*wishes)
    assert made["is_refused"] is False
    assert list(made["problems"]) == ["b"] and "ordered by rack" in made["problems"]["b"]


@pytest.mark.parametrize("second", ["/d", "/d/", "/./d", "/x/../d"])
def test_two_images_for_one_place_fail_the_host_that_was_told_so(second):
    image = {"name": "b", "source": "/j", "dest": second}
    both = dict(wish("a"), images=[FIRST, image])
    made = plan(both, dict(wish("b"), images=[FIRST, dict(image, dest="/e")]))
    assert list(made["problems"]) == ["a"] and made["is_refused"] is False
    assert "The images a and b have the same dest on this host, %s" % second in made["problems"]["a"]


def test_what_was_mistyped_is_a_problem_of_the_play():
    assert plan(wish("a"), mistake="what is dolly_ring_dset?")["problem"] == "what is dolly_ring_dset?"


@pytest.mark.parametrize(
    "play, min_nodes, expected",
    [
        ({}, 0, 10),
        ({}, 7, 7),
        ({"max_fail_percentage": 25.0}, 0, 8),
        ({"max_fail_percentage": 100.0}, 0, 1),
        ({"max_fail_percentage": 25.0}, 9, 9),
        ({"is_all_or_nothing": True}, 3, 10),
        ({"max_fail_percentage": 0.0}, 0, 10),
    ],
)
def test_needed_follows_the_ring_then_the_play(play, min_nodes, expected):
    assert ring_plan.needed(min_nodes, 10, ring_plan.Play([], [], [], **play)) == expected


@pytest.mark.parametrize(
    "play, text",
    [
        ({"strategy": "ansible.builtin.host_pinned"}, "strategy: linear"),
        ({"hosts": ["a", "b", "c"]}, "2 of its 3 hosts at a time"),
    ],
)
def test_a_play_whose_hosts_do_not_move_together_is_refused(play, text):
    assert text in plan(wish("a"), wish("b"), **play)["problem"]


def test_a_role_that_some_hosts_skipped_is_refused():
    stale = {**wish("b"), "round": 0}
    assert "b did not come here" in plan(wish("a"), stale)["problem"]


def test_hosts_of_one_ring_must_agree_and_each_is_told_what_it_has():
    made = plan(wish("a"), wish("b", dolly_ring_source="/j"))
    assert made["is_refused"] and "different values of dolly_ring_source," in made["problems"]["a"]
    assert "b has dolly_ring_source=/j." in made["problems"]["b"]


@pytest.mark.parametrize(
    "images, text",
    [
        ([{"source": "", "dest": "/d"}], "dolly_ring_source is not set"),
        ([FIRST, {"name": "a", "source": "/i", "dest": "/e"}], "differ, but they are: a, a"),
        ([{"name": "a", "source": "/i", "dest": "/d", "target": "x"}], "has target, but known are only"),
        ([FIRST, {"name": "b", "dest": "/e"}], "entry 2 of dolly_ring_images is not"),
    ],
)
def test_images_that_cannot_be_are_refused(images, text):
    one = wish("a")
    one["images"] = images
    assert text in plan(one)["problem"]


def test_join_takes_only_who_started_for_this_run_in_ring_order():
    made = plan(wish("a"), wish("b"), wish("c"), max_fail_percentage=40.0)
    started = {
        "c": {"run_id": "run1", "node": node("c")},
        "a": {"run_id": "run1", "node": node("a")},
        "b": {"run_id": "older", "node": node("b")},
    }
    joined = ring_plan.join(made, started)
    assert [node["name"] for node in joined["nodes"]] == ["a", "c"]
    assert joined["missing"] == ["b"] and joined["problem"] == ""
    del started["c"]
    assert "1 of 3 hosts can take part and 2 are needed; missing: b, c." in ring_plan.join(made, started)["problem"]


def test_join_says_why_each_is_missing_and_a_common_cause_once():
    made = plan(*(wish(name) for name in "abcde"))
    started = {name: {"run_id": "run1", "msg": "it is mounted."} for name in "ac"}
    started["b"] = {"run_id": "run1", "node": {"name": "b", "host": "10.0.0.2", "port": 9998}}
    started["d"] = {"run_id": "run1", "skipped": True, "msg": "skipped"}
    problem = ring_plan.join(made, started, {"d": "before the run: no licence", "b": ""})["problem"]
    assert "missing: a, c, d, e. a, c: it is mounted. d: before the run: no licence. Repair them" in problem


def test_join_says_why_the_first_one_is_missing_and_what_can_be_done():
    made = plan(wish("a"), wish("b"), wish("c"))
    started = {"a": {"run_id": "run1", "node": node("a")}, "c": {"run_id": "run1", "msg": "it is mounted (/srv)."}}
    assert ring_plan.join(made, started)["problem"] == (
        "Nothing was written: 1 of 3 hosts can take part and 3 are needed; missing: b, c. c: it is mounted (/srv)."
        " Repair them, take them out of the play, or set dolly_ring_min_nodes to 1 or less."
    )
    assert ring_plan.join({**made, "needed": 9}, {})["problem"].endswith("Repair them or take them out of the play.")
    everyone = {name: {"run_id": "run1", "node": node(name)} for name in "abc"}
    problem = ring_plan.join({**made, "needed": 9}, everyone)["problem"]
    assert problem.endswith("9 are needed. Lower dolly_ring_min_nodes.")


def test_an_image_says_how_it_is_compressed_or_else_the_role():
    agreed = {"dolly_ring_compressed": True, "dolly_ring_dest_split": "2G"}
    one = wish("a", **agreed)
    one["images"] = [{**FIRST, "compressed": False, "dest_split": ""}, {**FIRST, "name": "b", "source_split": True}]
    images = plan(one)["images"]
    told = [(image["compressed"], image["source_split"], image["dest_split"]) for image in images]
    assert told == [(False, False, ""), (True, True, "2G")]
    assert [image["uncompressed_size"] for image in images] == ["", ""]


@pytest.mark.parametrize("how", [{"dolly_ring_dummy_size": "1G"}, {"dolly_ring_dummy_seconds": 10.0}])
def test_a_measurement_needs_neither_source_nor_target(how):
    bare = {**wish("a", **how), "images": [{"source": "", "dest": ""}]}
    made = plan(bare)
    assert made["is_dummy"] and not made["problem"] and made["problems"] == {}
    assert made["images"][0]["source"] == ""
    assert plan(wish("a", **how))["images"][0]["source"] == ""  # whatever the inventory says for a clone
    assert "dolly_ring_images is set" in plan(wish("a", dolly_ring_images=[FIRST], **how))["problem"]
    assert not plan(wish("a", dolly_ring_dummy_size="", dolly_ring_dummy_seconds=0.0))["is_dummy"]


def test_a_host_cannot_call_itself_by_the_name_of_another_one():
    made = plan(wish("a"), wish("b"))
    started = {"a": {"run_id": "run1", "node": node("b")}, "b": {"run_id": "run1", "node": node("server")}}
    assert [one["name"] for one in ring_plan.join(made, started)["nodes"]] == ["a", "b"]


@pytest.mark.parametrize("said", [None, [], node("a", host=7), node("a", port="ssh"), node("a", extra=[{}])])
def test_a_host_that_says_nonsense_is_missing_and_the_others_go_on(said):
    made = {**plan(wish("a"), wish("b")), "needed": 1}
    joined = ring_plan.join(made, {"a": {"run_id": "run1", "node": said}, "b": {"run_id": "run1", "node": node("b")}})
    assert (joined["nodes"], joined["missing"]) == ([node("b")], ["a"])
