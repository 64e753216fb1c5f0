# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import node_address

#: address, index, prefix length, scope, flags, interface, as in /proc/net/if_inet6
TABLE = """\
00000000000000000000000000000001 01 80 10 80       lo
fe800000000000000000000000000001 02 40 20 80     eno1
20010db8000000000000000000000bad 02 40 00 40     eno1
20010db8000000000000000000000de9 02 40 00 20     eno1
20010db8000000000000000000000007 02 40 00 01     eno1
20010db8000000000000000000000001 02 40 00 00     eno1
20010db8000000000000000000000002 03 40 00 01     eno2
garbage
"""


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"address": "a", "interface": "nope", "ansible_host": "h"}, ("a", "address")),
        ({"interface": "lo", "ansible_host": "h"}, ("127.0.0.1", "interface")),
        ({"ansible_host": "h"}, ("h", "ansible_host")),
        ({}, ("n1", "name")),
    ],
)
def test_which_rule_wins(options, expected):
    assert node_address.choose_address("n1", **options) == expected


@pytest.mark.parametrize("interface", ["nope0", "a-name-longer-than-any-interface"])
def test_unknown_interface_is_answered_with_the_ones_there_are(interface):
    with pytest.raises(UsageError, match=r"interface is .*%s.*\blo\b" % interface):
        node_address.interface_address(interface)


def test_ipv6_takes_a_lasting_global_address():
    assert node_address.pick_ipv6(TABLE, "eno1") == "2001:db8::1"


def test_ipv6_takes_a_temporary_one_where_there_is_no_other():
    assert node_address.pick_ipv6(TABLE, "eno2") == "2001:db8::2"


def test_ipv6_finds_none():
    assert node_address.pick_ipv6(TABLE, "lo") == ""
    assert node_address.pick_ipv6("", "eno1") == ""


def test_ipv6_is_used_where_there_is_no_ipv4(monkeypatch):
    monkeypatch.setattr(node_address, "_ipv4_of", lambda interface: "")
    monkeypatch.setattr(node_address, "_read_if_inet6", lambda: TABLE)
    assert node_address.choose_address("n1", interface="eno1") == ("2001:db8::1", "interface")
    with pytest.raises(UsageError, match="one with an IPv4 or a global IPv6 address"):
        node_address.interface_address("lo")


def test_further_addresses_are_each_another_one():
    found = node_address.extra_addresses("127.0.0.1", ["10.0.1.1", "10.0.1.1", ""], ["lo"])
    assert found == ["10.0.1.1"]
    assert node_address.extra_addresses("10.0.0.1", ["10.0.1.1"], ["lo"]) == ["10.0.1.1", "127.0.0.1"]
    with pytest.raises(UsageError, match="nope"):
        node_address.extra_addresses("10.0.0.1", [], ["nope"])
