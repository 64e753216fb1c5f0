# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the run's secret for the command line."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from typing import Callable, Mapping, Optional

from ..errors import Refused, UsageError

DEFAULT_KEY = "/etc/dolly/key"
KEY_VARIABLE = "DOLLY_KEY_FILE"
_SIZES = (32, 4096)
#: Public on purpose: with --insecure, every node must use the same key.
_NO_SECRET = hashlib.sha256(b"dolly --insecure: this key is no secret").digest()


def find_key(
    key_file: str, is_insecure: bool, warn: Callable[[str], None], environment: Optional[Mapping[str, str]] = None
) -> bytes:
    """Return the secret of --key-file, DOLLY_KEY_FILE or /etc/dolly/key; with --insecure, a public key.

    Raises Refused if there is no key, UsageError if a file is not a key.
    """
    if is_insecure:
        if key_file:
            raise UsageError("--insecure", "with --key-file", "one of them")
        warn("WARNING: --insecure: whoever reaches this port can send, receive and overwrite. Only for a network")
        warn("WARNING: in which every machine may do that.")
        return _NO_SECRET
    if key_file:
        return read_key("--key-file", key_file, warn)
    environment = os.environ if environment is None else environment
    if environment.get(KEY_VARIABLE):
        return read_key(KEY_VARIABLE, environment[KEY_VARIABLE], warn)
    if os.path.exists(DEFAULT_KEY):
        return read_key("the key", DEFAULT_KEY, warn)
    raise Refused(
        "to start without a key",
        "anybody who reaches this machine could send or overwrite the image",
        "--key-file FILE (or the variable %s) with 32 random bytes that are the same on all nodes; the same in %s; "
        "or --insecure on all nodes, to do without" % (KEY_VARIABLE, DEFAULT_KEY),
    )


def read_key(option: str, path: str, warn: Callable[[str], None]) -> bytes:
    """Return the whole content of a key file: a key is bytes, not text. Raises UsageError.

    A key that others can read only causes a warning: a rescue system has no other users.
    """
    smallest, largest = _SIZES
    try:
        with open(path, "rb") as file:
            key, mode = file.read(largest + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise UsageError(option, path, "a file that can be read (%s)" % error.strerror) from error
    if not smallest <= len(key) <= largest:
        raise UsageError(option, "%s of %d bytes" % (path, len(key)), "%d to %d bytes" % _SIZES)
    if mode & stat.S_IROTH:
        warn("warning: every user of this machine can read the key %s: chmod 600 %s" % (path, path))
    return key


def run_id(key: bytes) -> str:
    """Derive the id of a run from its key: nothing else is the same on every node beforehand."""
    return hmac.new(key, b"dolly run id", hashlib.sha256).hexdigest()[:32]
