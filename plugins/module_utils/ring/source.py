# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The image that dolly_server sends: its facts, and the check that it is the expected image."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ChecksumMismatch, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import blockmap, job
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.field_error import mistake
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import source as image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import SourceFacts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split_source import SplitSource
from ansible_collections.dolly.ring.plugins.module_utils.ring import classic, numbers, options, streams

Params = t.Mapping[str, t.Any]
Returned = t.Dict[str, t.Any]

_HASH_STEP = 1 << 20


def inspect(params: Params) -> Returned:
    """Return the facts about the source. Raises SourceError, UsageError, Refused."""
    options.check_checksum(params["checksum"])
    if not classic.is_classic(params):
        options.check_verify(params["verify"])
    path = params["source"]
    if streams.is_dummy(params):
        return _inspect_nothing(params)
    if not os.path.isabs(path or ""):
        raise UsageError("source", path, "an absolute path")
    found, written = streams.inspect(params)
    _check_chunks(params["chunk_size"], found.size)
    block_map = _read_block_map(params["bmap"], found)
    if block_map is not None:
        found = dataclasses.replace(found, allocated=min(found.allocated, block_map.mapped().total))
    return {
        "changed": False,
        "msg": "%s is a %s of %d bytes" % (path, {"block": "block device"}.get(found.kind, found.kind), found.size),
        "source": dict(found.to_dict(), written=written),
        "size": found.size,
        "kind": found.kind,
    }


def _check_chunks(asked: t.Any, size: int) -> None:
    """Raise UsageError if there would be too many digests, or if the chunk size is not allowed."""
    try:
        job.chunk_size_of(numbers.check("chunk_size", asked), size)
    except ValueError as error:
        raise mistake(error, "another size") from error


def _inspect_nothing(params: Params) -> Returned:
    """Return what replaces the facts about the source in a run without disks. Raises UsageError."""
    streams.files_of(params)
    size = streams.dummy_bytes(params) or 0
    told = "%d bytes" % size if size else "%g seconds" % params["dummy_seconds"]
    return {
        "changed": False,
        "msg": "%s to measure the network with, and no image" % told,
        "source": {"path": "no disk", "kind": "dummy", "size": size},
        "size": size,
        "kind": "dummy",
    }


def _read_block_map(path: t.Optional[str], source: SourceFacts) -> t.Optional[blockmap.BlockMap]:
    """Return the block map of a source, or None. Raises UsageError."""
    if not path:
        return None
    if not os.path.isabs(path):
        raise UsageError("bmap", path, "an absolute path")
    return image.read_block_map(path, source)


def predict(params: Params) -> Returned:
    """Check the source as thoroughly as a run would, and return what would happen."""
    returned = inspect(params)
    if streams.is_dummy(params):
        told = "would measure the network with %d nodes and write nothing" % len(params["nodes"])
        return dict(returned, state="predicted", msg=told)
    compare_checksum(params)
    if params["bmap"]:
        _check_blocks(params["source"], params["bmap"])
    returned.update(
        changed=True,
        state="predicted",
        msg="would send %s, %d bytes, to %d nodes" % (params["source"], returned["size"], len(params["nodes"])),
    )
    return returned


def compare_checksum(params: Params) -> None:
    """If a checksum is given, read the whole source and compare it. Raises ChecksumMismatch."""
    checksum = options.check_checksum(params["checksum"])
    actual = "sha256:" + _sha256_of(params) if checksum else ""
    if actual != checksum:
        raise ChecksumMismatch(params["source"], checksum, actual)


def _sha256_of(params: Params) -> str:
    """Return the SHA-256 of a source, or of its parts in sequence."""
    source = SplitSource(params["source"]) if params["source_split"] else image.Source(params["source"])
    digest, view, offset = hashlib.sha256(), memoryview(bytearray(_HASH_STEP)), 0
    try:
        while offset < source.size:
            count = source.read(offset, view)
            digest.update(view[:count])
            offset += count
    finally:
        source.close()
    return digest.hexdigest()


def _check_blocks(path: str, bmap: str) -> None:
    """Compare a source with the checksums in its block map. Raises MapMismatch."""
    source = image.Source(path)
    try:
        block_map = image.read_block_map(bmap, source.facts)
        checker = blockmap.Checker(block_map, path, bmap)
        for start, end in block_map.mapped():
            for offset in range(start, end, _HASH_STEP):
                piece = memoryview(bytearray(min(_HASH_STEP, end - offset)))
                source.read(offset, piece)
                checker.update(offset, piece)
    finally:
        source.close()
