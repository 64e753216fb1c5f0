# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run's secret: where it comes from, and what is refused."""

from __future__ import annotations

import os

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import key
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError


@pytest.fixture(autouse=True)
def no_default(monkeypatch, tmp_path):
    monkeypatch.setattr(key, "DEFAULT_KEY", str(tmp_path / "default"))


def find(key_file="", is_insecure=False, environment=None):
    warnings = []
    return key.find_key(key_file, is_insecure, warnings.append, environment or {}), warnings


def written(tmp_path, name, size=32):
    path = tmp_path / name
    path.write_bytes(name[:1].encode() * size)
    return str(path)


@pytest.mark.parametrize("size", [32, 33, 4096])
def test_sizes(tmp_path, size):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(b"\n" * size)  # not stripped: a key is bytes, not text
    assert find(str(path)) == (b"\n" * size, [])


@pytest.mark.parametrize("size", [0, 31, 4097])
def test_other_sizes(tmp_path, size):
    with pytest.raises(UsageError, match="of %d bytes.*32 to 4096 bytes" % size):
        find(written(tmp_path, "key", size))


def test_a_key_that_everybody_can_read(tmp_path):
    path = written(tmp_path, "key")
    os.chmod(path, 0o604)
    _key, warnings = find(path)
    assert warnings == ["warning: every user of this machine can read the key %s: chmod 600 %s" % (path, path)]
    os.chmod(path, 0o640)  # a group may be meant to
    assert find(path)[1] == []


def test_missing(tmp_path):
    with pytest.raises(UsageError, match=r"--key-file.*gone.*No such file"):
        find(str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"DOLLY_KEY_FILE.*gone"):
        find(environment={"DOLLY_KEY_FILE": str(tmp_path / "gone")})


def test_which_one(tmp_path):
    written(tmp_path, "default")
    environment = {"DOLLY_KEY_FILE": written(tmp_path, "variable")}
    assert find(written(tmp_path, "option"), environment=environment)[0] == b"o" * 32
    assert find(environment=environment)[0] == b"v" * 32
    assert find()[0] == b"d" * 32


def test_without_one_the_three_ways_out_are_named(tmp_path):
    with pytest.raises(Refused) as caught:
        find()
    assert all(way in caught.value.sentence for way in ("--key-file", "DOLLY_KEY_FILE", key.DEFAULT_KEY, "--insecure"))


def test_insecure_is_loud_and_the_same_everywhere(tmp_path):
    written(tmp_path, "default")
    found, warnings = find(is_insecure=True)
    assert found == find(is_insecure=True)[0] and len(found) == 32 and "--insecure" in warnings[0]
    with pytest.raises(UsageError, match="one of them"):
        find(written(tmp_path, "option"), is_insecure=True)


def test_two_keys_are_two_runs():
    assert key.run_id(b"a" * 32) != key.run_id(b"b" * 32)
    assert "61616161" not in key.run_id(b"a" * 32)
