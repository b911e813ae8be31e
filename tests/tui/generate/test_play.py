"""Play as a person uses it: every key, narrow and wide, hostile text."""

import re
import unicodedata
from dataclasses import replace
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
def test_value_beyond_those_of_the_keys_stays_where_it_is(settings: SamplerSettings, name: str, direction: int) -> None:
    assert adjust(settings, name, direction) == settings
    assert adjust(settings, name, -direction) != settings


async def test_text_streams_and_pauses_and_takes_settings_in_flight(model: Path) -> None:
    async with playing(model, speed=30) as app:
        await app.until(lambda: app.state.length > 5)
        wanted = SamplerSettings(temperature=0.85, top_k=40, top_p=None, min_p=0.1)
        await app.press(*"TTtkkKpPMmM", until=lambda: app.state.settings == wanted)
        await app.press("K", "K", until=lambda: app.state.settings == replace(wanted, top_k=None))  # 100 cuts nothing
        assert app.state.running
        thread, made = app.screen.model_thread, app.state.length
        await app.press("2", until=lambda: not thread._visible)
        await app.press("3")
        await app.until(lambda: app.state.running and app.state.length > made, settle=False)
        await app.press("space", says="paused")
        assert not app.state.running
        assert app.state.length < 1000
        await app.press("space", says="ch/s")


async def test_every_sampler_setting_is_in_a_form(model: Path) -> None:
    async with playing(model, paused=3) as app:
        await app.press("a")
        await app.opens(SamplerDialog)
        for name, value in {"repetition": "2.5", "top_k": "7", "min_p": "off", "copied": "12"}.items():
            await app.press(*name, "enter", *value, "enter")
        await app.press(*"repetition", "enter", *"-1", "enter", shows="from 0 to 1,000")
        await app.press("escape", "ctrl+s", until=lambda: app.state.settings.repetition == 2.5)
        assert (app.state.settings.top_k, app.state.settings.min_p, app.screen.play.min_copied) == (7, None, 12)
        await app.shows("repetition 2.5")
        await app.press("a", "ctrl+r", "ctrl+s", until=lambda: app.state.settings == SamplerSettings())
        assert app.screen.play.min_copied == 30


async def test_at_the_end_one_character_comes_for_a_key_and_elsewhere_the_cursor_walks(model: Path) -> None:
    async with playing(model, paused=20) as app:
        await app.shows("full")
        await app.press(*["minus"] * 12, "space", "right")
        await app.until(lambda: app.state.length == 22 and not app.state.running)
        await app.press("left", "left", "left")
        await app.until(lambda: (app.position, app.state.current_char) == (19, app.text[len(PRIME) + 19]))
        await app.press(*["up"] * 10, until=lambda: app.screen.play.text_view.cursor == len(PRIME))
        await app.press("space", until=lambda: app.state.length == 23)
        assert app.screen.play.text_view.at_end


async def test_a_choice_branches_and_the_tree_brings_the_old_line_back(model: Path) -> None:
    async with playing(model, paused=20) as app:
        before, candidates, tree = app.text, app.screen.query_one(Candidates), app.screen.query_one(BranchTree)
        await app.press("left", "left", "enter", shows="CHOOSE")
        number, char = next((n, one.char) for n, one in enumerate(candidates.shown, 1) if one.char != before[-2])
        await app.press(str(number), gives=before[:-2] + char)
        await app.press("b", until=lambda: tree.has_focus and tree.option_count == 2 and not candidates.display)
        assert tree.highlighted == 1  # the branch that is walked, the only one with the mark
        assert [str(option.prompt).startswith("●") for option in tree.options] == [False, True]
        await app.press("home", "enter", gives=before)
        await app.press("b", "down")  # b once is enough, also after Enter
        await app.enter("N", "[x]", until=lambda: any(branch.name == "[x]" for branch in app.state.branches))
        await app.press("D", until=lambda: len(app.state.branches) == 1)
        assert not candidates.display

        app.screen.play.text_view.focus()
        await app.press("left", "left", "enter", shows="CHOOSE")  # where the tree stood
        await app.press(*["up"] * 60, "pagedown", *["down"] * 20)  # beyond the nine that have a digit
        listed = sorted(app.state.distribution.alternatives, key=lambda one: not one.kept)
        await app.press("enter", gives=before[:-2] + listed[30].char)
        await app.press("4")  # a digit is a mode again
        await app.until(lambda: not isinstance(app.app.screen, GenerateScreen))


async def test_the_prime_is_edited_in_place_with_several_lines(model: Path) -> None:
    async with playing(model, paused=3) as app:
        prime = app.screen.play.prime_input
        await app.says("surprising")
        await app.press("z", shows="z back")
        assert app.screen.maximized is app.screen.play.text_view
        await app.press("e", says="Enter: play from this prime")
        assert app.screen.maximized is None
        await app.press("ctrl+home", "x")  # a move leaves what was selected
        assert prime.text == f"x{PRIME}"
        await app.press("backspace", "escape", says="surprising")
        assert prime.text == PRIME
        await app.press("ctrl+d", "e", *["backspace"] * 11, "q", "1", "ctrl+j", "x", "enter")
        await app.until(lambda: app.prime == "q1\nx" and not app.screen.play.text_only)
        await app.says("The model reads 1 as")
        assert not app.screen.in_input()
        await app.burst("e", "t", "e", "k", "enter")  # none of them is an action, and they replace what was there
        await app.until(lambda: app.prime == "tek" and app.state.length > 0 and not app.state.running)
        await app.enter("i", "hello", until=lambda: app.text.endswith("hello"))


async def test_prime_that_was_typed_stays_while_another_window_or_pane_has_the_keyboard(model: Path) -> None:
    async with playing(model, paused=5) as app:
        prime, text = app.screen.play.prime_input, app.text
        await app.press("e", *"Once", "tab", says="That prime was not played; e has it again.")
        assert prime.text == app.prime
        await app.press("e", until=lambda: prime.text == "Once")
        app.app.post_message(events.AppBlur())
        await app.until(lambda: not prime.has_focus)
        app.app.post_message(events.AppFocus())
        await app.until(lambda: prime.has_focus and prime.text == "Once")
        assert app.text == text
        await app.press("enter", until=lambda: app.prime == "Once")
        await app.press("e")
        assert app.screen.in_input()
        bar = app.screen.query_one(TopBar)
        await app.pilot.click(bar, offset=(bar.render().plain.index("Runs"), 0))  # also from within an input
        await app.until(lambda: app.app.mode_screen is not None and app.app.mode_screen.MODE == "runs")


async def test_colours_change_what_the_legend_says_and_it_has_those_of_the_text_in_another_theme(model: Path) -> None:
    labels = ("<1", "1–3", "3–6", ">6")
    async with playing(model, (120, 36)) as app:
        app.app.bits = True
        await app.paused(3)
        seen = []
        for _ in range(5):
            seen.append(app.status().split("   ")[0].strip())
            await app.press("c")
        assert seen == [
            "background: expected <1  1–3  3–6  >6  bits surprising",
            "RANK  1 plain  2–3 underline  4–10 bold  >10 reverse",
            "background: sure <1  1–2  2–3.5  >3.5  bits unsure",
            "no colours",
            seen[0],
        ]
        await app.press("c", "c", "c")
        text, before = app.screen.play.text_view, app.backgrounds(*labels)
        app.app.go("train")
        await app.in_mode("train")
        app.app.theme = LIGHT.name
        app.app.go("generate")
        await app.opens(GenerateScreen)
        levels = [text.level_style(level).rich_style.bgcolor for level in range(2, 5)]
        shown = app.backgrounds(*labels)
        assert shown[1:] == [color and color.name for color in levels]
        assert all(now != was for now, was in zip(shown, before, strict=True))


async def test_empty_prime_and_progress_of_a_long_one_are_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.player.model_thread.PROGRESS_AFTER", 0.0)
    reading = HeldReading(monkeypatch)
    async with playing(model, paused=3) as app:
        await app.press("e", *["backspace"] * 11, "enter", shows="begins as a line does")
        await app.until(lambda: app.prime == "" and app.screen.play.playing)
        await app.press("e")
        app.screen.play.prime_input.load_text("The morning and the sea.\n" * 4_000)
        reading.hold()
        app.app.simulate_key("enter")
        await app.until(lambda: "reading the prime" in app.status(), settle=False)
        assert app.state.size == app.state.prime_length == 100_000
        reading.go_on()
        await app.until(lambda: app.state.is_current and "reading the prime" not in app.status())


async def test_focus_mode_shows_levels_when_they_are_asked_for(model: Path) -> None:
    async with playing(model, (120, 36), paused=60) as app:
        text, play = app.screen.play.text_view, app.screen.play
        scale = play.scale
        for shows in (False, True, False):
            await app.press("ctrl+d")
            await app.until(lambda shows=shows: play.text_only is not shows and text.shows_levels is shows)
        await app.press("c", until=lambda: text.shows_levels and play.scale is scale)
        await app.press("ctrl+d", "ctrl+d", "v")  # what Why explains is seen too
        await app.until(lambda: play.explaining and text.shows_levels)


async def test_find_goes_to_the_places_and_keeps_what_was_looked_for(model: Path) -> None:
    async with playing(model, paused=40) as app:
        view, needle = app.screen.play.text_view, app.text[-8:-5]
        places = [match.start() for match in re.finditer(f"(?={re.escape(needle)})", app.text)]
        await app.press("slash", until=lambda: isinstance(app.screen.focused, Input))
        app.screen.query_one(FindBar).action_case()
        app.screen.focused.insert_text_at_cursor(needle)
        await app.shows(f"of {len(places)}")
        assert view.cursor in places
        await app.press("enter", "escape", until=lambda: not app.screen.query(FindBar) and app.screen.focused is view)
        assert view.cursor in places
        assert app.position == view.cursor - len(app.prime)
        await app.press("ctrl+f", until=lambda: isinstance(app.screen.focused, Input))
        assert app.screen.focused.value == needle
        await app.press("backspace", *"[never]", shows="not found")


async def test_the_tree_takes_keys_where_there_is_no_room_for_it(model: Path) -> None:
    async with playing(model, size=(50, 14), paused=20) as app:
        app.player.choose("q", at(10))
        await app.press("b", "pagedown", "pageup", "end", "escape")
        assert app.screen.play.playing
        assert "BRANCHES" not in app.screen_text()
        await app.press("b", "home", "enter")  # a branch that is taken is seen
        await app.until(lambda: "BRANCHES" not in app.screen_text() and app.screen.focused is app.screen.play.text_view)
        await app.press("left", "enter", shows="CHOOSE")  # the choices stand in place of the text
        shown = app.screen.query_one(Candidates).shown
        assert 0 < len(shown) < 10
        await app.press(str(len(shown) + 1))  # what is not seen is not picked
        assert app.screen.play.choosing
        await app.press("escape")
        await app.until(lambda: "CHOOSE" not in app.screen_text() and app.screen.focused is app.screen.play.text_view)


async def test_hostile_text_at_every_size(home: Path) -> None:
    nasty = unicodedata.normalize("NFC", NASTY)
    symbols = tuple(sorted(set(SYMBOLS) | set(nasty)))
    path = home / "nasty.safetensors"
    save_model(path, tiny_model(symbols=symbols, prime=nasty))
    async with playing(path, paused=200) as app:
        assert app.text.startswith(own_text(nasty))
        for size in ((60, 20), (80, 24), (200, 60), (40, 12)):
            await app.resize(*size)
            await app.press("up", "left", "enter", "escape", "b", "escape", "c", "z", "escape", "e", "escape")
            for key in ("e", "escape"):  # as it is played and while its prime is edited
                for strip in app.app.screen._compositor.render_strips():
                    assert strip.cell_length == size[0]
                    assert not set(strip.text) & {"\x1b", "\x00", "\x07", "\u202e", "\n"}
                await app.press(key)


async def test_messages_go_each_at_its_time(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(model, paused=5) as app:
        monkeypatch.setattr("charlstm_tui.generate.screen.INFO_SECONDS", 0.05)
        app.screen.play.say("Saved")
        await app.until(lambda: app.screen.message == "")
        app.screen.show_error("That failed.")
        app.screen.play.say("Saved")
        await app.says("That failed.")
        await app.press("t", until=lambda: app.screen.message == "")


async def test_focus_mode_shows_only_the_text_and_escape_or_its_key_leaves_it(model: Path) -> None:
    async with playing(model, (120, 36), paused=200) as app:
        rows = app.screen_text()
        await app.press("ctrl+d", until=lambda: app.screen.play.text_view.size.height == 36 - 2)
        assert "Esc or Ctrl+D shows all panes again." in app.screen_text().splitlines()[-1]  # below the text
        app.screen.play.say("")
        await app.until(lambda: "Esc" not in app.screen_text())
        assert "".join(app.screen_text().split()) == "".join(app.text.split())
        assert app.screen.play.text_view.size.width <= 84
        await app.go("write", "w")
        await app.until(lambda: app.state.suggestion != "")
        assert app.screen.play.text_only  # also while writing
        await app.press("escape", until=lambda: not app.screen.play.text_only)
        assert app.screen.view_name == "write"
        await app.go("play", "escape", "escape")
        await app.press("ctrl+d", "enter")  # the choices need their pane
        await app.until(lambda: app.screen.play.choosing and not app.screen.play.text_only)
        await app.press("escape", "escape", until=lambda: app.screen_text().splitlines()[0] == rows.splitlines()[0])


async def test_nothing_is_generated_while_a_prime_is_typed(model: Path) -> None:
    async with playing(model, speed=30) as app:
        await app.until(lambda: app.state.running and app.state.length > 5)
        await app.pilot.click("#prime")
        await app.until(lambda: app.screen.play.prime_input.has_focus and not app.state.running)
        length, session = app.state.length, app.state.session_id
        await app.press(*"The light ")
        assert (app.state.length, app.state.session_id, app.state.running) == (length, session, False)
        await app.press("escape", until=lambda: app.screen.focused is app.screen.play.text_view)
        assert (app.state.length, app.state.running) == (length, False)
        await app.press("e", *"The light", "enter", until=lambda: app.prime == "The light" and app.state.running)


async def test_legend_says_how_own_text_looks_and_figures_count_the_prime_too(model: Path) -> None:
    async with playing(model, size=(150, 30), paused=20) as app:
        await app.says(f"{len(app.text)} chars  {len(app.text.split())} words")
        assert "your own" not in app.status()
        await app.write_in("x")
        await app.says("your own")
        await app.resize(80, 24)
        await app.until(lambda: "surprising" not in app.status())  # words that give way to a figure
        await app.says("your own", "mean")


async def test_text_streams_on_after_a_dialog_took_a_callback(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual gives what is called after a refresh to the top screen. The text stood still until all of it was
    generated where that was a dialog which was closed before it came to it."""
    monkeypatch.setattr(HelpScreen, "_invoke_later", lambda self, callback, sender: None)
    async with playing(model, speed=60) as app:
        await app.until(lambda: app.state.running and app.state.length > 5)
        await app.press("f1", until=lambda: isinstance(app.app.screen, HelpScreen) and app.screen._draws)
        await app.pilot.press("escape")
        length = app.state.length
        await app.until(lambda: app.state.length > length + 10)
        assert app.state.running
