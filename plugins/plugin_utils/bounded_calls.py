# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Calls of a module that end, also when the host has gone away without a word.

An ssh client that uses an open connection waits for its answer until TCP gives up, which takes a quarter of an
hour: ConnectTimeout is for new connections only, and few have ServerAliveInterval set.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

from ansible.errors import AnsibleConnectionFailure

#: What a call may take beyond what its module waits for: the way there, starting Python, a busy machine.
CALL_S = 90.0
#: An open connection to a host that is there answers at once.
ANSWER_S = 15.0


@contextlib.contextmanager
def time_limit(seconds: float) -> t.Iterator[None]:
    """Raise AnsibleConnectionFailure in what takes longer; the `timeout` of a task goes before."""
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
    """Return what *action* returns, which talks over *connection*. Raises AnsibleConnectionFailure after *seconds*.

    The next call then makes a connection of its own, which has a timeout.
    """
    try:
        with time_limit(seconds):
            return action()
    except AnsibleConnectionFailure:
        if hasattr(connection, "reset"):
            with contextlib.suppress(AnsibleConnectionFailure), time_limit(ANSWER_S):
                connection.reset()
        raise
