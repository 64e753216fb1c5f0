# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and sizes of both modules and of the role, checked by one table."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import numbers

SIZES = [option for option, bound in numbers.BOUNDS.items() if bound.is_size]


@pytest.mark.parametrize("option, value, number", [
    ("chunk_size", "16M", 16 << 20),
    ("chunk_size", 0, 0),
    ("socket_buffer", "4 KiB", 4096),
    ("segsize", "1k", 1024),
    ("min_rate", "10MB", 10 ** 7),
    ("expect_size", "480103981056", 480103981056),
    ("uncompressed_size", "8G", 8 << 30),
    ("dest_split", "", 0),
    ("fanout", "3", 3),
    ("connect_tries", 40, 40),
])  # fmt: skip
def test_a_number_with_or_without_a_unit(option, value, number):
    assert numbers.check(option, value) == number


@pytest.mark.parametrize("option, value", [
    *((option, value) for option in numbers.BOUNDS for value in (-1, "-1", "8X", "much", True, [1], "1.5")),
    ("fanout", 0),
    ("fanout", 65536),
    ("chunk_size", 1),
    ("chunk_size", 4097),
    ("chunk_size", "2G"),
    ("segsize", 87),
    ("block_size", "16M"),
    ("connect_tries", "1k"),
])
def test_a_number_that_cannot_be(option, value):
    with pytest.raises(UsageError, match=r"^my %s is .*, but must be [0-9]" % option):
        numbers.check(option, value, "my " + option)


@pytest.mark.parametrize("option", SIZES)
def test_a_size_that_cannot_be_says_how_one_is_written(option):
    with pytest.raises(UsageError, match="4M and 8G are sizes"):
        numbers.check(option, "much")
