# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: whatever is wrong is said in one sentence, with exit code 1."""

from __future__ import annotations

import json

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import activation
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.argtypes import joined
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.main import main
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.options import make_parser
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import sockets
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import sender
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import make_root, policy_of
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.serve import timeouts_of
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    make_context,
)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(b"k" * 32)
    return str(path)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"image")
    return str(path)


def refused(capsys, arguments):
    assert main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("dolly: ")
    return lines[0]


#: Name -> (options behind -I and -H, parts of the sentence)
WRONG = {
    "no clients": (["-H", ""], ["-H is ''"]),
    "an empty client": (["-H", "a,,b"], ["a,,b"]),
    "a client twice": (["-H", "a,a"], ["a,a"]),
    "checksum": (["--checksum", "md5:1"], ["--checksum is 'md5:1'", "sha256:"]),
    "fanout": (["--fanout=-1"], ["--fanout is -1", "from 1 to"]),
    "fanout of none": (["--fanout", "0"], ["--fanout is 0"]),
    "min-nodes": (["--min-nodes", "3"], ["--min-nodes is '3'"]),
    "clients' port": (["--port", "70000"], ["--port is 70000"]),
    "no port of the clients": (["--port", "0"], ["--port is 0", "the clients listen"]),
    "timeout": (["--join-timeout=-1"], ["--join-timeout is -1.0", "seconds above 0"]),
    "no number at all": (["--dead-after", "nan"], ["--dead-after is nan"]),
    "a dummy run of no time": (["--dummy", "-t", "0"], ["-t is 0.0", "seconds above 0"]),
    "a dummy run without an end": (["--dummy"], ["--dummy is without a size, but must be with one"]),
    "a server with a path for its name": (["-S", "a/b"], ["name is 'a/b', but must be a name without '/'"]),
    "a dummy run that compares": (["--dummy", "5", "--compare"], ["--compare is True, but must be false where"]),
    "bind": (["--bind", "192.0.2.1"], ["--bind is '192.0.2.1'", "an address of this machine"]),
    "a name that nobody knows": (["-4", "-H", "nobody.invalid"], ["'nobody.invalid'", "an IPv4 address"]),
}


class TestUsage:
    @pytest.mark.parametrize("name", WRONG)
    def test_server(self, capsys, key, image, name):
        options, parts = WRONG[name]
        line = refused(capsys, ["--key-file", key, "-I", image, "-H", "a,b", *options])
        assert all(part in line for part in parts), line
        assert "must be" in line or "is missing: give " in line

    def test_no_source(self, capsys, key):
        assert "-I is missing: give the file" in refused(capsys, ["--key-file", key, "-S", "s", "-H", "a"])

    def test_a_source_that_is_not_there(self, capsys, key, tmp_path):
        assert "gone" in refused(capsys, ["--key-file", key, "-I", str(tmp_path / "gone"), "-H", "a"])

    @pytest.mark.parametrize("options", [["--port", "70000"], ["--port=-1"], ["--bind", "192.0.2.1"]])
    def test_client(self, capsys, key, options):
        assert options[-1].rpartition("=")[2] in refused(capsys, ["--key-file", key, *options])

    def test_client_timeout(self, capsys, key):
        assert "join" in refused(capsys, ["--key-file", key, "--join-timeout", "0"])

    @pytest.mark.parametrize("options", [["--nonsense"], ["-v", "-q"], ["--port"], ["--verify", "maybe"]])
    def test_what_argparse_refuses(self, capsys, options):
        assert main(options) == 1
        assert "dolly: error: " in capsys.readouterr().err

    def test_the_quiet_are_told_of_errors_alone(self, capsys, key, image):
        limits = ["--connect-timeout", "0.1", "--barrier-timeout", "0.2", "--handshake-timeout", "0.1"]
        nobody = ["-H", "127.0.0.1", "--port", "1"]
        assert main(["--key-file", key, "-I", image, *nobody, *limits, "-q"]) == 4
        found = capsys.readouterr()
        assert found.out == "" and len(found.err.splitlines()) == 1 and found.err.startswith("dolly: ")
        assert main(["--key-file", key, "-I", image, *nobody, *limits]) == 4
        assert "127.0.0.1" in capsys.readouterr().out

    def test_help(self, capsys):
        assert main(["--help"]) == 0
        assert "exit status" in capsys.readouterr().out


class TestSenderConfig:
    def root(self, config):
        return make_root(make_context("server"), config, lambda node: None)

    @pytest.mark.parametrize(
        "changes",
        [
            {"nodes": []},
            {"nodes": [{"name": "a", "host": "h", "port": 0}]},
            {"nodes": [{"name": "a", "host": "", "port": 1}]},
            {"nodes": [{"name": "a/b", "host": "h", "port": 1}]},
            {"nodes": [{"name": "a", "host": "h", "port": 1}, {"name": "a", "host": "h", "port": 2}]},
            {"nodes": [{"name": "server", "host": "h", "port": 1}]},
            {"verify": "maybe"},
            {"fanout": -2},
            {"checksum": "sha256:12"},
            {"source": "/nonexistent"},
            {"bind": "192.0.2.1"},
            {"port": 70000},
        ],
        ids=str,
    )
    def test_errors(self, image, changes):
        nodes = [{"name": "a", "host": "h", "port": 1}]
        config = {"source": image, "nodes": nodes, "bind": "127.0.0.1", **changes}
        with pytest.raises(UsageError):
            self.root(config)

    def test_policy(self):
        digest = "ab" * 32
        policy = policy_of({"checksum": "sha256:" + digest.upper(), "compute_sha256": 1})
        assert (policy.min_nodes, policy.checksum, policy.wants_sha256) == (0, digest, True)

    @pytest.mark.parametrize("path", ["", "/none/log"])
    def test_statistics_that_could_not_be_written(self, tmp_path, image, path):
        """Told before anything is sent: at the end it would be a line in a log that nobody reads."""
        config = {"run_id": "run-one", "source": image, "nodes": [], "statistics": str(tmp_path) + path}
        with pytest.raises(UsageError, match=r"statistics_log is .*, but must be a file that can be written"):
            sender._send(RunDir(str(tmp_path), "run-one", "server"), config, b"k" * 32)

    def test_timeouts(self):
        found = timeouts_of({"join_timeout": "7", "dead_after": 2, "barrier_timeout": None})
        assert (found.join, found.dead_after, found.barrier) == (7.0, 2.0, 60.0)


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["extra"], ["-v", "-q"], ["-b", "-v"], ["-I", "-5"]])
def test_what_cannot_be_parsed_is_told_in_a_line_too(capsys, arguments):
    """The usage has twenty lines, and what was wrong stood at its end."""
    told = refused(capsys, arguments)
    assert told.startswith("dolly: error: ") and told.endswith("(dolly --help has all options)")


def test_the_help_fits_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


#: Options that take a number; the other limits are made by the same line as the last two.
NUMBERS = (
    "--fanout", "--min-nodes", "--dummy", "-t", "-r", "-u", "-b", "--min-rate", "--segsize", "-a", "-c", "--port",
    "--knock-port", "--control-port", "--join-timeout", "--dead-after",
)  # fmt: skip


class TestNumbers:
    def test_no_option_is_forgotten(self):
        parser = make_parser()
        limits = {"--%s-timeout" % name for name in ("barrier", "connect", "orphan", "stall", "flush", "handshake")}
        found = {name for action in parser._actions if action.type is not None for name in action.option_strings}
        assert found == {*NUMBERS, *limits}

    @pytest.mark.parametrize("option", NUMBERS)
    def test_what_is_wrong_is_said_alike(self, capsys, option):
        for value in ("-5", "x", "1e99", "nan"):
            apart, together = (refused(capsys, words) for words in ([option, value], ["%s=%s" % (option, value)]))
            assert apart == together and apart.startswith("dolly: %s is " % option) and "but must be" in apart

    def test_an_option_stays_one(self):
        parser = make_parser()
        options = parser.parse_args(joined(parser, ["--dummy", "-4", "-O", "-", "-a", "5", "-6"]))
        assert (options.dummy, options.ip_version, options.outfile, options.give_up) == (0, 6, "-", 5.0)

    def test_as_a_document(self, capsys):
        assert main(["--segsize", "-5", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["option"] == "--segsize"


@pytest.mark.parametrize("more, told", [
    (["--min-nodes", "3"], "--min-nodes is '3', but must be 0 (all of them) to 1"),
    (["--checksum", "sha256:0"], "--checksum is 'sha256:0', but must be"),
    (["--bmap", "/nowhere"], "--bmap is '/nowhere', but must be"),
    (["-I", "/nowhere"], "-I is '/nowhere', but must be"),
    (["-I", "/dev/null"], "-I is '/dev/null', but must be"),
])
def test_what_cannot_be_is_found_before_any_client_is_started(capsys, monkeypatch, key, image, more, told):
    knocked = []
    monkeypatch.setattr(activation, "knock", lambda *arguments: knocked.append(arguments))
    arguments = ["--key-file", key, "-d", "-H", "a", "-I", image, "-O", "/out"]
    assert told in refused(capsys, arguments + more) and not knocked


@pytest.mark.parametrize("option", ["-S", "-O", "-I", "-f", "--checksum", "--bmap", "--key-file", "--bind", "-a", "-o"])
def test_an_empty_variable_of_a_script_is_no_absent_option(capsys, option, key, image):
    for words in ([option, ""], [option + "="]):
        assert "%s is ''" % option in refused(capsys, ["--key-file", key, "-I", image, "-H", "127.0.0.1", *words])
    assert "an argument is ''" in refused(capsys, ["-v", ""])


class TestSides:
    """A client waits ten minutes before it ends; who means the server should not."""

    @pytest.mark.parametrize(
        "words",
        [["--checksum", "sha256:" + "0" * 64], ["--verify", "none"], ["--compare"], ["--min-nodes", "1"], ["--ssh"],
         ["--ssh", "root@"], ["--bmap", "map"], ["--fanout", "1"], ["-t", "5"], ["-d"]],
        ids=" ".join,
    )  # fmt: skip
    def test_a_client_that_is_meant_as_the_server(self, capsys, key, words):
        line = refused(capsys, ["--key-file", key, "--join-timeout", "0.1", *words])
        assert line.startswith("dolly: %s is given, but must be on the server alone" % words[0])

    @pytest.mark.parametrize("words", [["-n"], ["-4"], ["-u", "64k"], ["--segsize", "0"], ["-o", "log"], ["-c", "5"]])
    def test_what_a_client_learns_from_the_server(self, capsys, key, words):
        assert main(["--key-file", key, "--port", "0", "--join-timeout", "0.1", *words]) == 4
        assert "warning: %s" % words[0] in capsys.readouterr().err

    @pytest.mark.parametrize("words, warns", [(["--no-resume"], True), (["--state-dir", "x"], True), (["-v"], False)])
    def test_what_clients_have_to_be_told(self, capsys, key, words, warns):
        assert main(["--key-file", key, "-I", "/nonexistent", "-H", "a", *words]) == 1
        assert ("say it to each client" in capsys.readouterr().err) == warns


def test_ctrl_c_before_the_run_began(capsys, monkeypatch, key, image):
    """A name service that does not answer is what people lose patience with."""

    def wait(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sockets, "resolve", wait)
    assert "Ctrl-C" in refused(capsys, ["--key-file", key, "-I", image, "-4", "-H", "a"])
