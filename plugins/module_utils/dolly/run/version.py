# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `dolly -V` prints. A test compares the version with galaxy.yml."""

from __future__ import annotations

VERSION = "1.0.0"
DATE = "2026-11-22"
