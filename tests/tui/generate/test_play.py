"""Play as a person uses it: every key, narrow and wide, hostile text."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from textual import events
from textual.events import Paste
from textual.widgets import Input

from charlstm.display import quoted
from charlstm.generation.document import own_text
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.model.file import save_model
from charlstm_tui.dialogs import PromptDialog
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.sampler_dialog import SamplerDialog
from charlstm_tui.generate.sampler_panel import adjust
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.player.marks import RANK
from charlstm_tui.player.preferences import recall
from charlstm_tui.save_dialog import SaveDialog
from charlstm_tui.theme import LIGHT
from charlstm_tui.widgets.find import FindBar
from charlstm_tui.widgets.top_bar import TopBar
from playing_app import HeldReading, at, playing
from recorded_run import NASTY, SYMBOLS, tiny_model


async def test_opens_streaming_and_space_pauses_and_goes_on(model: Path) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.screen.play.playing and it.state.length > 5)
        assert it.state.running
        assert it.text.startswith("The morning")
        await it.pilot.press("space")
        await it.until(lambda: not it.state.running)
        length = it.state.length
        assert length < 1000
        assert "paused" in it.status()
        await it.pilot.press("space")
        await it.until(lambda: it.state.length > length)
        assert "ch/s" in it.status()


async def test_settings_are_changed_in_flight(model: Path) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.screen.play.playing and it.state.running)
        await it.pilot.press("T", "T", "k", "k", "p", "M")
        await it.until(lambda: it.state.settings.temperature == 0.9 and it.state.settings.min_p == 0.1)
        assert it.state.running
        settings = it.state.settings
        assert (settings.top_k, settings.top_p) == (30, 0.99)  # 40 is the first
        await it.pilot.press("t", "K", "K", "K", "P", "m", "m", "m", "m", "m")
        await it.until(lambda: it.state.settings.min_p is None)
        settings = it.state.settings
        assert (settings.temperature, settings.top_k, settings.top_p) == (0.85, None, None)
        assert "off" in it.screen_text()


@pytest.mark.parametrize(
    ("settings", "name", "direction"),
    [
        (SamplerSettings(temperature=3.0), "temperature", 1),
        (SamplerSettings(min_p=0.8), "min_p", 1),
        (SamplerSettings(top_p=0.05), "top_p", -1),
    ],
)
def test_value_beyond_those_of_the_keys_stays_when_it_cannot_go_farther(
    settings: SamplerSettings, name: str, direction: int
) -> None:
    assert adjust(settings, name, direction) == settings
    assert adjust(settings, name, -direction) != settings


async def test_every_sampler_setting_is_in_a_form(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)

        await it.pilot.press("a")
        await it.until(lambda: isinstance(it.app.screen, SamplerDialog))
        form = it.app.screen
        assert isinstance(form, SamplerDialog)
        for name, value in (
            ("typical", "0.9"),
            ("mirostat", "2.5"),
            ("top_k", "7"),
            ("min_p", "off"),
            ("copied", "12"),
        ):
            await it.pilot.press(*name, "enter", *value, "enter")
        await it.pilot.press(*"mirostat", "enter", *"-1", "enter")
        await it.until(lambda: "above 0, up to 64" in it.screen_text())
        await it.pilot.press("escape", "ctrl+s")
        await it.until(lambda: it.state.settings.mirostat == 2.5)
        settings = it.state.settings
        assert (settings.typical, settings.top_k, settings.min_p) == (0.9, 7, None)
        assert it.screen.play.min_copied == 12
        await it.until(lambda: "typical 0.9 · miro" in it.screen_text())
        await it.pilot.press("a", "ctrl+r", "ctrl+s")
        await it.until(lambda: it.state.settings == SamplerSettings())
        assert it.screen.play.min_copied == 30
    async with playing(model, speed=None) as it:
        await it.until(lambda: it.screen.play.playing)
        assert it.state.settings == SamplerSettings()


async def test_what_a_filter_cuts_is_named_and_told_apart(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press(*"k" * 11)
        await it.until(lambda: it.state.settings.top_k == 2)
        await it.until(lambda: "61 cut by top-k" in it.screen_text() or "60 cut by top-k" in it.screen_text())


async def test_speed_goes_from_one_a_key_to_full(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        assert "full" in it.screen_text()
        await it.pilot.press(*["minus"] * 12)
        await it.until(lambda: it.state.speed == 0)
        length = it.state.length
        await it.pilot.press("space")
        await it.until(lambda: it.state.length == length + 1)
        await it.pilot.press("space", "right")
        await it.until(lambda: it.state.length == length + 3)
        assert not it.state.running


async def test_walking_shows_the_candidates_there(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        length = it.state.length
        await it.pilot.press("left", "left", "left")
        await it.until(lambda: it.position == length - 3)
        assert it.state.current_char == it.text[len("The morning") + length - 3]
        await it.pilot.press("right", "right", "right")
        await it.until(lambda: it.position == length)
        await it.pilot.press("right")
        await it.until(lambda: it.state.length == length + 1)
        await it.pilot.press(*["up"] * 10)
        await it.until(lambda: it.position == 0)
        assert it.screen.play.text_view.cursor == len("The morning")
        await it.pilot.press("space")
        await it.until(lambda: it.state.length > length + 1)
        assert it.screen.play.text_view.at_end


async def test_a_choice_branches_and_the_tree_brings_the_old_line_back(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left", "enter")
        await it.until(lambda: it.position == it.state.length - 2)
        alternatives = it.screen.query_one(Candidates).shown
        other = next(number for number, one in enumerate(alternatives, 1) if one.char != before[-2])
        await it.pilot.press(str(other))
        await it.until(lambda: len(it.state.branches) == 2)
        assert it.text == before[:-2] + alternatives[other - 1].char
        assert it.screen.view.scopes()[-1] == "generate.text"
        await it.pilot.press("b")
        tree = it.screen.query_one(BranchTree)
        await it.until(lambda: tree.has_focus and tree.option_count == 2)
        assert tree.highlighted == 1  # the branch that is walked, the only one with the mark
        lines = [str(option.prompt) for option in tree.options]
        assert [line.startswith("●") for line in lines] == [False, True]
        await it.pilot.press("home", "enter")
        await it.until(lambda: it.text == before)
        await it.pilot.press("b", "down", "N")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        await it.pilot.press(*"[x]", "enter")
        await it.until(lambda: any(branch.name == "[x]" for branch in it.state.branches))
        await it.pilot.press("D")
        await it.until(lambda: len(it.state.branches) == 1)


async def test_choices_beyond_nine_are_reached_with_the_arrows(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left")
        await it.until(lambda: it.position == 18)
        await it.pilot.press("enter", *["up"] * 60, "pagedown", *["down"] * 20)
        distribution = it.state.distribution
        assert distribution is not None
        listed = sorted(distribution.alternatives, key=lambda one: not one.kept)
        await it.pilot.press("enter")
        await it.until(lambda: it.text.startswith(before[:-2] + listed[30].char) and it.position == 19)
        assert "generate.text" in it.screen.view.scopes()


async def test_escape_leaves_the_choices_and_digits_are_modes_again(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("enter")
        await it.until(lambda: "generate.choices" in it.screen.view.scopes())
        assert "CHOOSE" in it.screen_text()
        await it.pilot.press("escape")
        await it.until(lambda: "generate.text" in it.screen.view.scopes())
        await it.pilot.press("4")
        await it.until(lambda: not isinstance(it.app.screen, GenerateScreen))


async def test_rolling_again_and_own_text(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left", "left", "r")
        await it.until(lambda: it.text[: len(before)] != before)
        assert it.text.startswith(before[:-3])
        await it.until(lambda: not it.state.running)
        length = it.state.length
        await it.pilot.press("i")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        await it.pilot.press(*"hello", "enter")
        await it.until(lambda: it.state.length == length + 5)
        assert it.text.endswith("hello")


async def test_the_prime_is_edited_in_place_with_several_lines(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("e")
        await it.until(lambda: it.screen.in_input())
        await it.pilot.press(*["backspace"] * 11, "q", "1", "ctrl+j", "x", "enter")
        await it.until(lambda: it.prime == "q1\nx")
        await it.until(lambda: "The model reads 1 as" in it.status())
        assert it.text.startswith("q1\nx")
        assert not it.screen.in_input()
        await it.pilot.press("e", "z", "escape")
        await it.until(lambda: it.screen.play.prime_input.text == "q1\nx")
        await it.burst("e", "t", "e", "k", "enter")  # none of them is an action, and they replace what was there
        await it.until(lambda: it.prime == "tek" and it.state.length > 0 and not it.state.running)
        await it.burst("w", "w", "e")
        await it.until(lambda: it.text.endswith("we"))


async def test_prime_that_was_typed_and_not_played_is_there_again(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        text = it.text
        await it.pilot.press("e", *"Once", "tab")
        await it.until(lambda: "That prime was not played; e has it again." in it.status())
        assert it.screen.play.prime_input.text == it.prime
        await it.pilot.press("e")
        await it.until(lambda: it.screen.play.prime_input.text == "Once")
        assert it.text == text
        await it.pilot.press("enter")
        await it.until(lambda: it.prime == "Once")


async def test_an_empty_prime_says_where_it_begins_and_a_long_one_how_far_it_is_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm_tui.player.model_thread.PROGRESS_AFTER", 0.0)
    reading = HeldReading(monkeypatch)
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("e", *["backspace"] * 11, "enter")
        await it.until(lambda: it.prime == "" and it.screen.play.playing)
        await it.until(lambda: "begins as a line does" in it.screen_text())
        await it.pilot.press("e")
        it.screen.play.prime_input.load_text("The morning and the sea.\n" * 4_000)
        reading.hold()
        it.app.simulate_key("enter")
        await it.until(lambda: "reading the prime" in it.status(), settle=False)
        assert it.state.size == it.state.prime_length == 100_000
        reading.go_on()
        await it.until(lambda: it.state.is_current and "reading the prime" not in it.status())


async def test_colours_change_what_the_legend_says(model: Path) -> None:
    async with playing(model, (120, 36)) as it:
        it.app.bits = True
        await it.paused(3)
        seen = []
        for _ in range(5):
            seen.append(it.status().split("   ")[0].strip())
            await it.pilot.press("c")
        assert seen == [
            "background: expected <1  1–3  3–6  >6  bits surprising",
            "RANK  1 plain  2–3 underline  4–10 bold  >10 reverse",
            "background: sure <1  1–2  2–3.5  >3.5  bits unsure",
            "no colours",
            seen[0],
        ]


@pytest.mark.parametrize("mode", ["train", "runs", "generate"])
async def test_legend_has_the_colours_of_the_text_after_a_change_of_the_theme(model: Path, mode: str) -> None:
    labels = ("<1", "1–3", "3–6", ">6")
    async with playing(model, (120, 36)) as it:
        it.app.bits = True
        await it.paused(3)
        screen, text = it.screen, it.screen.play.text_view
        before = it.backgrounds(*labels)
        it.app.go(mode)
        await it.until(lambda: it.app.mode_screen is not None and mode == it.app.mode_screen.MODE)
        it.app.theme = LIGHT.name
        await it.pilot.pause()
        it.app.go("generate")
        await it.until(lambda: it.app.screen is screen)
        await it.pilot.pause()
        levels = [text.level_style(level).rich_style.bgcolor for level in range(2, 5)]
        shown = it.backgrounds(*labels)
        assert shown[1:] == [color and color.name for color in levels]
        assert all(now != was for now, was in zip(shown, before, strict=True))


async def test_change_of_the_theme_is_not_remembered_as_a_choice_of_colours(model: Path, home: Path) -> None:
    other = home / "other.safetensors"
    save_model(other, tiny_model(prime="The morning"))
    async with playing(model) as it:
        await it.paused(3)
        it.app.theme = "ansi-dark"
        it.app.play(str(other))
        await it.until(lambda: it.screen.play.playing and it.screen.play.scale is RANK)
        it.app.theme = LIGHT.name
        await it.pilot.pause()
    for each in (model, other):
        remembered = recall(str(each))
        assert remembered is not None
        assert remembered.colour is None


async def test_without_colour_marks_by_rank_are_shown(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with playing(model, (120, 36)) as it:
        await it.paused(3)
        assert it.status().startswith("RANK  1 plain")


@pytest.mark.parametrize("colours", [True, False])
async def test_focus_mode_shows_who_wrote_the_text_and_no_levels(
    model: Path, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looks(start: int) -> set[tuple[bool, bool, bool, bool]]:
        """Bold, underlined, reversed or with a background, and italic: of the characters from ``start`` on."""
        styles = [text._style(mark) for mark in text.marks()[start:]]
        return {
            (bool(each.bold), bool(each.underline), bool(each.reverse or each.bgcolor), bool(each.italic))
            for each in styles
        }

    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    async with playing(model, (80, 24)) as it:
        text = it.screen.play.text_view
        await it.paused(60)
        generated = len(it.text)
        await it.pilot.press("w", *"ours")
        await it.until(lambda: it.text.endswith("ours") and it.state.read_to == len(it.text))
        levels = looks(it.state.prime_length)
        assert any(any(look[:3]) for look in levels)
        await it.pilot.press("ctrl+d")
        await it.until(lambda: looks(it.state.prime_length) == {(False,) * 4, (False, False, False, True)})
        assert looks(generated) == {(False, False, False, True)}
        await it.pilot.press("ctrl+d")
        await it.until(lambda: looks(it.state.prime_length) == levels)


async def test_focus_mode_has_colours_when_they_are_asked_for(model: Path) -> None:
    async with playing(model, (80, 24)) as it:
        await it.paused(20)
        text, scale = it.screen.play.text_view, it.screen.play.scale
        await it.pilot.press("ctrl+d")
        await it.until(lambda: it.screen.play.text_only and not text.shows_levels)
        await it.pilot.press("c")
        await it.until(lambda: text.shows_levels and it.screen.play.scale is scale)
        await it.pilot.press("c")
        await it.until(lambda: it.screen.play.scale is not scale)
        await it.pilot.press("ctrl+d", "ctrl+d", "v")  # what Why explains is seen too
        await it.until(lambda: it.screen.play.explaining and text.shows_levels)


async def test_the_status_line_says_what_the_character_at_the_cursor_was_worth(model: Path) -> None:
    async with playing(model) as it:
        it.app.bits = True
        await it.paused(30)
        await it.pilot.press("left", "left")
        await it.until(lambda: it.position == 28)
        char = it.text[len(it.prime) + 28]
        assert re.search(rf"{re.escape(quoted(char))} \d+\.\d bits, [<>\d.]+ %, rank \d+", it.status()), it.status()
        assert "expected <1  1–3  3–6  >6  bits surprising" in it.status()


async def test_find_goes_to_the_places_and_keeps_what_was_looked_for(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(40)
        view = it.screen.play.text_view
        needle = it.text[-8:-5]
        places = [match.start() for match in re.finditer(f"(?={re.escape(needle)})", it.text)]
        await it.pilot.press("slash")
        await it.until(lambda: isinstance(it.screen.focused, Input))
        it.screen.query_one(FindBar).action_case()
        for char in needle:
            it.screen.focused.insert_text_at_cursor(char)
        await it.until(lambda: view.cursor in places and f"of {len(places)}" in it.screen_text())
        seen = {view.cursor}
        for key in ("enter", "down", "up", "ctrl+f") * len(places):
            await it.pilot.press(key)
            seen.add(view.cursor)
        assert seen == set(places)
        styles = {segment.style.reverse for strip in map(view.render_line, range(3)) for segment in strip}
        assert True in styles
        await it.pilot.press("escape")
        await it.until(lambda: not it.screen.query(FindBar) and it.screen.focused is view)
        assert it.position == view.cursor - len(it.prime)
        await it.pilot.press("ctrl+f")
        await it.until(lambda: isinstance(it.screen.focused, Input))
        assert it.screen.focused.value == needle
        await it.pilot.press("backspace", *"[never]")
        await it.until(lambda: "not found" in it.screen_text())


async def test_the_tree_takes_keys_where_there_is_no_room_for_it(model: Path) -> None:
    async with playing(model, size=(50, 14)) as it:
        await it.paused(20)
        it.desk.choose("q", at(10))
        await it.until(lambda: len(it.state.branches) == 2)
        await it.pilot.press("b", "pagedown", "pageup", "end", "escape")
        assert it.screen.play.playing
        assert "BRANCHES" not in it.screen_text()
        await it.pilot.press("b", "home", "enter")  # a branch that is taken is seen
        await it.until(lambda: "BRANCHES" not in it.screen_text() and it.screen.focused is it.screen.play.text_view)
        await it.pilot.press("left", "enter")  # the choices stand in place of the text
        await it.until(lambda: "CHOOSE" in it.screen_text())
        shown = it.screen.query_one(Candidates).shown
        assert 0 < len(shown) < 10
        await it.pilot.press(str(len(shown) + 1))  # what is not seen is not picked
        assert it.screen.play.choosing
        await it.pilot.press("escape")
        await it.until(lambda: "CHOOSE" not in it.screen_text() and it.screen.focused is it.screen.play.text_view)


async def test_the_mouse_goes_to_another_mode_from_within_an_input(model: Path) -> None:
    async with playing(model) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.pilot.press("e")
        assert it.screen.in_input()
        bar = it.screen.query_one(TopBar)
        await it.pilot.click(bar, offset=(bar.render().plain.index("Runs"), 0))
        await it.until(lambda: it.app.mode_screen is not None and it.app.mode_screen.MODE == "runs")


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 60), (40, 12)])
async def test_hostile_text_at_every_size(home: Path, size: tuple[int, int]) -> None:
    nasty = unicodedata.normalize("NFC", NASTY)
    symbols = tuple(sorted(set(SYMBOLS) | set(nasty)))
    path = home / "nasty.safetensors"
    save_model(path, tiny_model(symbols=symbols, prime=nasty))
    async with playing(path, size) as it:
        await it.paused(200)
        assert it.text.startswith(own_text(nasty))
        for key in ("up", "left", "enter", "escape", "b", "escape", "c", "z", "escape", "e", "escape"):
            await it.pilot.press(key)
        for key in ("e", "escape"):  # as it is played and while its prime is edited
            for strip in it.app.screen._compositor.render_strips():
                assert strip.cell_length == size[0]
                assert not set(strip.text) & {"\x1b", "\x00", "\x07", "\u202e", "\n"}
            await it.pilot.press(key)


@pytest.mark.parametrize("view", ["play", "write", "score", "duel"])
async def test_what_is_offered_does_something(model: Path, view: str) -> None:
    """No key of the table is offered without its handler, in any view."""
    async with playing(model) as it:
        await it.paused(3)
        if view != "play":
            await it.pilot.press(view[0])
        await it.until(lambda: it.screen.view_name == view)
        for action in it.screen.available():
            assert callable(it.screen.handler(action)), action.id
        await it.pilot.press("escape", "escape", "escape")
        await it.until(lambda: it.screen.view_name == "play")


async def test_what_is_typed_in_the_prime_waits_while_another_window_has_the_keyboard(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("e", *"Once")
        prime = it.screen.play.prime_input
        await it.until(lambda: prime.text.endswith("Once"))
        it.app.post_message(events.AppBlur())
        await it.until(lambda: not prime.has_focus)
        it.app.post_message(events.AppFocus())
        await it.until(lambda: prime.has_focus)
        assert prime.text.endswith("Once")
        await it.pilot.press("enter")
        await it.until(lambda: it.prime.endswith("Once"))


async def test_a_pane_that_fills_the_screen_gives_way_to_what_gets_the_keys(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("z")
        await it.until(lambda: it.screen.maximized is it.screen.play.text_view)
        await it.until(lambda: "z back" in it.screen_text())
        await it.pilot.press("e")
        await it.until(lambda: it.screen.maximized is None and it.screen.play.prime_input.has_focus)


async def test_choices_are_seen_where_the_tree_stood(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("b")
        candidates = it.screen.query_one(Candidates)
        await it.until(lambda: not candidates.display)
        it.screen.play.text_view.focus()
        await it.until(lambda: it.screen.play.text_view.has_focus)
        await it.pilot.press("enter")
        await it.until(lambda: candidates.display and "CHOOSE" in it.screen_text())


async def test_the_prime_says_its_keys_while_it_is_edited(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("e")
        await it.until(lambda: "Enter: play from this prime" in it.status())
        await it.pilot.press("escape")
        await it.until(lambda: "surprising" in it.status())


async def test_text_that_streams_goes_on_when_its_mode_is_shown_again(model: Path) -> None:
    async with playing(model, speed=120) as it:
        await it.until(lambda: it.screen.play.playing and it.state.length > 5)
        thread, made = it.screen.model_thread, it.state.length
        await it.pilot.press("2")
        await it.until(lambda: not thread._visible)
        await it.pilot.press("3")
        await it.until(lambda: it.state.running and it.state.length > made, settle=False)


async def test_keys_of_play_work_while_the_branches_have_the_focus(model: Path) -> None:
    async with playing(model, (120, 36)) as it:
        await it.paused(20)
        it.desk.choose("q", at(10))
        await it.until(lambda: len(it.state.branches) == 2)
        await it.pilot.press("b", "home", "enter")
        tree = it.screen.query_one(BranchTree)
        await it.until(lambda: it.screen.focused is it.screen.play.text_view)
        await it.pilot.press("b")  # once is enough, also after Enter
        await it.until(lambda: tree.has_focus)
        before = it.screen.play.scale
        await it.pilot.press("c")
        assert it.screen.play.scale is not before
        await it.pilot.press("s")
        await it.until(lambda: it.screen.view_name == "score")


async def test_info_goes_by_itself_and_an_error_with_the_next_action(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm_tui.generate.screen.INFO_SECONDS", 0.05)
    async with playing(model) as it:
        await it.paused(5)
        it.screen.play.say("Saved")
        await it.until(lambda: it.screen.message == "")
        it.screen.show_error("That failed.")
        it.screen.play.say("Saved")
        await it.until(lambda: "That failed." in it.status())
        await it.pilot.press("t")
        await it.until(lambda: it.screen.message == "")


@pytest.mark.parametrize("key", ["ctrl+home", "ctrl+end", "ctrl+right", "home", "end"])
async def test_a_move_in_the_prime_leaves_what_was_selected(model: Path, key: str) -> None:
    async with playing(model) as it:
        await it.paused(5)
        prime = it.prime
        await it.pilot.press("e", key, "x")
        assert it.screen.play.prime_input.text in (f"x{prime}", f"{prime}x")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_focus_mode_shows_only_the_text_and_escape_or_its_key_leaves_it(
    model: Path, size: tuple[int, int]
) -> None:
    async with playing(model, size=size) as it:
        await it.paused(200)
        rows = it.screen_text()
        await it.pilot.press("ctrl+d")
        await it.until(lambda: it.screen.play.text_view.size.height == size[1] - 2)
        assert "Esc or Ctrl+D shows all panes again." in it.screen_text().splitlines()[-1]  # below the text
        assert not it.app._notifications
        it.screen.play.say("")
        await it.until(lambda: "Esc" not in it.screen_text())
        shown = "".join(it.screen_text().split())
        assert shown == "".join(it.text.split())
        assert it.screen.play.text_view.size.width <= 84
        for back in ("ctrl+d", "escape"):
            await it.pilot.press("w")
            await it.until(lambda: it.screen.view_name == "write" and it.state.suggestion != "")
            assert it.screen.play.text_only  # also while writing
            await it.pilot.press(back)
            await it.until(lambda: not it.screen.play.text_only and "SUGGESTIONS" not in it.screen_text())
            assert "all panes again" not in it.screen_text()
            assert it.screen.view_name == "write"
            await it.pilot.press("escape", "escape")
            await it.until(lambda: it.screen.view_name == "play")
            await it.pilot.press("ctrl+d")
        await it.pilot.press("enter")  # the choices need their pane
        await it.until(lambda: it.screen.play.choosing and not it.screen.play.text_only)
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.screen_text().splitlines()[0] == rows.splitlines()[0])


@pytest.mark.parametrize("by_mouse", [False, True])
async def test_nothing_is_generated_while_a_prime_is_typed(model: Path, by_mouse: bool) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.screen.play.playing and it.state.length > 5)
        if by_mouse:
            await it.pilot.click("#prime")
        else:
            await it.pilot.press("e")
        await it.until(lambda: it.screen.play.prime_input.has_focus and not it.state.running)
        length, session = it.state.length, it.state.session_id
        await it.pilot.press(*"The light ")
        assert (it.state.length, it.state.session_id, it.state.running) == (length, session, False)
        await it.pilot.press("escape")
        await it.until(lambda: it.screen.focused is it.screen.play.text_view)
        assert (it.state.length, it.state.running) == (length, False)
        await it.pilot.press("e", *"The light", "enter")
        await it.until(lambda: it.prime == "The light" and it.state.running)


async def test_characters_and_words_are_counted_with_the_prime_in_every_place(model: Path) -> None:
    async with playing(model, size=(120, 36)) as it:
        await it.paused(20)
        count = f"{len(it.text)} chars"
        assert count in it.status()
        await it.until(lambda: f"{count}  {len(it.text.split())} words" in it.status())
        await it.pilot.press("w")
        await it.until(lambda: count in it.status())
        await it.pilot.press("ctrl+home", "x", "backspace")  # the prime is text like any other now
        await it.until(lambda: it.state.prime_length == 0 and it.state.length == it.state.size)
        await it.until(lambda: count in it.status())
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.screen.view_name == "play" and count in it.status())
        count = f"{len(it.text.split())} words"
        await it.pilot.press("e", *"The light", "enter")
        await it.until(lambda: it.prime == "The light")
        await it.until(lambda: f"{count} · “The morning" in it.screen.message)
        await it.pilot.press("O")
        await it.until(lambda: f"tiny · {count} · " in it.screen_text())


@pytest.mark.parametrize("size", [(80, 20), (80, 24), (120, 36)])
async def test_the_dialog_that_saves_shows_its_keys_below_all_formats(model: Path, size: tuple[int, int]) -> None:
    async with playing(model, size=size) as it:
        await it.paused(20)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog) and "Esc cancel" in it.screen_text())
        assert "O lists the sessions in" in it.screen_text()
        await it.pilot.press("up")  # the last format, which may have to be scrolled to
        await it.until(lambda: ".json" in it.screen_text() and "which goes on there" in it.screen_text())


async def test_message_stays_when_the_note_before_it_goes(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("ctrl+z")
        await it.until(lambda: "Undone" in it.status())
        it.screen.show_message("3 characters of Duel put in.")
        size = it.state.size
        it.desk.put_in("abc")
        await it.until(lambda: it.state.size == size + 3)
        assert "of Duel put in" in it.status()


async def test_note_goes_with_the_next_change(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("ctrl+z")
        await it.until(lambda: "Undone" in it.status())
        it.desk.put_in("abc")
        await it.until(lambda: "Undone" not in it.status())


@pytest.mark.parametrize("pasted", [False, True])
async def test_legend_says_how_own_text_looks(model: Path, pasted: bool) -> None:
    async with playing(model, size=(150, 30)) as it:
        await it.paused(20)
        assert "your own" not in it.status()
        await it.pilot.press("w")
        if pasted:
            it.screen.play.text_view.post_message(Paste("the light"))
        else:
            await it.pilot.press("x")
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.screen.view_name == "play" and "your own" in it.status())
        await it.pilot.resize_terminal(80, 24)
        await it.until(lambda: "surprising" not in it.status())  # words that give way to a figure
        assert "your own" in it.status()
        assert "mean" in it.status()
