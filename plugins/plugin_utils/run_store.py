# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tasks of one run tell one another on the control node: its secret, the image, and what each host has said.

In variables it would be in the facts of all hosts, in what callbacks write, and for the secret to be forgotten again.
The files lie in the temporary folder of this ansible-playbook, which only its user can read and which ends with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import typing as t
import urllib.parse

from ansible import constants as C

_LONGEST = 200


def folder_of(run_id: str) -> str:
    return os.path.join(C.DEFAULT_LOCAL_TMP, "dolly-ring", urllib.parse.quote(run_id, safe=""))


def path_of(run_id: str, name: str) -> str:
    quoted = urllib.parse.quote(name, safe="")
    if len(quoted) > _LONGEST:  # twelve signs for one of a name that is not in Latin letters
        quoted = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return os.path.join(folder_of(run_id), quoted)


def put(run_id: str, name: str, value: t.Any) -> None:
    """Keep a value, which JSON can hold, in place of an earlier one. Raises OSError."""
    folder = folder_of(run_id)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # mkstemp makes it readable for its owner alone; a worker that is killed leaves the earlier value.
    number, path = tempfile.mkstemp(dir=folder, prefix=".")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(value, file, default=str)
    os.replace(path, path_of(run_id, name))


def get(run_id: str, name: str) -> t.Any:
    """Return what was kept, or None."""
    try:
        with open(path_of(run_id, name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def take(run_id: str, name: str) -> t.Any:
    """Return what was kept, or None, and keep it no longer: not until the end, which a signal may prevent."""
    value = get(run_id, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(run_id, name))
    return value


def forget(run_id: str) -> None:
    shutil.rmtree(folder_of(run_id), ignore_errors=True)


#: What became of hosts and runs, for as long as this ansible-playbook runs.
TOLD = "told"


def tell(run_id: str, family: str, hosts: t.Mapping[str, t.Any], summary: t.Any) -> None:
    """Keep what became of a run. *hosts*: the `result` and `results` of each. Raises OSError."""
    put(TOLD, "run-" + run_id, summary)
    for host, said in hosts.items():
        put(TOLD, "host-" + host, {**said, "run_id": run_id, "family": family})


def told(host: str) -> t.Dict[str, t.Any]:
    """What was told of a host last, with the `summary` of its run; empty: nothing."""
    said = get(TOLD, "host-" + host)
    return {**said, "summary": get(TOLD, "run-" + said["run_id"])} if said else {}
