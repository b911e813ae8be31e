"""The app's colours. Screens name the variables (``$rule``, ``$train`` …), never a colour of their own."""

from __future__ import annotations

from dataclasses import replace

from textual.theme import Theme

THEME = Theme(
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
        "train": "#7aa2f7",  # training loss, always with the mark ·
        "valid": "#ffb86b",  # validation loss, always with the mark o
        "kept": "#7aa2f7",  # candidates that the sampler kept, █
        "cut": "#565d73",  # candidates that it cut, ░
        "copied": "#34412e",  # behind what is copied; opaque, as the text blends nothing
        "scrollbar": "#333849",
        "scrollbar-hover": "#4a5066",
        "scrollbar-active": "#7aa2f7",
        "scrollbar-background": "#10121a",
        "scrollbar-background-hover": "#10121a",
        "scrollbar-background-active": "#10121a",
        "scrollbar-corner-color": "#10121a",
        "block-cursor-background": "#262b3d",
        "block-cursor-foreground": "#d5d9e5",
        "border": "#333849",
        "input-selection-background": "#3d59a1",
    },
)


def theme_for(color_system: str | None) -> Theme:
    """The theme, with the darkest greys lifted where a terminal has 16 colours and would show them as black, and
    without their blue where it has 256 and would show them as navy."""
    if color_system == "256":
        grey = {"rule": "#444444", "border": "#444444", "cursor-line": "#303030", "block-cursor-background": "#303030"}
        return replace(THEME, panel="#1c1c1c", variables={**THEME.variables, **grey})
    if color_system not in ("standard", "windows"):
        return THEME
    grey = {"rule": "#808080", "border": "#808080", "quiet": "#c0c0c0", "cut": "#808080", "cursor-line": "#000000"}
    return replace(THEME, variables={**THEME.variables, **grey, "block-cursor-background": "#000000"})
