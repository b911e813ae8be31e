"""Texts that consist of units, such as names, poems or tunes: where each one begins, and which are held out.

Between two units stands a separator: a newline (``lines``), a blank line (``blank-lines``), or the beginning of a line
with a given prefix, such as ``X:`` in a book of tunes. Its characters are ordinary ones of the text. What is predicted
of a unit are its characters and the separator after it; it is read from the last character of the separator before it
on, with an empty state. So no character is predicted from another unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm.text.unit_kinds import BLANK_LINES, prefix
from charlstm.text.vocabulary import Vocabulary

Positions = npt.NDArray[np.int64]


def unit_edges(ids: npt.NDArray[Any], vocabulary: Vocabulary, units: str) -> Positions:
    """The positions at which the characters that are predicted of each unit begin, ascending, and the end of the text;
    what stands before the first of them belongs to no unit. Only the end where there are no units."""
    newline, start = vocabulary.index("\n"), prefix(units)
    is_newline = ids == (-1 if newline is None else newline)
    after = np.concatenate([[True], is_newline[:-1]])  # whether a line begins here
    if start:
        codes = [vocabulary.index(char) for char in start]
        begins = after.copy()
        for at, which in enumerate(codes):
            same = ids[at:] == (-1 if which is None else which)
            begins &= np.concatenate([same, np.zeros(len(begins) - len(same), bool)])
        found = np.flatnonzero(begins) + len(start)
    else:
        begins = after & ~is_newline
        if units == BLANK_LINES and begins.any():
            first = begins.argmax()
            begins[2:] &= is_newline[:-2]
            begins[first] = True
        found = np.flatnonzero(begins)
    return np.append(found[found < len(ids)], len(ids)).astype(np.int64)


def own_spans(ids: npt.NDArray[Any], vocabulary: Vocabulary, edges: Positions, units: str) -> list[tuple[int, int]]:
    """Where each unit stands in the text: with its prefix, without the newlines behind it."""
    ahead, newline = len(prefix(units)), vocabulary.index("\n")
    found = []
    for begin, end in pairwise(edges.tolist()):
        stop = end - ahead if end < len(ids) else end
        while stop > begin and ids[stop - 1] == newline:
            stop -= 1
        found.append((begin - ahead, stop))
    return found


def parts_of_units(
    ids: npt.NDArray[Any], vocabulary: Vocabulary, spans: Sequence[tuple[int, int]], fractions: Sequence[float]
) -> npt.NDArray[np.int8]:
    """To which part each unit of a text belongs, ``(N,)``: number n has the n-th of ``fractions`` of the characters, as
    nearly as whole units allow, and 0 has the rest.

    Units are taken in the order of hashes of their characters. So equal ones are in one part, and a unit stays where it
    is when others are added to the text, or the seed of a run is another one.
    """
    codes = vocabulary.codes
    keys = [blake2b(codes[ids[start:stop]].tobytes(), digest_size=8).digest() for start, stop in spans]
    which, of_unit = np.unique(np.array(keys, "S8"), return_inverse=True)
    chars = np.bincount(of_unit, [stop - start for start, stop in spans], len(which))
    before = np.cumsum(chars) - chars
    part, share = np.zeros(len(which), np.int8), 0.0
    for number, fraction in enumerate(fractions, 1):
        if fraction:
            begin, share = share, share + fraction
            part[(before >= begin * chars.sum()) & (before < share * chars.sum())] = number
    if len(part) and part.all():
        part[-1] = 0  # something is left to train on
    return part[of_unit]


def merged(edges: Positions, part: npt.NDArray[np.int8], number: int) -> list[tuple[int, int]]:
    """The stretches of the text whose units are in part ``number``: from the beginning of the first of several that
    follow each other to the end of the last."""
    changes = np.flatnonzero(np.diff(np.concatenate([[-1], part == number, [-1]])))
    runs = [(first, last) for first, last in pairwise(changes.tolist()) if part[first] == number]
    return [(int(edges[first]), int(edges[last])) for first, last in runs]


def reading_spans(edges: Positions, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The units in ``spans`` of the text as they are read: each from the last character of the separator before it to
    the end of the one behind it."""
    found: list[tuple[int, int]] = []
    for start, stop in spans:
        first, last = np.searchsorted(edges[:-1], [start, stop])
        found += [(max(0, begin - 1), end) for begin, end in pairwise(edges[first : last + 1].tolist())]
    return found
