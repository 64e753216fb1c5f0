# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import signal
import time

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dolly.ring.plugins.plugin_utils import bounded_calls


class Connection:
    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1


def state_of_alarm():
    return signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)


def test_what_ends_in_time_is_left_alone():
    before, connection = state_of_alarm(), Connection()
    assert bounded_calls.call(connection, 5, lambda: "told") == "told"
    assert connection.resets == 0 and state_of_alarm() == before


def test_what_does_not_end_is_a_host_that_is_gone_and_its_connection_is_dropped():
    before, connection, began = state_of_alarm(), Connection(), time.monotonic()
    with pytest.raises(AnsibleConnectionFailure, match="no answer for"):
        bounded_calls.call(connection, 0.2, lambda: time.sleep(30))
    assert time.monotonic() - began < 10
    assert connection.resets == 1 and state_of_alarm() == before


def test_a_connection_that_fails_by_itself_is_dropped_too():
    def fail():
        raise AnsibleConnectionFailure("broken pipe")

    connection = Connection()
    with pytest.raises(AnsibleConnectionFailure, match="broken pipe"):
        bounded_calls.call(connection, 5, fail)
    assert connection.resets == 1


def test_other_failures_are_no_reason_to_drop_it():
    connection = Connection()
    with pytest.raises(ZeroDivisionError):
        bounded_calls.call(connection, 5, lambda: 1 / 0)
    assert connection.resets == 0


def test_the_timeout_of_a_task_goes_before():
    """Ansible has set an alarm for it, and would not know what to do without."""
    rang = []
    previous = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        bounded_calls.call(Connection(), 0.05, lambda: time.sleep(1.5))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert rang == [True]
