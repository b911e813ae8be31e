"""Every theme can be chosen in every mode, and its text can be read."""

from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorSystem
from rich.console import Console
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme
from textual.widgets import OptionList

from charlstm_tui import theme as ours
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.generate.stream_view import has_backgrounds
from charlstm_tui.theme import ANSI_DARK, DARK, LIGHT, QUIET, RUN_DARK, TEXT, TEXT_COLOURS, contrast
from driven_app import driven

OWN = {name for name in ANSI_DARK if not name.startswith("run-")}


def themes() -> dict[str, Theme]:
    return {DARK.name: DARK, LIGHT.name: LIGHT, **BUILTIN_THEMES}


def colours(theme: Theme) -> dict[str, str]:
    """The variables of ``theme`` as the app has them."""
    variables = {**ours.own_variables(theme), **theme.to_color_system().generate(), **theme.variables}
    return {**variables, **ours.legible_colours(theme, variables)}


def test_themes_have_the_variables_of_the_screens() -> None:
    app = CharLSTMApp()
    assert set(app.available_themes) == set(themes())
    for name in (LIGHT.name, "nord", "ansi-light"):
        app.theme = name
        assert set(app.get_css_variables()) >= OWN


@pytest.mark.parametrize(("colours", "background", "name"), [
    ("truecolor", None, "charlstm"), ("truecolor", (0, 0, 0), "charlstm"),
    ("truecolor", (250, 250, 245), "charlstm-light"), ("standard", None, "ansi-dark"),
    ("standard", (250, 250, 245), "ansi-light"),
])  # fmt: skip
def test_theme_suits_the_terminal(monkeypatch: pytest.MonkeyPatch, colours: str, background: Any, name: str) -> None:
    monkeypatch.setattr(Console, "color_system", colours)
    app = CharLSTMApp()
    if background is not None:
        app.suit_background(background)
    assert app.theme == name


async def test_help_and_palette_open_in_a_theme_of_the_terminals_colours(places: Path) -> None:
    async with driven(places) as app:
        await app.in_mode("corpus")
        app.app.theme = "ansi-dark"
        await app.press("f1", shows="Corpus: keys")
        await app.press("escape", "ctrl+p", shows="What would you like to do?")
        options = app.screen.query_one(OptionList)
        await app.until(lambda: options.highlighted == 0)
        name, other = (next(iter(options.render_line(row))).style for row in (0, 2))
        assert name.reverse  # there is no colour for a cursor
        assert other is None or not other.reverse


@pytest.mark.parametrize("theme", [each for each in themes().values() if not each.ansi], ids=lambda theme: theme.name)
def test_text_of_every_theme_can_be_read(theme: Theme) -> None:
    names = (*TEXT_COLOURS, *OWN, "foreground", "background", "panel")
    found = {name: Color.parse(value) for name, value in colours(theme).items() if name in names}
    background = found["background"]
    for behind in (background, background + found["panel"]):
        for name in (*TEXT_COLOURS, "foreground", "train", "valid"):
            assert contrast(found[name], behind) >= TEXT, f"${name} on {behind.hex}"
        assert contrast(found["quiet"], behind) >= QUIET
    assert contrast(found["panel-cursor"], background + found["panel"]) > 1.1, "the cursor of a dialog's list is seen"
    for behind in (found["cursor-line"], found["copied"], found["panel-cursor"]):
        assert contrast(found["foreground"], behind) >= QUIET
    assert contrast(found["quiet"], found["panel-cursor"]) >= QUIET, "what a list in a dialog says of the row chosen"
    assert contrast(found["rule"], background) > 1.2


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_quiet_text_of_our_own_themes_is_as_legible_as_any(theme: Theme) -> None:
    found, names = colours(theme), ("quiet", "background", "panel", "cursor-line")
    quiet, background, panel, line = (Color.parse(found[name]) for name in names)
    assert min(contrast(quiet, background), contrast(quiet, panel)) >= TEXT
    assert contrast(quiet, line) >= QUIET


def test_themes_of_the_terminals_colours_avoid_those_that_are_hard_to_read() -> None:
    """Blue and red on black and cyan and yellow on white have contrasts of 2 to 3 in xterm and on a Linux console."""
    app = CharLSTMApp()
    for name, poor in (("ansi-dark", {"ansi_blue", "ansi_red"}), ("ansi-light", {"ansi_cyan", "ansi_yellow"})):
        found = colours(BUILTIN_THEMES[name])
        used = {each: found[each] for each in (*TEXT_COLOURS, "train", "valid", "kept")}
        assert not poor.intersection(used.values()), used
        runs = {found[f"run-{number}"] for number in range(len(RUN_DARK))} - {"ansi_bright_black"}
        assert len(runs) == len(RUN_DARK)
        app.theme = name
        assert not has_backgrounds(app), "levels are marks"


@pytest.mark.parametrize("theme", ours.themes_for("256"), ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", ["background", "panel", "rule", "scrollbar", "border", "panel-cursor"])
def test_greys_stay_grey_in_256_colours(theme: Theme, name: str) -> None:
    colour = Color.parse({**theme.to_color_system().generate(), **theme.variables}[name])
    shown = Color.from_rich_color(colour.rich_color.downgrade(ColorSystem.EIGHT_BIT))
    assert shown.r == shown.g == shown.b
