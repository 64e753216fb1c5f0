# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a ring of local receivers takes to get ready: python3 tests/bench/setup.py [--nodes 64] [--fanout 1,2]

The receivers listen when the clock starts: with the first word of the server's log, or with the start of its
process. START is when the server's log says so, the end when the server has ended: an image of 1 MiB takes no time.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List

ENGINE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
#: Without site-packages: the engine needs none, and looking for them takes time that is not measured here.
COMMAND = [sys.executable, "-S", "-c", "import sys; sys.path.insert(0, %r)\nfrom dolly.cli.entry import main\n"
           "sys.exit(main(sys.argv[1:]))" % str(ENGINE)]  # fmt: skip
PATIENCE_S = 60.0


def _address(index: int) -> str:
    return "127.77.%d.%d" % (index // 200, index % 200 + 1)


def _start_receivers(count: int, port: int, folder: Path) -> List["subprocess.Popen[bytes]"]:
    found = []
    for index in range(1, count + 1):
        home = folder / ("node%d" % index)
        home.mkdir()
        arguments = ["-v", "--key-file", "../key", "--port", str(port), "--bind", _address(index)]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen([*COMMAND, *arguments], cwd=home, stdout=log, stderr=log)
        found.append(process)
        if len(found) % 8 == 0:  # not all at once: what is measured is not how a machine is flooded
            _await_listening(folder, range(index - 7, index + 1))
    _await_listening(folder, range(1, count + 1))
    return found


def _await_listening(folder: Path, indices: "range") -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not all("listening on port" in (folder / ("node%d" % one) / "log").read_text() for one in indices):
        if time.monotonic() > give_up_at:
            raise SystemExit("the receivers do not listen")
        time.sleep(0.05)


def _serve(count: int, port: int, fanout: int, folder: Path) -> str:
    hosts = ",".join(_address(index) for index in range(1, count + 1))
    arguments = ["-v", "--key-file", "key", "--port", str(port), "-S", _address(0), "-H", hosts, "-I", "image"]
    arguments += ["-O", "out.img", "--fanout", str(fanout)]
    began_at = time.monotonic()
    up_at = start_at = 0.0
    with subprocess.Popen([*COMMAND, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True,
                          stdout=subprocess.DEVNULL) as server:  # fmt: skip
        assert server.stderr is not None
        for line in server.stderr:
            up_at = up_at or time.monotonic()
            if "start with %d of %d" % (count, count) in line:
                start_at = time.monotonic()
    ended_at = time.monotonic()
    if server.returncode or not start_at:
        raise SystemExit("the run failed: exit status %s" % server.returncode)
    spans = (up_at - began_at, start_at - up_at, ended_at - start_at)
    return "%4d  %6d  %8.2f  %8.2f  %8.2f" % (count, fanout, *spans)


def main() -> int:
    """Measure, print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--fanout", default="1,2", help="numbers with commas between them")
    parser.add_argument("--port", type=int, default=22998)
    chosen = parser.parse_args()
    print("node  fanout  up s      ready s   rest s", flush=True)
    for fanout in map(int, chosen.fanout.split(",")):
        with tempfile.TemporaryDirectory(prefix="dolly-setup-") as name:
            folder = Path(name)
            (folder / "image").write_bytes(os.urandom(1 << 20))
            (folder / "key").write_text(secrets.token_hex(32))
            (folder / "key").chmod(0o600)
            receivers = _start_receivers(chosen.nodes, chosen.port, folder)
            try:
                print(_serve(chosen.nodes, chosen.port, fanout, folder), flush=True)
                for receiver in receivers:
                    receiver.wait(PATIENCE_S)
            finally:
                for receiver in receivers:
                    receiver.kill()
                    receiver.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
