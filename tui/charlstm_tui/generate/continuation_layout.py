"""Lay out a tree of continuations on rows: blocks as high as their probabilities, in the column of their position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from charlstm.insight.multiverse import ContinuationNode


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A character of a continuation on the rows from ``top`` up to, not including, ``bottom``.

    ``path``: the branches from the root to the block. ``splits``: the block has only some rows of the block before.
    """

    path: tuple[ContinuationNode, ...]
    top: int
    bottom: int
    splits: bool

    @property
    def branch(self) -> ContinuationNode:
        return self.path[-1]

    @property
    def column(self) -> int:
        """From 0, for the first character."""
        return len(self.path) - 1


def lay_out(root: ContinuationNode, rows: int, columns: int, wanted: Sequence[ContinuationNode] = ()) -> list[Block]:
    """The blocks that have a row of their own, each before its continuations.

    Each block has the share of its rows that is its character's probability, rounded so that the rows add up
    (largest remainders, Hamilton). Rows of what is less likely than the cut-off stay empty.

    Args:
        wanted: branches that get a row even if their share is smaller, where there is one: the first ones first.
    """
    order = {id(branch): -number for number, branch in enumerate(wanted)}
    return [*_blocks_below((root,), 0, rows, columns, order)]


def _blocks_below(
    path: tuple[ContinuationNode, ...], top: int, rows: int, columns: int, order: Mapping[int, int]
) -> Iterator[Block]:
    """The blocks of what continues ``path``, which begins with the root, in ``rows`` from ``top`` on."""
    *_, parent = path
    for child, height in zip(parent.children, _heights(parent, rows, order), strict=True):
        if height:
            here = (*path, child)
            yield Block(here[1:], top, top + height, height < rows)
            if len(path) < columns:
                yield from _blocks_below(here, top, height, columns, order)
        top += height


def _heights(parent: ContinuationNode, rows: int, wanted: Mapping[int, int]) -> list[int]:
    """How many of the parent's ``rows`` each child has: its share, rounded. ``wanted`` gives the importance of branches
    that get a row in any case, by id."""
    shares = [rows * each / parent.probability for each in (*(c.probability for c in parent.children), parent.open)]
    heights = [int(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda index: heights[index] - shares[index])
    for index in order[: rows - sum(heights)]:
        heights[index] += 1
    heights.pop()  # of what is less likely than the cut-off
    if heights and not sum(heights):  # a single row is the likeliest child's
        heights[0] = 1
    importance = [wanted.get(id(child), -len(wanted)) for child in parent.children]
    for index in sorted(range(len(heights)), key=lambda index: -importance[index]):
        if heights[index] or id(parent.children[index]) not in wanted:
            continue
        heights[index] = 1
        if sum(heights) > rows:  # the highest one gives a row, or a less important one that has no other
            less = importance[index]
            others = [n for n, height in enumerate(heights) if height > 1 or (height and importance[n] < less)]
            heights[max(others, key=lambda n: (heights[n], -importance[n]), default=index)] -= 1
    return heights
