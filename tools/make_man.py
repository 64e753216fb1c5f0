# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/man/dolly.1 from the options of the command line, so that the two cannot differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "man" / "dolly.1"
sys.path.insert(0, str(ROOT / "plugins" / "module_utils"))

from dolly.cli import options  # noqa: E402
from dolly.run import version  # noqa: E402

JSON_KEYS = """\
With --json one document is printed on standard output, also when the run is refused.
state: done, partial (server only) or failed.
exit_code, version, role (client or server) and name of this node.
error: null, or kind, message, fault and what belongs to them.
bytes, seconds, rate (bytes per second), digest (SHA-256 over the digests of all chunks; with
--verify mac none, but keyed_digest, which is equal where images of one run are equal).
A client: changed, position, verified, synced, repaired, covers, target, notes, refused_connections, times, and
received_bytes, sent_bytes, resumed_bytes and equal_bytes.
The server: covers, sha256 (where asked for), sent (bytes), server_reachable, refused_connections, times, limited_by,
and nodes, one entry for each client in ring order with name, position, state, bytes, seconds, rate, digest,
keyed_digest, verified, synced, repaired and error."""

CONFIG = """\
The file of -f has one keyword on each line, in any order, each once:
[compressed] infile FILE [split]
[compressed] outfile FILE [split N(k,M,G,T)]
dummy [MB]
segsize BYTES
add N:suffix[:suffix], or add2: N more interfaces; the suffix goes behind the name, or before its number
fanout N
hyphennormal, or hypheninterface (the default)
server NAME, firstclient NAME, lastclient NAME, clients N
the name of each client, in ring order
endconfig
All but the names may be left out. Lines that begin with # and empty lines count for nothing. As YAML the same keywords
are keys; infile and outfile are a path or a mapping of file, compressed and split, and clients is the list of names."""


def escaped(text: str) -> str:
    """Escape text for roff."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def listed(text: str) -> str:
    """Put each line into a paragraph of its own."""
    return "\n.br\n".join(escaped(line) for line in text.splitlines())


def entry(action: argparse.Action) -> str:
    """Format one option."""
    value = ""
    if action.nargs != 0:
        metavar = action.metavar or "{%s}" % ",".join(map(str, action.choices or (action.dest.upper(),)))
        value = (" [\\fI%s\\fR]" if action.nargs == "?" else " \\fI%s\\fR") % escaped(str(metavar))
    names = ", ".join("\\fB%s\\fR%s" % (escaped(name), value) for name in action.option_strings)
    text = (action.help or "") % dict(vars(action), prog="dolly")
    return ".TP\n%s\n%s" % (names, escaped(text))


def page() -> str:
    """Return the whole manual page."""
    parser = options.make_parser()
    lines = [
        # REUSE-IgnoreStart
        '.\\" SPDX-FileCopyrightText: 2026 The dolly.ring authors',
        '.\\" SPDX-License-Identifier: GPL-3.0-or-later',
        # REUSE-IgnoreEnd
        '.\\" Written by tools/make_man.py from the options of the command line.',
        '.TH DOLLY 1 "%s" "dolly %s" "User Commands"' % (version.DATE, version.VERSION),
        ".SH NAME",
        "dolly \\- clone a disk, partition or image to many machines in the time of one",
        ".SH SYNOPSIS",
        ".B dolly",
        "[\\fIoptions\\fR]",
        ".SH DESCRIPTION",
        escaped(options.DESCRIPTION),
        ".SH OPTIONS",
    ]
    for group in parser._action_groups:
        if group._group_actions:
            lines.append(".SS %s" % escaped(str(group.title)))
            lines += [entry(action) for action in group._group_actions]
    examples, status, files = options.EPILOG.rstrip().split("\n\n")
    for title, text in (("EXAMPLES", examples), ("EXIT STATUS", status), ("FILES AND ENVIRONMENT", files)):
        lines += [".SH " + title, ".nf", escaped(text.partition("\n")[2]), ".fi"]
    lines += [".SH CONFIGURATION FILE", listed(CONFIG), ".SH JSON", listed(JSON_KEYS), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print("Wrote %s" % PAGE)
