# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the playbook takes beside the transfer: .venv/bin/python tests/bench/playbook.py [--hosts 8] [--mib 1024]

Needs root. The hosts are those of the tests: an sshd in a network namespace each, a user who becomes root with sudo,
the image on one more host, the control node in another network. Targets are files in memory. What the server says
that the transfer took is taken off the time from the start of ansible-playbook to its end. The first run of each kind
also makes the connections, as in real life; they are closed before the next one.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests import conftest  # noqa: E402
from tests.integration.ansible.conftest import Rack  # noqa: E402
from tests.integration.ansible.real_hosts import NAMES, STORE, RealHosts, why_no_real_hosts  # noqa: E402

assert conftest  # its import makes ansible_collections importable
MIB = 1 << 20
TASK = re.compile(r"TASK \[(?:dolly\.ring\.dolly_ring : )?(.*?)\] \**$")


def run(rack: Rack, forks: int, is_pipelined: bool):
    """One run of the playbook: seconds in all, of the transfer, and of each task that took most."""
    rack.record.unlink(missing_ok=True)
    environment = {**rack.environment(rack.record), "PYTHONUNBUFFERED": "1"}
    environment["ANSIBLE_PIPELINING"] = str(int(is_pipelined))
    command = rack.command("dolly.ring.clone", "-l", "rack3", "--forks", str(forks))
    spent, task, output = collections.Counter(), "start of ansible-playbook", []
    begin = since = time.monotonic()
    with subprocess.Popen(command, env=environment, cwd=rack.folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # fmt: skip
        for line in process.stdout:
            output.append(line)
            found = TASK.match(line)
            now = time.monotonic()
            if found:
                spent[task] += now - since
                task, since = found.group(1), now
    end = time.monotonic()
    spent[task] += end - since
    outcome = rack.outcome(process.returncode, "".join(output), 0)
    assert set(rack.names) == {name for name, result in outcome.results().items() if result["verified"]}
    return end - begin, outcome.summary()["seconds"], spent


def close_connections(hosts: RealHosts) -> None:
    """The control node forgets its connections, and the hosts the targets."""
    hosts.power_off("control")
    for name in NAMES:
        hosts.inside(name, "sh", "-c", "rm -rf /srv/*")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--hosts", type=int, default=8, choices=range(1, len(NAMES) + 1), metavar="1-8")
    parser.add_argument("--mib", type=int, default=1024, help="size of the image")
    parser.add_argument("--forks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=0, help="show so many tasks that took most time")
    options = parser.parse_args()
    reason = why_no_real_hosts()
    if reason:
        sys.exit(reason)
    hosts = RealHosts()
    try:
        with tempfile.TemporaryDirectory() as folder:
            rack = Rack(Path(folder), hosts)
            rack.use(*NAMES[: options.hosts])
            with (hosts.srv(STORE) / "node.img").open("wb") as image:
                for number in range(options.mib):
                    image.write(random.Random(number).randbytes(MIB))
            told = options.hosts, options.mib, options.forks, os.cpu_count()
            print("%d hosts, %d MiB, forks %d, %d processors" % told)
            for is_pipelined in (True, False) * options.rounds:
                whole, transfer, spent = run(rack, options.forks, is_pipelined)
                words = ("with" if is_pipelined else "without", whole, transfer, whole - transfer)
                print("%-7s pipelining: %5.1f s, of these the transfer %5.1f s, all else %5.1f s" % words, flush=True)
                for task, seconds in spent.most_common(options.tasks):
                    print("    %5.1f s  %s" % (seconds, task))
                close_connections(hosts)
    finally:
        hosts.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
