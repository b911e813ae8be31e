"""Background colours for the levels of a scale, legible on any theme.

The levels differ in lightness alone, on one hue, so that they can be told apart by people who are colour-blind, and
they leave the background by small steps, so that prose stays easy to read.
"""

from __future__ import annotations

from rich.color import ColorSystem
from rich.style import Style
from textual.color import Color
from textual.widget import Widget

from charlstm_tui.theme import TEXT, contrast, legible, luminance

STEPS = (1.35, 1.6, 2.1)
"""Contrast of each level's background with the plain background."""
BLACK, WHITE = Color(0, 0, 0), Color(255, 255, 255)


def level_backgrounds(background: Color, hue: Color) -> tuple[Color, ...]:
    """A background for each of :data:`STEPS`: ``background`` with more and more of ``hue``, and beyond it of white or
    black, until the contrast is reached."""
    found, end = [], WHITE if luminance(background) < 0.18 else BLACK
    for step in STEPS:
        low, high = 0.0, 2.0
        for _ in range(12):
            middle = (low + high) / 2
            color = _mixed(background, hue, end, middle)
            far = luminance(color) > luminance(background) if end is WHITE else luminance(color) < luminance(background)
            low, high = (low, middle) if far and contrast(color, background) >= step else (middle, high)
        found.append(_mixed(background, hue, end, high))
    return tuple(found)


def _mixed(background: Color, hue: Color, end: Color, part: float) -> Color:
    """From the background (0) by the hue (1) to the end (2)."""
    return background.blend(hue, part) if part <= 1 else hue.blend(end, part - 1)


def level_greys(background: Color) -> tuple[Color, ...]:
    """The levels for 256 colours, which have no calm tints but 24 greys: from the grey that is as light as what such a
    terminal shows for ``background``."""
    shown = Color.from_rich_color(background.rich_color.downgrade(ColorSystem.EIGHT_BIT))
    light = luminance(shown)
    grey = round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))
    return level_backgrounds(Color(grey, grey, grey), WHITE if light < 0.18 else BLACK)


def level_styles(widget: Widget, hue: str) -> list[Style]:
    """A style for text of a widget on the background of each level, with a colour of the theme by its name; with 256
    colours on greys."""
    _, _, background, text = widget.colors
    if widget.app.console.color_system == "truecolor":
        colors = level_backgrounds(background, Color.parse(widget.app.theme_variables[hue]))
    else:
        colors = level_greys(background)
    return [Style.from_color(legible(text, (color,), TEXT).rich_color, color.rich_color) for color in colors]
