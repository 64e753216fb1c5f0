#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One node of the ring: check the target and start its receiver, collect its result, clean up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dolly_client
short_description: One receiving node of a ring that clones a disk image
version_added: 1.0.0
description:
  - Checks the target on a host and starts a receiver there, collects its result, or ends it and cleans up.
  - The receiver is a process of its own. It outlives the task, belongs to no session, and ends by itself
    when it is done, or when nobody talks to it.
  - No target is touched before the server has said that the run starts.
  - The role P(dolly.ring.dolly_ring#role) puts this module and M(dolly.ring.dolly_server) together.
author:
  - The dolly.ring authors (!UNKNOWN)
extends_documentation_fragment:
  - dolly.ring.run
  - dolly.ring.run.attributes
attributes:
  check_mode:
    support: full
    details:
      - With O(state=started) everything is checked, nothing is started, and the result says what would
        be overwritten.
  diff_mode:
    support: none
  platform:
    support: full
    platforms: linux
options:
  state:
    description:
      - V(started) checks the target and starts the receiver. It returns as soon as the receiver listens.
      - V(finished) waits for the result of the receiver. It fails unless the whole image is on the
        target, verified and flushed. With O(protocol=classic) nothing is verified.
      - V(absent) ends the receiver, if it runs, and removes what the run keeps on this host. The target
        is left as it is, and what a later run can go on from, unless O(purge=true).
    type: str
    choices: [started, finished, absent]
    default: started
  run_id:
    required: true
  name:
    description:
      - The name of this node in the ring, usually the name of the host in the inventory.
    type: str
    required: true
  dest:
    description:
      - What is overwritten. An absolute path, of a block device or of a regular file.
      - A file is written beside its final name and takes that name when it is verified.
      - What is there when the run starts must be what was there when it was checked, or the receiver refuses. So does
        the check where another receiver on this machine waits for the same target.
      - With O(dolly.ring.dolly_server#module:dest_split) the begin of names, C(DEST_0), C(DEST_1) and so on.
      - Required with O(state=started) and with O(purge=true), but not with O(dummy=true).
    type: path
  dummy:
    description:
      - Measure the network without disks. The node takes what comes and passes it on, and nothing is written, so that
        it has not changed. There can be no O(dest) or O(source) then, and nothing that is expected of a target.
      - The server has to be told so by O(dolly.ring.dolly_server#module:dummy_size) or
        O(dolly.ring.dolly_server#module:dummy_seconds). A node refuses a server that means something else.
      - Give it with O(state=finished), too.
    type: bool
    default: false
  source:
    description:
      - The image, as RV(dolly.ring.dolly_server#module:source) describes it.
      - Required with O(state=started), but not with O(protocol=classic), for an original server does not tell. A
        disk that is too small is found out then when it is full. Nor with O(dummy=true).
    type: dict
  address:
    description:
      - The address or name under which the other nodes reach this one.
    type: str
    default: ''
  extra_addresses:
    description:
      - Further addresses of this node. The node before it sends over all of them at once.
    type: list
    elements: str
    default: []
  extra_interfaces:
    description:
      - Interfaces whose addresses are added to O(extra_addresses).
    type: list
    elements: str
    default: []
  sync:
    description:
      - With O(state=finished), whether a node that did not flush the image has failed.
      - Must be what O(dolly.ring.dolly_server#module:sync) is.
    type: bool
    default: true
  interface:
    description:
      - Without O(address), the interface whose address is used. IPv4 comes before global IPv6.
    type: str
    default: ''
  ansible_host:
    description:
      - Without O(address) and O(interface), the address that is used. Pass what Ansible connects to.
      - Without this one too it is O(name).
    type: str
    default: ''
  port:
    description:
      - The TCP port to listen on, or a range such as V(9998-10010), of which the first that is free is taken.
        V(0) takes any free one.
    type: str
    default: '9998'
  expect_size:
    description:
      - Refuse a block device that has not exactly so many bytes, such as V(480103981056) or V(480GB).
    type: str
  expect_serial:
    description:
      - Refuse a block device with another serial number.
    type: str
  expect_wwn:
    description:
      - Refuse a block device with another World Wide Name.
    type: str
  allow_sector_size:
    description:
      - Take an image whose GUID partition table was made for sectors of another size than the disk has, such as 512
        bytes on a disk with 4096. Nothing would find the partitions of such a copy, so it is refused otherwise.
    type: bool
    default: false
  move_gpt:
    description:
      - When the image is verified on a disk that is larger, and no other node needs it from there any more, move the
        backup of its GUID partition table to the end of the disk, as C(sgdisk -e) does. The disk differs from the
        image in these blocks then. To a later run that compares, and moves it too, they are unchanged.
      - Needs a block device as O(dest).
    type: bool
    default: false
  resume:
    description:
      - Use what a run left on the target that was broken off. It is digested there before it counts, so that
        another image, or a target that was changed meanwhile, costs no more than reading it.
      - A journal says what there is. It lies beside the unfinished file, or in O(state_dir).
      - V(false) begins anew, and keeps no journal for a later run either.
    type: bool
    default: true
  state_dir:
    description:
      - The folder in which journals of block devices lie.
      - Without it C(/var/lib/dolly) for root, else C(dolly) below the user's C(XDG_STATE_HOME) or C(~/.local/state).
    type: path
  purge:
    description:
      - With O(state=absent), remove also the unfinished file beside O(dest) and the journal, so that nothing of a run
        that was broken off is left. A block device is left as it is.
    type: bool
    default: false
  join_timeout:
    description:
      - The receiver ends when no parent has connected within so many seconds.
      - With few forks the last receiver of a large ring starts minutes after the first.
    type: float
    default: 600
  orphan_timeout:
    description:
      - The receiver gives up when it has had no parent for so many seconds.
    type: float
    default: 60
  timeout:
    description:
      - With O(state=finished), how many seconds to wait for the result.
    type: float
    default: 120
  reported:
    description:
      - With O(state=finished), what the server said about this node, an entry of
        RV(dolly.ring.dolly_server#module:nodes). It says that the server has ended, so a receiver that
        still waits for a start is not waited for.
      - The result of the node itself outweighs it.
    type: dict
seealso:
  - module: dolly.ring.dolly_server
"""

EXAMPLES = r"""
- name: Look at the image
  dolly.ring.dolly_server:
    state: inspected
    source: /srv/images/node.img
  delegate_to: localhost
  run_once: true
  register: image

- name: Start a receiver on every host
  dolly.ring.dolly_client:
    run_id: "{{ run_id }}"
    name: "{{ inventory_hostname }}"
    dest: /dev/disk/by-id/nvme-eui.0025388b91d0e41a
    source: "{{ image.source }}"
    secret: "{{ secret }}"
    interface: eno1
  register: receiver

# The server streams here, see dolly_server.

- name: Collect the result of every host
  dolly.ring.dolly_client:
    state: finished
    run_id: "{{ run_id }}"
    name: "{{ inventory_hostname }}"
    run_dir: "{{ receiver.run_dir }}"

- name: Clean up
  dolly.ring.dolly_client:
    state: absent
    run_id: "{{ run_id }}"
    name: "{{ inventory_hostname }}"
    run_dir: "{{ receiver.run_dir }}"
"""

RETURN = r"""
run_id:
  description: The name of the run.
  returned: always
  type: str
  sample: 8c1f60d3a0f54e21
name:
  description: The name of this node.
  returned: always
  type: str
  sample: rack3-n1
run_dir:
  description: The folder of the run on this host. Pass it to the later tasks of the run.
  returned: always
  type: str
  sample: /run/dolly
msg:
  description: What was done or, in check mode, what would be overwritten; or why the node failed.
  returned: always
  type: str
  sample: would overwrite /dev/sdb (block device of 500107862016 bytes, QEMU HARDDISK, serial 3)
node:
  description: This node as O(dolly.ring.dolly_server#module:nodes) takes it. In check mode its port is the wished one.
  returned: with O(state=started)
  type: dict
  contains:
    name:
      description: The name of this node.
      type: str
    host:
      description: The address under which it is reached.
      type: str
    port:
      description: The port it listens on.
      type: int
address:
  description: The address under which the other nodes reach this one.
  returned: with O(state=started)
  type: str
  sample: 10.3.0.11
address_rule:
  description: The option that the address comes from, one of V(address), V(interface), V(ansible_host) and V(name).
  returned: with O(state=started)
  type: str
  sample: interface
port:
  description: The port the receiver listens on.
  returned: with O(state=started)
  type: int
  sample: 9998
target:
  description: What was found out about the target, such as its size, model and serial number.
  returned: with O(state=started)
  type: dict
bytes:
  description: The bytes of the image that this node holds.
  returned: with O(state=finished)
  type: int
seconds:
  description: The time from the first byte to the end.
  returned: with O(state=finished)
  type: float
rate_mb_s:
  description: The mean rate in MB/s, 10**6 bytes per second.
  returned: with O(state=finished)
  type: float
equal_bytes:
  description: The bytes that were on the target already, where O(dolly.ring.dolly_server#module:compare) was asked for.
  returned: with O(state=finished)
  type: int
covers:
  description: What was cloned, V(all bytes), or how many of the bytes where the server has a block map.
  returned: with O(state=finished)
  type: str
  sample: all bytes
digest:
  description:
    - The SHA-256 over the digests of all chunks. The same for every node of a run that holds the image.
    - Empty with O(verify=mac), whose digests mean nothing without the secret of the run.
  returned: with O(state=finished)
  type: str
keyed_digest:
  description:
    - With O(verify=mac) the SHA-256 over the MACs of all chunks, else empty. It is equal where images of one run are
      equal, and means nothing outside of the run.
  returned: with O(state=finished)
  type: str
position:
  description: The rank of this node in the ring. The server is 0.
  returned: with O(state=finished)
  type: int
verified:
  description: Whether every chunk was read back from the target, through the page cache, and matched.
  returned: with O(state=finished)
  type: bool
synced:
  description: Whether the image was flushed to the medium, and a file has its final name.
  returned: with O(state=finished)
  type: bool
repaired:
  description: How many chunks arrived or were read back damaged and were sent again.
  returned: with O(state=finished)
  type: int
late:
  description: Whether the node came when the run had started, so that it was a leaf.
  returned: with O(state=finished)
  type: bool
demoted:
  description: Whether the node was too slow to have others behind it.
  returned: with O(state=finished)
  type: bool
healed:
  description: How often the node got another parent, because the one that it had was gone or too slow.
  returned: with O(state=finished)
  type: int
stalled:
  description: For how many seconds nothing came because of that.
  returned: with O(state=finished)
  type: float
times:
  description:
    - Where the time of this node went, in seconds since the start. What took no time is left out.
    - >-
      C(receive): waiting for bytes from the parent. C(write): writing to the target. C(read) and C(hash):
      reading the target back and digesting that. C(flush): flushing and putting the image in its place.
      C(idle): none of C(receive), C(write), C(flush).
    - >-
      C(children) has for each node after this one C(send), sending to it or blocked by it, and C(lack), waiting
      for bytes that it needs and this node has not got yet.
  returned: with O(state=finished)
  type: dict
received_bytes:
  description: The bytes of the image that came over the network. Zeros do not; what came twice counts twice.
  returned: with O(state=finished)
  type: int
sent_bytes:
  description: The bytes of the image that this node sent to others.
  returned: with O(state=finished)
  type: int
resumed_bytes:
  description: The bytes that an earlier run had left on the target, rightly, so that nobody had to send them.
  returned: with O(state=finished)
  type: int
notes:
  description: Oddities of the target that do not make the result wrong, as sentences.
  returned: with O(state=finished)
  type: list
  elements: str
half_written:
  description: That the node has failed when a part of its disk was overwritten already.
  returned: with O(state=finished)
  type: bool
refused_connections:
  description: How many connections were turned away, because the peer could not prove that it belongs to the run.
  returned: with O(state=finished)
  type: int
clean:
  description: That nothing of the run is left on this host, in check mode that nothing would be.
  returned: on success, with O(state=absent)
  type: bool
purged:
  description: The files of a broken run that were removed, or would be, with O(purge=true).
  returned: on success, with O(state=absent)
  type: list
  elements: str
log:
  description: The last lines that the receiver wrote.
  returned: when a receiver failed
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
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import target_conflicts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import target
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.dummy import DummyTarget
from ansible_collections.dolly.ring.plugins.module_utils.ring import (
    classic,
    engine_process,
    options,
    streams,
)
from ansible_collections.dolly.ring.plugins.module_utils.ring import (
    target as ring_target,
)
from ansible_collections.dolly.ring.plugins.module_utils.ring.node_address import (
    choose_address,
    extra_addresses,
)

#: How long a receiver may still wait for its start after the server has ended.
GRACE_S = 5.0
POLL_S = 0.2
NOT_STARTED = ("waiting", "ready")


def argument_spec():
    spec = options.shared_spec()
    spec.update(classic.spec())
    spec["run_id"] = {"type": "str", "required": True}
    spec.update(
        state={"type": "str", "choices": ["started", "finished", "absent"], "default": "started"},
        name={"type": "str", "required": True},
        dest={"type": "path"},
        dummy={"type": "bool", "default": False},
        source={"type": "dict"},
        address={"type": "str", "default": ""},
        interface={"type": "str", "default": ""},
        extra_addresses={"type": "list", "elements": "str", "default": []},
        extra_interfaces={"type": "list", "elements": "str", "default": []},
        ansible_host={"type": "str", "default": ""},
        expect_size={"type": "str"},
        expect_serial={"type": "str"},
        expect_wwn={"type": "str"},
        allow_sector_size={"type": "bool", "default": False},
        move_gpt={"type": "bool", "default": False},
        resume={"type": "bool", "default": True},
        state_dir={"type": "path"},
        purge={"type": "bool", "default": False},
        join_timeout={"type": "float", "default": 600.0},
        timeout={"type": "float", "default": 120.0},
        reported={"type": "dict"},
    )
    return spec


# state: started


def start(params, folder, check_mode):
    """Check everything, then start the receiver, except in *check_mode*."""
    streams.check_dummy_client(params)
    classic.require_native(params, ("secret",) if params["dummy"] else ("source", "secret"))
    is_classic = classic.is_classic(params)
    secret = b"" if is_classic else options.decode_secret(params["secret"])
    timeouts = options.check_seconds(params)
    port = options.check_ports(params["port"])[0]
    if is_classic:
        classic.check_client(params)
    else:
        options.check_verify(params["verify"])
    source = ring_target.source_facts(params["source"]) if params["source"] else None
    address, rule = choose_address(
        params["name"], params["address"], params["interface"], params["ansible_host"]
    )
    extra = extra_addresses(address, params["extra_addresses"], params["extra_interfaces"])
    if params["dummy"]:
        found = DummyTarget().facts
    else:
        target_conflicts.refuse_taken(folder.base, params["dest"], params["run_id"])
        found = ring_target.check_dest(params, source)
    if not check_mode:
        port = listen(folder, receiver_config(params, timeouts, found), secret, classic.mode(params, "client"))
    return {
        "changed": not (check_mode and params["dummy"]),
        "msg": "%s %s" % ("would" if check_mode else "is ready to", ring_target.describe_write(found)),
        "address": address,
        "address_rule": rule,
        "port": port,
        "node": {"name": params["name"], "host": address, "port": port, "extra": extra},
        "target": found.to_dict(),
    }


def receiver_config(params, timeouts, found=None):
    """Return the configuration of the receiver; everything else comes with the server's plan."""
    port, last_port = options.check_ports(params["port"])
    config = {
        "run_id": params["run_id"],
        "name": params["name"],
        "target": params["dest"] or "",
        "dummy": params["dummy"],
        "seen": found.to_dict() if found is not None else None,
        "bind": params["bind"],
        "port": port,
        "last_port": last_port,
        "policy": ring_target.policy_of(params),
        "resume": params["resume"],
        "state_dir": params["state_dir"] or "",
    }
    config.update(timeouts)
    config.update(classic.process_options(params))
    return config


def listen(folder, config, secret, mode="receiver"):
    """Start the receiver and return its port. On failure, removes its folder."""
    if folder.exists():
        raise UsageError(
            "run_id", config["run_id"], "a run that %s has no part in yet; state=absent removes it" % config["name"]
        )
    # Hosts that are one machine start at the same time, and find each other only after a start.
    with folder.one_at_a_time(engine_process.TURN_TIMEOUT_S):
        if config["target"]:
            target_conflicts.refuse_taken(folder.base, config["target"], config["run_id"])
        return engine_process.start(folder, mode, config, secret)["port"]


# state: finished


def finish(params, folder, check_mode):
    """Wait for the receiver's result and return it. Raises TaskFailed unless the image is on the target."""
    if check_mode:
        return {"changed": False, "msg": "check mode: no receiver was started, there is no result to collect"}
    result = await_result(folder, params["timeout"], params["reported"])
    returned = result_fields(result)
    verifies = not params["dummy"] and not classic.is_classic(params)
    syncs = params["sync"] and not params["dummy"]
    reason = shortcoming(result, params["verify"] if verifies else "none", syncs)
    if reason:
        if returned["half_written"]:
            disk = (result.get("target") or {}).get("path", "The disk")
            reason += " %s is half-written: nothing may start from it." % disk
        error = result.get("error")
        extra = {"error": error} if error else {}
        log = folder.log_tail(engine_process.LOG_LINES)
        raise engine_process.TaskFailed(reason, log=log, **dict(returned, **extra))
    returned["msg"] = "%(bytes)d bytes in %(seconds).1f s, %(rate_mb_s).1f MB/s" % returned
    if params["dummy"]:
        returned["msg"] += ", nothing written"
    return returned


def await_result(folder, timeout_s, reported, clock=time.monotonic, sleep=time.sleep):
    """Return result.json as soon as it exists. Raises TaskFailed if it will not appear, or not in time."""
    if not folder.exists():
        raise engine_process.TaskFailed("there is no such run on this host: %s does not exist" % folder.path)
    begin = clock()
    while True:
        is_running = folder.is_running()
        result = folder.read_result()  # before the process check: the process may write it and end in between
        if result is not None:
            return result
        waited_s = clock() - begin
        reason = hopeless(folder, is_running, waited_s, timeout_s, reported)
        if reason:
            changed, half_written = ring_target.left_behind(folder.read_json("config.json"), folder.read_status())
            if half_written:
                reason += "; %s is half-written: nothing may start from it" % half_written
            left = {"changed": changed, "half_written": bool(half_written)}
            raise engine_process.TaskFailed(reason, log=folder.log_tail(engine_process.LOG_LINES), **left)
        sleep(POLL_S)


def hopeless(folder, is_running, waited_s, timeout_s, reported):
    """Return why waiting longer is useless, or the empty string."""
    if not is_running:
        return "the receiver ended without a result"
    state = (folder.read_status() or {}).get("state", "unknown")
    if reported is not None and state in NOT_STARTED and waited_s >= min(GRACE_S, timeout_s):
        said = options.sentence_of(reported.get("error")) or "the server ended without starting this node"
        return "nothing was written: %s" % said
    if waited_s >= timeout_s:
        return "no result after %g s (timeout); the receiver's state is %s" % (timeout_s, state)
    return ""


def result_fields(result):
    return {
        **options.result_fields(result),
        "changed": bool(result.get("changed")),
        "equal_bytes": int(result.get("equal_bytes") or 0),
        "position": result.get("position"),
        "verified": bool(result.get("verified")),
        "synced": bool(result.get("synced")),
        "repaired": int(result.get("repaired") or 0),
        "received_bytes": int(result.get("received_bytes") or 0),
        "sent_bytes": int(result.get("sent_bytes") or 0),
        "resumed_bytes": int(result.get("resumed_bytes") or 0),
        "late": bool(result.get("late")),
        "demoted": bool(result.get("demoted")),
        "healed": int(result.get("healed") or 0),
        "stalled": float(result.get("stalled") or 0.0),
        "half_written": bool(result.get("half_written")),
        "notes": list(result.get("notes") or ()),
    }


def shortcoming(result, verify, sync=True):
    """Return what *result* lacks for a success, or the empty string."""
    if result.get("state") != "done":
        said = options.sentence_of(result.get("error"))
        return said or "the receiver ended in the state %s" % result.get("state")
    if verify != "none" and not result.get("verified"):
        return "the receiver says that it is done, but not that the image was verified"
    if sync and not result.get("synced"):
        return "the receiver says that it is done, but not that the image was flushed"
    return ""


# state: absent


def remove(params, folder, check_mode):
    """End the receiver and remove its folder; with purge, also remove what a later run could resume from."""
    if params["purge"] and not os.path.isabs(params["dest"] or ""):
        raise UsageError("dest", params["dest"], "with purge, the absolute path of the target")
    done = engine_process.remove(folder, "receiver", check_mode)
    done["purged"] = []
    if params["purge"]:
        found = target.inspect_target(params["dest"])
        done["purged"] = target.purge_target(found, params["state_dir"] or "", check_mode)
    if done["purged"]:
        done["changed"] = True
        done["msg"] += "; %s %s" % ("would remove" if check_mode else "removed", ", ".join(done["purged"]))
    return done


ACTIONS = {"started": start, "finished": finish, "absent": remove}


def act(params, common, check_mode):
    """Carry out the state."""
    folder = engine_process.folder_of(params, common)
    return ACTIONS[params["state"]](params, folder, check_mode)


def main():
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
    )
    common = {"run_id": module.params["run_id"], "name": module.params["name"], "changed": False}
    engine_process.conclude(module, act, common)


if __name__ == "__main__":
    main()
