# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import xml.etree.ElementTree

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import report, ring_results
from ansible_collections.dolly.ring.plugins.plugin_utils import report_pictures as pictures

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
    more = {"error": error, "bytes": 7, "half_written": True}
    bad = [node(name, "failed", reason="disk %s" % EVIL, **more) for name in "bc"]
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


def test_a_refused_run_has_its_date_image_and_targets():
    source = {"path": "/srv/node.img", "size": 3 << 30}
    target = {"path": "/dev/sdb", "model": "Fast Disk", "serial": "S1"}
    run = data(node("a", "failed", target=target))
    run["summary"].update(source=source, bytes=0, state="failed", msg="Nothing was written: " + "x" * 400)
    run["made"] = 1.7e9
    page = report.page(run)
    assert report.moment(1.7e9)[:15] in page and report.moment(1.7e9).startswith("2023-11-1")
    assert "<td>3 GiB (3221225472 bytes)</td>" in page and "<td>/dev/sdb (Fast Disk, S1)</td>" in page
    assert headline(page) == "No host holds the image." and page.count("x" * 400) == 1
    assert "Took" not in page and "0.0 MB/s" not in page


def test_a_run_says_what_is_on_the_disks():
    run = data(node("a", digest="ab" * 32, target={"path": "/dev/sdb"}))
    run["summary"].update(digest="ab" * 32, sha256="cd" * 32)
    page = report.page(run)
    assert "<td>%s</td>" % ("ab" * 32) in page and "<td>%s</td>" % ("cd" * 32) in page
    assert "<td>abababab</td>" in page


def test_culprits_come_first_and_say_why_in_their_rows():
    error = {"kind": "Refused", "what": "/dev/sdz"}
    page = report.page(data(
        node("a"), node("b", "failed", reason=ring_results.NOT_STARTED + "c"),
        node("c", "failed", reason="Refused /dev/sdz: it is mounted. No option allows it.", error=error),
    ))  # fmt: skip
    why, rows = page.partition("<h2>Nodes</h2>")[::2]
    assert why.index("<b>c</b>: Refused") < why.index("<b>b</b>: not started: see c")
    assert re.findall(r"<td class=\"n\">1</td><td>(\w)</td>", rows) == ["c", "b", "a"]
    assert '<td colspan="10">Refused /dev/sdz: it is mounted. No option allows it.</td>' in rows
    assert "<td>/dev/sdz</td>" in rows
    assert report.REFUSED_FOR_GOOD in page and report.NEXT["Refused"] not in page
    assert "dolly_ring_log_dir" not in page.partition("<h2>The ring")[0]


def test_notes_of_the_modules_are_shown():
    note = "the image has no backup of its partition table"
    run = data(node("a", notes=[note]), node("b", notes=[note, EVIL]))
    run["summary"]["notes"] = ["The source is mounted for writing"]
    page = report.page(run)
    assert "<li><b>a, b</b>: %s</li>" % note in page
    assert "<li><b>head</b>: The source is mounted for writing</li>" in page and "<script" not in page


@pytest.mark.parametrize("highest, marks", [
    (0.7, [0, 0.2, 0.4, 0.6, 0.8]), (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (117.3, [0, 50, 100, 150]),
    (812, [0, 200, 400, 600, 800, 1000]), (5, [0, 1, 2, 3, 4, 5]),
])
def test_marks_of_an_axis_are_round(highest, marks):
    assert pictures.ticks(highest) == pytest.approx(marks) and pictures.ticks(0)[-1] > 0


def test_a_first_spike_does_not_flatten_the_chart():
    times = [0.0, 0.1, *range(1, 41)]
    held = [0, 90 * 10**6, *(90 * 10**6 + 20 * 10**6 * second for second in range(1, 41))]
    picture = pictures.rates({"times": times, "held": {"a": held, "b": held}})
    heights = [float(y) for y in re.findall(r",([\d.]+)", re.search(r'points="([^"]*)"', picture).group(1))]
    assert min(heights) == 20 and max(heights[1:]) < 140, heights
    assert "cut off: up to 900 MB/s for a moment" in picture and ">50<" in picture and ">30 s<" in picture
    assert "cut off" not in pictures.rates({"times": times, "held": {"a": [20 * 10**6 * at for at in times]}})


def test_a_reason_is_not_told_above_the_list_of_those_that_failed():
    reason = "Refused /dev/sdz: %s. No option allows it." % ("x" * 100)
    run = data(node("a", "failed", reason=reason), node("b", "failed", reason=ring_results.NOT_STARTED + "a"))
    told = "Nothing was written: 1 of 2 hosts; missing: a. a: %s Repair them."
    run["summary"].update(state="failed", msg=told % reason)
    assert "<p>Nothing was written: 1 of 2 hosts; missing: a. Repair them.</p>" in report.page(run)
    run["summary"]["msg"] = "no node holds the image. a: " + reason
    assert "<p>no node" not in report.page(run)


@pytest.mark.parametrize("number, advice", [(28, report.MORE_ROOM), (5, report.NEXT["TargetError"])])
def test_a_full_target_is_not_called_a_broken_disk(number, advice):
    error = {"kind": "TargetError", "errno": number}
    assert advice in report.page(data(node("a", "failed", reason="it failed in write", error=error)))
