# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `dolly -V` says. The version is that of galaxy.yml, which a test compares."""

from __future__ import annotations

VERSION = "1.0.0"
DATE = "2026-11-22"
