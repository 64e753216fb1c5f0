# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolving the path of a target name by name, so that a user's link cannot lead root to a file of root.

A link is followed if root or this user made it, or if it leads to something that its maker owns. Each name is
opened relative to the directory before it, never by a path, so each step starts at what was checked.
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
    """A step that checks that the target of another user's link belongs to that user."""

    path: str
    uid: int


def resolve(path: str) -> str:
    """Return the path without links; names that do not exist, or cannot be read, stay as written.

    Raises Refused for a link that must not be followed.
    """
    resolver = _Resolver(path)
    try:
        return resolver.run()
    finally:
        resolver.close()


class _Resolver:
    """Resolves one path. `_descriptors` has one more item than `_names`: the first is the root directory."""

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
        return os.open(name, _PATH | os.O_DIRECTORY, dir_fd=directory)  # O_DIRECTORY triggers an autofs mount
    except NotADirectoryError:
        return os.open(name, _PATH, dir_fd=directory)


def open_directory(path: str) -> int:
    """Open a directory by a result of `resolve`. Raises OSError, also if a name has become a link."""
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
    """Raise OSError ESTALE unless the path of an open directory still leads to it."""
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
    """Whether another user may have planted a file, so that its owner and mode must not be taken over.

    This holds in a directory that others than its owner may write to, unless the file belongs to root, to us
    or to that owner.
    """
    return bool(directory.st_mode & _WRITABLE_BY_OTHERS) and file.st_uid not in (
        _ROOT, os.geteuid(), directory.st_uid,
    )
