# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program ssh is given and says. Real ones: tests/integration/ring/test_ring_ssh.py."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.ssh import Machine
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.ssh_transport import (
    OpenSshTransport,
    check_names,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import StartFailed, UsageError

GOOD_HOSTS = ["a", "rack3-n1.example.org", "10.0.0.7", "fe80::1%eth0", "::1", "[::1]", "node_7"]
BAD_HOSTS = ["-oProxyCommand=x", "", "a b", "a;b", "a$b", "a`b`", "a'b", 'a"b', "a|b", "a&b", "a\nb", "a/b", "a\\b"]


def test_names_that_ssh_may_be_given():
    check_names("root", GOOD_HOSTS)
    check_names("", ["a"])
    for host in BAD_HOSTS:
        with pytest.raises(UsageError, match=r"-H is"):
            check_names("root", [host])
    for user in ("-oX", "a b", "$(x)", "a;b"):
        with pytest.raises(UsageError, match=r"--ssh is"):
            check_names(user, ["a"])


@pytest.fixture
def ssh(tmp_path):
    """A program in place of ssh that runs the command here; the last two arguments are host and command."""

    def make(script):
        path = tmp_path / "ssh"
        path.write_text("#!/bin/sh\nfor command; do :; done\n%s\n" % script)
        path.chmod(0o755)
        return OpenSshTransport(str(path), "a", "root")

    return make


def test_what_is_sent_and_what_comes_back(ssh):
    transport = ssh('exec sh -c "$command"')
    data = bytes(range(256)) * 4096
    assert transport.call("cat | wc -c", data) == str(len(data))
    with pytest.raises(OSError, match="no such thing"):
        transport.call("echo no such thing >&2; exit 3")
    with pytest.raises(OSError, match="status 255"):
        transport.call("exit 255", data)  # it reads nothing of that
    transport.close()


def test_a_command_that_goes_on(ssh):
    transport = ssh('exec sh -c "$command"')
    transport.launch("echo one; echo two >&2; read line; exit 0")
    out = err = b""
    while not (out and err):
        more_out, more_err = transport.read()
        out, err = out + more_out, err + more_err
    assert (out, err) == (b"one\n", b"two\n") and not transport.has_ended()
    transport.close()


def test_it_asks_nobody_and_is_out_of_reach_of_the_terminal(ssh):
    transport = ssh('echo "$@"; ps -o sid= -p $$; echo $$')
    told, session, pid = transport.call("true").splitlines()
    assert "BatchMode=yes" in told and "StrictHostKeyChecking=yes" in told and told.endswith("-l root -- a true")
    assert session.strip() == pid


def test_why_it_did_not_connect(ssh):
    machine = Machine("a", ssh("echo 'ssh: no route to host' >&2; exit 255"), [], lambda line: None)
    with pytest.raises(StartFailed, match=r"No client was started on a over ssh \(ssh: no route to host\)"):
        machine.start(b"engine", b"key")
    machine.close()
