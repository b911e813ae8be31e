"""Backgrounds that say how likely something is, the same in all views that show probabilities."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from rich.style import Style
from textual.color import Color
from textual.widget import Widget

from charlstm_tui.generate.level_colors import STEPS, level_backgrounds, level_greys
from charlstm_tui.generate.stream_view import has_backgrounds
from charlstm_tui.theme import TEXT, legible


def level_of(probability: float, limits: Sequence[float]) -> int:
    """How many of the rising ``limits`` a probability has reached: the place of its shade."""
    return bisect_right(limits, probability)


def probability_shades(widget: Widget, hue: str) -> list[Style]:
    """Styles for text on a widget, from plain to the darkest shade of a colour of the theme, by its name.

    All are plain where the terminal has too few colours.
    """
    plain = widget.rich_style
    if not has_backgrounds(widget.app):
        return [plain] * (1 + len(STEPS))
    _, _, background, text = widget.colors
    colour = Color.parse(widget.app.theme_variables[hue])
    true = widget.app.console.color_system == "truecolor"
    colors = level_backgrounds(background, colour) if true else level_greys(background)
    looks = (Style.from_color(legible(text, (color,), TEXT).rich_color, color.rich_color) for color in colors)
    return [plain, *(plain + look for look in looks)]
