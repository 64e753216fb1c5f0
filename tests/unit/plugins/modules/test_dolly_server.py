# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module decides from options and from what a run directory says. Real runs: tests/integration/ansible."""

from __future__ import annotations

import hashlib
import sys

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from ansible_collections.dolly.ring.plugins.module_utils.dolly import gmac
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    ChecksumMismatch,
    MapMismatch,
    Refused,
    UsageError,
)
from ansible_collections.dolly.ring.plugins.modules import dolly_server
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.plan.block_maps import make_map

NODE = {"name": "n1", "host": "10.0.0.1", "port": 9998}


class Folder:
    def __init__(self, *script):
        self.script = list(script)

    def is_running(self):
        self.now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return self.now.get("is_running", False)

    def exists(self):
        return True

    def file(self, name):
        return "/no-such-run/" + name

    def read_result(self):
        return self.now.get("result")

    def read_status(self):
        return self.now.get("status")

    def log_tail(self, lines):
        return ["the last words"]


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


def params_for(**more):
    params = {name: spec.get("default") for name, spec in dolly_server.argument_spec().items()}
    return {**params, "run_id": "r", "source": "/a.img", "secret": "0f" * 32, "nodes": [NODE], **more}


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
        dolly_server.sender_config(params_for(**more), False)


def test_every_option_of_the_sender_is_passed_on():
    config = dolly_server.sender_config(params_for(fanout=2, sha256=True, server_address="a", name="head"), False)
    assert config["nodes"] == [{**NODE, "extra": []}] and config["fanout"] == 2 and config["compute_sha256"] is True
    assert config["server_name"] == "head" and config["server_address"] == "a"
    assert config["barrier_timeout"] == 60.0 and config["flush_timeout"] == 1800.0
    assert "secret" not in config
    assert config["sync"] is True and set(config["transport"].values()) == {0}


def test_what_is_said_of_the_transport_is_passed_on():
    more = {"segsize": 500, "socket_buffer": 65536, "block_size": 4096, "connect_tries": 40, "sync": False}
    more["min_rate"] = 9
    nodes = [{**NODE, "extra": ["10.0.1.1"]}]
    config = dolly_server.sender_config(params_for(nodes=nodes, statistics_log="/l", **more), False)
    expected = {"segsize": 500, "socket_buffer": 65536, "block_size": 4096, "tries": 40, "min_rate": 9}
    assert config["transport"] == expected
    assert config["sync"] is False and config["statistics"] == "/l" and config["nodes"] == nodes


def test_what_is_said_of_compression_and_parts_is_passed_on():
    config = dolly_server.sender_config(params_for(), False)
    assert (config["infile"]["kind"], config["outfile"]) == ("plain", {"is_compressed": False, "split_size": 0})
    more = {"compressed": True, "uncompressed_size": "1M", "source_split": True, "dest_split": "4k"}
    config = dolly_server.sender_config(params_for(**more), False)
    assert (config["infile"]["kind"], config["infile"]["is_split"]) == ("compressed", True)
    assert config["infile"]["uncompressed_size"] == 1 << 20 and config["outfile"]["split_size"] == 4096
    with pytest.raises(UsageError, match=r"^compare is "):
        dolly_server.sender_config(params_for(compressed=True, compare=True), False)


def test_the_checksum_of_parts_is_that_of_the_image(tmp_path):
    for index, part in enumerate((b"one", b"two")):
        (tmp_path / ("a_%d" % index)).write_bytes(part)
    params = params_for(source=str(tmp_path / "a"), source_split=True)
    assert dolly_server.sha256_of(params) == hashlib.sha256(b"onetwo").hexdigest()
    assert dolly_server.inspect(params)["source"]["written"] == {"size": 6, "codec": "", "is_split": False}


def test_a_port_may_be_unknown_in_check_mode():
    dolly_server.sender_config(params_for(nodes=[{**NODE, "port": 0}]), True)


def wait(folder, timeout_s=0.0):
    clock = Clock()
    try:
        return dolly_server.await_result(folder, timeout_s, clock=clock, sleep=clock.sleep), clock.now_s
    except dolly_server.engine_process.TaskFailed as failure:
        return failure, clock.now_s


def test_polling_slows_down_and_ends_with_the_result():
    script = [{"is_running": True}] * 100 + [{"is_running": False, "result": {"state": "done"}}]
    result, waited_s = wait(Folder(*script))
    assert result == {"state": "done"}
    assert 90 < waited_s < 100 * dolly_server.POLL_LAST_S


def test_a_sender_that_died_is_told_with_what_it_had_done():
    status = {"nodes": [{"name": "n1", "state": "receiving", "rate": 2000000}]}
    failure, dummy = wait(Folder({"is_running": True}, {"status": status}))
    assert "without a result" in str(failure)
    assert failure.returned["state"] == "unknown" and failure.returned["log"] == ["the last words"]
    assert failure.returned["nodes"] == [{"name": "n1", "state": "receiving", "rate_mb_s": 2.0}]


def test_a_timeout_says_that_the_sender_runs_on():
    failure, waited_s = wait(Folder({"is_running": True}), timeout_s=5.0)
    assert "runs on" in str(failure) and 5 <= waited_s < 7


def result(state, *nodes, **more):
    return {"state": state, "bytes": 10, "seconds": 2.0, "rate": 5, "nodes": list(nodes), "error": None, **more}


def finish(outcome):
    return dolly_server.finish(params_for(), Folder({"result": outcome}), False)


def test_a_partial_run_is_a_success_whose_nodes_tell():
    nodes = [{"name": "n1", "state": "done", "bytes": 10}, {"name": "n2", "state": "lost", "error": {"message": "x"}}]
    returned = finish(result("partial", *nodes))
    assert returned["changed"] is True and returned["msg"] == "sent 10 bytes to 1 of 2 nodes in 2.0 s"
    assert [node["state"] for node in returned["nodes"]] == ["done", "lost"]


def test_a_server_that_nobody_can_reach_is_told():
    assert "no node could reach the server" in finish(result("done", server_reachable=False))["msg"]


def test_what_limited_the_run_is_told():
    told = {"limited_by": "n1 target write (8.0 of 9.0 s)", "times": {"read": 1.5}}
    returned = finish(result("done", {"name": "n1", "state": "done", "times": {"write": 8.0}}, **told))
    assert returned["limited_by"] == told["limited_by"] and returned["times"] == {"read": 1.5}
    assert returned["nodes"][0]["times"] == {"write": 8.0}
    assert returned["msg"] == "sent 10 bytes to 1 of 1 nodes in 2.0 s, limited by n1 target write (8.0 of 9.0 s)"


def test_a_run_that_nothing_held_up_says_nothing_of_it():
    returned = finish(result("done", limited_by=""))
    assert returned["limited_by"] == "" and returned["times"] == {} and "limited" not in returned["msg"]


def test_a_failed_run_is_a_failure_with_its_nodes():
    error = {"kind": "SourceChanged", "message": "the source changed"}
    with pytest.raises(dolly_server.engine_process.TaskFailed, match="the source changed") as caught:
        finish(result("failed", {"name": "n1", "state": "failed"}, error=error))
    assert caught.value.returned["nodes"][0]["name"] == "n1"
    assert caught.value.returned["error"] == error and caught.value.returned["changed"] is False


def test_check_mode_compares_the_checksum(tmp_path):
    image = tmp_path / "a.img"
    image.write_bytes(b"image" * 1000)
    good = "sha256:" + hashlib.sha256(image.read_bytes()).hexdigest()
    returned = dolly_server.predict(params_for(source=str(image), checksum=good))
    assert returned["changed"] is True and returned["state"] == "predicted" and returned["size"] == 5000
    with pytest.raises(ChecksumMismatch):
        dolly_server.predict(params_for(source=str(image), checksum="sha256:" + "0" * 64))


def test_the_source_must_be_absolute():
    with pytest.raises(UsageError, match=r"source is 'a.img'"):
        dolly_server.inspect(params_for(source="a.img"))


IMAGE = b"image" * 1000


@pytest.fixture
def mapped(tmp_path):
    (tmp_path / "a.img").write_bytes(IMAGE)
    (tmp_path / "a.bmap").write_bytes(make_map(IMAGE, [(1, 1)]))
    return params_for(source=str(tmp_path / "a.img"), bmap=str(tmp_path / "a.bmap"))


def test_a_block_map_is_looked_at_with_the_image(mapped):
    """A node needs room for the mapped blocks alone."""
    returned = dolly_server.inspect(mapped)
    assert (returned["size"], returned["source"]["allocated"]) == (5000, 5000 - 4096)
    with pytest.raises(UsageError, match=r"bmap is 'a.bmap'"):
        dolly_server.inspect({**mapped, "bmap": "a.bmap"})
    with pytest.raises(UsageError, match="No such file"):
        dolly_server.inspect({**mapped, "bmap": mapped["bmap"] + "x"})


def test_a_block_map_of_another_size(mapped, tmp_path):
    (tmp_path / "a.img").write_bytes(IMAGE + b"x")
    with pytest.raises(UsageError, match="it is for 5000 bytes"):
        dolly_server.inspect(mapped)


def test_a_block_map_needs_digests(mapped):
    assert dolly_server.sender_config(mapped, False)["bmap"] == mapped["bmap"]
    with pytest.raises(UsageError, match="verify is 'none'"):
        dolly_server.sender_config({**mapped, "verify": "none"}, False)


def test_check_mode_compares_the_mapped_blocks(mapped, tmp_path):
    assert dolly_server.predict(mapped)["state"] == "predicted"
    (tmp_path / "a.img").write_bytes(b"x" + IMAGE[1:])
    assert dolly_server.predict(mapped)["state"] == "predicted"
    (tmp_path / "a.img").write_bytes(IMAGE[:-1] + b"x")
    with pytest.raises(MapMismatch, match="blocks 1 to 1, from byte 4096 on"):
        dolly_server.predict(mapped)


def test_a_python_that_cannot_verify_by_mac_is_refused_with_the_first_look(monkeypatch, tmp_path):
    image = tmp_path / "a.img"
    image.write_bytes(b"image")
    params = params_for(source=str(image), verify="mac")
    monkeypatch.setitem(sys.modules, "_hashlib", None)
    gmac.check.cache_clear()
    gmac._library.cache_clear()
    with pytest.raises(Refused, match=r"verify mac.*_hashlib.*What would allow it: verify readback"):
        dolly_server.inspect(params)
    assert dolly_server.inspect({**params, "protocol": "classic"})["size"] == 5  # it verifies nothing anyway
