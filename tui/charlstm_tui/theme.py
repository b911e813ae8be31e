"""The app's colours: a dark and a light theme, and what every other theme lacks of the variables that screens name.

Screens name variables (``$rule``, ``$train`` …), never a colour of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from textual.color import Color
from textual.theme import Theme

RUN_DARK = ("#56b4e9", "#f0a030", "#3ecf8e", "#e78ac3", "#f0e442", "#9a95ff", "#ff7a5c", "#c0c5d2")
RUN_LIGHT = ("#0060a8", "#b35900", "#00795a", "#b03a86", "#7a6a00", "#5a3fc0", "#c03010", "#555b66")
"""Colours of the runs on a chart of several, on dark and on light backgrounds: those of Okabe and Ito (2008), which
colour-blind people can tell apart, lightened or darkened until they can be read. Letters tell the runs apart too."""


def _run_variables(colours: Sequence[str]) -> dict[str, str]:
    return {f"run-{number}": colour for number, colour in enumerate(colours)}


def _completed(theme: Theme) -> Theme:
    """``theme`` with curves, scrollbars, borders and cursors in its own colours."""
    own, background = theme.variables, str(theme.background)
    backgrounds = ("scrollbar-background", "scrollbar-background-hover", "scrollbar-background-active")
    variables = {
        "train": theme.primary,  # training loss, always with the mark ·
        "valid": str(theme.accent),  # validation loss, always with the mark o
        "kept": theme.primary,  # candidates that the sampler kept, █
        "surprise": str(theme.secondary),  # its shades are behind what surprised the model or left it unsure
        "border": own["rule"],
        "scrollbar": own["rule"],
        "scrollbar-hover": own["quiet"],
        "scrollbar-active": theme.primary,
        **dict.fromkeys((*backgrounds, "scrollbar-corner-color"), background),
        "block-cursor-background": own["cursor-line"],
        "block-cursor-foreground": str(theme.foreground),
    }
    return replace(theme, variables={**variables, **own})


_DARK = Theme(
    name="charlstm",
    primary="#7aa2f7",
    secondary="#bb9af7",
    accent="#ffb86b",
    foreground="#d5d9e5",
    background="#10121a",
    surface="#10121a",
    panel="#1a1d29",
    success="#9ece6a",
    warning="#e6b450",
    error="#f7768e",
    dark=True,
    variables={
        "rule": "#333849",  # thin lines between panes
        "quiet": "#7f879c",  # captions, units, what is not the point
        "cursor-line": "#262b3d",  # the row under the cursor
        "panel-cursor": "#2c3350",  # the same in dialogs and the palette, which have the colour of a panel
        "cut": "#565d73",  # candidates that the sampler cut, ░
        "copied": "#34412e",  # behind what is copied; opaque, as the text blends nothing
        **_run_variables(RUN_DARK),
        "input-selection-background": "#3d59a1",
    },
)

_LIGHT = Theme(
    name="charlstm-light",
    primary="#2553b0",
    secondary="#7440b8",
    accent="#97500a",
    foreground="#23262f",
    background="#fbfaf7",
    surface="#fbfaf7",
    panel="#efeee9",
    success="#34701a",
    warning="#805b00",
    error="#b3263f",
    dark=False,
    variables={
        "rule": "#cbccd2",
        "quiet": "#666b79",
        "cursor-line": "#dde4f2",
        "panel-cursor": "#cdd8ee",
        "cut": "#9a9dab",
        "copied": "#d3e6c6",
        **_run_variables(RUN_LIGHT),
        "input-selection-background": "#b4c8ee",
    },
)

DARK, LIGHT = _completed(_DARK), _completed(_LIGHT)

_RUN_ANSI = ("default", "bright_magenta", "bright_blue")
_RUN_ANSI_DARK = ("cyan", "yellow", "green", "magenta", "bright_red")
_RUN_ANSI_LIGHT = ("blue", "magenta", "green", "red", "cyan")
ANSI_DARK = {
    "rule": "ansi_bright_black",
    "quiet": "ansi_default",  # not the bright black: in some schemes, such as Solarized, that is the background
    "cursor-line": "ansi_default",  # lists have a sign for the cursor, or it is reversed
    "panel-cursor": "ansi_default",
    "train": "ansi_cyan",
    "valid": "ansi_yellow",
    "kept": "ansi_cyan",
    "cut": "ansi_default",
    "copied": "ansi_blue",
    "surprise": "ansi_magenta",
    **_run_variables([f"ansi_{name}" for name in (*_RUN_ANSI_DARK, *_RUN_ANSI)]),
}
ANSI_LIGHT = {
    **ANSI_DARK,
    "train": "ansi_blue",
    "valid": "ansi_magenta",
    "kept": "ansi_blue",
    "copied": "ansi_cyan",
    **_run_variables([f"ansi_{name}" for name in (*_RUN_ANSI_LIGHT, *_RUN_ANSI)]),
}
"""Our variables in a theme that leaves the colours to the terminal, on dark and on light backgrounds."""
_ANSI_CURSOR = {
    "block-cursor-foreground": "ansi_default",
    "block-cursor-background": "ansi_default",
    "block-cursor-text-style": "bold reverse",
}
ANSI_TEXT_DARK = {"primary": "ansi_cyan", "accent": "ansi_yellow", "error": "ansi_bright_red", **_ANSI_CURSOR}
ANSI_TEXT_LIGHT = {"secondary": "ansi_magenta", "warning": "ansi_red", **_ANSI_CURSOR}
"""What cannot be read in such themes of Textual: blue and red on black, and cyan on white, have a contrast of 2 to 3 in
many terminals, and the text of a cursor has the colour of our background."""

TEXT_COLOURS = ("primary", "secondary", "accent", "warning", "error", "success")
"""Colours of a theme that the app writes text in."""
TEXT, QUIET = 4.5, 3.0
"""Least contrast ratios, of text and of quiet text (WCAG 2.2, 1.4.3 and its value for large text)."""


def themes_for(color_system: str | None) -> tuple[Theme, ...]:
    """The app's own themes, a dark and a light one. In a terminal of 256 colours the darkest greys lose their blue,
    which would make them navy, and the lightest their yellow, which would be bright."""
    dark, light = DARK, LIGHT
    if color_system == "256":
        grey = {"rule": "#444444", "cursor-line": "#303030", "panel-cursor": "#303030"}
        dark = _completed(replace(_DARK, panel="#1c1c1c", variables={**_DARK.variables, **grey}))
        variables = {**_LIGHT.variables, "panel-cursor": "#d0d0d0"}
        light = _completed(replace(_LIGHT, panel="#eeeeee", variables=variables))
    return dark, light


def own_variables(theme: Theme) -> dict[str, str]:
    """The variables of the app's own for a theme that knows nothing of them, such as those of Textual."""
    if theme.ansi:
        return dict(ANSI_DARK if theme.dark else ANSI_LIGHT)
    colours = theme.to_color_system().generate()
    background, panel, foreground, primary, accent, success = (
        Color.parse(colours[name]) for name in ("background", "panel", "foreground", "primary", "accent", "success")
    )
    behind = (background, background + panel)
    line = background.blend(primary, 0.15, 1)  # the row under the cursor
    panel_line = behind[1].blend(primary, 0.18, 1)
    train, valid = legible(primary, behind, TEXT), legible(accent, behind, TEXT)
    return {
        "rule": background.blend(foreground, 0.22, 1).hex,
        "quiet": legible(background.blend(foreground, 0.6, 1), (*behind, line, panel_line), QUIET).hex,
        "cursor-line": line.hex,
        "panel-cursor": panel_line.hex,
        "train": train.hex,
        "valid": valid.hex,
        "kept": train.hex,
        "cut": background.blend(foreground, 0.4, 1).hex,
        "copied": background.blend(success, 0.22, 1).hex,
        "surprise": colours["warning"],
        **_run_variables(
            [legible(Color.parse(each), behind, TEXT).hex for each in (RUN_DARK if theme.dark else RUN_LIGHT)]
        ),
    }


def legible_colours(theme: Theme, variables: Mapping[str, str]) -> dict[str, str]:
    """The colours of ``theme`` that text is written in, darkened or lightened as far as reading them takes.

    Many themes mean them for borders and backgrounds: orange on white, as in ``textual-light``, has a contrast of 1.5.
    """
    if theme.ansi:
        return dict(ANSI_TEXT_DARK if theme.dark else ANSI_TEXT_LIGHT)
    background = Color.parse(variables["background"])
    behind = (background, background + Color.parse(variables["panel"]))
    colours = {name: legible(Color.parse(variables[name]), behind, TEXT).hex for name in TEXT_COLOURS}
    return {**colours, "foreground": legible(Color.parse(variables["foreground"]), behind, TEXT).hex}


def legible(colour: Color, behind: tuple[Color, ...], least: float) -> Color:
    """``colour``, blended with black or white until it has the contrast ``least`` to all colours of ``behind``."""
    towards = behind[0].get_contrast_text(1.0)
    for share in range(0, 101, 5):
        blended = colour.blend(towards, share / 100, 1)
        if all(contrast(blended, each) >= least for each in behind):
            return blended
    return towards


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Color) -> float:
    """Relative luminance: 0 is black, 1 is white (WCAG 2.2)."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
