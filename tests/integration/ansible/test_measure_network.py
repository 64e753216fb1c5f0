# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role without disks: it measures the network, and no host has changed, whatever else its variables say."""

from __future__ import annotations

import pytest

HOSTS = {"n1", "n2", "n3", "n4"}


def check_measured(lab, outcome):
    results = outcome.results()
    assert {name for name, result in results.items() if result["state"] == "done"} == HOSTS
    for result in results.values():
        assert result["rate_mb_s"] > 0 and result["bytes"] > 0
        assert not any(result[name] for name in ("changed", "verified", "synced", "half_written"))
        assert "nothing written" in result["reason"]
    assert {stats["changed"] for stats in outcome.stats().values()} == {0}
    assert outcome.summary()["rate_mb_s"] > 0 and "MB/s, nothing written" in outcome.summary()["msg"]
    assert list(lab.targets.iterdir()) == [] and lab.left_over() == []
    return results


def test_by_size(lab):
    """The inventory names source and target, as for a clone, and hooks that must not run for a measurement."""
    (lab.folder / "hook.yml").write_text("- name: Say that it was here\n  ansible.builtin.fail:\n    msg: was here\n")
    hooks = ["-e", "dolly_ring_before=%s/hook.yml dolly_ring_after=%s/hook.yml" % (lab.folder, lab.folder)]
    outcome = lab.clone(
        "-l", "rack3", "-e", "dolly_ring_dummy_size=48M dolly_ring_purge=true dolly_ring_fanout=2", *hooks
    )
    assert {result["bytes"] for result in check_measured(lab, outcome).values()} == {48 << 20}
    assert "was here" not in outcome.output


def test_by_time(lab):
    lab.write_inventory({"rack3": {name: {} for name in sorted(HOSTS)}}, dolly_ring_source="", dolly_ring_dest="")
    report = lab.folder / "report.html"
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_dummy_seconds=1.5 dolly_ring_report=%s" % report)
    results = check_measured(lab, outcome)
    assert len({result["bytes"] for result in results.values()}) == 1
    assert outcome.summary()["seconds"] >= 1.5
    assert "All 4 hosts could be measured." in report.read_text("utf-8")


def test_a_check_predicts_no_change(lab):
    outcome = lab.clone("-l", "rack3", "--check", "-e", "dolly_ring_dummy_seconds=1")
    assert {result["state"] for result in outcome.results().values()} == {"predicted"}
    assert not any(result["changed"] for result in outcome.results().values())
    assert "would measure the network and write nothing" in outcome.output
    assert "would overwrite" not in outcome.output


@pytest.mark.parametrize(
    "variables, text",
    [
        ("dolly_ring_dummy_size=1M dolly_ring_dummy_seconds=1", "ends by one of them"),
        ("dolly_ring_dummy_size=1M dolly_ring_compressed=true", "compressed is"),
        ("dolly_ring_dummy_size=1M dolly_ring_checksum=sha256:%s" % ("0" * 64), "dolly_ring_checksum is set"),
        ("dolly_ring_dummy_size=1M dolly_ring_protocol=classic", "protocol=classic"),
        ("dolly_ring_dummy_size=much", "dolly_ring_dummy_size of n1 is 'much'"),
        ("dolly_ring_dummy_seconds=-1", "dummy_seconds is -1"),
    ],
)
def test_what_makes_no_sense_together_is_refused(lab, variables, text):
    outcome = lab.clone("-l", "n1", "-e", variables, code=2)
    assert text in outcome.reasons()["n1"]
    assert list(lab.targets.iterdir()) == [] and lab.left_over() == []


def test_a_mistyped_wish_to_measure_clones_nothing(lab):
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_dumy_seconds=1", code=2)
    assert set(outcome.reasons()) == HOSTS
    assert all("Did you mean dolly_ring_dummy_seconds?" in reason for reason in outcome.reasons().values())
    assert list(lab.targets.iterdir()) == [] and lab.left_over() == []
