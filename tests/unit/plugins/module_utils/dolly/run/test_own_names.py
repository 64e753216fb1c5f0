# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who this machine is: what the environment says, and what it need not say."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import own_names


@pytest.mark.parametrize("environment, first", [
    ({}, []),
    ({"HOST": "h"}, ["h"]),
    ({"MYNODENAME": "m"}, ["m"]),
    ({"HOST": "h", "MYNODENAME": "m"}, ["m", "h"]),
    ({"HOST": "", "MYNODENAME": ""}, []),
])
def test_names_of_this_machine(monkeypatch, environment, first):
    for name in ("HOST", "MYNODENAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert own_names.own_names() == [*first, socket.gethostname()]


@pytest.mark.parametrize("host, is_own", [
    ("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("localhost", False), ("", False),
])
def test_addresses_of_this_machine(host, is_own):
    assert own_names.is_own_address(host) == is_own
