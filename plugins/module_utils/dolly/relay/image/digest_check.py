# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node that is done holds the server's image: its digest has to be the server's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from ...errors import WrongImage
from ...integrity.manifest import Manifest
from ...status.snapshot import Snapshot


class ImageCheck:
    """Compares digests. A run without digests (`is_needed` False) has nothing to compare. Used on the reactor alone."""

    def __init__(self, manifest: Manifest, is_needed: bool) -> None:
        self.manifest = manifest
        self._is_needed = is_needed
        self._root = ""

    @property
    def root(self) -> str:
        """The digest of the server's image in hex; empty until all of the image is digested."""
        if not self._root:  # takes 20 ms for 65,536 chunks
            self._root = self.manifest.run_root()
        return self._root

    def judge(self, snapshot: Optional[Snapshot]) -> Optional[Snapshot]:
        """What a node says of itself; a node that is done with another image has failed."""
        if snapshot is None or snapshot.state != "done" or not self._is_needed:
            return snapshot
        if snapshot.digest == self.root != "":
            return snapshot
        error = WrongImage(snapshot.name, snapshot.digest, self.root)
        return replace(snapshot, state="failed", error=error.to_dict())
