# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_guards

KNOWN = ("dolly_ring_dest", "dolly_ring_verify", "dolly_ring_expect_serial")


@pytest.mark.parametrize("name", [
    *KNOWN, "dolly_ring_hosts", "dolly_ring_result", "dolly_ring__wish", "dest", "my_dolly_ring_thing",
])
def test_names_that_are_nobodys_mistake(name):
    assert ring_guards.unknown_option({"n1": ["ansible_host", name]}, KNOWN) == ""


@pytest.mark.parametrize("name, meant", [
    ("dolly_ring_expect_serail", "Did you mean dolly_ring_expect_serial?"),
    ("dolly_ring_verfy", "Did you mean dolly_ring_verify?"),
    ("dolly_ring_zzzzzzzzzzzzzzzz", ""),
])
def test_a_mistyped_option_names_host_and_remedy(name, meant):
    told = ring_guards.unknown_option({"n1": ["dolly_ring_dest"], "n2": [name]}, KNOWN)
    assert told.startswith("%s is set for n2, " % name) and meant in told
    assert ("Did you mean" in told) == bool(meant)


GOOD = {
    "agreed": {"dolly_ring_fanout": 2, "dolly_ring_min_nodes": 0, "dolly_ring_dest_split": "2G"},
    "own": {"chunk_size": "4M", "min_rate": 0, "dead_after": "5", "timeout": 0, "server_port": "9998-10010"},
    "images": [{"source": "/i", "expect_size": "480GB"}],
}


@pytest.mark.parametrize("part, name, value, called", [
    ("agreed", "dolly_ring_fanout", 0, "dolly_ring_fanout of n2"),
    ("agreed", "dolly_ring_min_nodes", -1, "dolly_ring_min_nodes of n2"),
    ("agreed", "dolly_ring_dest_split", "8X", "dolly_ring_dest_split of n2"),
    ("own", "chunk_size", 1, "dolly_ring_chunk_size of n2"),
    ("own", "dead_after", "soon", "dolly_ring_dead_after of n2"),
    ("own", "timeout", -1, "dolly_ring_timeout of n2"),
    ("own", "server_port", "70000", "dolly_ring_server_port of n2"),
    ("images", "expect_size", "-1", "expect_size of the image a of n2"),
])
def test_a_number_that_cannot_be_names_option_and_host(part, name, value, called):
    assert ring_guards.bad_number({"n1": GOOD}) == ""
    bad = [{**GOOD["images"][0], "name": "a", name: value}] if part == "images" else {**GOOD[part], name: value}
    told = ring_guards.bad_number({"n1": GOOD, "n2": {**GOOD, part: bad}})
    assert told.startswith("%s is " % called) and "but must be" in told


@pytest.fixture
def hooks(tmp_path):
    (tmp_path / "tasks").mkdir()
    for path in ("tasks/first.yml", "told.yml"):
        (tmp_path / path).touch()
    return tmp_path


def test_a_hook_that_is_there_is_read_once(hooks):
    seen = []
    wish = {"hooks": {"before": "tasks/first.yml", "after": "", "on_failure": str(hooks / "told.yml")}}
    wishes = {"n1": wish, "n2": wish, "n3": {}}
    assert ring_guards.bad_hook(wishes, str(hooks), lambda path: seen.append(path) or "") == ""
    assert seen == [str(hooks / "tasks/first.yml"), str(hooks / "told.yml")]


@pytest.mark.parametrize("hook, path", [("gone.yml", "{}/gone.yml"), ("/no/gone.yml", "/no/gone.yml")])
@pytest.mark.parametrize("name", ring_guards.HOOKS)
def test_a_hook_that_is_missing(hooks, name, hook, path):
    told = ring_guards.bad_hook({"n1": {"hooks": {name: hook}}}, str(hooks), lambda path: "")
    start = "dolly_ring_%s of n1 is %s, but there is no file %s " % (name, hook, path.format(hooks))
    assert told.startswith(start)


def test_a_hook_that_holds_no_tasks(hooks):
    told = ring_guards.bad_hook({"n1": {"hooks": {"after": "told.yml"}}}, str(hooks), lambda path: "it is a poem")
    assert told.startswith("dolly_ring_after of n1 is told.yml, but %s/told.yml holds no tasks" % hooks)
    assert told.endswith("it is a poem")


class TestPlacesOnTheControlNode:
    def told(self, folder, **places):
        return ring_guards.bad_place({"n1": {"places": places}, "n2": {}}, str(folder))

    def test_folders_that_are_still_to_be_made_are_not_made_by_the_look(self, tmp_path):
        assert self.told(tmp_path, log_dir="a/b", report="c/d/report.html") == ""
        assert self.told(tmp_path, log_dir="", report="") == "" and not list(tmp_path.iterdir())

    def test_what_is_in_the_way(self, tmp_path):
        (tmp_path / "file").touch()
        told = self.told(tmp_path, log_dir="file/logs")
        assert told.startswith("dolly_ring_log_dir of n1 is file/logs, but %s/file is no folder." % tmp_path)
        assert "%s is a folder" % tmp_path in self.told(tmp_path, report=str(tmp_path))
        (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
        assert "%s/gone is no folder" % tmp_path in self.told(tmp_path, report="gone/report.html")

    def test_a_folder_without_the_right_to_write(self, tmp_path, monkeypatch):
        def refuse(**_keywords):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(ring_guards.tempfile, "TemporaryFile", refuse)
        assert "%s cannot be written to (Permission denied)" % tmp_path in self.told(tmp_path, log_dir="logs")
