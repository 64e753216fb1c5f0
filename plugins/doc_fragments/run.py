# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation that dolly_client and dolly_server share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  run_id:
    description:
      - The name of this run. The nodes and the server of one run share it.
      - Letters, digits, C(.), C(_) and C(-), at most 64 of them; the first is a letter or a digit.
    type: str
  run_dir:
    description:
      - The folder in which the run keeps its files on this host.
      - Without it C(/run/dolly) for root, else a folder of the user's own; RV(run_dir) says which.
    type: path
  secret:
    description:
      - The secret of the run, at least 256 bits, as hexadecimal text (64 digits or more).
      - It reaches the process in a file that only its owner can read, never on a command line.
    type: str
  verify:
    description:
      - V(readback) reads every chunk back from the target, through the page cache, and compares its
        SHA-256 with that of the source. The medium itself is not read again.
      - V(mac) reads as much back and compares as much, but a message authentication code (GMAC) under a key of the
        run in place of SHA-256. That takes less processor time. No RV(ignore:digest) is left that means anything
        after the run. It needs a Python whose C(hashlib) is linked with OpenSSL, on the server and on every host.
      - V(none) does not. It exists for measuring.
    type: str
    choices: [readback, mac, none]
    default: readback
  bind:
    description:
      - The local address to listen on. Empty listens on all, IPv4 and IPv6.
    type: str
    default: ''
  dead_after:
    description:
      - A link that is silent for so many seconds is dead.
    type: float
    default: 5
  stall_timeout:
    description:
      - A node that could go on but makes no progress for so many seconds is left out.
    type: float
    default: 30
  connect_timeout:
    description:
      - How many seconds one attempt to connect to a node may take.
    type: float
    default: 10
  handshake_timeout:
    description:
      - How many seconds a peer has to prove that it holds the secret.
    type: float
    default: 5
  protocol:
    description:
      - V(classic) speaks the protocol of the original dolly, versions 0.5x to 0.64, for rings in which there are
        originals. Nothing is authenticated, encrypted or verified then, and no O(secret) is needed.
      - All nodes of a ring have the same, and so have the ones that are not managed here.
    type: str
    choices: [native, classic]
    default: native
  control_port:
    description:
      - With O(protocol=classic), the second TCP port of each node, the same for all. V(0) is one less than the first.
    type: int
    default: 0
  block_size:
    description:
      - With O(protocol=classic), the transfer size in bytes. It matters only where nodes have several interfaces
        and must be the same for all of them. V(0) is 4096.
    type: int
    default: 0
requirements:
  - Linux and Python 3.9 or later, nothing else.
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return a prediction without changing anything.
  diff_mode:
    description: Returns details of what has changed, or would change, when in diff mode.
  platform:
    description: The platforms this module runs on.
"""

    ACTION_ATTRIBUTES = r"""
options: {}
attributes:
  action:
    description: Has an action plugin, so that it does its work, or part of it, on the control node.
    support: full
  bypass_host_loop:
    description: Runs once for all hosts of the play. Not possible with C(strategy=free).
    support: full
  check_mode:
    description: Can run in C(check_mode) and return a prediction without changing anything.
    support: full
  diff_mode:
    description: Returns details of what has changed, or would change, when in diff mode.
    support: none
  platform:
    description: The platforms this runs on.
    support: full
    platforms: posix
"""
