# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starting and ending the engine's processes, which outlive the module that starts them."""

from __future__ import annotations

import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import launch, rundir

LISTEN_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
LOG_LINES = 20


class TaskFailed(Exception):
    """The engine has no good result; `returned` is what the task returns with the reason."""

    def __init__(self, reason: str, **returned: t.Any) -> None:
        super().__init__(reason)
        self.returned = returned


def engine() -> t.Any:
    """What the processes start from. AnsiballZ packs what an import names, also in a function that nobody calls.

    Importing it in earnest would cost each task half a second: it is compiled anew every time.
    """
    from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import entry

    return entry


def start(folder: rundir.RunDir, mode: str, config: t.Dict[str, t.Any], secret: bytes) -> t.Dict[str, t.Any]:
    """Start a `receiver` or a `sender` and return its first status.

    Leaves nothing behind when it does not get that far.
    """
    try:
        launch.launch(folder, mode, config, secret)
        return launch.await_listening(folder, LISTEN_TIMEOUT_S)
    except Exception:
        folder.stop(STOP_TIMEOUT_S)
        folder.remove()
        raise


def remove(folder: rundir.RunDir, mode: str, check_mode: bool) -> t.Dict[str, t.Any]:
    """End a `receiver` or a `sender`, remove its folder, and return what the task returns. Raises TaskFailed."""
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
