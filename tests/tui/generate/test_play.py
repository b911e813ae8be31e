"""Play as a person uses it: every key, narrow and wide, hostile text."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from charlstm.generation.document import own_text
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.model.file import save_model
from charlstm_tui.generate.branch_tree import BranchTree
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.sampler_dialog import SamplerDialog
from charlstm_tui.generate.sampler_panel import adjust
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.help import HelpScreen
from charlstm_tui.theme import LIGHT
from charlstm_tui.widgets.find import FindBar
from charlstm_tui.widgets.top_bar import TopBar
from playing_app import PRIME, HeldReading, at, playing
from recorded_run import NASTY, SYMBOLS, tiny_model


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


async def test_text_streams_and_pauses_and_takes_settings_in_flight(model: Path) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.state.length > 5)
        await it.press("T", "T", "t", "k", "k", "K", "p", "P", "M", "m", "M")
        wanted = SamplerSettings(temperature=0.85, top_k=40, top_p=None, min_p=0.1)
        await it.until(lambda: it.state.settings == wanted)
        assert it.state.running
        thread, made = it.screen.model_thread, it.state.length
        await it.press("2")
        await it.until(lambda: not thread._visible)
        await it.press("3")
        await it.until(lambda: it.state.running and it.state.length > made, settle=False)
        await it.press("space", says="paused")
        assert not it.state.running
        assert it.state.length < 1000
        await it.press("space", says="ch/s")


async def test_every_sampler_setting_is_in_a_form(model: Path) -> None:
    async with playing(model, paused=3) as it:
        await it.press("a")
        await it.opens(SamplerDialog)
        entered = {"repetition": "2.5", "top_k": "7", "min_p": "off", "copied": "12"}
        for name, value in entered.items():
            await it.press(*name, "enter", *value, "enter")
        await it.press(*"repetition", "enter", *"-1", "enter", shows="from 0 to 1,000")
        await it.press("escape", "ctrl+s")
        await it.until(lambda: it.state.settings.repetition == 2.5)
        settings = it.state.settings
        assert (settings.top_k, settings.min_p) == (7, None)
        assert it.screen.play.min_copied == 12
        await it.shows("repetition 2.5")
        await it.press("a", "ctrl+r", "ctrl+s")
        await it.until(lambda: it.state.settings == SamplerSettings())
        assert it.screen.play.min_copied == 30


async def test_at_the_end_one_character_comes_for_a_key_and_elsewhere_the_cursor_walks(model: Path) -> None:
    async with playing(model, paused=20) as it:
        await it.shows("full")
        await it.press(*["minus"] * 12, "space", "right")
        await it.until(lambda: it.state.length == 22 and not it.state.running)
        await it.press("left", "left", "left")
        await it.until(lambda: (it.position, it.state.current_char) == (19, it.text[len(PRIME) + 19]))
        await it.press(*["up"] * 10)
        await it.until(lambda: it.screen.play.text_view.cursor == len(PRIME))
        await it.press("space")
        await it.until(lambda: it.state.length == 23)
        assert it.screen.play.text_view.at_end


async def test_a_choice_branches_and_the_tree_brings_the_old_line_back(model: Path) -> None:
    async with playing(model, paused=20) as it:
        before, candidates, tree = it.text, it.screen.query_one(Candidates), it.screen.query_one(BranchTree)
        await it.press("left", "left", "enter", shows="CHOOSE")
        number, char = next((n, one.char) for n, one in enumerate(candidates.shown, 1) if one.char != before[-2])
        await it.press(str(number), gives=before[:-2] + char)
        await it.press("b")
        await it.until(lambda: tree.has_focus and tree.option_count == 2 and not candidates.display)
        assert tree.highlighted == 1  # the branch that is walked, the only one with the mark
        assert [str(option.prompt).startswith("●") for option in tree.options] == [False, True]
        await it.press("home", "enter", gives=before)
        await it.press("b", "down")  # b once is enough, also after Enter
        await it.enter("N", "[x]")
        await it.until(lambda: any(branch.name == "[x]" for branch in it.state.branches))
        await it.press("D")
        await it.until(lambda: len(it.state.branches) == 1)
        assert not candidates.display

        it.screen.play.text_view.focus()
        await it.press("left", "left", "enter", shows="CHOOSE")  # where the tree stood
        await it.press(*["up"] * 60, "pagedown", *["down"] * 20)  # beyond the nine that have a digit
        listed = sorted(it.state.distribution.alternatives, key=lambda one: not one.kept)
        await it.press("enter", gives=before[:-2] + listed[30].char)
        await it.press("4")  # a digit is a mode again
        await it.until(lambda: not isinstance(it.app.screen, GenerateScreen))


async def test_the_prime_is_edited_in_place_with_several_lines(model: Path) -> None:
    async with playing(model, paused=3) as it:
        prime = it.screen.play.prime_input
        await it.says("surprising")
        await it.press("z", shows="z back")
        assert it.screen.maximized is it.screen.play.text_view
        await it.press("e", says="Enter: play from this prime")
        assert it.screen.maximized is None
        await it.press("ctrl+home", "x")  # a move leaves what was selected
        assert prime.text == f"x{PRIME}"
        await it.press("backspace", "escape", says="surprising")
        assert prime.text == PRIME
        await it.press("ctrl+d", "e", *["backspace"] * 11, "q", "1", "ctrl+j", "x", "enter")
        await it.until(lambda: it.prime == "q1\nx" and not it.screen.play.text_only)
        await it.says("The model reads 1 as")
        assert not it.screen.in_input()
        await it.burst("e", "t", "e", "k", "enter")  # none of them is an action, and they replace what was there
        await it.until(lambda: it.prime == "tek" and it.state.length > 0 and not it.state.running)
        await it.enter("i", "hello")
        await it.until(lambda: it.text.endswith("hello"))


async def test_prime_that_was_typed_stays_while_another_window_or_pane_has_the_keyboard(model: Path) -> None:
    async with playing(model, paused=5) as it:
        prime, text = it.screen.play.prime_input, it.text
        await it.press("e", *"Once", "tab", says="That prime was not played; e has it again.")
        assert prime.text == it.prime
        await it.press("e")
        await it.until(lambda: prime.text == "Once")
        it.app.post_message(events.AppBlur())
        await it.until(lambda: not prime.has_focus)
        it.app.post_message(events.AppFocus())
        await it.until(lambda: prime.has_focus and prime.text == "Once")
        assert it.text == text
        await it.press("enter")
        await it.until(lambda: it.prime == "Once")
        await it.press("e")
        assert it.screen.in_input()
        bar = it.screen.query_one(TopBar)
        await it.pilot.click(bar, offset=(bar.render().plain.index("Runs"), 0))  # also from within an input
        await it.until(lambda: it.app.mode_screen is not None and it.app.mode_screen.MODE == "runs")


async def test_colours_change_what_the_legend_says_and_it_has_those_of_the_text_in_another_theme(model: Path) -> None:
    labels = ("<1", "1–3", "3–6", ">6")
    async with playing(model, (120, 36)) as it:
        it.app.bits = True
        await it.paused(3)
        seen = []
        for _ in range(5):
            seen.append(it.status().split("   ")[0].strip())
            await it.press("c")
        assert seen == [
            "background: expected <1  1–3  3–6  >6  bits surprising",
            "RANK  1 plain  2–3 underline  4–10 bold  >10 reverse",
            "background: sure <1  1–2  2–3.5  >3.5  bits unsure",
            "no colours",
            seen[0],
        ]
        await it.press("c", "c", "c")
        text, before = it.screen.play.text_view, it.backgrounds(*labels)
        it.app.go("train")
        await it.in_mode("train")
        it.app.theme = LIGHT.name
        it.app.go("generate")
        await it.opens(GenerateScreen)
        levels = [text.level_style(level).rich_style.bgcolor for level in range(2, 5)]
        shown = it.backgrounds(*labels)
        assert shown[1:] == [color and color.name for color in levels]
        assert all(now != was for now, was in zip(shown, before, strict=True))


async def test_an_empty_prime_says_where_it_begins_and_a_long_one_how_far_it_is_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm_tui.player.model_thread.PROGRESS_AFTER", 0.0)
    reading = HeldReading(monkeypatch)
    async with playing(model, paused=3) as it:
        await it.press("e", *["backspace"] * 11, "enter", shows="begins as a line does")
        await it.until(lambda: it.prime == "" and it.screen.play.playing)
        await it.press("e")
        it.screen.play.prime_input.load_text("The morning and the sea.\n" * 4_000)
        reading.hold()
        it.app.simulate_key("enter")
        await it.until(lambda: "reading the prime" in it.status(), settle=False)
        assert it.state.size == it.state.prime_length == 100_000
        reading.go_on()
        await it.until(lambda: it.state.is_current and "reading the prime" not in it.status())


async def test_focus_mode_shows_levels_when_they_are_asked_for(model: Path) -> None:
    async with playing(model, (120, 36), paused=60) as it:
        text, play = it.screen.play.text_view, it.screen.play
        scale = play.scale
        for shows in (False, True, False):
            await it.press("ctrl+d")
            await it.until(lambda shows=shows: play.text_only is not shows and text.shows_levels is shows)
        await it.press("c")
        await it.until(lambda: text.shows_levels and play.scale is scale)
        await it.press("ctrl+d", "ctrl+d", "v")  # what Why explains is seen too
        await it.until(lambda: play.explaining and text.shows_levels)


async def test_find_goes_to_the_places_and_keeps_what_was_looked_for(model: Path) -> None:
    async with playing(model, paused=40) as it:
        view, needle = it.screen.play.text_view, it.text[-8:-5]
        places = [match.start() for match in re.finditer(f"(?={re.escape(needle)})", it.text)]
        await it.press("slash")
        await it.until(lambda: isinstance(it.screen.focused, Input))
        it.screen.query_one(FindBar).action_case()
        it.screen.focused.insert_text_at_cursor(needle)
        await it.shows(f"of {len(places)}")
        assert view.cursor in places
        await it.press("enter", "escape")
        await it.until(lambda: not it.screen.query(FindBar) and it.screen.focused is view)
        assert view.cursor in places
        assert it.position == view.cursor - len(it.prime)
        await it.press("ctrl+f")
        await it.until(lambda: isinstance(it.screen.focused, Input))
        assert it.screen.focused.value == needle
        await it.press("backspace", *"[never]", shows="not found")


async def test_the_tree_takes_keys_where_there_is_no_room_for_it(model: Path) -> None:
    async with playing(model, size=(50, 14), paused=20) as it:
        it.player.choose("q", at(10))
        await it.press("b", "pagedown", "pageup", "end", "escape")
        assert it.screen.play.playing
        assert "BRANCHES" not in it.screen_text()
        await it.press("b", "home", "enter")  # a branch that is taken is seen
        await it.until(lambda: "BRANCHES" not in it.screen_text() and it.screen.focused is it.screen.play.text_view)
        await it.press("left", "enter", shows="CHOOSE")  # the choices stand in place of the text
        shown = it.screen.query_one(Candidates).shown
        assert 0 < len(shown) < 10
        await it.press(str(len(shown) + 1))  # what is not seen is not picked
        assert it.screen.play.choosing
        await it.press("escape")
        await it.until(lambda: "CHOOSE" not in it.screen_text() and it.screen.focused is it.screen.play.text_view)


async def test_hostile_text_at_every_size(home: Path) -> None:
    nasty = unicodedata.normalize("NFC", NASTY)
    symbols = tuple(sorted(set(SYMBOLS) | set(nasty)))
    path = home / "nasty.safetensors"
    save_model(path, tiny_model(symbols=symbols, prime=nasty))
    async with playing(path, paused=200) as it:
        assert it.text.startswith(own_text(nasty))
        for size in ((60, 20), (80, 24), (200, 60), (40, 12)):
            await it.resize(*size)
            for key in ("up", "left", "enter", "escape", "b", "escape", "c", "z", "escape", "e", "escape"):
                await it.press(key)
            for key in ("e", "escape"):  # as it is played and while its prime is edited
                for strip in it.app.screen._compositor.render_strips():
                    assert strip.cell_length == size[0]
                    assert not set(strip.text) & {"\x1b", "\x00", "\x07", "\u202e", "\n"}
                await it.press(key)


async def test_messages_go_each_at_its_time(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(model, paused=5) as it:
        monkeypatch.setattr("charlstm_tui.generate.screen.INFO_SECONDS", 0.05)
        it.screen.play.say("Saved")
        await it.until(lambda: it.screen.message == "")
        it.screen.show_error("That failed.")
        it.screen.play.say("Saved")
        await it.says("That failed.")
        await it.press("t")
        await it.until(lambda: it.screen.message == "")


async def test_focus_mode_shows_only_the_text_and_escape_or_its_key_leaves_it(model: Path) -> None:
    async with playing(model, (120, 36), paused=200) as it:
        rows = it.screen_text()
        await it.press("ctrl+d")
        await it.until(lambda: it.screen.play.text_view.size.height == 36 - 2)
        assert "Esc or Ctrl+D shows all panes again." in it.screen_text().splitlines()[-1]  # below the text
        it.screen.play.say("")
        await it.until(lambda: "Esc" not in it.screen_text())
        assert "".join(it.screen_text().split()) == "".join(it.text.split())
        assert it.screen.play.text_view.size.width <= 84
        await it.go("write", "w")
        await it.until(lambda: it.state.suggestion != "")
        assert it.screen.play.text_only  # also while writing
        await it.press("escape")
        await it.until(lambda: not it.screen.play.text_only)
        assert it.screen.view_name == "write"
        await it.go("play", "escape", "escape")
        await it.press("ctrl+d", "enter")  # the choices need their pane
        await it.until(lambda: it.screen.play.choosing and not it.screen.play.text_only)
        await it.press("escape", "escape")
        await it.until(lambda: it.screen_text().splitlines()[0] == rows.splitlines()[0])


async def test_nothing_is_generated_while_a_prime_is_typed(model: Path) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.state.running and it.state.length > 5)
        await it.pilot.click("#prime")
        await it.until(lambda: it.screen.play.prime_input.has_focus and not it.state.running)
        length, session = it.state.length, it.state.session_id
        await it.press(*"The light ")
        assert (it.state.length, it.state.session_id, it.state.running) == (length, session, False)
        await it.press("escape")
        await it.until(lambda: it.screen.focused is it.screen.play.text_view)
        assert (it.state.length, it.state.running) == (length, False)
        await it.press("e", *"The light", "enter")
        await it.until(lambda: it.prime == "The light" and it.state.running)


async def test_legend_says_how_own_text_looks_and_figures_count_the_prime_too(model: Path) -> None:
    async with playing(model, size=(150, 30), paused=20) as it:
        await it.says(f"{len(it.text)} chars  {len(it.text.split())} words")
        assert "your own" not in it.status()
        await it.write_in("x")
        await it.says("your own")
        await it.resize(80, 24)
        await it.until(lambda: "surprising" not in it.status())  # words that give way to a figure
        await it.says("your own", "mean")


async def test_text_streams_on_after_a_dialog_closed_with_a_callback_of_the_screen(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Textual gives what is called after a refresh to the top screen. The text stood still until all of it was
    generated where that was a dialog which was closed before it came to it."""
    monkeypatch.setattr(HelpScreen, "_invoke_later", lambda self, callback, sender: None)
    async with playing(model, speed=60) as it:
        await it.until(lambda: it.state.running and it.state.length > 5)
        await it.pilot.press("f1")
        await it.until(lambda: isinstance(it.app.screen, HelpScreen) and it.screen._draws)
        await it.pilot.press("escape")
        length = it.state.length
        await it.until(lambda: it.state.length > length + 10)
        assert it.state.running
