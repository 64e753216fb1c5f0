# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sender is told, and which options are refused before there is one."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import sender
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.server_options import NODE, params_for


@pytest.mark.parametrize(
    "more, option",
    [
        ({"nodes": []}, "nodes"),
        ({"nodes": [NODE, NODE]}, "nodes.name"),
        ({"nodes": [NODE], "name": "n1"}, "nodes.name"),
        ({"nodes": [{**NODE, "name": "a/b"}]}, "nodes.name"),
        ({"nodes": [{**NODE, "host": ""}]}, "nodes.host"),
        ({"nodes": [{**NODE, "port": 0}]}, "nodes.port"),
        ({"fanout": 0}, "fanout"),
        ({"min_nodes": 2}, "min_nodes"),
        ({"min_nodes": -1}, "min_nodes"),
        ({"port": 70000}, "port"),
        ({"chunk_size": -1}, "chunk_size"),
        ({"checksum": "x"}, "checksum"),
        ({"segsize": 5}, "segsize"),
        ({"socket_buffer": 5000}, "socket_buffer"),
        ({"block_size": 1 << 30}, "block_size"),
        ({"connect_tries": -1}, "connect_tries"),
        ({"min_rate": -1}, "min_rate"),
        ({"barrier_timeout": 0.0}, "barrier_timeout"),
    ],
)
def test_options_that_cannot_be_used_are_named(more, option):
    with pytest.raises(UsageError, match=r"^%s is " % option):
        sender.config_of(params_for(**more), False)


def test_every_option_of_the_sender_is_passed_on():
    config = sender.config_of(params_for(fanout=2, sha256=True, server_address="a", name="head"), False)
    assert config["nodes"] == [{**NODE, "extra": []}] and config["fanout"] == 2 and config["compute_sha256"] is True
    assert config["server_name"] == "head" and config["server_address"] == "a"
    assert config["barrier_timeout"] == 60.0 and config["flush_timeout"] == 1800.0
    assert "secret" not in config
    assert config["sync"] is True and set(config["transport"].values()) == {0}


def test_what_is_said_of_the_transport_is_passed_on():
    more = {"segsize": 500, "socket_buffer": 65536, "block_size": 4096, "connect_tries": 40, "sync": False}
    more["min_rate"] = 9
    nodes = [{**NODE, "extra": ["10.0.1.1"]}]
    config = sender.config_of(params_for(nodes=nodes, statistics_log="/l", **more), False)
    expected = {"segsize": 500, "socket_buffer": 65536, "block_size": 4096, "tries": 40, "min_rate": 9}
    assert config["transport"] == expected
    assert config["sync"] is False and config["statistics"] == "/l" and config["nodes"] == nodes


def test_what_is_said_of_compression_and_parts_is_passed_on():
    config = sender.config_of(params_for(), False)
    assert (config["infile"]["kind"], config["outfile"]) == ("plain", {"is_compressed": False, "split_size": 0})
    more = {"compressed": True, "uncompressed_size": "1M", "source_split": True, "dest_split": "4k"}
    config = sender.config_of(params_for(**more), False)
    assert (config["infile"]["kind"], config["infile"]["is_split"]) == ("compressed", True)
    assert config["infile"]["uncompressed_size"] == 1 << 20 and config["outfile"]["split_size"] == 4096
    with pytest.raises(UsageError, match=r"^compare is "):
        sender.config_of(params_for(compressed=True, compare=True), False)


def test_a_port_may_be_unknown_in_check_mode():
    sender.config_of(params_for(nodes=[{**NODE, "port": 0}]), True)


def test_a_block_map_needs_digests():
    mapped = params_for(bmap="/a.bmap")
    assert sender.config_of(mapped, False)["bmap"] == mapped["bmap"]
    with pytest.raises(UsageError, match="verify is 'none'"):
        sender.config_of({**mapped, "verify": "none"}, False)
