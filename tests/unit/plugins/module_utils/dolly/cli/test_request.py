# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and configuration file together."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import request
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.options import is_server, make_parser
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.request import sender_config
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import dollytab
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import statistics, version

TAB = "infile /dev/sda\noutfile /dev/sdb\nsegsize 500\nadd 1:-fast\nfanout 2\nserver boss\nn[1-2]-giga\nendconfig\n"


def ask(*arguments, tab=None, own_names=("boss",)):
    warnings = []
    options = make_parser().parse_args(arguments)
    assert is_server(options)
    text = dollytab.parse(tab) if tab else None
    return sender_config(options, text, list(own_names), warnings.append), warnings


def test_options_alone_in_any_order():
    config, warnings = ask("-O", "/dev/vdb", "-H", "10.0.0.[5-6],x", "-b", "64k", "-I", "a.img", "-r", "40", "-u", "1M")
    assert [node["host"] for node in config["nodes"]] == ["10.0.0.5", "10.0.0.6", "x"]
    assert (config["source"], config["output"], config["sync"], warnings) == ("a.img", "/dev/vdb", True, [])
    assert config["transport"] == {
        "segsize": 0, "socket_buffer": 2 ** 20, "block_size": 65536, "tries": 40, "min_rate": 0,
    }  # fmt: skip
    assert config["barrier_timeout"] == 70.0


def test_the_output_is_called_as_the_input():
    assert ask("-I", "a.img", "-H", "x")[0]["output"] == "a.img"


def test_a_file():
    config, warnings = ask("-s", "-f", "ring", tab=TAB)
    assert (config["source"], config["output"], config["fanout"]) == ("/dev/sda", "/dev/sdb", 2)
    assert config["nodes"][0] == {"name": "n1-giga", "host": "n1-giga", "port": 9998, "extra": ["n1-giga-fast"]}
    assert config["transport"]["segsize"] == 500
    assert config["server_name"] == "boss" and warnings == []


def test_an_option_wins_over_the_file():
    options = ["-I", "b", "-O", "c", "--fanout", "1", "--segsize", "600", "-H", "m1"]
    config, _warnings = ask("-s", "-f", "ring", *options, tab=TAB)
    assert (config["source"], config["output"], config["fanout"]) == ("b", "c", 1)
    assert [node["name"] for node in config["nodes"]] == ["m1"] and config["transport"]["segsize"] == 600


@pytest.mark.parametrize("option, own, warns", [
    (["-s"], "boss", False),
    (["-s"], "boss.example.org", False),
    (["-s"], "other", True),
    (["-S", "other"], "other", False),
])
def test_the_file_names_another_server(option, own, warns):
    _config, warnings = ask(*option, "-f", "ring", tab=TAB, own_names=[own])
    assert bool(warnings) == warns
    assert not warns or ("boss" in warnings[0] and "other" in warnings[0])


def test_streams():
    tab = "compressed infile a split\ncompressed outfile b.gz split 5\nx"
    config, warnings = ask("-s", "-f", "x", "-c", "1G", tab=tab)
    assert config["infile"]["kind"] == "compressed" and config["infile"]["is_split"]
    assert config["infile"]["uncompressed_size"] == 2 ** 30
    assert config["outfile"] == {"is_compressed": True, "split_size": 5}
    assert len(warnings) == 1
    config, _warnings = ask("--dummy", "5", "-H", "x")
    assert (config["infile"]["kind"], config["dummy_size"]) == ("dummy", 5000000)
    config, _warnings = ask("--dummy", "-t", "5", "-H", "x")
    assert (config["infile"]["dummy_seconds"], config["dummy_size"]) == (5.0, None)


@pytest.mark.parametrize("server", ["10.0.0.9", "boss"])
@pytest.mark.parametrize("how", ["add 1:-fast", "add2 1:-fast"])
def test_the_server_needs_no_names_of_interfaces(server, how):
    """The clients have them; an address, or a name without a number for add2, only means that it has one interface."""
    config, _warnings = ask("-S", server, "-f", "ring", tab="infile a\n%s\nn1\nn2" % how)
    expected = [["n1-fast"], ["n2-fast"]] if how.startswith("add ") else [["n-fast1"], ["n-fast2"]]
    assert [node["extra"] for node in config["nodes"]] == expected
    assert config["server_extra"] in ([], ["boss-fast"])


def test_a_name_of_the_server_that_leads_nowhere_is_left_out(monkeypatch):
    def resolve(host, version):
        if host.endswith("-fast") and host.startswith("boss"):
            raise UsageError("host", host, "a name with an IPv4 address")
        return "10.0.0.1"

    monkeypatch.setattr(request.sockets, "resolve", resolve)
    config, _warnings = ask("-S", "boss", "-4", "-f", "ring", tab="infile a\nadd 1:-fast\nn1")
    assert config["server_extra"] == [] and config["nodes"][0]["extra"] == ["10.0.0.1"]


def test_addresses_of_a_version():
    config, _warnings = ask("-R", "-I", "a", "-H", "127.0.0.1")
    assert config["nodes"][0]["host"] == "127.0.0.1"
    with pytest.raises(UsageError, match="IPv6"):
        ask("-6", "-I", "a", "-H", "127.0.0.1")


@pytest.mark.parametrize("arguments, expected", [
    (["-s"], "-I is"),
    (["-I", "-", "-H", "a"], "-I - does not say"),
    (["-I", "a", "-H", "a,a"], "a is there twice"),
    (["-I", "a", "-H", "a[2-1]"], "backwards"),
    (["-I", "a", "-H", "a,s", "-S", "s"], "only clients"),
    (["-I", "a", "-H", "a", "-t", "5"], "a dummy run"),
    (["-I", "a", "-H", "a", "-u", "5000"], "-u is 5000"),
    (["-I", "a", "-H", "a", "-b", "9M"], "a multiple of 4096"),
    (["-I", "a", "-H", "a", "--segsize", "10"], "88 to 32767"),
    (["-I", "a", "-H", "a", "-r-1"], "-r is -1"),
])
def test_mistakes(arguments, expected):
    with pytest.raises(UsageError, match=expected):
        ask(*arguments)


def test_the_line_of_statistics(tmp_path):
    result = {"bytes": 2000000, "seconds": 4.0, "nodes": [{"state": "done"}, {"state": "done"}, {"state": "lost"}]}
    path = tmp_path / "log"
    for _run in range(2):
        statistics.append(str(path), statistics.line(result, 500, None))
    header, first, second = path.read_text().splitlines()
    assert header == (
        "Trans. data [MB]  Segsize [Byte]  Clients [#]  Time [s]  Dataflow [MB/s]  Agg. dataflow [MB/s]"
    )
    assert first == second and first.split() == ["2.000", "500", "2", "4.000", "0.500", "1.000"]
    assert statistics.line(result, 0, 4000000).split()[0] == "4.000"


def test_the_version_is_that_of_the_collection(capsys):
    root = pathlib.Path(__file__).resolve().parents[6]
    galaxy, manifest = root / "galaxy.yml", root / "MANIFEST.json"  # an installed collection has the second alone
    if galaxy.exists():
        assert "version: %s\n" % version.VERSION in galaxy.read_text()
    else:
        assert json.loads(manifest.read_text())["collection_info"]["version"] == version.VERSION
    with pytest.raises(SystemExit):
        make_parser().parse_args(["-V"])
    assert capsys.readouterr().out == "dolly %s (%s)\n" % (version.VERSION, version.DATE)
