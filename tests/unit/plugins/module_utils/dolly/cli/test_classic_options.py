# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option together with --classic: it works, or one sentence says why it cannot."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.classic_options import check_possible
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.main import main
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.options import make_parser
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused

REFUSED = {
    "--verify": "readback", "--checksum": "sha256:" + "0" * 64, "--bmap": "map", "--min-nodes": "2",
    "--key-file": "key",
}  # fmt: skip
REFUSED_FLAGS = ("--compare", "--ssh")
WARNED = {"--dead-after": "3", "--orphan-timeout": "5", "--state-dir": "/tmp", "--min-rate": "1M"}
#: What works, each with a test among those of classic rings or nothing to do with the protocol.
WORKS = {
    "-s", "-S", "-I", "-O", "-H", "-f", "--fanout", "--dummy", "-t", "-R", "-4", "-6", "-r", "-u", "-b", "--segsize",
    "-a", "-v", "-q", "--json", "-o", "-c", "-V", "--version", "-h", "--help", "--port", "-d", "--knock-port",
    "--join-timeout", "--barrier-timeout", "--connect-timeout", "--stall-timeout", "--flush-timeout", "--classic",
    "--control-port", "--trust-sender-path",
}  # fmt: skip
#: True anyway, or without a meaning that anybody could miss.
TRUE_ANYWAY = {"--insecure", "--no-resume", "--allow-sector-size", "--handshake-timeout"}
BY_ROLE = {"-n", "--bind"}  # a client's; a server is told that it is


def checked(arguments, is_server):
    warnings = []
    check_possible(make_parser().parse_args(["--classic", *arguments]), is_server, warnings.append)
    return warnings


def test_no_option_is_forgotten():
    known = {*REFUSED, *REFUSED_FLAGS, *WARNED, *WORKS, *TRUE_ANYWAY, *BY_ROLE}
    found = {name for action in make_parser()._actions for name in action.option_strings}
    assert found == known


@pytest.mark.parametrize("arguments", [*REFUSED.items(), *[(flag,) for flag in REFUSED_FLAGS]])
@pytest.mark.parametrize("is_server", [True, False])
def test_what_cannot_be(arguments, is_server):
    with pytest.raises(Refused, match=arguments[0]):
        checked(arguments, is_server)


def test_nothing_verified_is_what_it_does():
    assert checked(["--verify", "none"], True) == []


@pytest.mark.parametrize("option", WARNED)
@pytest.mark.parametrize("is_server", [True, False])
def test_what_changes_nothing(option, is_server):
    (warning,) = checked([option, WARNED[option]], is_server)
    assert option in warning


def test_what_a_client_is_to_be_told():
    assert checked(["-n", "--bind", "127.0.0.1"], False) == []
    assert len(checked(["-n", "--bind", "127.0.0.1"], True)) == 2


@pytest.mark.parametrize("arguments, parts", [
    (["-t", "5", "-H", "a"], ["-t", "dummy"]),
    (["-H", "a", "-I", "-"], ["-O", "-I -"]),
    (["-H", "a"], ["-I"]),
    (["-I", "a"], ["-H"]),
    (["-H", "a", "-I", "b", "-u", "100"], ["-u", "4096"]),
    (["-H", "a", "-I", "b", "-b", "100"], ["-b", "512"]),
    (["-H", "a", "-I", "b", "--segsize", "1"], ["--segsize", "88"]),
    (["-H", "a", "-I", "b", "--compare"], ["--compare", "whole image"]),
    ([], ["-O", "--trust-sender-path"]),
])  # fmt: skip
def test_mistakes(capsys, arguments, parts):
    assert main(["--classic", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in parts), line
