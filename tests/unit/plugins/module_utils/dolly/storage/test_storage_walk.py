# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose links lead to a target, whose files lend it owner and mode, and whether its directory is the one looked at."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import walk
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split import SplitTarget
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    inspect_target,
    open_target,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    fill,
)

NOBODY, SOMEBODY = 65534, 65533
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files and links of other users")


@pytest.fixture
def shared(tmp_path):
    """A directory that everybody may write to, and a file of root's own elsewhere."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    (tmp_path / "passwd").write_text("root's")
    return folder


def link(path, to, owner=NOBODY):
    path.symlink_to(to)
    os.chown(path, owner, owner, follow_symlinks=False)


def write(path, compares=False, data=IMAGE):
    target = open_target(str(path), compares=compares)
    target.prepare()
    store = target.begin(len(data), 4096)
    try:
        if store.claimed.total < len(data):
            store.begin_changes()
            fill(store, data)
        store.commit()
    finally:
        store.close()
        target.release()
    return store


class TestPaths:
    """The same as realpath, where all links are ours."""

    @pytest.mark.parametrize(
        "path",
        [
            "file", "folder/file", "folder/../file", "./folder//file", "to-file", "to-folder/file", "absolute/file",
            "to-folder/../file", "chain/file", "to-nothing", "to-nothing/x", "nothing", "nothing/at/../all", "file/x",
            "",
        ],
    )  # fmt: skip
    def test_what_realpath_says(self, tmp_path, monkeypatch, path):
        (tmp_path / "folder/inner").mkdir(parents=True)
        for name in ("file", "folder/file", "folder/inner/file"):
            (tmp_path / name).write_text("")
        (tmp_path / "to-file").symlink_to("folder/file")
        (tmp_path / "to-folder").symlink_to("folder/inner")
        (tmp_path / "absolute").symlink_to(tmp_path / "folder")
        (tmp_path / "chain").symlink_to("to-folder/..//./../to-folder")
        (tmp_path / "to-nothing").symlink_to("folder/nothing")
        monkeypatch.chdir(tmp_path)
        assert walk.resolve(path) == os.path.realpath(path)
        assert walk.resolve(str(tmp_path / path)) == os.path.realpath(str(tmp_path / path))

    def test_links_in_a_circle(self, tmp_path):
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("one")
        with pytest.raises(Refused, match="leads nowhere"):
            walk.resolve(str(tmp_path / "one"))

    def test_nothing_stays_open(self, tmp_path):
        (tmp_path / "file").write_text("")
        before = os.listdir("/proc/self/fd")
        walk.resolve(str(tmp_path / "file"))
        walk.resolve(str(tmp_path / "file/no/such"))
        assert os.listdir("/proc/self/fd") == before


@as_root
class TestLinks:
    def test_a_link_that_somebody_planted_is_not_followed(self, tmp_path, shared):
        link(shared / "node.img", tmp_path / "passwd")
        with pytest.raises(Refused, match="symbolic link that user 65534 made") as caught:
            inspect_target(str(shared / "node.img"))
        assert str(tmp_path / "passwd") in caught.value.sentence and "What would allow it" in caught.value.sentence
        assert (tmp_path / "passwd").read_text() == "root's"

    def test_nor_one_among_the_directories(self, tmp_path, shared):
        link(shared / "images", tmp_path)
        with pytest.raises(Refused, match="symbolic link"):
            inspect_target(str(shared / "images/new.img"))
        with pytest.raises(Refused, match="symbolic link"):
            SplitTarget(str(shared / "images/new.img"), inspect_target(str(tmp_path / "new.img")), 100)

    def test_nor_one_to_what_is_not_there(self, tmp_path, shared):
        link(shared / "node.img", tmp_path / "cron.d")
        with pytest.raises(Refused, match="symbolic link"):
            inspect_target(str(shared / "node.img"))
        assert not (tmp_path / "cron.d").exists()

    def test_nor_one_behind_a_link_that_is(self, tmp_path, shared):
        link(shared / "inner", tmp_path / "passwd")
        link(tmp_path / "outer", shared / "inner", owner=0)
        with pytest.raises(Refused, match="shared/inner is a symbolic link"):
            inspect_target(str(tmp_path / "outer"))

    @pytest.mark.parametrize("owner", [0, NOBODY])
    def test_one_of_root_or_of_the_owner_is(self, tmp_path, shared, owner):
        """As with fs.protected_symlinks of the kernel: whoever owns the file gains nothing."""
        (tmp_path / "theirs").write_text("theirs")
        os.chown(tmp_path / "theirs", NOBODY, NOBODY)
        link(shared / "node.img", tmp_path / "theirs", owner)
        assert inspect_target(str(shared / "node.img")).real_path == str(tmp_path / "theirs")

    def test_one_of_somebody_else_is_not_though_it_leads_to_no_file_of_root(self, tmp_path, shared):
        (tmp_path / "theirs").write_text("theirs")
        os.chown(tmp_path / "theirs", NOBODY, NOBODY)
        link(shared / "node.img", tmp_path / "theirs", SOMEBODY)
        with pytest.raises(Refused, match="user 65533"):
            inspect_target(str(shared / "node.img"))


class TestPlanted:
    """A file of another user in a directory that others may write to."""

    def plant(self, path, owner=NOBODY, data=b"old"):
        path.write_bytes(data)
        path.chmod(0o666)
        os.chown(path, owner, owner)

    @as_root
    @pytest.mark.parametrize("data", [b"old", IMAGE], ids=["other", "same"])
    @pytest.mark.parametrize("compares", [False, True])
    def test_its_owner_and_mode_do_not_stay(self, shared, compares, data):
        self.plant(shared / "node.img", data=data)
        store = write(shared / "node.img", compares)
        found = os.stat(shared / "node.img")
        assert (found.st_uid, stat.S_IMODE(found.st_mode) & 0o022) == (0, 0)
        assert (shared / "node.img").read_bytes() == IMAGE
        assert not store.is_untouched
        assert any("user 65534" in note for note in store.notes)

    @as_root
    def test_nor_those_of_parts(self, shared):
        self.plant(shared / "node.img_0")
        target = SplitTarget(str(shared / "node.img"), inspect_target(str(shared / "node.img_0")), 1 << 20)
        target.prepare()
        store = target.begin(len(IMAGE))
        fill(store, IMAGE)
        store.commit()
        store.close()
        found = os.stat(shared / "node.img_0")
        assert (found.st_uid, stat.S_IMODE(found.st_mode) & 0o022) == (0, 0)

    @as_root
    @pytest.mark.parametrize("mode, owner", [(0o755, 0), (0o755, NOBODY), (0o1777, NOBODY)])
    def test_where_nobody_else_may_write_they_stay(self, shared, mode, owner):
        """A service's own directory, with the service's own files."""
        shared.chmod(mode)
        os.chown(shared, owner, owner)
        self.plant(shared / "node.img")
        write(shared / "node.img")
        found = os.stat(shared / "node.img")
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY, 0o666)

    def test_our_own_stay_everywhere(self, shared):
        (shared / "node.img").write_bytes(b"old")
        (shared / "node.img").chmod(0o640)
        write(shared / "node.img")
        assert stat.S_IMODE(os.stat(shared / "node.img").st_mode) == 0o640


class TestDirectory:
    def swap(self, folder):
        folder.rename(folder.with_name("elsewhere"))
        folder.mkdir()

    def swap_for_link(self, folder):
        folder.rename(folder.with_name("elsewhere"))
        folder.symlink_to("elsewhere")

    @pytest.mark.parametrize("how", ["swap", "swap_for_link", "rmdir"])
    def test_another_one_than_was_checked(self, tmp_path, how):
        folder = tmp_path / "folder"
        folder.mkdir()
        target = open_target(str(folder / "image"))
        getattr(self, how, os.rmdir)(folder)
        with pytest.raises(Refused, match="not what it was when it was checked"):
            target.prepare()
        assert [path.name for path in folder.glob("*")] == []

    @pytest.mark.parametrize("how", ["swap", "swap_for_link"])
    @pytest.mark.parametrize("kind", ["plain", "compared", "parts"])
    def test_renamed_while_the_image_came(self, tmp_path, how, kind):
        """The image would take its name in a place that the path given does not lead to any more."""
        folder = tmp_path / "folder"
        folder.mkdir()
        if kind == "compared":
            (folder / "image").write_bytes(IMAGE)
        if kind == "parts":
            target = SplitTarget(str(folder / "image"), inspect_target(str(folder / "image_0")), 1 << 20)
        else:
            target = open_target(str(folder / "image"), compares=kind == "compared")
        target.prepare()
        store = target.begin(len(IMAGE), 4096)
        if kind != "compared":
            fill(store, IMAGE)
        getattr(self, how)(folder)
        try:
            with pytest.raises(TargetError, match="nobody renames"):
                store.commit()
        finally:
            store.abort()
            target.release()
        assert not (folder / "image_0").exists() and (kind == "compared" or not (folder / "image").exists())
