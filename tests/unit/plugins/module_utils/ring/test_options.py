# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import options


@pytest.mark.parametrize("text", ["a", "0", "8c1f60d3a0f54e21", "A.b_c-d", "x" * 64])
def test_run_id_that_can_name_a_run(text):
    assert options.check_run_id(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", ".a", "-a", "a/b", "a b", "ä", "a\n", "x" * 65])
def test_run_id_that_cannot(text):
    with pytest.raises(UsageError, match="run_id"):
        options.check_run_id(text)


@pytest.mark.parametrize(
    "text, ports", [(0, (0, 0)), ("9998", (9998, 9998)), (" 9998 - 10010 ", (9998, 10010)), ("1-65535", (1, 65535))]
)
def test_ports(text, ports):
    assert options.check_ports(text) == ports


@pytest.mark.parametrize("text", ["", "-1", "70000", "9-8", "0-9", "9998-", "1-2-3", "any", "1,2"])
def test_ports_that_cannot_be(text):
    with pytest.raises(UsageError, match="port"):
        options.check_ports(text)


@pytest.mark.parametrize("text", ["rack3-n1", "fe80::1", "a b", "knöten", "n" * 200])
def test_name_that_can_name_a_node(text):
    assert options.check_name(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a\0b", "a\nb", "ö" * 101])
def test_name_that_cannot(text):
    with pytest.raises(UsageError, match="name"):
        options.check_name(text)


@pytest.mark.parametrize(
    "port, lowest, is_good",
    [(0, 0, True), (65535, 1, True), (0, 1, False), (-1, 0, False), (65536, 0, False)],
)
def test_port(port, lowest, is_good):
    if is_good:
        assert options.check_port(port, lowest=lowest) == port
    else:
        with pytest.raises(UsageError, match="port is %d" % port):
            options.check_port(port, lowest=lowest)


def test_seconds_are_taken_from_among_the_options():
    assert options.check_seconds({"dead_after": 0.5, "port": 1}) == {"dead_after": 0.5}


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_seconds_that_are_no_time(value):
    with pytest.raises(UsageError, match="stall_timeout"):
        options.check_seconds({"stall_timeout": value})


def test_checksum_in_any_case_or_none():
    assert options.check_checksum("SHA256:" + "AB" * 32) == "sha256:" + "ab" * 32
    assert options.check_checksum("") == ""


@pytest.mark.parametrize("text", ["md5:" + "a" * 32, "sha256:" + "a" * 63, "a" * 64, "sha256:" + "g" * 64])
def test_checksum_that_is_none(text):
    with pytest.raises(UsageError, match="checksum"):
        options.check_checksum(text)


def test_secret():
    assert options.decode_secret("0f" * 32) == b"\x0f" * 32


@pytest.mark.parametrize("text", ["0f" * 31, "0f1" * 11, "zz" * 32, ""])
def test_bad_secret_is_refused_and_not_told(text):
    with pytest.raises(UsageError) as caught:
        options.decode_secret(text)
    assert not text or text not in str(caught.value.to_dict())


def test_rates_are_in_powers_of_ten():
    assert options.megabytes_per_second(123456789) == 123.5
    assert options.megabytes_per_second(None) == 0.0


def test_what_fail_json_gets():
    refused = options.describe(Refused("/dev/sda", "it is mounted"))
    assert refused["msg"].startswith("Refused /dev/sda: it is mounted")
    assert refused["error"]["kind"] == "Refused"
    assert options.sentence_of(refused["error"]) == refused["msg"]
    assert options.describe(OSError(13, "Permission denied")) == {"msg": "[Errno 13] Permission denied"}
    assert options.sentence_of(None) == ""
