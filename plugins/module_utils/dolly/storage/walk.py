# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a target, one name after the other, so that nobody else's link leads root to a file of root.

A link is followed where root or this user made it, who may write there anyway, or where it leads to something of
whoever made it. Each name is opened relative to the directory before it and never by a path, so what was looked at is
what the next step goes on from.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import List, NamedTuple, Union

from ..errors import Refused

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # path_resolution(7)
_ROOT = 0
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class _Link(NamedTuple):
    """What a link of somebody else leads to has to be that user's own."""

    path: str
    uid: int


def resolve(path: str) -> str:
    """The path without links; what does not exist, or cannot be looked at, stays as it is written.

    Raises Refused for a link that is not to be followed.
    """
    resolver = _Resolver(path)
    try:
        return resolver.run()
    finally:
        resolver.close()


class _Resolver:
    """One path. `_descriptors` has one more than `_names`: the first is the root directory."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._todo: List[Union[str, _Link]] = []
        self._names: List[str] = []
        self._descriptors = [os.open("/", _PATH | os.O_DIRECTORY)]
        self._links = 0

    def run(self) -> str:
        self._plan(os.path.join(os.getcwd(), self._path))
        while self._todo:
            step = self._todo.pop()
            if isinstance(step, _Link):
                self._check_owner(step)
            elif step == "..":
                self._leave()
            elif step not in ("", "."):
                try:
                    self._enter(step)
                except OSError:
                    return self._take_the_rest(step)
        return os.path.join("/", *self._names)

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _plan(self, path: str) -> None:
        if path.startswith("/"):
            while self._names:
                self._leave()
        self._todo += reversed(path.split("/"))

    def _leave(self) -> None:
        if self._names:
            self._names.pop()
            os.close(self._descriptors.pop())

    def _enter(self, name: str) -> None:
        descriptor = _open_one(name, self._descriptors[-1])
        found = os.fstat(descriptor)
        if not stat.S_ISLNK(found.st_mode):
            self._names.append(name)
            self._descriptors.append(descriptor)
            return
        try:
            self._follow(_Link(os.path.join("/", *self._names, name), found.st_uid), os.readlink("", dir_fd=descriptor))
        finally:
            os.close(descriptor)

    def _follow(self, link: _Link, text: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise Refused(self._path, "it is a symbolic link that leads nowhere")
        if link.uid not in (_ROOT, os.geteuid()):
            self._todo.append(link)
        self._plan(text)

    def _check_owner(self, link: _Link) -> None:
        if os.fstat(self._descriptors[-1]).st_uid != link.uid:
            self._refuse(link, "something that is not that user's own: %s" % os.path.join("/", *self._names))

    def _take_the_rest(self, name: str) -> str:
        for step in self._todo:
            if isinstance(step, _Link):
                self._refuse(step, "nothing that is there")
        rest = [step for step in reversed(self._todo) if isinstance(step, str)]
        return os.path.normpath(os.path.join("/", *self._names, name, *rest))

    def _refuse(self, link: _Link, where: str) -> None:
        found = "%s is a symbolic link that user %d made, and it leads to %s" % (link.path, link.uid, where)
        raise Refused(self._path, found, "the name behind that link, given itself, or a link that root made")


def _open_one(name: str, directory: int) -> int:
    try:
        return os.open(name, _PATH | os.O_DIRECTORY, dir_fd=directory)  # which mounts it, where autofs does that
    except NotADirectoryError:
        return os.open(name, _PATH, dir_fd=directory)


def open_directory(path: str) -> int:
    """Open a directory by what `resolve` has returned. Raises OSError, also where a name has become a link."""
    descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    names = [name for name in path.split("/") if name]
    for number, name in enumerate(names, 1):
        how = os.O_PATH if number < len(names) else os.O_RDONLY
        try:
            inner = os.open(name, how | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def check_place(path: str, directory: int) -> None:
    """Raise OSError ESTALE unless an open directory still is what its path leads to."""
    try:
        descriptor = open_directory(path)
    except (FileNotFoundError, NotADirectoryError):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE)) from None
    try:
        if not os.path.samestat(os.fstat(descriptor), os.fstat(directory)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    finally:
        os.close(descriptor)


def is_planted(file: os.stat_result, directory: os.stat_result) -> bool:
    """Whether somebody else may have made a file there: then its owner and mode say nothing about what is wanted.

    That is so in a directory that others than its owner may write to, unless the file is root's, ours or that owner's.
    """
    return bool(directory.st_mode & _WRITABLE_BY_OTHERS) and file.st_uid not in (
        _ROOT, os.geteuid(), directory.st_uid,
    )
