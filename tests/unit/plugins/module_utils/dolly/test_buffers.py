# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory to read into, and whether bytes are zeros."""

from __future__ import annotations

import ctypes
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.buffers import is_zero, make_buffer

MIB = 1 << 20


@pytest.mark.parametrize("length", [0, 1, 4096, MIB, 3 * MIB + 1])
def test_a_buffer_is_zeroed_and_can_be_written(length):
    view = make_buffer(length)
    assert len(view) == length and not view.readonly and is_zero(view)
    if length:
        view[length - 1] = 1
        assert not is_zero(view)


def test_a_negative_length():
    with pytest.raises(ValueError):
        make_buffer(-1)


@pytest.mark.parametrize("length", [4096, 256 * 1024, MIB])
def test_a_buffer_begins_with_a_page(length):
    """16 bytes behind it the kernel's copies take five times as long on some processors."""
    view = make_buffer(length)
    assert ctypes.addressof(ctypes.c_char.from_buffer(view)) % mmap.PAGESIZE == 0


@given(st.integers(0, 300), st.none() | st.integers(0, 299))
def test_zeros_are_told_from_anything_else(length, at):
    data = bytearray(length)
    if at is not None and at < length:
        data[at] = 7
    assert is_zero(memoryview(data)) == (not any(data))


@pytest.mark.parametrize("at", [MIB - 1, MIB, 2 * MIB + 4])
def test_a_byte_far_behind(at):
    data = bytearray(2 * MIB + 5)
    assert is_zero(memoryview(data))
    data[at] = 1
    assert not is_zero(memoryview(data))
