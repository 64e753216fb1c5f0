# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GMAC by the letter of FIPS 197 and NIST SP 800-38D, bit by bit; what the library's is compared with."""

from __future__ import annotations

from typing import List


def _times_two(byte: int) -> int:
    return (byte << 1) ^ (0x11B if byte & 0x80 else 0)


def _times(one: int, other: int) -> int:
    product = 0
    while other:
        product ^= one if other & 1 else 0
        one, other = _times_two(one), other >> 1
    return product


def _substitute(byte: int) -> int:
    inverse = next((one for one in range(256) if _times(byte, one) == 1), 0)
    turned = [((inverse << by) | (inverse >> (8 - by))) & 0xFF for by in range(5)]
    return turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63


BOX = [_substitute(byte) for byte in range(256)]


def _round_keys(key: bytes) -> List[bytes]:
    words, constant = [key[at : at + 4] for at in range(0, 32, 4)], 1
    for index in range(8, 60):
        word = words[-1]
        if index % 8 == 0:
            word = bytes(BOX[byte] for byte in word[1:] + word[:1])
            word, constant = bytes([word[0] ^ constant]) + word[1:], _times_two(constant)
        elif index % 8 == 4:
            word = bytes(BOX[byte] for byte in word)
        words.append(bytes(one ^ other for one, other in zip(words[-8], word)))
    return [b"".join(words[at : at + 4]) for at in range(0, 60, 4)]


def _mix(column: bytes) -> bytes:
    rows = ((2, 3, 1, 1), (1, 2, 3, 1), (1, 1, 2, 3), (3, 1, 1, 2))
    mixed = bytearray(4)
    for place, row in enumerate(rows):
        for factor, byte in zip(row, column):
            mixed[place] ^= _times(byte, factor)
    return bytes(mixed)


def aes(key: bytes, block: bytes) -> bytes:
    """Encrypt 16 bytes under a key of 32."""
    keys = _round_keys(key)
    state = bytes(one ^ other for one, other in zip(block, keys[0]))
    for number in range(1, 15):
        state = bytes(BOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16))
        if number < 14:
            state = b"".join(_mix(state[at : at + 4]) for at in range(0, 16, 4))
        state = bytes(one ^ other for one, other in zip(state, keys[number]))
    return state


def _multiply(one: int, other: int) -> int:
    product = 0
    for place in range(127, -1, -1):
        product ^= other if one >> place & 1 else 0
        other = (other >> 1) ^ (0xE1 << 120 if other & 1 else 0)
    return product


def gmac(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """The tag of data that is only authenticated, with a nonce of 12 bytes."""
    hash_key, tag = int.from_bytes(aes(key, bytes(16)), "big"), 0
    blocks = [data[at : at + 16].ljust(16, b"\0") for at in range(0, len(data), 16)]
    for block in [*blocks, (8 * len(data)).to_bytes(8, "big") + bytes(8)]:
        tag = _multiply(tag ^ int.from_bytes(block, "big"), hash_key)
    mask = int.from_bytes(aes(key, nonce + b"\0\0\0\1"), "big")
    return (tag ^ mask).to_bytes(16, "big")
