"""Draw a share, or a row of figures, as bars of block characters, to an eighth of a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
HEIGHTS = " ▁▂▃▄▅▆▇█"


def bar(share: float, cells: int, fill: str = "█") -> str:
    """A bar of ``share`` (0 to 1) of ``cells``, from the left and not padded. ``fill`` stands in its whole cells: ``░``
    tells a bar from the others without colour.

    Textual's ``Bar`` and ``ProgressBar`` draw in half cells, which is too coarse for a list's ten cells.
    """
    whole, rest = divmod(round(min(1.0, max(0.0, share)) * cells * 8), 8)
    return fill * whole + EIGHTHS[rest]


def sparkline(
    values: Sequence[float], width: int, height: int = 1, low: float | None = None, high: float | None = None
) -> list[str]:
    """A curve as upright bars: ``height`` rows, the top one first, of one cell a value and at most ``width`` cells.

    The bars reach from ``low`` to ``high`` (default: the least and the largest value), in eighths of a cell, and any
    value can be seen; one that is no finite number leaves a gap. More values than cells are thinned out evenly.

    Textual's ``Sparkline`` scales by its own values only, so that two of them cannot be compared, and has no gaps.
    """
    if len(values) > width:
        values = [values[cell * (len(values) - 1) // max(1, width - 1)] for cell in range(width)]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return [""] * height
    low, high = min(finite) if low is None else low, max(finite) if high is None else high
    scale = 8 * height / ((high - low) or 1.0)
    eighths = [
        min(8 * height, 1 + max(0, int((value - low) * scale))) if math.isfinite(value) else 0 for value in values
    ]
    return ["".join(HEIGHTS[min(8, max(0, one - 8 * row))] for one in eighths) for row in reversed(range(height))]
