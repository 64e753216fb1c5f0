# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module decides from what a run directory says. Real runs: tests/integration/ansible."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.integrity import gmac
from ansible_collections.dolly.ring.plugins.modules import dolly_client
from ansible_collections.dolly.ring.tests.unit.plugins.modules.run_doubles import Clock, Folder

GOOD = {
    "state": "done",
    "changed": True,
    "bytes": 5000000,
    "seconds": 0.5,
    "rate": 10000000,
    "digest": "ab",
    "position": 2,
    "verified": True,
    "synced": True,
    "repaired": 1,
    "received_bytes": 3000000,
    "resumed_bytes": 2000000,
    "error": None,
}


def running(state):
    return {"is_running": True, "status": {"state": state}}


def wait(folder, timeout_s=60.0, reported=None):
    clock = Clock()
    try:
        return dolly_client.await_result(folder, timeout_s, reported, clock, clock.sleep), clock.now_s
    except dolly_client.engine_process.TaskFailed as failure:
        return failure, clock.now_s


def test_the_result_is_returned_as_soon_as_it_is_there():
    assert wait(Folder(running("receiving"), {"is_running": True, "result": GOOD})) == (GOOD, dolly_client.POLL_S)


def test_a_receiver_that_ends_with_its_result_between_two_looks_is_no_failure():
    assert wait(Folder({"is_running": False, "result": GOOD}))[0] == GOOD


def test_a_receiver_that_died_is_told_with_its_last_words():
    failure, waited_s = wait(Folder(running("receiving"), {}))
    assert "without a result" in str(failure) and waited_s < 1
    assert failure.returned["log"] == ["the last words"]


def test_a_disk_whose_receiver_was_killed_is_half_written():
    config = {"target": "/dev/sdb", "seen": {"kind": "block"}}
    killed = {"status": {"state": "receiving", "node": {"held": 0}}, "config.json": config}
    failure = wait(Folder(killed))[0]
    assert failure.returned["changed"] and failure.returned["half_written"]
    assert str(failure).endswith("without a result; /dev/sdb is half-written: nothing may start from it")
    failure = wait(Folder({**killed, "status": {"state": "ready"}}))[0]
    assert not failure.returned["changed"] and not failure.returned["half_written"]


def test_no_run_at_all():
    assert "/run/dolly/r/n1 does not exist" in str(wait(Folder(is_there=False))[0])


def test_the_wait_has_an_end():
    failure, waited_s = wait(Folder(running("flushing")), timeout_s=7.0)
    assert "no result after 7 s" in str(failure) and "flushing" in str(failure)
    assert waited_s == pytest.approx(7.0, abs=0.3)


@pytest.mark.parametrize("state", ["waiting", "ready"])
def test_a_receiver_that_the_server_left_out_is_not_waited_for(state):
    reported = {"state": "excluded", "error": {"message": "it came too late"}}
    failure, waited_s = wait(Folder(running(state)), reported=reported)
    assert str(failure) == "nothing was written: it came too late"
    assert waited_s == pytest.approx(dolly_client.GRACE_S, abs=0.3)


def test_a_receiver_that_the_server_lost_sight_of_may_still_end_well():
    script = [running("verifying")] * 100 + [{"is_running": True, "result": GOOD}]
    assert wait(Folder(*script), reported={"state": "lost", "error": None})[0] == GOOD


def test_a_good_result_is_returned_in_megabytes_per_second():
    params = {"timeout": 1.0, "reported": None, "verify": "readback", "dummy": False, "sync": True}
    returned = dolly_client.finish(params, Folder({"result": {**GOOD, "times": {"write": 0.25}}}), False)
    assert returned["times"] == {"write": 0.25}
    assert (returned["received_bytes"], returned["sent_bytes"], returned["resumed_bytes"]) == (3000000, 0, 2000000)
    assert returned["rate_mb_s"] == 10.0 and returned["position"] == 2 and returned["changed"] is True
    assert returned["msg"] == "5000000 bytes in 0.5 s, 10.0 MB/s"
    assert "skipped" not in returned


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"state": "failed", "error": {"kind": "TargetError", "message": "disk full"}}, "disk full"),
        ({"state": "failed"}, "ended in the state failed"),
        ({"verified": False}, "not that the image was verified"),
        ({"synced": False}, "not that the image was flushed"),
    ],
)
def test_a_result_that_lacks_something_is_a_failure(change, reason):
    params = {"timeout": 1.0, "reported": None, "verify": "readback", "dummy": False, "sync": True}
    with pytest.raises(dolly_client.engine_process.TaskFailed, match=reason) as caught:
        dolly_client.finish(params, Folder({"result": {**GOOD, **change}}), False)
    assert caught.value.returned["bytes"] == 5000000
    assert caught.value.returned["changed"] is True


def test_an_unverified_result_is_good_only_where_it_was_asked_for():
    assert dolly_client.shortcoming({**GOOD, "verified": False}, "none") == ""


def test_an_unflushed_result_is_good_only_where_it_was_asked_for():
    assert dolly_client.shortcoming({**GOOD, "synced": False}, "readback", False) == ""
    assert "flushed" in dolly_client.shortcoming({**GOOD, "synced": False}, "readback", True)


def test_finished_in_check_mode_has_nothing_to_collect():
    assert dolly_client.finish({}, Folder(is_there=False), True)["changed"] is False


@pytest.mark.parametrize("check_mode", [False, True])
def test_absent_says_whether_there_was_anything(check_mode):
    folder = Folder(running("waiting"))
    returned = dolly_client.remove({"purge": False}, folder, check_mode)
    assert returned["changed"] is True and folder.removed is not check_mode
    assert dolly_client.remove({"purge": False}, Folder(is_there=False), check_mode)["changed"] is False


def test_absent_fails_when_the_receiver_cannot_be_ended():
    folder = Folder(running("flushing"), can_stop=False)
    with pytest.raises(dolly_client.engine_process.TaskFailed, match="hangs in the kernel"):
        dolly_client.remove({"purge": False}, folder, False)
    assert not folder.removed


@pytest.mark.parametrize("check_mode", [True, False])
def test_purge_removes_what_a_broken_run_left_and_nothing_else(tmp_path, check_mode):
    left = [tmp_path / ".a.img.dolly-partial", tmp_path / ".a.img.dolly-journal"]
    others = [tmp_path / "a.img", tmp_path / ".b.img.dolly-partial"]
    for path in left + others:
        path.write_text("x")
    params = {"purge": True, "dest": str(tmp_path / "a.img"), "state_dir": None}
    returned = dolly_client.remove(params, Folder(is_there=False), check_mode)
    assert returned["changed"] is True and returned["clean"] is True
    assert returned["purged"] == [str(path) for path in left] and str(left[0]) in returned["msg"]
    assert all(path.exists() is check_mode for path in left)
    assert all(path.exists() for path in others)
    if not check_mode:
        assert dolly_client.remove(params, Folder(is_there=False), False)["changed"] is False


def test_without_purge_everything_stays(tmp_path):
    (tmp_path / ".a.img.dolly-partial").write_text("x")
    params = {"purge": False, "dest": str(tmp_path / "a.img"), "state_dir": None}
    returned = dolly_client.remove(params, Folder(running("waiting")), False)
    assert returned["purged"] == [] and (tmp_path / ".a.img.dolly-partial").exists()


@pytest.mark.parametrize("dest", [None, "", "a.img"])
def test_purge_needs_to_know_of_what(dest):
    with pytest.raises(UsageError, match="dest"):
        dolly_client.remove({"purge": True, "dest": dest, "state_dir": None}, Folder(running("waiting")), False)


def test_every_option_of_the_receiver_is_passed_on():
    params = {name: spec.get("default") for name, spec in dolly_client.argument_spec().items()}
    params.update(run_id="r", name="n1", dest="/a.img")
    config = dolly_client.receiver_config(params, dolly_client.options.check_seconds(params))
    assert config["target"] == "/a.img" and config["port"] == 9998
    assert config["resume"] is True and config["state_dir"] == "" and config["seen"] is None
    assert {name: config[name] for name in ("join_timeout", "orphan_timeout", "dead_after", "stall_timeout")} == {
        "join_timeout": 600.0,
        "orphan_timeout": 60.0,
        "dead_after": 5.0,
        "stall_timeout": 30.0,
    }
    assert "secret" not in config


def test_a_python_that_cannot_verify_by_mac_is_refused_before_anything_is_started(monkeypatch, tmp_path):
    params = {name: spec.get("default") for name, spec in dolly_client.argument_spec().items()}
    params.update(run_id="r", name="n1", dest=str(tmp_path / "out.img"), source={"x": 1}, secret="0f" * 32)
    monkeypatch.setitem(sys.modules, "_hashlib", None)
    gmac.check.cache_clear()
    gmac._library.cache_clear()
    with pytest.raises(Refused, match=r"verify mac.*_hashlib.*What would allow it: verify readback"):
        dolly_client.start({**params, "verify": "mac"}, Folder(is_there=False), False)
    with pytest.raises(UsageError, match="source"):  # the next thing to be looked at
        dolly_client.start({**params, "verify": "readback"}, Folder(is_there=False), False)


@pytest.mark.parametrize(
    "more, option",
    [
        ({"dummy": True, "dest": "/a.img"}, "dest"),
        ({"dummy": True, "source": {"size": 1}}, "source"),
        ({"dummy": True, "expect_size": 4096}, "expect_size"),
        ({"dummy": True, "move_gpt": True}, "move_gpt"),
        ({"dummy": True, "allow_sector_size": True}, "allow_sector_size"),
        ({"dummy": True, "protocol": "classic"}, "dummy"),
        ({}, "dest"),
    ],
)
def test_either_a_target_or_a_measurement(more, option):
    params = {name: spec.get("default") for name, spec in dolly_client.argument_spec().items()}
    with pytest.raises(UsageError, match=r"^%s is " % option):
        dolly_client.start({**params, "run_id": "r", "name": "n1", "secret": "0f" * 32, **more}, Folder(), False)


def test_a_node_that_measured_is_good_without_verifying_or_flushing():
    params = {"timeout": 1.0, "reported": None, "verify": "readback", "sync": True}
    measured = {**GOOD, "verified": False, "synced": False, "changed": False}
    returned = dolly_client.finish({**params, "dummy": True}, Folder({"result": measured}), False)
    assert returned["changed"] is False and returned["msg"].endswith("MB/s, nothing written")
    with pytest.raises(dolly_client.engine_process.TaskFailed, match="verified"):
        dolly_client.finish({**params, "dummy": False}, Folder({"result": measured}), False)
