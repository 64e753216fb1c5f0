# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Combines the options and the configuration file of a server. An option overrides the file."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Dict, List, Optional

from ..errors import UsageError
from ..net import sockets
from ..plan import transport
from ..plan.dollytab import Dollytab
from ..plan.field_error import mistake
from ..plan.hosts import parse_hosts
from ..plan.interfaces import NO_INTERFACES, Interfaces
from ..plan.job import Timeouts
from ..plan.streams import Infile, Outfile
from ..plan.tabfields import File
from ..storage.registry import ARCHIVE_ANYWHERE, ARCHIVE_TO_FILES

_OPTIONS = {
    "segsize": "--segsize", "socket_buffer": "-u", "block_size": "-b", "tries": "-r", "min_rate": "--min-rate",
}  # fmt: skip
#: Options of the sender that have the same name on the command line.
_AS_THEY_ARE = ("checksum", "bmap", "compare", "min_nodes", "bind", "sync")


def sender_config(
    options: argparse.Namespace, tab: Optional[Dollytab], own_names: List[str], warn: Callable[[str], None]
) -> Dict[str, Any]:
    """Build the configuration of the sender. Raises UsageError."""
    tab = tab or Dollytab()
    for warning in tab.warnings:
        warn("warning: %s" % warning)
    _compare_server(options, tab, own_names, warn)
    source, infile = _infile(options, tab)
    output, outfile = _outfile(options, tab, source)
    hosts = list_hosts(options.hosts) if options.hosts else list(tab.clients)
    if not hosts:
        raise UsageError("-H", "nothing", "the names or addresses of the clients, with commas between them")
    if not options.port and options.ssh is None:
        raise UsageError("--port", 0, "the port that the clients listen on, from 1 to 65535")
    server = options.server or tab.server
    if server in hosts:
        raise UsageError("-H", server, "only clients, of which the server (-S) is none")
    numbers = _numbers(options, tab)
    return {
        **{name: getattr(options, name) for name in _AS_THEY_ARE},
        "verify": options.verify or "readback",
        **_timeouts(options, numbers["tries"]),
        "server_name": server or "dolly server",
        "server_address": _address(options.server or "", options.ip_version),
        "server_extra": _server_extra(server, tab.interfaces, options.ip_version),
        "port": 0,
        "nodes": [_node(host, tab.interfaces, options) for host in hosts],
        "fanout": tab.fanout if options.fanout is None else options.fanout,
        "source": source,
        "output": output,
        "infile": infile.to_dict(),
        "outfile": outfile.to_dict(),
        "archives": _archives(options, outfile),
        "dummy_size": _dummy_size(options, tab),
        "transport": numbers,
    }


def receiver_options(options: argparse.Namespace) -> List[str]:
    """Return the options for clients that the server starts: port and limits. The rest is in the plan."""
    found = ["--port", str(options.port)]
    if options.give_up is not None:
        found += ["-a", "%g" % options.give_up]
    for name in ("join", "orphan"):
        seconds = getattr(options, name + "_timeout")
        if seconds is not None:
            found += ["--%s-timeout" % name, "%g" % seconds]
    found += ["--allow-sector-size"] if options.allow_sector_size else []
    return found + (["--no-resume"] if options.no_resume else [])


def list_hosts(text: str) -> List[str]:
    """Return the clients that -H names. Raises UsageError."""
    try:
        return parse_hosts(text)
    except ValueError as error:
        raise UsageError("-H", text, "the names or addresses of the clients (%s)" % error) from error


def _compare_server(
    options: argparse.Namespace, tab: Dollytab, own_names: List[str], warn: Callable[[str], None]
) -> None:
    if not options.is_server or options.server or not tab.server:
        return
    compare_server(tab.server, own_names, warn)


def compare_server(named: str, own_names: List[str], warn: Callable[[str], None]) -> None:
    """Warn if a configuration file names another server than this machine, as the original's manual says."""
    known = {name.partition(".")[0] for name in own_names}
    if named.partition(".")[0] not in known:
        names = ", ".join(sorted(set(own_names))) or "nothing"
        warn("warning: the configuration names %s as the server, and this machine is %s" % (named, names))


def _infile(options: argparse.Namespace, tab: Dollytab) -> "tuple[str, Infile]":
    is_dummy = options.dummy is not None or tab.dummy is not None
    if options.dummy_seconds is not None and not is_dummy:
        raise UsageError("-t", options.dummy_seconds, "a dummy run with it (--dummy, or dummy in the file of -f)")
    if is_dummy:
        return "", _described(Infile, kind="dummy", dummy_seconds=options.dummy_seconds)
    file = File(options.infile) if options.infile else tab.infile
    if file is None:
        raise UsageError("-I", "nothing", "the file, partition or disk to send")
    kind = "compressed" if file.is_compressed else "plain"
    size = options.uncompressed_size
    return file.path, _described(Infile, kind=kind, is_split=bool(file.split), uncompressed_size=size)


def _outfile(options: argparse.Namespace, tab: Dollytab, source: str) -> "tuple[str, Outfile]":
    file = File(options.outfile) if options.outfile else tab.outfile
    if file is None:
        if source == "-":
            raise UsageError("-O", "nothing", "where the clients write it, which -I - does not say")
        file = File(source)
    return file.path, _described(Outfile, is_compressed=file.is_compressed, split_size=file.split)


def _archives(options: argparse.Namespace, outfile: Outfile) -> str:
    """Where a plain archive may go. An infile in a file means its bytes, as in the original; -I may not."""
    return ARCHIVE_TO_FILES if options.infile and not outfile.is_compressed else ARCHIVE_ANYWHERE


def _described(part: Any, **values: Any) -> Any:
    try:
        return part(**values)
    except ValueError as error:
        raise mistake(error, "options that fit together") from error


def _dummy_size(options: argparse.Namespace, tab: Dollytab) -> Optional[int]:
    """Return the bytes of a dummy run, or None if it has no size."""
    megabytes = options.dummy if options.dummy is not None else tab.dummy
    return megabytes * 10 ** 6 if megabytes else None


def _numbers(options: argparse.Namespace, tab: Dollytab) -> Dict[str, int]:
    found = {}
    for name, option in _OPTIONS.items():
        value = getattr(options, name)
        if value is None:
            value = tab.segsize if name == "segsize" else 0
        try:
            found[name] = transport.check(name, value)
        except ValueError as error:
            raise UsageError(option, value, transport.expected(name)) from error
    return found


def _timeouts(options: argparse.Namespace, tries: int) -> Dict[str, Any]:
    """Return the given limits; with -r, the barrier outlasts the last try."""
    names = [name if name == "dead_after" else name + "_timeout" for name in Timeouts().to_dict()]
    found = {name: getattr(options, name) for name in names}
    if tries and found["barrier_timeout"] is None:
        found["barrier_timeout"] = max(Timeouts().barrier, tries * transport.TRY_PAUSE_S + Timeouts().barrier / 2)
    return found


def _node(host: str, interfaces: Interfaces, options: argparse.Namespace) -> Dict[str, Any]:
    try:
        primary = interfaces.primary(host)
    except ValueError as error:
        raise UsageError("add", host, "names of which those of interfaces can be made (%s)" % error) from error
    return {
        "name": host,
        "host": _address(primary, options.ip_version),
        "port": options.port,
        "extra": _extra(host, interfaces, options.ip_version),
    }


def _extra(host: str, interfaces: Interfaces, ip_version: Optional[int]) -> List[str]:
    if interfaces is NO_INTERFACES or interfaces == NO_INTERFACES:
        return []
    try:
        return [_address(name, ip_version) for name in interfaces.extra(host)]
    except ValueError as error:
        raise UsageError("add", host, "names of which those of interfaces can be made (%s)" % error) from error


def _server_extra(server: str, interfaces: Interfaces, ip_version: Optional[int]) -> List[str]:
    """Return the server's further addresses; none if no names of interfaces can be made from its name."""
    try:
        return _extra(server, interfaces, ip_version) if server else []
    except UsageError:
        return []


def _address(host: str, ip_version: Optional[int]) -> str:
    return sockets.resolve(host, ip_version) if host and ip_version else host
