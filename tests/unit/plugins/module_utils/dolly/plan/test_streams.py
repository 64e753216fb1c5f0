# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan says of source and output is valid or is not made."""

from __future__ import annotations

import json

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.streams import (
    Infile,
    Outfile,
    node_decompresses,
    server_compresses,
)


@pytest.mark.parametrize(
    "part",
    [
        Infile(), Infile("compressed", True, "gzip", False, 2 ** 63 - 1), Infile("dummy", dummy_seconds=2.5),
        Outfile(), Outfile(True, 4096),
    ],
)
def test_they_survive_the_wire(part):
    assert type(part).from_dict(json.loads(json.dumps(part.to_dict()))) == part


def test_what_is_missing_has_its_default():
    assert Infile.from_dict({}) == Infile() and Outfile.from_dict({}) == Outfile()


@pytest.mark.parametrize(
    "kind, data, name",
    [
        (Infile, {"kind": "raw"}, "kind"), (Infile, {"kind": 1}, "kind"), (Infile, {"is_split": 1}, "is_split"),
        (Infile, {"is_seekable": None}, "is_seekable"), (Infile, {"kind": "compressed", "codec": "rar"}, "codec"),
        (Infile, {"codec": "gzip"}, "codec"), (Infile, {"uncompressed_size": -1}, "uncompressed_size"),
        (Infile, {"uncompressed_size": True}, "uncompressed_size"),
        (Infile, {"dummy_seconds": 1.0}, "dummy_seconds"),
        (Infile, {"kind": "dummy", "dummy_seconds": float("nan")}, "dummy_seconds"),
        (Infile, {"kind": "dummy", "dummy_seconds": 0}, "dummy_seconds"),
        (Infile, {"surprise": 1}, "surprise"), (Infile, [], "infile"),
        (Outfile, {"split_size": -1}, "split_size"), (Outfile, {"split_size": 2 ** 63}, "split_size"),
        (Outfile, {"is_compressed": "no"}, "is_compressed"), (Outfile, None, "outfile"),
    ],
)
def test_what_cannot_be_is_refused(kind, data, name):
    with pytest.raises(ValueError, match=name):
        kind.from_dict(data)


def test_who_compresses_and_who_decompresses():
    plain, packed = Infile(), Infile("compressed", codec="gzip")
    assert server_compresses(plain, Outfile(True)) and not node_decompresses(plain, Outfile(True))
    assert node_decompresses(packed, Outfile()) and not server_compresses(packed, Outfile())
    for infile, outfile in ((plain, Outfile()), (packed, Outfile(True)), (Infile("dummy"), Outfile(True))):
        assert not server_compresses(infile, outfile) and not node_decompresses(infile, outfile)
