"""Damage to a file: what disks, networks and enemies do."""

from __future__ import annotations

import random
from collections.abc import Callable

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1,
             2**63, 2**64 - 1)  # fmt: skip
# Opcodes of pickles, brackets of JSON, marks of zip, protobuf keys: what readers branch on.
_MEANINGFUL = b"\x80\x95(01NKMJGXCBTURQqrhj]}atesub\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e."
_MEANINGFUL += b"\x90\x91\x92\x93\x94ci{}[],:\"'-PK\x01\x02\x03\x04\x05\x06\x08\x0a\x12\x1a"


def _flip(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _byte(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] = dice.choice(_MEANINGFUL)


def _extreme(data: bytearray, dice: random.Random) -> None:
    width = dice.choice((1, 2, 4, 8))
    value = (dice.choice(_EXTREMES) % 2 ** (8 * width)).to_bytes(
        width, dice.choice(("little", "big"))
    )
    at = dice.randrange(len(data))
    data[at : at + width] = value


def _nudge(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at] = (data[at] + dice.choice((-16, -8, -4, -1, 1, 4, 8, 16))) % 256


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _delete(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.randrange(1, 16)]


def _double(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = data[at : at + dice.randrange(1, 64)] * dice.choice((1, 1, 1, 50))


def _move(data: bytearray, dice: random.Random) -> None:
    source, target = dice.randrange(len(data)), dice.randrange(len(data))
    length = dice.randrange(1, 32)
    data[target : target + length] = data[source : source + length]


def _zeros(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    length = min(dice.choice((1, 4, 8, 512)), len(data) - at)
    data[at : at + length] = bytes(length)


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _byte, _byte, _extreme, _extreme, _nudge, _nudge, _cut, _delete, _double, _move,
    _zeros,
)  # fmt: skip


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The file with one to five damages, which the dice choose."""
    damaged = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 5))):
        if damaged:
            dice.choice(_WAYS)(damaged, dice)
    return bytes(damaged)
