# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values that the tasks of a run share on the control node: secret, image, and the result of each host.

Variables would reach the facts of all hosts and the output of callbacks, and a secret would stay in them.
The files lie in the temporary folder of this ansible-playbook, which only its user can read.
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
    if len(quoted) > _LONGEST:  # a name in a non-Latin script takes up to twelve characters a letter
        quoted = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return os.path.join(folder_of(run_id), quoted)


def put(run_id: str, name: str, value: t.Any) -> None:
    """Store a value that JSON can hold; it replaces an earlier one. Raises OSError."""
    folder = folder_of(run_id)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # mkstemp makes the file private to its owner; if the worker is killed, the earlier value remains.
    number, path = tempfile.mkstemp(dir=folder, prefix=".")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(value, file, default=str)
    os.replace(path, path_of(run_id, name))


def get(run_id: str, name: str) -> t.Any:
    """Return the stored value, or None."""
    try:
        with open(path_of(run_id, name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def take(run_id: str, name: str) -> t.Any:
    """Return the stored value, or None, and delete it now: a signal may prevent the cleanup at the end."""
    value = get(run_id, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(run_id, name))
    return value


def forget(run_id: str) -> None:
    shutil.rmtree(folder_of(run_id), ignore_errors=True)


#: The key of results that are kept until this ansible-playbook ends.
TOLD = "told"


def tell(run_id: str, family: str, hosts: t.Mapping[str, t.Any], summary: t.Any) -> None:
    """Store the results of a run. *hosts*: the `result` and `results` of each host. Raises OSError."""
    put(TOLD, "run-" + run_id, summary)
    for host, said in hosts.items():
        put(TOLD, "host-" + host, {**said, "run_id": run_id, "family": family})


def told(host: str) -> t.Dict[str, t.Any]:
    """Return the last results of a host, with the `summary` of their run; empty if there are none."""
    said = get(TOLD, "host-" + host)
    return {**said, "summary": get(TOLD, "run-" + said["run_id"])} if said else {}
