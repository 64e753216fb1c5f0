#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The server of the ring: look at the image, send it through the ring, clean up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_server
short_description: The server of a ring that clones a disk image
version_added: 1.0.0
description:
  - Looks at an image, sends it through a ring of nodes, or ends that and cleans up.
  - The sender is a process of its own. It outlives the task, and a second task with the same O(run_id)
    waits for the sender that runs, or returns its result.
  - The ring has the order of O(nodes). The parent of node C(n), counted from 1, is C((n - 1) // fanout);
    0 is the server.
  - The role P(dolly.ring.dolly_ring#role) puts this module and M(dolly.ring.dolly_client) together.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run
  - dolly.ring.run.attributes
attributes:
  check_mode:
    support: full
    details:
      - The source and the options are checked, and O(checksum) and O(bmap) are compared with the source, which is
        read for that. Nothing is sent.
  diff_mode:
    support: none
  platform:
    support: full
    platforms: linux
  action:
    description: Has an action plugin, which shows on the control node how far the sender is.
    support: full
  bypass_host_loop:
    description: Runs once for all hosts of the play. Not possible with C(strategy=free).
    support: full
options:
  state:
    description:
      - V(inspected) looks at the source and returns what the nodes need to know about it.
      - V(finished) starts the sender, unless this run has one already, and waits until it has ended. It
        fails when the run failed as a whole; what became of each node is in RV(nodes).
      - V(recorded) returns what happened when in a run that has ended, RV(history).
      - V(absent) ends the sender, if it runs, and removes what the run keeps on this host.
    type: str
    choices: [inspected, finished, recorded, absent]
    default: finished
  run_id:
    description:
      - The name of this run. The nodes and the server of one run share it.
      - Letters, digits, C(.), C(_) and C(-), at most 64 of them; the first is a letter or a digit.
      - Required except with O(state=inspected).
  name:
    description:
      - The name of the server. No node may have the same.
    type: str
    default: server
  source:
    description:
      - The image to send, the absolute path of a regular file, a block device or a partition.
      - A device that is mounted for writing is refused. Mount it read-only, or send a snapshot.
      - Required with O(state=inspected) and to start the sender, but not with O(dummy_size) or O(dummy_seconds).
    type: path
  dummy_size:
    description:
      - Measure the network without disks, by sending so many bytes, such as V(10G). Nothing is read or written, no
        node has changed, and RV(rate_mb_s) and those in RV(nodes) are the result. O(verify) and O(sync) have no effect.
      - Every node needs O(dolly.ring.dolly_client#module:dummy). There can be no option that is about an image, and
        no O(protocol=classic).
    type: str
    default: ''
  dummy_seconds:
    description:
      - The same, for so many seconds. One of both.
    type: float
    default: 0
  compressed:
    description:
      - The source is compressed with gzip, xz, bzip2 or zstd, which its first bytes tell. It is sent as it is, and the
        nodes decompress it before they write. For zstd they need Python 3.14 or the program C(zstd).
      - Without it a source that begins like a compressed file is refused. V(false) has its bytes written as they are,
        to files; a block device refuses them, unless O(dest_compressed=true).
      - O(checksum) and O(sha256) are those of the compressed file.
    type: bool
  uncompressed_size:
    description:
      - How many bytes come out of a compressed source, such as V(8589934592) or V(8G). Nodes check that they have room
        for that; without it they find out when they are full. It also is the size in O(statistics_log).
    type: str
    default: ''
  source_split:
    description:
      - The source lies in parts, C(SOURCE_0), C(SOURCE_1) and so on, which are sent as one image.
    type: bool
    default: false
  dest_compressed:
    description:
      - Nodes write a compressed file. The server compresses with gzip, or with O(compressed) sends the source as it is.
      - Without O(compressed) there can be no O(checksum) or O(compare), and O(sha256) is that of the compressed image.
    type: bool
    default: false
  dest_split:
    description:
      - Nodes write files of so many bytes, C(DEST_0), C(DEST_1) and so on, such as V(2G). Empty means one file.
    type: str
    default: ''
  source_facts:
    description:
      - What an earlier task found out about the source, its RV(source). The run is refused when the source
        has changed since.
    type: dict
  nodes:
    description:
      - The nodes in the order of the ring. Required with O(state=finished) when it starts the sender.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The name of the node.
        type: str
        required: true
      host:
        description:
          - The address or name under which the node is reached.
        type: str
        required: true
      port:
        description:
          - The port that the node listens on.
        type: int
        required: true
      extra:
        description:
          - Further addresses of the node. They share the work with O(nodes[].host).
        type: list
        elements: str
        default: []
  fanout:
    description:
      - To how many others each node sends. V(1) is a chain, which moves an image to any number of nodes
        at the speed of one link. A tree is shorter but shares the links.
    type: int
    default: 1
  checksum:
    description:
      - The expected checksum of the source, C(sha256:) and 64 hexadecimal digits. The run is refused when
        the source has another.
    type: str
    default: ''
  bmap:
    description:
      - A block map of the source, the absolute path of a C(.bmap) file of version 1.3 to 2.0, as C(bmaptool) makes
        it. Only the blocks that it names are sent and written; digests cover these alone.
      - The map has to fit the size of the source and its own checksum, or nothing starts. Its checksums of
        ranges are compared while the source is digested; the run fails, and no node succeeds, when one differs.
      - What it does not name stays on a block device as it was. In a new file it is a hole and reads as zeros.
      - Not with O(verify=none), nor where the source or the target is compressed or the source is in parts.
    type: path
  compare:
    description:
      - Let each node look at what is on its target first, and send only the chunks that differ.
      - Where nothing differs nothing is written and the node has not changed. A regular file is copied before it is
        changed, and takes its name as a whole, as always; a block device is changed in place.
      - With O(bmap), what the map does not name stays as it was in a file of the same size, too.
      - Not with O(verify=none) or O(dest_split), nor where what is written is not what is sent.
    type: bool
    default: false
  sha256:
    description:
      - Compute the SHA-256 of the whole image, as C(sha256sum) prints it. With O(checksum) it is computed anyway.
    type: bool
    default: false
  min_nodes:
    description:
      - The run starts without the nodes that are not ready after O(barrier_timeout) when at least so many
        are. V(0) means all of them.
    type: int
    default: 0
  dest:
    description:
      - With O(protocol=classic), where originals among the nodes write. Empty means the path of the source.
      - Nodes of this collection write where their own O(dolly.ring.dolly_client#module:dest) says.
    type: str
    default: ''
  server_address:
    description:
      - The address under which nodes reach the server. They need it only when they have lost everyone else.
      - Empty means the local address of the first connection to a node.
    type: str
    default: ''
  port:
    description:
      - The TCP port to listen on, or a range such as V(9998-10010), of which the first that is free is taken.
        V(0) takes any free one.
    type: str
    default: '9998'
  chunk_size:
    description:
      - How many bytes one digest covers, such as V(16M). A multiple of 4 KiB up to 1 GiB, and enough that the image has
        at most 65,536 such chunks.
      - V(0) means 4 MiB, and more for very large images.
    type: str
    default: '0'
  sync:
    description:
      - Whether the nodes flush the image to the medium before they are done. Without it the run ends sooner, and
        RV(nodes) say so.
    type: bool
    default: true
  segsize:
    description:
      - The TCP maximum segment size in bytes, 88 to 32767. V(0) leaves it to the kernel.
    type: str
    default: '0'
  socket_buffer:
    description:
      - The size of socket buffers in bytes, a multiple of 4096 such as V(4M). V(0) lets the kernel tune them.
    type: str
    default: '0'
  block_size:
    description:
      - How many bytes are sent in one piece at most, a multiple of 4096 up to 8 MiB, such as V(1M).
      - V(0) means 8 MiB, or 1 MiB to a node with several addresses.
    type: str
    default: '0'
  connect_tries:
    description:
      - How often a node is dialled before it counts as unreachable, with one second between the tries.
      - V(0) means for as long as O(connect_timeout) says.
    type: int
    default: 0
  min_rate:
    description:
      - A floor in bytes per second, such as V(10M). A node that takes less for ten seconds, although there was more for
        it, is given up.
      - V(0) means that no node is too slow. One that takes less than half of what it could have goes on as a leaf, as
        RV(nodes) say then.
    type: str
    default: '0'
  statistics_log:
    description:
      - A file on the server to which a line of statistics is added when a run has ended, unless no node got the image.
      - It has the columns of the original dolly, namely data in MB, segment size, clients, seconds, and the rates
        to one client and to all in MB/s.
    type: path
  barrier_timeout:
    description:
      - How many seconds to wait for all nodes to be ready before the first byte is sent.
    type: float
    default: 60
  orphan_timeout:
    description:
      - After how many seconds a node gives up that has lost its parent, and that no other one takes.
      - From the moment that a node belongs to the ring it is this value that counts there, as with the other timeouts.
    type: float
    default: 60
  flush_timeout:
    description:
      - How many seconds a node may take to bring what it has received to the medium.
    type: float
    default: 1800
  timeout:
    description:
      - Fail when the sender has not ended so many seconds after its start. It runs on then; O(state=absent) ends it.
      - V(0) means no limit. The sender has its own limits for nodes that do not answer or make no progress,
        so it ends without this one too.
    type: float
    default: 0
  wait:
    description:
      - With O(state=finished), return after so many seconds though the sender has not ended. RV(state) is
        V(running) then, and RV(progress) says how far it is.
      - Without it the task waits for the end.
    type: float
  progress:
    description:
      - With O(state=finished), show a line every O(progress_interval) seconds that says how far the run is.
      - None is shown with a callback for programs to read (C(json), C(jsonl), C(null) and their like).
    type: bool
    default: true
  progress_interval:
    description:
      - The seconds between two lines of O(progress), at least V(1).
    type: float
    default: 5
seealso:
  - module: dolly.ring.dolly_client
"""

EXAMPLES = r"""
- name: Look at the image
  dolly.ring.dolly_server:
    state: inspected
    source: /srv/images/node.img
  register: image

- name: Send the image to the nodes whose receivers were started
  dolly.ring.dolly_server:
    run_id: "{{ run_id }}"
    name: localhost
    source: /srv/images/node.img
    secret: "{{ secret }}"
    nodes: "{{ ansible_play_batch | map('extract', hostvars, ['receiver', 'node']) }}"
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    min_nodes: 2
  delegate_to: localhost
  register: stream

- name: Clean up
  dolly.ring.dolly_server:
    state: absent
    run_id: "{{ run_id }}"
    name: localhost
  delegate_to: localhost
"""

RETURN = r"""
run_id:
  description: The name of the run.
  returned: except with O(state=inspected)
  type: str
  sample: 8c1f60d3a0f54e21
run_dir:
  description: The folder of the run on this host. Pass it to the later tasks of the run.
  returned: except with O(state=inspected)
  type: str
  sample: /run/dolly
msg:
  description: What was done or, in check mode, what would be sent; or why the run failed.
  returned: always
  type: str
  sample: sent 67108864 bytes to 4 of 4 nodes in 1.3 s
source:
  description: What was found out about the image. Pass it to O(dolly.ring.dolly_client#module:source).
  returned: with O(state=inspected), and in check mode
  type: dict
  contains:
    path:
      description: The path of the image.
      type: str
    kind:
      description: V(file) or V(block), and V(dummy) for none.
      type: str
    size:
      description: The size of the image in bytes. 0 with O(dummy_seconds).
      type: int
    allocated:
      description: How many bytes of it take room. Less than C(size) for a file with holes.
      type: int
    archive:
      description: How the source is compressed, where its bytes are written as they are. Block devices refuse it then.
      type: str
    written:
      description:
        - What nodes make of it. C(size) in bytes, null where nobody knows before it was decompressed or compressed.
          C(codec) is what they have to decompress, empty for nothing. C(is_split), whether they write parts.
      type: dict
size:
  description: The size of the image in bytes.
  returned: with O(state=inspected), and in check mode
  type: int
  sample: 67108864
kind:
  description: What the source is, V(file), V(block), or V(dummy) for none.
  returned: with O(state=inspected), and in check mode
  type: str
  sample: file
state:
  description: >-
    V(done) when every node holds the image, V(partial) when some do, V(failed) when the run failed,
    V(unknown) when the sender left no result, V(running) after O(wait), and V(predicted) in check mode.
  returned: with O(state=finished)
  type: str
  sample: done
bytes:
  description: The bytes of the image. With O(bmap) those of the blocks that it names.
  returned: with O(state=finished)
  type: int
seconds:
  description: The time from the first byte to the end of the last node.
  returned: with O(state=finished)
  type: float
rate_mb_s:
  description: The mean rate in MB/s, 10**6 bytes per second, to each node.
  returned: with O(state=finished)
  type: float
covers:
  description: What was cloned, V(all bytes), or how many of the bytes with O(bmap).
  returned: with O(state=finished)
  type: str
  sample: mapped blocks, 479232 of 821752 bytes
digest:
  description: The SHA-256 over the digests of all chunks. Empty with O(verify=mac).
  returned: with O(state=finished)
  type: str
keyed_digest:
  description:
    - With O(verify=mac) the SHA-256 over the MACs of all chunks, else empty. It is equal where images of one run are
      equal, and means nothing outside of the run.
  returned: with O(state=finished)
  type: str
sha256:
  description: The SHA-256 of the whole image. Empty when it was not asked for.
  returned: with O(state=finished)
  type: str
server_reachable:
  description: Whether a node could reach the server. Null when that was not tried.
  returned: with O(state=finished)
  type: bool
refused_connections:
  description: How many connections were turned away, because the peer could not prove that it belongs to the run.
  returned: with O(state=finished)
  type: int
limited_by:
  description: >-
    The disk or link that held the run up, judged from where the time of the nodes went. Empty where nothing stands out,
    no node is done, or the run took less than a second.
  returned: with O(state=finished)
  type: str
  sample: rack3-n7 target write (28.1 of 31.2 s)
times:
  description:
    - Where the time of the server went, in seconds since the start. What took no time is left out.
    - >-
      C(read) and C(hash): reading the source and digesting it. C(children): for each node that the server sends to, as
      C(times) in RV(nodes).
  returned: with O(state=finished)
  type: dict
nodes:
  description: One entry per node, in the order of the ring.
  returned: with O(state=finished)
  type: list
  elements: dict
  contains:
    name:
      description: The name of the node.
      type: str
    position:
      description: The rank of the node. The server is 0.
      type: int
    state:
      description: V(done), V(failed), V(unreachable), V(lost) or V(excluded).
      type: str
    bytes:
      description: The bytes of the image that the node holds.
      type: int
    seconds:
      description: The time from its first byte to its end.
      type: float
    rate_mb_s:
      description: Its mean rate in MB/s.
      type: float
    digest:
      description: The SHA-256 over the digests of all chunks. Empty with O(verify=mac).
      type: str
    keyed_digest:
      description: The same over the MACs of all chunks with O(verify=mac), else empty.
      type: str
    verified:
      description: Whether every chunk was read back from the target, through the page cache, and matched.
      type: bool
    synced:
      description: Whether the image was flushed to the medium.
      type: bool
    repaired:
      description: How many chunks were sent again.
      type: int
    received_bytes:
      description: The bytes of the image that it received over the network, without zeros.
      type: int
    sent_bytes:
      description: The bytes of the image that it sent to others, as far as the server heard.
      type: int
    resumed_bytes:
      description: The bytes that an earlier run had left on its target, so that nobody had to send them.
      type: int
    late:
      description: Whether the node came when the run had started, so that it was a leaf.
      type: bool
    demoted:
      description: Whether the node was too slow to have others behind it.
      type: bool
    healed:
      description: How often the node got another parent, because the one that it had was gone or too slow.
      type: int
    stalled:
      description: For how many seconds nothing came because of that.
      type: float
    times:
      description:
        - Where the time of the node went, in seconds since the start. What took no time is left out.
        - >-
          C(receive): waiting for bytes from the parent. C(write): writing to the target. C(read) and C(hash):
          reading the target back and digesting that. C(flush): flushing and putting the image in its place.
          C(idle): none of C(receive), C(write), C(flush).
        - >-
          C(children) has for each node after this one C(send), sending to it or blocked by it, and C(lack), waiting
          for bytes that it needs and this node has not got yet.
      type: dict
    error:
      description:
        - Why the node failed, C(kind) and C(message) among others. Null when it did not.
        - C(errno) and C(offset) say where its target failed. Of a node that was lost C(after) says how many seconds
          after the start, and C(offset) how many bytes it had by then.
      type: dict
history:
  description:
    - What happened when. Empty when the run left none, as in check mode.
    - >-
      C(times): seconds since the begin. C(held): the bytes that each node held then, by its name. C(events): a list of
      C(at), C(node) and C(what). C(parents): whom each node got the image from in the end. C(began): seconds since
      1970.
  returned: with O(state=recorded)
  type: dict
progress:
  description: How far a run is that goes on.
  returned: when O(wait) is over
  type: dict
  contains:
    percent:
      description: How much of the image the nodes hold that are still in the ring, on average.
      type: float
    held:
      description: The bytes that the slowest of them holds.
      type: int
    size:
      description: The size of the image in bytes.
      type: int
    total:
      description: How many nodes there are.
      type: int
    done:
      description: How many nodes hold the image, verified and flushed.
      type: int
    lost:
      description: How many nodes have failed or were lost.
      type: int
    late:
      description: How many nodes go on behind the ring at a pace of their own.
      type: int
    slowest:
      description: The node that holds least. Empty when there is none.
      type: str
    limited_by:
      description: What limits that node. Empty when it is not known.
      type: str
clean:
  description: That nothing of the run is left on this host, in check mode that nothing would be.
  returned: on success, with O(state=absent)
  type: bool
log:
  description: The last lines that the sender wrote.
  returned: when the sender failed
  type: list
  elements: str
error:
  description: The failure in parts, C(kind) and C(message) among them.
  returned: on failure, where the engine named one
  type: dict
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import (
    causes as ring_causes,
)
from ansible_collections.dolly.ring.plugins.module_utils.ring import (
    classic,
    engine_process,
    options,
    sender,
    source,
    streams,
)
from ansible_collections.dolly.ring.plugins.module_utils.ring import (
    progress as ring_progress,
)

POLL_FIRST_S = 0.1
POLL_LAST_S = 1.0


def argument_spec():
    spec = options.shared_spec()
    spec.update(classic.spec())
    spec.update(streams.spec())
    spec.update(sender.spec())
    node = {
        "name": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "extra": {"type": "list", "elements": "str", "default": []},
    }
    spec.update(
        state={"type": "str", "choices": ["inspected", "finished", "recorded", "absent"], "default": "finished"},
        name={"type": "str", "default": "server"},
        source={"type": "path"},
        source_facts={"type": "dict"},
        nodes={"type": "list", "elements": "dict", "options": node},
        fanout={"type": "int", "default": 1},
        checksum={"type": "str", "default": ""},
        bmap={"type": "path"},
        compare={"type": "bool", "default": False},
        sha256={"type": "bool", "default": False},
        min_nodes={"type": "int", "default": 0},
        dest={"type": "str", "default": ""},
        server_address={"type": "str", "default": ""},
        chunk_size={"type": "str", "default": "0"},
        statistics_log={"type": "path"},
        barrier_timeout={"type": "float", "default": 60.0},
        flush_timeout={"type": "float", "default": 1800.0},
        timeout={"type": "float", "default": 0.0},
        wait={"type": "float"},
        # Used by the action plugin only.
        progress={"type": "bool", "default": True},
        progress_interval={"type": "float", "default": 5.0},
    )
    return spec


# state: finished


def finish(params, folder, check_mode):
    """Start the sender unless it is running, and wait until it ends. Raises TaskFailed."""
    timeout_s = options.check_timeout(params["timeout"])
    if check_mode or not folder.exists():
        absent = [name for name in sender.needed_to_start(params) if not params[name]]
        if absent:
            raise UsageError(absent[0], params[absent[0]], "a value: this run has no sender here yet")
        secret = b"" if classic.is_classic(params) else options.decode_secret(params["secret"])
        config = sender.config_of(params, check_mode)
        if check_mode:
            return source.predict(params)
        engine_process.start(folder, classic.mode(params, "server"), config, secret)
    result = await_result(folder, timeout_s, params["wait"], age_of(folder))
    if result is None:
        progress = ring_progress.aggregate(folder.read_status() or {})
        return {"changed": False, "state": "running", "msg": "the sender is at work", "progress": progress}
    returned = result_fields(result)
    if streams.is_dummy(params):
        returned["changed"] = False
    if returned["state"] not in ("done", "partial"):
        reason = options.sentence_of(result.get("error"))
        if not reason:  # the run came to its end, but no node did
            causes = ring_causes.of_nodes(returned["nodes"])
            reason = "%s %s" % (ring_causes.NO_NODE, ring_causes.together(causes))
        if result.get("error"):
            returned["error"] = result["error"]
        raise engine_process.TaskFailed(reason, log=folder.log_tail(engine_process.LOG_LINES), **returned)
    returned["msg"] = summary(returned, params["compare"])
    if streams.is_dummy(params):
        returned["msg"] += "; %.1f MB/s, nothing written" % returned["rate_mb_s"]
    return returned


def age_of(folder):
    """Return the age of the run in seconds: one timeout spans the waits of several tasks."""
    try:
        return max(0.0, time.time() - os.stat(folder.file("config.json")).st_mtime)
    except FileNotFoundError:
        return 0.0


def await_result(folder, timeout_s, wait_s=None, ran_s=0.0, clock=time.monotonic, sleep=time.sleep):
    """Return result.json as soon as it exists, or None after *wait_s*.

    Raises TaskFailed if it will not appear, or not in time.
    """
    begin = clock()
    pause_s = POLL_FIRST_S
    while True:
        is_running = folder.is_running()
        result = folder.read_result()  # before the process check: the process may write it and end in between
        if result is not None:
            return result
        status = folder.read_status() or {}
        if not is_running:
            raise engine_process.TaskFailed("the sender ended without a result", **last_words(folder, status))
        if timeout_s and ran_s + clock() - begin >= timeout_s:
            reason = "no result after %g s (timeout); the sender runs on, state=absent ends it" % timeout_s
            raise engine_process.TaskFailed(reason, **last_words(folder, status))
        if wait_s is not None and clock() - begin >= wait_s:
            return None
        sleep(pause_s)
        pause_s = min(POLL_LAST_S, pause_s * 1.5)


def last_words(folder, status):
    """Return what is known of a sender without a result."""
    nodes = [node_fields(node) for node in status.get("nodes") or ()]
    digests = {name: status.get(name) or "" for name in ("digest", "keyed_digest")}
    return {"state": "unknown", "nodes": nodes, "log": folder.log_tail(engine_process.LOG_LINES), **digests}


def result_fields(result):
    nodes = [node_fields(node) for node in result.get("nodes") or ()]
    return {
        **options.result_fields(result),
        "changed": any(is_changed(node) for node in nodes),
        "state": result.get("state") or "failed",
        "sha256": result.get("sha256") or "",
        "limited_by": result.get("limited_by") or "",
        "nodes": nodes,
        "server_reachable": result.get("server_reachable"),
    }


def is_changed(node):
    """Whether a node's target was written to, by the last report that the server has."""
    if node.get("state") == "done":
        return bool(node.get("changed", True))
    return int(node.get("bytes") or 0) > int(node.get("resumed_bytes") or 0)


def node_fields(node):
    """Return *node* with its rate in MB/s."""
    fields = {name: value for name, value in node.items() if name != "rate"}
    fields["rate_mb_s"] = options.megabytes_per_second(node.get("rate"))
    return fields


def summary(returned, compares=False):
    good = sum(1 for node in returned["nodes"] if node.get("state") == "done")
    text = "%s %d bytes to %d of %d nodes in %.1f s" % (
        "sent what differs of" if compares else "sent",
        returned["bytes"],
        good,
        len(returned["nodes"]),
        returned["seconds"],
    )
    if returned["limited_by"]:
        text += ", limited by %s" % returned["limited_by"]
    if returned["server_reachable"] is False:
        text += "; no node could reach the server, so it could not have helped a node that lost everyone else"
    return text


# state: recorded


def recall(_params, folder, _check_mode):
    """Return the history that the sender left."""
    history = folder.read_json("history.json")
    return {"changed": False, "history": history or {}, "msg": "the history of the run" if history else "there is none"}


# state: absent


def remove(_params, folder, check_mode):
    """End the sender and remove its folder."""
    return engine_process.remove(folder, "sender", check_mode)


ACTIONS = {"finished": finish, "recorded": recall, "absent": remove}


def act(params, common, check_mode):
    """Carry out the state; *common* gets the values that are always returned, as soon as they are known."""
    if params["state"] == "inspected":
        return source.inspect(params)
    folder = engine_process.folder_of(params, common)
    return ACTIONS[params["state"]](params, folder, check_mode)


def main():
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        required_if=[("state", state, ("run_id",)) for state in ACTIONS],
    )
    engine_process.conclude(module, act, {"changed": False})


if __name__ == "__main__":
    main()
