# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys are derived as the standard says."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.keys import hkdf

#: RFC 5869, appendix A, cases 1 to 3.
RFC_5869 = [
    (
        b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)), 82,
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    (
        b"\x0b" * 22, b"", b"", 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "salt", "info", "length", "output"), RFC_5869)
def test_hkdf_gives_the_vectors_of_rfc_5869(secret, salt, info, length, output):
    assert hkdf(secret, salt, info, length).hex() == output
    assert hkdf(secret, salt, info).hex() == output[:64]


@pytest.mark.parametrize("length", [0, -1, 255 * 32 + 1])
def test_hkdf_gives_no_other_length(length):
    with pytest.raises(ValueError):
        hkdf(b"s", b"", b"", length)
