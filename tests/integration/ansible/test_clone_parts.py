# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook where not all of the image is sent, or not as it is: compared, mapped, compressed, in parts."""

from __future__ import annotations

import gzip
import json

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


def test_compressed_images_and_images_in_parts(lab):
    """One image is decompressed by the nodes, one goes from parts to other parts, one is compressed by the server."""
    lab.write_image(2 << 20, seed=6)
    image = lab.image.read_bytes()
    packed = lab.folder / "node.img.gz"
    packed.write_bytes(gzip.compress(image))
    for index, half in enumerate((image[:1000], image[1000:])):
        (lab.folder / ("halves_%d" % index)).write_bytes(half)
    target = str(lab.targets) + "/{{ inventory_hostname }}"
    images = [
        {"name": "a", "source": str(packed), "compressed": True, "uncompressed_size": "2M"},
        {"name": "b", "source": str(lab.folder / "halves"), "source_split": True, "dest_split": "1500k"},
        {"name": "c", "source": str(lab.image), "dest_compressed": True},
    ]
    for one in images:
        one["dest"] = "%s.%s" % (target, one["name"])
    outcome = lab.clone("-l", "m1,m2", "-e", json.dumps({"dolly_ring_images": images}))

    for host in ("m1", "m2"):
        assert outcome.results()[host]["state"] == "done"
        parts = [lab.targets / ("%s.b_%d" % (host, index)) for index in (0, 1)]
        assert [part.stat().st_size for part in parts] == [1500 << 10, 548 << 10]
        assert b"".join(part.read_bytes() for part in parts) == image
        assert (lab.targets / (host + ".a")).read_bytes() == image
        assert gzip.decompress((lab.targets / (host + ".c")).read_bytes()) == image
    assert len(list(lab.targets.iterdir())) == 8


def test_an_archive_goes_out_as_it_is_where_the_user_said_so(lab):
    packed = lab.folder / "node.img.gz"
    packed.write_bytes(gzip.compress(lab.image.read_bytes()))
    source = "dolly_ring_source=%s" % packed
    outcome = lab.clone("-l", "m1,m2", "-e", source, code=2)
    assert outcome.failed() == {"m1", "m2"} and not list(lab.targets.iterdir()) and lab.left_over() == []
    assert "compressed: true (the nodes unpack it) or false" in outcome.reasons()["m1"]
    lab.clone("-l", "m1,m2", "-e", source, "-e", "dolly_ring_compressed=false")
    assert lab.target("m1").read_bytes() == packed.read_bytes()
    lab.clone("-l", "m1,m2", "-e", source, "-e", "dolly_ring_compressed=true")
    assert lab.target("m1").read_bytes() == lab.image.read_bytes()


def test_an_empty_source_is_refused(lab):
    (lab.folder / "empty").touch()
    outcome = lab.clone("-l", "m1,m2", "-e", "dolly_ring_source=%s" % (lab.folder / "empty"), code=2)
    assert "the source is empty (0 bytes)" in outcome.reasons()["m1"] and not list(lab.targets.iterdir())


def test_what_cannot_be_decompressed_is_refused_before_anything_is_written(lab):
    outcome = lab.clone("-l", "m1,m2", "-e", "dolly_ring_compressed=true", code=2)
    assert "gzip, xz, bzip2, zstd" in outcome.reasons()["m1"]
    assert outcome.failed() == {"m1", "m2"} and not list(lab.targets.iterdir())
    assert lab.left_over() == []
