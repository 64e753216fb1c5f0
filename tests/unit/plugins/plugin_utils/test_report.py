# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import xml.etree.ElementTree

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import report, ring_results

EVIL = '<script>alert("x")</script>\x1b[2J'


def node(name, state="done", **more):
    return {**ring_results.BLANK, "name": name, "state": state, "reason": "", "position": 1, **more}


def data(*nodes, **history):
    summary = {
        "run_id": "r1", "state": "partial", "server": "head", "source": {"path": "/i"}, "bytes": 10**9, "seconds": 90.0,
        "rate_mb_s": 11.1, "limited_by": "", "msg": "nothing was sent", "nodes": list(nodes),
    }
    return {"summary": summary, "history": history, "options": {"fanout": 1, "secret": "5ec2e7"}}


def headline(page):
    return re.search(r"<h1[^>]*>(.*?)</h1>", page).group(1)


@pytest.mark.parametrize(
    "nodes, line",
    [
        ([node("a"), node("b")], "All 2 hosts hold the image."),
        ([node("a"), node("b", "failed")], "1 of 2 hosts hold the image. Not b."),
        ([node("a", "failed")], "No host holds the image: nothing was sent"),
    ],
)
def test_the_first_line_says_what_happened(nodes, line):
    assert headline(report.page(data(*nodes))) == line


def test_who_failed_and_what_to_do_next():
    error = {"kind": "TargetError"}
    bad = [node(name, "failed", reason="disk %s" % EVIL, error=error, bytes=7) for name in ("b", "c")]
    page = report.page(data(node("a"), *bad, node("d", "unreachable", reason="no route")))
    assert "<b>b, c</b>: disk &lt;script&gt;" in page and "<b>d</b>: no route" in page
    assert page.count(report.NEXT["TargetError"]) == 1 and "ansible -m ping" in page
    assert "Half-written, not to be started from: <b>b, c</b>" in page and "<code>-l b,c,d</code>" in page


def test_every_picture_is_well_formed_and_nothing_is_fetched_or_secret():
    names = ["n%d%s" % (number, EVIL) for number in range(40)]
    nodes = [node(name, times={"receive": 1.5, "write": 3.25, "read": 1, "children": {}}) for name in names]
    history = {
        "times": [0.0, 1.0, 2.5],
        "held": {name: [0, 10**6, 10**9] for name in names},
        "parents": dict(zip(names[2:], names)),
        "events": [
            {"at": 1.0, "node": names[0], "what": "lost: " + EVIL},
            {"at": 2.0, "node": names[1], "what": "healed: x"},
        ],
        "began": 1.7e9,
    }
    page = report.page(data(*nodes, **history))
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        xml.etree.ElementTree.fromstring(picture)
    assert not re.search(r"(?i)<script|<link|<img|url\((?!#)|(src|href)\s*=|\x1b", page)
    assert "5ec2e7" not in page


def test_a_run_without_history_has_a_page_all_the_same():
    page = report.page(data(node("a", "failed", reason="mounted", error={"kind": "Refused"})))
    assert report.NEXT["Refused"] in page and "Rate of each node" not in page


def test_what_happened_to_a_node_that_is_good_is_told_too():
    slow = node("a", demoted=True)
    events = [{"at": 2.0, "node": "a", "what": "demoted: x"}]
    page = report.page(data(slow, node("b", healed=2, stalled=5.31), events=events))
    assert "<td>demoted</td>" in page and "<td>healed 2 times (5.3 s without data)</td>" in page
    assert '<tr class="loud"><td class="n">2.0 s</td><td>a</td>' in page
