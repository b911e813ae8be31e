"""Backgrounds that say how likely something is, the same in all views that show probabilities."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget

from charlstm_tui.generate.level_colors import STEPS, level_styles
from charlstm_tui.generate.stream_view import has_backgrounds


def probability_shades(widget: Widget, hue: str) -> list[Style]:
    """Styles for text on a widget, from plain to the darkest shade of a colour of the theme, by its name.

    All are plain where the terminal has too few colours.
    """
    plain = widget.rich_style
    if not has_backgrounds(widget.app):
        return [plain] * (1 + len(STEPS))
    return [plain, *(plain + look for look in level_styles(widget, hue))]
