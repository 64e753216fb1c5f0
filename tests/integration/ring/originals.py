# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer that behaves on the network like the original dolly, with its habits and its faults.

    python3 originals.py client BIND DATA-PORT CONTROL-PORT OUTFILE [HABIT=VALUE...]
    python3 originals.py server TEXT-FILE DATA-PORT CONTROL-PORT INFILE [HABIT=VALUE...]

One thread sends one block of the transfer size after the other, to all children in turn, and takes the result
of one read for all there is. Written from the facts of the protocol, without the engine. Habits:

    name=NAME          the name by which it finds itself in the list (default: BIND)
    block=BYTES        the transfer size, 4096
    drip=BYTES         write the text in pieces of this size, with pauses between them
    drip-length=BYTES  the same for the 8 bytes
    die-after=BYTES    exit silently after this many bytes
    short=BYTES        announce this many bytes more than are sent
    early=1            send the length before the data
    repeat=N           send the length N times (what 0.64 does to the first of N children)
    wrong=BYTES        answer with this many bytes too few
    deaf=1             listen, but read nothing after the text
    pause=SECONDS      wait this long before the data
    dummy=1            measure the network: the text says dummy, and nothing is written
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time

HABITS = {}


def habit(name, default=0):
    return int(HABITS.get(name, default))


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


def send(sock, data, drip):
    for start in range(0, len(data), drip or len(data)):
        sock.sendall(data[start : start + (drip or len(data))])
        if drip:
            time.sleep(0.03)


class Ring:
    """The values of the text, found by the position of their lines."""

    def __init__(self, text):
        lines = text.decode().split("\n")
        if habit("dummy"):
            assert lines[0].startswith("dummy"), "Missing 'dummy'"
            lines.pop(0)
        else:
            assert lines.pop(0).replace("compressed ", "").startswith("infile "), "Missing 'infile '"
            assert lines.pop(0).replace("compressed ", "").startswith("outfile "), "Missing 'outfile '"
        self.fanout, self.suffixes, self.mode = 1, [], ""
        if lines[0].startswith("segsize "):
            lines.pop(0)
        if lines[0].startswith(("add ", "add2 ")):
            self.mode, _space, rest = lines.pop(0).partition(" ")
            count, *suffixes = rest.split(":")
            self.suffixes = suffixes[: int(count)]
        if lines[0].startswith("fanout "):
            self.fanout = int(lines.pop(0)[7:])
        if lines[0].startswith("hyphen"):
            lines.pop(0)
        for keyword in ("server ", "firstclient ", "lastclient "):
            assert lines.pop(0).startswith(keyword), "Missing %r" % keyword
        count = int(lines.pop(0)[len("clients ") :])
        self.hosts, rest = lines[:count], lines[count:]
        assert rest[0].startswith("endconfig"), "Missing 'endconfig'"

    def children(self, me):
        first = (me + 1) * self.fanout
        return self.hosts[first : first + self.fanout]

    def names(self, host):
        if self.mode == "add2":
            digit = next(place for place, letter in enumerate(host) if letter.isdigit())
            return [host] + [host[:digit] + suffix + host[digit:] for suffix in self.suffixes]
        return [host] + [host + suffix for suffix in self.suffixes]


class Node:
    """What server and clients share: connections to children, and their answers."""

    def __init__(self, data_port, control_port):
        self.ports = int(data_port), int(control_port)
        self.block = habit("block", 4096)
        self.controls = []
        self.data = []  # for each child, a list of connections
        self.moved = 0

    def dial(self, ring, me):
        for host in ring.children(me):
            self.data.append([])
            for index, name in enumerate(ring.names(host)):
                data = self.connect(name, self.ports[0])
                self.data[-1].append(data)
                if ring.suffixes:
                    data.sendall(struct.pack("=i", index))
                if index == 0:
                    self.controls.append(self.connect(name, self.ports[1]))

    @staticmethod
    def connect(host, port):
        for _try in range(200):
            try:
                sock = socket.create_connection((socket.gethostbyname(host), port))
            except ConnectionRefusedError:
                time.sleep(0.1)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        raise SystemExit("no way to %s" % host)

    def count(self, size):
        self.moved += size
        if habit("die-after") and self.moved >= habit("die-after"):
            say("dies")
            os._exit(9)

    def tell_length(self, length):
        data = struct.pack("=Q", length) * habit("repeat", 1)
        for control in self.controls:
            send(control, data, habit("drip-length"))

    def answers(self):
        found = b""
        for control in self.controls:
            found = exactly(control, 8)
            say("answer %r" % (struct.unpack("=Q", found)[0] if len(found) == 8 else found))
        return found


def server(path, data_port, control_port, infile):
    with open(path, "rb") as file:
        text = file.read(4096)
    assert len(text) < 4096, "Dollytab possibly too long"
    if len(text) == 1448:
        text += b" "
    ring = Ring(text)
    node = Node(data_port, control_port)
    node.dial(ring, -1)
    for control in node.controls:
        send(control, text, habit("drip"))
    await_ready(node, len(ring.hosts))
    time.sleep(float(HABITS.get("pause", 0)))
    total = os.path.getsize(infile) + habit("short")
    if habit("early"):
        node.tell_length(total)
    turn = 0
    with open(infile, "rb") as file:
        for block in iter(lambda: file.read(node.block), b""):
            for connections in node.data:
                connections[turn % len(connections)].sendall(block)
            turn += 1
            node.count(len(block))
    if not habit("early"):
        node.tell_length(total)
    for connections in node.data:
        for sock in connections:
            sock.shutdown(socket.SHUT_RDWR)
    answer = node.answers()
    say("Clients done." if answer == struct.pack("=Q", total) else "*** ERROR *** Didn't get correct maxbytes back!")


def await_ready(node, wanted):
    ready = 0
    while ready < wanted:
        for control in select.select(node.controls, [], [])[0]:
            info = control.recv(1024)
            assert info, "read returned 0 from backflow in buildring."
            sys.stderr.write(info.decode())
            ready += info.count(b"ready")  # counted in each read separately
    assert ready == wanted, "counted %d of %d" % (ready, wanted)


def client(bind, data_port, control_port, outfile):
    node = Node(data_port, control_port)
    doors = []
    for port in node.ports:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((bind, port))
        door.listen(1)
        doors.append(door)
    say("listening on port %s" % data_port)
    up = doors[1].accept()[0]
    up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    text = read_text(up)
    say("text of %d bytes" % len(text))
    ring = Ring(text)
    name = HABITS.get("name", bind)
    data = [doors[0].accept()[0] for _number in range(1 + len(ring.suffixes))]
    for index, sock in enumerate(data if ring.suffixes else []):
        assert struct.unpack("=i", exactly(sock, 4))[0] == index
    up.sendall(b"Host got parameters '%s'.\n" % name.encode())
    with open(outfile, "wb") as output:
        node.dial(ring, ring.hosts.index(name))
        for control in node.controls:
            send(control, text, habit("drip"))
        up.sendall(b"Host ready '%s'.\n" % name.encode())
        if habit("deaf"):
            time.sleep(600)
        total = transmit(node, up, data, output)
    say("Transfered %d" % node.moved)
    answer = node.answers() if node.controls else struct.pack("=Q", total - habit("wrong"))
    up.sendall(answer)


def read_text(up):
    text = b""
    while True:
        piece = up.recv(4096)
        assert 0 < len(piece) < 4096, "Ups, the transmitted config-file seems to long."
        text += piece
        if len(piece) != 1448:
            return text


def transmit(node, up, data, output):
    left = (1 << 63) - 1
    total = None
    while left > 0:
        watched = [data[0], *node.controls] + ([up] if total is None else [])
        found = select.select(watched, [], [])[0]
        if up in found:
            message = up.recv(128)
            assert message, "Got 0 from ctrlin, but there should be something there!"
            if len(message) != 8:
                say("Got %d bytes from ctrlin in transfer, expected 8." % len(message))
            total = struct.unpack("=Q", message[:8])[0]
            node.tell_length(total)
            left = total - node.moved
        elif data[0] in found:
            left -= take_round(node, data, output, left)
        for control in node.controls:
            if control in found:
                up.sendall(control.recv(node.block))
    return total


def take_round(node, data, output, left):
    """Read a block from each connection. Further connections pass on full blocks, padded if necessary."""
    taken = 0
    for index, sock in enumerate(data):
        wanted = min(node.block, left - taken)
        block = exactly(sock, wanted)
        if not habit("dummy"):
            output.write(block)
        passed = block if index == 0 else block + bytes(wanted - len(block))
        for connections in node.data:
            connections[index].sendall(passed)
        taken += len(block)
        node.count(len(block))
    if not taken:
        time.sleep(0.001)  # the original spins here
    return taken


def main(arguments):
    role, *rest = arguments
    while "=" in rest[-1]:
        name, _equals, value = rest.pop().partition("=")
        HABITS[name] = value
    {"server": server, "client": client}[role](*rest)


if __name__ == "__main__":
    main(sys.argv[1:])
