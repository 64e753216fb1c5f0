# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file in both forms."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import config_file
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.classic import sender

CLASSIC = "# the ring\ninfile /dev/sda\nfanout 2\na\nb\n"
YAML = "# the ring\n\ninfile: /dev/sda\nfanout: 2\nclients: [a, b]\n"


def read(tmp_path, text, name="ring.cfg"):
    path = tmp_path / name
    path.write_text(text)
    return config_file.read(str(path))


def test_both_forms_say_the_same(tmp_path):
    assert read(tmp_path, CLASSIC) == read(tmp_path, YAML) == read(tmp_path, "---\n" + YAML)
    assert read(tmp_path, '{"clients": ["a"]}').clients == ("a",)


@pytest.mark.parametrize("length", [1447, 1448, 1449, 4095, 4096, 4097, 100_000])
def test_a_file_may_have_any_length(tmp_path, length):
    names = ["node%05d" % number for number in range(10_000)]
    text = "\n".join(names)[: length - length % 10 - 1] + "\n"
    text += "#" * (length - len(text))
    assert len(text) == length
    assert list(read(tmp_path, text).clients) == names[: length // 10]


def test_an_address_of_ipv6_is_not_yaml(tmp_path):
    assert read(tmp_path, "fd00::1\nfd00::2\n").clients == ("fd00::1", "fd00::2")


@pytest.mark.parametrize("text, line, expected", [
    (YAML + "fanout: 3\n", 6, "only once: it is on line 4"),
    (YAML + "speed: 3\n", 6, "one of the keys"),
    ("infile: [\n", 2, "YAML"),
    ("infile: /x\nclients:\n- a\n- 5\n", 2, "a list of the names"),
    (CLASSIC + "fanout 3\n", 6, "only once"),
])
def test_mistakes(tmp_path, text, line, expected):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert "ring.cfg line %d" % line in caught.value.sentence and expected in caught.value.sentence


def test_without_pyyaml_only_yaml_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read(tmp_path, CLASSIC).clients == ("a", "b")
    with pytest.raises(Refused, match=r"no PyYAML.*classic form"):
        read(tmp_path, YAML)


def test_a_file_without_end(tmp_path, monkeypatch):
    """What lies behind the limit might be clients."""
    monkeypatch.setattr(config_file, "_MAX_CHARACTERS", len(CLASSIC))
    assert read(tmp_path, CLASSIC).clients == ("a", "b")
    with pytest.raises(UsageError, match="at most"):
        read(tmp_path, CLASSIC + "\n")
    monkeypatch.setattr(sender, "_MAX_FILE", len(CLASSIC))
    with pytest.raises(UsageError, match="at most"):
        sender.read_dollytab(str(tmp_path / "ring.cfg"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        config_file.read(str(tmp_path / "gone"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        config_file.read(str(tmp_path / "binary"))
