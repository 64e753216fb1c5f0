# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies the complete logs of a run to the control node."""

from __future__ import annotations

import base64
import binascii
import os
import typing as t


def keep(said: t.Mapping[str, t.Any], folder: str, run_id: str, name: str) -> str:
    """Write a log that the module slurp has read. Returns why that failed, or the empty string."""
    if "content" not in said:
        return str(said.get("msg") or "no answer")
    try:
        os.makedirs(os.path.join(folder, run_id), exist_ok=True)
        path = os.path.join(folder, run_id, name.replace("/", "_") + ".log")
        with open(path, "wb") as file:
            file.write(base64.b64decode(said["content"]))
    except (OSError, binascii.Error) as error:
        return str(error)
    return ""
