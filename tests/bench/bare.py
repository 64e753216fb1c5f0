# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ceiling of a machine: splice in, sendfile out, and no protocol at all.

    bare.py node ADDRESS PORT OUTPUT [NEXT-ADDRESS NEXT-PORT]
    bare.py send SOURCE ADDRESS PORT

A node writes what it gets, socket -> pipe -> file; a second thread sends what is written. EOF ends the image.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading

PIPE_SIZE = 1 << 20
F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ exists from Python 3.10 on
#: Wake the reader for that much instead of for every segment, and send on only so much at once; tried 64 KiB to 1 MiB.
LOW_WATER, STEP = 256 * 1024, 1 << 20


class Written:
    """How far the target is written, for the thread that follows."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._offset, self._is_over = 0, False

    def advance(self, count: int, is_over: bool = False) -> None:
        with self._changed:
            self._offset, self._is_over = self._offset + count, is_over
            self._changed.notify()

    def wait_beyond(self, offset: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._offset >= offset + STEP)
            return self._offset


def receive(sock: socket.socket, target: int, written: Written) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LOW_WATER)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE_SIZE)
    while count := os.splice(sock.fileno(), writer, PIPE_SIZE):
        left = count
        while left:
            left -= os.splice(reader, target, left)
        written.advance(count)
    written.advance(0, is_over=True)


def follow(sock: socket.socket, target: int, written: Written) -> None:
    offset = 0
    while (end := written.wait_beyond(offset)) > offset:
        while offset < end:
            offset += os.sendfile(sock.fileno(), target, offset, end - offset)
    sock.shutdown(socket.SHUT_WR)


def main(role: str, *arguments: str) -> None:
    if role == "send":
        source, host, port = arguments
        with open(source, "rb") as file, socket.create_connection((host, int(port))) as sock:
            sock.sendfile(file)
        return
    host, port, output, *beyond = arguments
    written = Written()
    target = os.open(output, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    with socket.create_server((host, int(port))) as server:
        if beyond:
            child = socket.create_connection((beyond[0], int(beyond[1])))
            threading.Thread(target=follow, args=(child, target, written)).start()  # joined at exit
        receive(server.accept()[0], target, written)


main(*sys.argv[1:])
