# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark makes of its figures: ratios within a round, claims, tables, the page. Nothing is timed."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from ansible_collections.dolly.ring.tests.bench import claims, options, page
from ansible_collections.dolly.ring.tests.bench.measurement import Measurement
from ansible_collections.dolly.ring.tests.bench.options import Group
from ansible_collections.dolly.ring.tests.bench.statistics import Results, Spread, cpu, rate, seconds
from ansible_collections.dolly.ring.tests.bench.workspace import difference

CHAIN = Group("matrix", "unshaped", "memory", 3, 1000, 1000, 2)


def _round(contender: str, turn: int, value: float, group: Group = CHAIN, error: str = "") -> Measurement:
    return Measurement(group, contender, turn, seconds=value, cpu=value * 2, peak=32 << 20, error=error)


def _results(*found: Measurement) -> Results:
    return Results(found)


def test_a_ratio_is_taken_within_its_round() -> None:
    results = _results(
        _round("bare", 1, 1.0), _round("mbuffer", 1, 2.0), _round("bare", 2, 10.0), _round("mbuffer", 2, 40.0)
    )
    assert results.ratio((CHAIN, "bare"), (CHAIN, "mbuffer"), rate) == Spread(3.0, 2.0, 4.0)


def test_a_round_without_its_partner_does_not_count() -> None:
    results = _results(_round("bare", 1, 1.0), _round("mbuffer", 2, 2.0))
    assert results.ratio((CHAIN, "bare"), (CHAIN, "mbuffer"), rate) is None


def test_a_failure_has_no_figures() -> None:
    results = _results(_round("bare", 1, 1.0), _round("bare", 2, 0.0, error="it fell over"))
    assert results.spread(CHAIN, "bare", seconds) == Spread(1.0, 1.0, 1.0)
    assert results.errors(CHAIN, "bare") == ["it fell over"]


def test_cpu_is_by_gigabyte_and_hop() -> None:
    group = Group("matrix", "unshaped", "memory", 2, 5 * 10**8, 5 * 10**8, 1)
    assert cpu(Measurement(group, "bare", 1, cpu=3.0)) == pytest.approx(3.0)


def test_holes_do_not_count_as_speed() -> None:
    group = Group("sparse", "unshaped", "memory", 1, 10**12, 10**6, 1)
    assert rate(Measurement(group, "dolly", 1, seconds=1.0)) == pytest.approx(1.0)


def test_a_measurement_survives_its_file() -> None:
    found = _round("bare", 1, 1.0)
    assert Measurement.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    "unverified, is_met", [(1.0, True), (1.2, False)], ids=["as fast as bare", "a fifth slower"]
)
def test_a_claim_is_judged_by_its_median(unverified: float, is_met: bool) -> None:
    results = _results(_round("bare", 1, 1.0), _round("dolly-unverified", 1, unverified))
    found = next(claim for claim in claims.claims(results) if claim.sentence.endswith("to the bare pipeline"))
    assert found.is_met is is_met


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {claim.is_met for claim in claims.claims(_results())} == {None}
    assert "not measured" in page.claims_table(_results())


def test_a_failed_sparse_image_says_why() -> None:
    sparse = Group("sparse", "unshaped", "memory", 1, 64 << 30, 1 << 30, 1)
    table = page.claims_table(_results(_round("dolly", 1, 0.0, sparse, "the target is full")))
    assert table.count("the target is full") == 2


def test_the_longer_ring_is_compared_with_the_shorter() -> None:
    lengths = [Group("matrix", "shaped", "memory", nodes, 1000, 1000, 1) for nodes in (1, 8)]
    results = _results(
        *(_round("dolly", 1, 1.0 + number / 50, group) for number, group in enumerate(lengths))
    )
    found = next(claim for claim in claims.claims(results) if "400 Mbit/s" in claim.sentence)
    assert found.measured is not None and found.measured.median == pytest.approx(1.02) and found.is_met


def test_a_table_has_a_row_for_each_contender() -> None:
    table = page.group_table(_results(_round("bare", 1, 1.0), _round("nc", 1, 2.0)), CHAIN).splitlines()
    assert len(table) == 4
    assert table[3].startswith("| nc and tee |") and table[3].endswith("| 0.50 |")


def test_text_around_the_markers_is_kept() -> None:
    first = page.insert("before\n", "old")
    changed = page.insert(first + "after\n", "new")
    assert changed.startswith("before\n") and changed.endswith("after\n")
    assert "new" in changed and "old" not in changed


def test_a_page_is_made_with_its_licence(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "performance.md"
    page.write(path, "figures")
    text = path.read_text(encoding="utf-8")
    assert "SPDX-License-Identifier" in text and "figures" in text


def _groups(*arguments: str) -> List[Group]:
    return options.groups(options.parser().parse_args(arguments))


def test_the_default_has_every_length_target_and_kind_of_link() -> None:
    found = _groups()
    assert {group.nodes for group in found if group.kind == "matrix"} == {1, 3, 8}
    assert {group.target for group in found} == {"memory", "disk"}
    assert {group.links for group in found} == {"shaped", "unshaped"}
    assert {group.kind for group in found} == {"matrix", *options.EXTRAS}


def test_words_choose() -> None:
    assert {group.target for group in _groups("--only", "memory")} == {"memory"}
    assert {group.links for group in _groups("--only", "shaped")} == {"shaped"}
    assert {group.kind for group in _groups("--only", "extra")} == set(options.EXTRAS)
    assert [
        group.size for group in _groups("--only", "memory,unshaped", "--nodes", "3", "--size", "1GiB")
    ] == [1 << 30]


@pytest.mark.parametrize("arguments, told", [
    (["--contenders", "dolly,mbufer"], "'mbufer' is none of dolly, dolly-mac, "),
    (["--contenders", ""], "'' is none of dolly"),
    (["--only", "memory,discs"], "'discs' is none of unshaped, shaped, memory, disk, extra"),
    (["--rounds", "0"], "0 is less than 1"),
    (["--nodes", "1,-3"], "-3 is less than 1"),
])
def test_what_is_mistyped_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: List[str], told: str
) -> None:
    with pytest.raises(SystemExit):
        options.parser().parse_args(arguments)
    assert told in capsys.readouterr().err


def test_contenders_are_chosen_by_name() -> None:
    assert options.parser().parse_args(["--contenders", "dolly, bare"]).contenders == ("dolly", "bare")


def test_a_difference_is_found(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(1 << 20))
    assert "no target" in difference(str(source), str(target))
    target.write_bytes(bytes(1 << 20))
    assert difference(str(source), str(target)) == ""
    target.write_bytes(bytes((1 << 20) - 1) + b"x")
    assert "other bytes" in difference(str(source), str(target))
