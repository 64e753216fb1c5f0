# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starts and ends the engine's processes, which outlive their module; ends the task."""

from __future__ import annotations

import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import DollyError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import launch, rundir
from ansible_collections.dolly.ring.plugins.module_utils.ring import options

Returned = t.Dict[str, t.Any]

LISTEN_TIMEOUT_S = 20.0
#: How long to wait for other hosts of the play that are the same machine: their processes start one by one.
TURN_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LOG_LINES = 20


class TaskFailed(Exception):
    """The engine has no good result. `returned`: what the task returns together with the reason."""

    def __init__(self, reason: str, **returned: t.Any) -> None:
        super().__init__(reason)
        self.returned = returned


def engine() -> t.Any:
    """Name the entry point of the processes: AnsiballZ packs every module that an import names.

    Nobody calls this function: the import would cost each task half a second to compile the engine anew.
    """
    from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import entry

    return entry


def start(folder: rundir.RunDir, mode: str, config: t.Dict[str, t.Any], secret: bytes) -> t.Dict[str, t.Any]:
    """Start a `receiver` or a `sender` and return its first status.

    On failure, ends the process and removes its folder.
    """
    try:
        launch.launch(folder, mode, config, secret)
        return launch.await_listening(folder, LISTEN_TIMEOUT_S)
    except Exception:
        folder.stop(STOP_TIMEOUT_S)
        folder.remove()
        raise


def remove(folder: rundir.RunDir, mode: str, check_mode: bool) -> t.Dict[str, t.Any]:
    """End a `receiver` or a `sender`, remove its folder, return the task's result. Raises TaskFailed."""
    is_running = folder.is_running()
    if not is_running and not folder.exists():
        return {"changed": False, "clean": True, "msg": "there is nothing to clean up"}
    if not check_mode:
        if is_running and not folder.stop(STOP_TIMEOUT_S):
            raise TaskFailed(
                "the %s did not end; it hangs in the kernel, probably on its disk" % mode,
                log=folder.log_tail(LOG_LINES),
            )
        folder.remove()
    told = "ended the %s and removed its folder" if is_running else "removed the folder of the %s"
    return {"changed": True, "clean": True, "msg": told % mode}


def folder_of(params: t.Mapping[str, t.Any], common: Returned) -> rundir.RunDir:
    """Return the folder of this node in its run; add its values to `common`. Raises UsageError."""
    common["run_id"] = options.check_run_id(params["run_id"])
    name = options.check_name(params["name"])
    common["run_dir"] = params["run_dir"] or rundir.default_base()
    return rundir.RunDir(common["run_dir"], common["run_id"], name)


def conclude(module: t.Any, act: t.Callable[[t.Any, Returned, bool], Returned], common: Returned) -> None:
    """End the task with what `act` returns or raises, always together with `common`."""
    try:
        common.update(act(module.params, common, module.check_mode))
    except TaskFailed as failure:
        module.fail_json(**dict(common, **dict(failure.returned, msg=str(failure))))
    except (DollyError, OSError) as error:
        module.fail_json(**dict(common, **options.describe(error)))
    module.exit_json(**common)
