"""Draw a share, or a row of figures, as bars of block characters, to an eighth of a cell."""

from __future__ import annotations

from collections.abc import Sequence

EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
HEIGHTS = "▁▂▃▄▅▆▇█"


def bar(share: float, cells: int, fill: str = "█") -> str:
    """A bar of ``share`` (0 to 1) of ``cells``, from the left and not padded. ``fill`` stands in its whole cells: ``░``
    tells a bar from the others without colour.

    Textual's ``Bar`` and ``ProgressBar`` draw in half cells, which is too coarse for a list's ten cells.
    """
    whole, rest = divmod(round(min(1.0, max(0.0, share)) * cells * 8), 8)
    return fill * whole + EIGHTHS[rest]


def upright_bars(values: Sequence[float], width: int, low: float | None = None, high: float | None = None) -> str:
    """A curve in one line of at most ``width`` cells: a bar for each value, from ``low`` to ``high`` (default: the
    least and the largest of them). A value that is no number leaves a gap."""
    if len(values) > width:
        values = [values[i * len(values) // width] for i in range(width)]
    finite = [value for value in values if value == value]
    if not finite:
        return ""
    low, high = min(finite) if low is None else low, max(finite) if high is None else high
    spread = (high - low) or 1.0
    return "".join(
        " " if value != value else HEIGHTS[min(len(HEIGHTS) - 1, int((value - low) / spread * len(HEIGHTS)))]
        for value in values
    )
