"""Randomness that depends on (seed, sample, position) and on nothing else.

A counter-based generator has no state to shift: changing a setting, rewinding or branching never moves the luck of
another character, and one of many streams draws what it would have drawn alone. SplitMix64 (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014) is plenty for choosing characters; not for secrets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def key_for(seed: int, sample: int = 0) -> int:
    """The 64-bit key of one stream. Any whole number is a seed; they count modulo 2**64."""
    return _mix((_mix((seed + _GOLDEN) & _MASK) + sample * _GOLDEN) & _MASK)


def uniform(key: int, position: int) -> float:
    """A number in [0, 1), a multiple of 2**-52, so that its product with any total stays below that total."""
    return (_mix((key + (position + 1) * _GOLDEN) & _MASK) >> 12) * 2.0**-52


def uniforms(keys: npt.NDArray[np.uint64], position: int) -> npt.NDArray[np.float64]:
    """:func:`uniform` for many keys at one position, the same values."""
    value = keys + np.uint64((position + 1) * _GOLDEN & _MASK)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return (value >> np.uint64(12)).astype(np.float64) * 2.0**-52
