# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module calls with a time limit, because a host may vanish silently.

An ssh client that uses an open connection waits until TCP gives up, which takes a quarter of an hour:
ConnectTimeout applies to new connections only, and few configurations set ServerAliveInterval.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

from ansible.errors import AnsibleConnectionFailure

#: What a call may take beyond the wait of its module: the connection, starting Python, a busy machine.
CALL_S = 90.0
#: How long a reachable host may take to answer over an open connection.
ANSWER_S = 15.0


@contextlib.contextmanager
def time_limit(seconds: float) -> t.Iterator[None]:
    """Raise AnsibleConnectionFailure if the body takes longer. The `timeout` of a task takes precedence."""
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def give_up(_number: int, _frame: t.Any) -> None:
        raise AnsibleConnectionFailure("no answer for %g s" % seconds)

    previous = signal.signal(signal.SIGALRM, give_up)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def call(connection: t.Any, seconds: float, action: t.Callable[[], t.Any]) -> t.Any:
    """Return *action()*, which uses *connection*. Raises AnsibleConnectionFailure after *seconds*.

    The connection is then reset: the next call opens a new one, which has a timeout.
    """
    try:
        with time_limit(seconds):
            return action()
    except AnsibleConnectionFailure:
        if hasattr(connection, "reset"):
            with contextlib.suppress(AnsibleConnectionFailure), time_limit(ANSWER_S):
                connection.reset()
        raise
