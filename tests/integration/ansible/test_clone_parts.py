# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook where not all of the image is sent: compared targets, and images with a block map."""

from __future__ import annotations

from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.plan.block_maps import (
    BLOCK,
    make_map,
)


def test_compared_targets_that_are_the_same_are_not_changed(lab):
    lab.write_image(9 << 20, seed=4)
    lab.clone("-l", "rack3")
    before = {host: lab.target(host).stat().st_mtime_ns for host in ("n1", "n2", "n3", "n4")}
    with lab.target("n3").open("r+b") as file:
        file.write(b"something else")
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_compare=true")

    assert lab.copies() == set(before)
    results = outcome.results()
    assert {host: result["changed"] for host, result in results.items()} == {host: host == "n3" for host in before}
    assert all(result["state"] == "done" and result["verified"] for result in results.values())
    assert {host: stats["changed"] for host, stats in outcome.stats().items()} == {
        host: int(host == "n3") for host in before
    }
    for host in ("n1", "n2", "n4"):
        assert lab.target(host).stat().st_mtime_ns == before[host]


def test_a_block_map(lab):
    lab.write_image(1 << 20, seed=5)
    image = lab.image.read_bytes()
    bmap = lab.image.with_suffix(".bmap")
    bmap.write_bytes(make_map(image, [(1, 3), (100, 255)]))
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_bmap=%s" % bmap)

    covers = "mapped blocks, %d of %d bytes" % (159 * BLOCK, len(image))
    assert {result["covers"] for result in outcome.results().values()} == {covers}
    expected = bytes(BLOCK) + image[BLOCK : 4 * BLOCK] + bytes(96 * BLOCK) + image[100 * BLOCK :]
    for host in ("n1", "n2", "n3", "n4"):
        assert lab.target(host).read_bytes() == expected
