# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A laboratory for real runs of ansible-playbook: an image, an inventory of local hosts, and what came out.

    DOLLY_ANSIBLE_PLAYBOOK  the ansible-playbook to run; else .venv/bin/ansible-playbook, else that on PATH
    DOLLY_COLLECTIONS       where ansible_collections/dolly/ring lies; else this checkout
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.ring.networks import call
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program
from tests.integration.ansible.real_hosts import NAMES, STORE, RealHosts, node_python, why_no_real_hosts

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CALLBACKS = HERE / "callbacks"
RUN_LIMIT_S = 400

#: Short enough that a run with a fault ends while somebody watches, long enough for a busy machine.
TIMEOUTS = {
    "dolly_ring_join_timeout": 60,
    "dolly_ring_barrier_timeout": 20,
    "dolly_ring_orphan_timeout": 10,
    "dolly_ring_stall_timeout": 10,
}


def find_playbook_command() -> str:
    wished = os.environ.get("DOLLY_ANSIBLE_PLAYBOOK")
    for candidate in (wished, str(ROOT / ".venv/bin/ansible-playbook"), shutil.which("ansible-playbook")):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
        if candidate and candidate == wished:
            break
    pytest.fail(
        "There is no ansible-playbook (DOLLY_ANSIBLE_PLAYBOOK is %s): run 'make install', "
        "or name one in DOLLY_ANSIBLE_PLAYBOOK." % (wished or "not set")
    )


def find_collections() -> str:
    wished = os.environ.get("DOLLY_COLLECTIONS")
    if wished:
        return wished
    spec = importlib.util.find_spec("ansible_collections.dolly.ring")
    assert spec is not None and spec.submodule_search_locations
    return str(pathlib.Path(next(iter(spec.submodule_search_locations))).parents[2])


@dataclasses.dataclass
class Outcome:
    """What a run of ansible-playbook came to."""

    code: int
    output: str
    events: t.List[t.Dict[str, t.Any]]

    def task(self, name: str) -> t.Dict[str, t.Dict[str, t.Any]]:
        """What the task returned, by host."""
        return {event["host"]: event["result"] for event in self.events if event["task"] == name}

    def status(self, name: str) -> t.Dict[str, str]:
        """ok, failed or unreachable, by host."""
        return {event["host"]: event["status"] for event in self.events if event["task"] == name}

    def stats(self) -> t.Dict[str, t.Dict[str, int]]:
        return {event["host"]: event["result"] for event in self.events if event["status"] == "stats"}

    def failed(self) -> t.Set[str]:
        return {host for host, stats in self.stats().items() if stats["failures"]}

    def reasons(self) -> t.Dict[str, str]:
        """The last failure of each host."""
        return {event["host"]: event["result"].get("msg", "") for event in self.events if event["status"] == "failed"}

    def lost(self) -> t.Dict[str, str]:
        """The last reason of each host for which it is out of reach."""
        return {
            event["host"]: event["result"].get("msg", "") for event in self.events if event["status"] == "unreachable"
        }

    def summary(self) -> t.Dict[str, t.Any]:
        (told,) = self.task("Result of the run").values()
        return told["summary"]

    def results(self) -> t.Dict[str, t.Dict[str, t.Any]]:
        (told,) = self.task("Result of the run").values()
        return {**{node["name"]: node for node in told["summary"]["nodes"]}, **told["hosts"]}


class Lab:
    """Local hosts, each with a target file of its own, and an image."""

    root = ROOT

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.image = folder / "node.img"
        self.targets = folder / "targets"
        self.targets.mkdir()
        self.runs = folder / "runs"
        self.inventory = folder / "inventory.yml"
        self.config = folder / "ansible.cfg"
        self.record = folder / "record.jsonl"
        self.config.touch()  # so that nobody's own is read
        self.write_image(3 * (1 << 20) + 17, seed=1)
        self.write_inventory({"rack3": {name: {} for name in ("n1", "n2", "n3", "n4")}, "rack4": {"m1": {}, "m2": {}}})

    def write_image(self, size: int, seed: int) -> None:
        self.image.write_bytes(random.Random(seed).randbytes(size))

    def write_inventory(self, racks: t.Mapping[str, t.Mapping[str, t.Any]], **more: t.Any) -> None:
        """JSON is YAML. *more* are variables of all hosts."""
        variables: t.Dict[str, t.Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": os.environ.get("DOLLY_NODE_PYTHON", sys.executable),
            "dolly_ring_source": str(self.image),
            "dolly_ring_dest": str(self.targets) + "/{{ inventory_hostname }}.img",
            "dolly_ring_address": "127.0.0.1",
            "dolly_ring_port": 0,
            "dolly_ring_run_dir": str(self.runs),
        }
        variables.update(TIMEOUTS)
        variables.update(more)
        children = {rack: {"hosts": hosts} for rack, hosts in racks.items()}
        self.inventory.write_text(json.dumps({"all": {"vars": variables, "children": children}}, indent=1))

    def target(self, host: str) -> pathlib.Path:
        return self.targets / (host + ".img")

    def copies(self) -> t.Set[str]:
        """The hosts whose target holds the image."""
        wanted = sha256(self.image)
        return {path.stem for path in self.targets.glob("*.img") if sha256(path) == wanted}

    def left_over(self) -> t.List[str]:
        """Files that a run left in its folder, and partial files beside the targets."""
        partial = [str(path) for path in self.targets.iterdir() if path.suffix != ".img"]
        return partial + [str(path) for path in self.runs.rglob("*") if not path.is_dir()]

    def environment(self, record: pathlib.Path) -> t.Dict[str, str]:
        dropped = ("ANSIBLE_", "PYTHONPATH")
        own = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        own.update(
            ANSIBLE_COLLECTIONS_PATH=find_collections(),
            ANSIBLE_CALLBACK_PLUGINS=str(CALLBACKS),
            ANSIBLE_CALLBACKS_ENABLED="dolly_record",
            ANSIBLE_CONFIG=str(self.config),
            ANSIBLE_LOCAL_TEMP=str(self.folder / "ansible-local"),
            ANSIBLE_REMOTE_TEMP=str(self.folder / "ansible-remote"),
            ANSIBLE_RETRY_FILES_ENABLED="0",
            ANSIBLE_NOCOLOR="1",
            DOLLY_RECORD=str(record),
        )
        return own

    def command(self, *arguments: str) -> t.List[str]:
        """How to run ansible-playbook where the control node is."""
        return [find_playbook_command(), "-i", str(self.inventory), *arguments]

    def run(self, *arguments: str, code: t.Optional[int] = 0, **environment: str) -> Outcome:
        """Run ansible-playbook. *code*: what it must end with; None: see what comes."""
        self.record.unlink(missing_ok=True)
        done = subprocess.run(
            self.command(*arguments),
            env={**self.environment(self.record), **environment},
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=RUN_LIMIT_S,
            check=False,
        )
        return self.outcome(done.returncode, done.stdout.decode("utf-8", "replace"), code)

    def outcome(self, status: int, output: str, code: t.Optional[int]) -> Outcome:
        lines = self.record.read_text("utf-8").splitlines() if self.record.exists() else []
        outcome = Outcome(status, output, [json.loads(line) for line in lines])
        print(output)  # shown by pytest when the test has failed
        assert code is None or outcome.code == code, outcome.output
        return outcome

    def tool(self, name: str, *arguments: str) -> str:
        """What another command of the same Ansible prints."""
        command = [os.path.join(os.path.dirname(find_playbook_command()), name), *arguments]
        done = subprocess.run(
            command,
            env=self.environment(self.folder / "unused"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=RUN_LIMIT_S,
            check=False,
        )
        text = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert done.returncode == 0, text
        return text

    def clone(self, *arguments: str, code: t.Optional[int] = 0, **environment: str) -> Outcome:
        return self.run("dolly.ring.clone", *arguments, code=code, **environment)

    def play(
        self, *plays: t.Mapping[str, t.Any], arguments: t.Sequence[str] = (), code: t.Optional[int] = 0
    ) -> Outcome:
        """Run plays given as data; without facts unless they say otherwise."""
        book = self.folder / "book.yml"
        book.write_text(json.dumps([{"gather_facts": False, **play} for play in plays], indent=1))
        return self.run(str(book), *arguments, code=code)


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Rack(Lab):
    """The same for real hosts: over ssh, the control node has no part in the ring, `store` has the image."""

    def __init__(self, folder: pathlib.Path, hosts: RealHosts) -> None:
        self.hosts = hosts
        self.names: t.Sequence[str] = NAMES
        self.program: t.Optional[Program] = None
        super().__init__(folder)

    def write_image(self, size: int, seed: int) -> None:
        self.image = self.hosts.srv(STORE) / "node.img"
        super().write_image(size, seed)

    def write_inventory(self, racks: t.Mapping[str, t.Mapping[str, t.Any]], **more: t.Any) -> None:
        """Rack3 is always there; *racks* says more of its hosts."""
        hosts = {name: {**self.hosts.variables(name), **racks["rack3"].get(name, {})} for name in self.names}
        variables: t.Dict[str, t.Any] = {
            "ansible_user": "ops",
            "ansible_become": True,
            "ansible_ssh_common_args": self.hosts.ssh_arguments(),
            "ansible_ssh_private_key_file": str(self.hosts.folder / "key"),
            "ansible_python_interpreter": node_python(),
            "dolly_ring_source": "/srv/node.img",
            "dolly_ring_dest": "/srv/clone.img",
            "dolly_ring_server": STORE,
            "dolly_ring_server_address": self.hosts.data_address(STORE),
            "dolly_ring_interface": "eth1",
        }
        variables.update(TIMEOUTS)
        variables.update(more)
        groups = {"rack3": {"hosts": hosts}, "images": {"hosts": {STORE: self.hosts.variables(STORE)}}}
        self.inventory.write_text(json.dumps({"all": {"vars": variables, "children": groups}}, indent=1))

    def use(self, *names: str, hosts: t.Optional[t.Mapping[str, t.Any]] = None, **more: t.Any) -> None:
        """Limit the rack to some hosts. *hosts*: variables of single ones, *more*: of all."""
        self.names = names
        self.write_inventory({"rack3": dict(hosts or {})}, **more)

    def command(self, *arguments: str) -> t.List[str]:
        return self.hosts.command("control", *super().command(*arguments))

    def environment(self, record: pathlib.Path) -> t.Dict[str, str]:
        own = super().environment(record)
        del own["ANSIBLE_REMOTE_TEMP"]
        own.pop("SSH_AUTH_SOCK", None)
        own["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(self.hosts.folder / "cp")
        own.setdefault("ANSIBLE_PIPELINING", "1")
        return own

    def finish(self, code: t.Optional[int] = 0) -> Outcome:
        """Wait for the end of what `start` has started."""
        assert self.program is not None
        status = self.program.wait(RUN_LIMIT_S)
        return self.outcome(status, self.program.out + self.program.log, code)

    def start(self, *arguments: str) -> Program:
        """Run the playbook and do not wait for its end; `outcome` tells about it afterwards."""
        self.record.unlink(missing_ok=True)
        settings = ["%s=%s" % item for item in self.environment(self.record).items()]
        command = Lab.command(self, "dolly.ring.clone", "-l", "rack3", *arguments)
        self.program = Program("playbook", self.hosts.command("control", "env", "-i", *settings, *command), self.folder)
        return self.program

    def target(self, host: str) -> pathlib.Path:
        several = self.hosts.srv(host) / "clones" / (host + ".img")
        return several if several.exists() else self.hosts.srv(host) / "clone.img"

    def copies(self) -> t.Set[str]:
        wanted = sha256(self.image)
        return {name for name in NAMES if self.target(name).exists() and sha256(self.target(name)) == wanted}

    def left_over(self) -> t.List[str]:
        """Processes, run directories and unfinished files, on all hosts."""
        found = []
        for name in (*NAMES, STORE):
            found += ["%s: %s" % (name, what) for what in self.hosts.processes(name).values()]
            found += ["%s: %s" % (name, path) for path in self.hosts.runs(name)]
            hidden = self.hosts.srv(name).glob(".*")
            found += ["%s: %s" % (name, path.name) for path in hidden]
        return found


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="session")
def real_hosts() -> t.Iterator[RealHosts]:
    reason = why_no_real_hosts()
    if reason:
        pytest.skip(reason)
    hosts = RealHosts()
    yield hosts
    hosts.remove()


@pytest.fixture
def rack(tmp_path: pathlib.Path, real_hosts: RealHosts) -> t.Iterator[Rack]:
    real_hosts.reset()
    made = Rack(tmp_path, real_hosts)
    yield made
    if made.program is not None:
        made.program.end()


@pytest.fixture
def disks(real_hosts: RealHosts) -> t.Iterator[t.List[str]]:
    """Three block devices of 32 MiB: loop devices are there in every view of /dev."""
    found: t.List[str] = []
    try:
        for number in range(3):
            path = real_hosts.folder / ("disk%d" % number)
            with path.open("wb") as file:
                file.truncate(32 << 20)
            found.append(attach(path))
        yield found
    finally:
        real_hosts.reset()  # what is mounted keeps its device
        for disk in found:
            call("losetup", "--detach", disk)
