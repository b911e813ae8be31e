"""Draw a share as a bar of block characters, to an eighth of a cell."""

from __future__ import annotations

EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def bar(share: float, cells: int, fill: str = "█") -> str:
    """A bar of ``share`` (0 to 1) of ``cells``, from the left and not padded. ``fill`` stands in its whole cells: ``░``
    tells a bar from the others without colour.

    Textual's ``Bar`` and ``ProgressBar`` draw in half cells, which is too coarse for a list's ten cells.
    """
    whole, rest = divmod(round(min(1.0, max(0.0, share)) * cells * 8), 8)
    return fill * whole + EIGHTHS[rest]
