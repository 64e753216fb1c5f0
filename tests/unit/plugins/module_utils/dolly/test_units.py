# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, rates and durations as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly import units


@pytest.mark.parametrize("text, size", [
    (0, 0), (17, 17), ("17", 17), ("17B", 17), ("10k", 10240), ("10K", 10240), ("10KiB", 10240),
    ("10kB", 10000), ("4M", 4 << 20), ("4MiB", 4 << 20), ("4 mib", 4 << 20), ("4MB", 4000000),
    ("2G", 2 << 30), ("2GB", 2 * 10 ** 9), ("1T", 1 << 40), ("1TiB", 1 << 40), ("1TB", 10 ** 12),
    ("1.5k", 1536), (" 3k ", 3072), ("9007199254740993", 9007199254740993),
])
def test_parse_size(text, size):
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", [
    "", "k", "-1", -1, "1x", "1.5", "0.3k", "1e3", "4Mib/s", True, 1.0, None, b"4", "4M\n5", "٣", "1" * 5000,
])
def test_parse_size_refuses(text):
    with pytest.raises(ValueError, match="expected a size in bytes"):
        units.parse_size(text)


@given(st.integers(0, 2 ** 70))
def test_parse_size_reads_back_what_it_gave(size):
    assert units.parse_size(str(size)[:20]) == int(str(size)[:20])


@pytest.mark.parametrize("text, seconds", [
    (5, 5.0), (0.25, 0.25), ("5", 5.0), ("5s", 5.0), ("500ms", 0.5), ("2m", 120.0), ("2 min", 120.0),
    ("1h", 3600.0), ("1.5h", 5400.0), ("1d", 86400.0), (0, 0.0),
])
def test_parse_duration(text, seconds):
    result = units.parse_duration(text)
    assert result == seconds and isinstance(result, float)


@pytest.mark.parametrize("text", [
    "", "s", "-5s", -5, "5 years", True, None, float("nan"), float("inf"), "1e5",
])
def test_parse_duration_refuses(text):
    with pytest.raises(ValueError, match="expected a duration in seconds"):
        units.parse_duration(text)


@pytest.mark.parametrize("size, text", [
    (0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (4 << 20, "4 MiB"),
    ((1 << 20) - 1, "1 MiB"), (3 << 29, "1.5 GiB"), (1 << 40, "1 TiB"), (1 << 50, "1 PiB"),
    (1 << 60, "1024 PiB"),
])
def test_format_size(size, text):
    assert units.format_size(size) == text


@pytest.mark.parametrize("rate, text", [
    (0.0, "0 B/s"), (999.0, "999 B/s"), (999.97, "1 kB/s"), (117.5e6, "117.5 MB/s"), (1.2e9, "1.2 GB/s"),
])
def test_format_rate(rate, text):
    assert units.format_rate(rate) == text


@pytest.mark.parametrize("seconds, text", [
    (0, "0 s"), (0.31, "0.3 s"), (9.94, "9.9 s"), (9.97, "10 s"), (42.4, "42 s"), (59.6, "1 min 00 s"),
    (125, "2 min 05 s"), (3599.7, "1 h 00 min"), (3720, "1 h 02 min"), (90000, "25 h 00 min"),
])
def test_format_duration(seconds, text):
    assert units.format_duration(seconds) == text
