# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the command line: those of the original dolly, in any order, and some more."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ..plan.job import MAX_NODES, VERIFY_LEVELS, Timeouts
from ..plan.tabfields import MAX_DUMMY_MB
from ..plan.transport import TRY_PAUSE_S
from ..run.version import DATE, VERSION
from . import argtypes, classic_options
from .activation import KNOCK_PORT, SERVICE_PORT
from .key import DEFAULT_KEY, KEY_VARIABLE

DEFAULT_PORT = 9998
MAX_PORT = 65535

DESCRIPTION = """\
Clone a disk, partition or image to many machines in the time of one: each
machine writes what it receives and passes it on to the next. Without options
this is a client: it waits for the machine before it and writes what comes.
Options that describe what is sent (-s, -S, -I, -H or -f) make it the server, of
which there is one."""

EPILOG = """\
examples:
  a client:
    dolly -v --key-file run.key
  the server:
    dolly -v --key-file run.key -S 10.0.0.1 -H 10.0.0.[2-9] -I img -O /dev/vdb
  the server, with a configuration file:
    dolly -v --key-file run.key -s -f dollytab

exit status:
  0   every node has the image (a client: this one)
  1   refused, or wrong usage; nothing was written
  3   the run ended, but some node lacks the image (a client: its own target or
      neighbour failed)
  4   the run failed
  70  a defect in dolly

files and variables:
  %s  the key, unless --key-file or %s name another one
  MYNODENAME, HOST  who this machine is, when its host name does not say
""" % (DEFAULT_KEY, KEY_VARIABLE)


#: What each limit in seconds is for.
_LIMITS = {
    "join": "a client ends when no machine before it came within",
    "barrier": "how long the server waits for all nodes to be ready",
    "connect": "how long it tries to connect to a node",
    "orphan": "a node without a machine before it gives up after",
    "dead_after": "a link on which nothing comes is dead after",
    "stall": "a node without progress is left out after",
    "flush": "how long a disk may take to flush at the end",
    "handshake": "how long a peer has to prove that it belongs to the run",
}


class Parser(argparse.ArgumentParser):
    """Prints an error as one line. The usage has twenty lines and would push the error off the screen."""

    def parse_known_args(self, *arguments: Any, **more: Any) -> Any:
        """Parse, then choose the default port, which depends on another option."""
        options, rest = super().parse_known_args(*arguments, **more)
        if getattr(options, "port", 0) is None:
            options.port = SERVICE_PORT if options.knocks and not options.is_classic else DEFAULT_PORT
        return options, rest

    def error(self, message: str) -> NoReturn:
        self.exit(2, "%s: error: %s (%s --help has all options)\n" % (self.prog, message, self.prog))


def make_parser() -> argparse.ArgumentParser:
    """Create the parser; the manual page is generated from it, too."""
    parser = Parser(
        prog="dolly",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_server(parser.add_argument_group("what is cloned where"))
    _add_transport(parser.add_argument_group("how it travels"))
    _add_report(parser.add_argument_group("what is reported"))
    _add_common(parser.add_argument_group("every node"))
    classic_options.add_arguments(parser)
    return parser


def is_server(options: argparse.Namespace) -> bool:
    """Whether the options describe a server. -O alone does not: it also names a client's own target."""
    return bool(
        options.is_server or options.server or options.hosts or options.config or options.infile or options.dummy
    )


def _add_server(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("-s", dest="is_server", action="store_true", help="be the server; warns when the file of -f names another one")
    add("-S", dest="server", metavar="HOST", help="be the server and do not compare names; HOST is its name or address")
    add("-I", dest="infile", metavar="FILE", help="what to send: file, partition or disk; - is standard input")
    add(
        "-O", dest="outfile", metavar="FILE",
        help="where the clients write it (default: as -I), in their working directory if relative; - is their "
        "standard output. On a client: its own target, whatever the server says",
    )  # fmt: skip
    add(
        "-H", dest="hosts", metavar="A,B,C",
        help="the clients in ring order, also as ranges: node[01-16], 10.0.0.[5-9]",
    )  # fmt: skip
    add("-f", dest="config", metavar="FILE", help="configuration file: the original's dollytab, or its keys as YAML")
    fanout = argtypes.count("--fanout", 1, MAX_NODES)
    add("--fanout", type=fanout, metavar="N", help="to how many others each node sends (default 1)")
    add(
        "--verify", choices=VERIFY_LEVELS,
        help="readback (the default): read every chunk back from the target and compare its SHA-256; mac: compare a "
        "MAC under a key of the run instead, which is faster and leaves no digest; none: for measuring",
    )  # fmt: skip
    add("--checksum", default="", metavar="sha256:HEX", help="refuse any other source")
    add("--bmap", default="", metavar="FILE", help="clone only the blocks that this map names")
    add("--compare", action="store_true", help="look at what is on the targets first, and send only what differs")
    fewest = argtypes.count("--min-nodes", 0, MAX_NODES, " (0: all of them)")
    add("--min-nodes", type=fewest, default=0, metavar="N", help="start when so many are ready (default: all)")
    add("-n", dest="sync", action="store_false", help="do not flush the targets at the end; the result says so")
    add(
        "--dummy", nargs="?", const=0, metavar="MB",
        type=argtypes.count("--dummy", 0, MAX_DUMMY_MB, " MB (0: as long as -t says)"),
        help="measure the network without disks: send so many MB, or as long as -t says",
    )  # fmt: skip
    add("-t", dest="dummy_seconds", type=argtypes.seconds("-t"), metavar="SECONDS", help="how long a dummy run takes")


def _add_transport(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("-R", "-4", dest="ip_version", action="store_const", const=4, help="resolve names to IPv4 addresses")
    add("-6", dest="ip_version", action="store_const", const=6, help="resolve names to IPv6 addresses")
    add(
        "-r", dest="tries", type=argtypes.transported("-r", "tries"), metavar="N",
        help="tries to connect to a node, %g s between them (default: as long as --connect-timeout says)" % TRY_PAUSE_S,
    )  # fmt: skip
    buffers = argtypes.transported("-u", "socket_buffer")
    add("-u", dest="socket_buffer", type=buffers, metavar="BYTES", help="socket buffers (default: tuned by the kernel)")
    add(
        "-b", dest="block_size", type=argtypes.size("-b"), metavar="BYTES",
        help="what is sent in one piece, a multiple of 4096 up to 8 MiB (default 8 MiB; with --classic 4096)",
    )  # fmt: skip
    add(
        "--min-rate", dest="min_rate", type=argtypes.transported("--min-rate", "min_rate"), metavar="BYTES",
        help="give up a node that takes less in a second, for 10 s, although it could have more (default: no limit)",
    )  # fmt: skip
    segsize = argtypes.transported("--segsize", "segsize")
    add("--segsize", type=segsize, metavar="BYTES", help="TCP maximum segment size (default: the kernel's)")
    limit = argtypes.seconds("-a")
    add("-a", dest="give_up", type=limit, metavar="SECONDS", help="give up when nothing moved for so long")


def _add_report(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    volume = group.add_mutually_exclusive_group()
    volume.add_argument("-v", dest="is_verbose", action="store_true", help="say what happens")
    volume.add_argument("-q", dest="is_quiet", action="store_true", help="say nothing but errors")
    add("--json", dest="is_json", action="store_true", help="print the result as one JSON document")
    add("-o", dest="statistics", metavar="FILE", help="append a line of statistics to FILE")
    add(
        "-c", dest="uncompressed_size", type=argtypes.size("-c"), metavar="BYTES",
        help="uncompressed size of a compressed input, for progress and statistics",
    )  # fmt: skip
    add("-V", "--version", action="version", version="dolly %s (%s)" % (VERSION, DATE), help="print version and date")


def _add_common(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--key-file", metavar="FILE", help="the run's secret, the same on all nodes: the whole file, 32 to 4096 bytes")
    add("--insecure", dest="is_insecure", action="store_true", help="no secret: obey whoever connects first")
    port = argtypes.count("--port", 0, MAX_PORT, " (0: any free one, for a client)")
    ports = "TCP port of the clients (default %d, with -d %d)" % (DEFAULT_PORT, SERVICE_PORT)
    add("--port", type=port, metavar="PORT", help=ports)
    add("--bind", default="", metavar="ADDRESS", help="listen on this address only")
    add("--no-resume", action="store_true", help="begin anew, and keep no journal for a later run")
    add(
        "--allow-sector-size", action="store_true",
        help="take an image whose partition table was made for sectors of another size than this node's disk has",
    )  # fmt: skip
    add("--state-dir", default="", metavar="DIR", help="where journals of disks lie")
    add("-d", dest="knocks", action="store_true", help="the server first knocks at each client: systemd starts it")
    knocked = argtypes.count("--knock-port", 1, MAX_PORT)
    add("--knock-port", type=knocked, default=KNOCK_PORT, metavar="PORT", help="where it knocks (default %(default)s)")
    add(
        "--ssh", nargs="?", const="", metavar="USER@",
        help="the server starts the clients over ssh, by paramiko if that is installed here, else by the program ssh; "
        "they get a fresh key and need nothing but Python",
    )  # fmt: skip
    for name, value in Timeouts().to_dict().items():
        option = "--dead-after" if name == "dead_after" else "--%s-timeout" % name
        add(
            option, type=argtypes.seconds(option), metavar="SECONDS",
            help="%s (default: %g)" % (_LIMITS[name], value),
        )  # fmt: skip
