"""Generate as a person uses it: every key, a recorded run for its ages, narrow and wide, hostile text."""

from __future__ import annotations

import asyncio
import json
import time
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from charlstm.generation.samplers import SamplerSettings
from charlstm.generation.saving import load_session
from charlstm.generation.scoring import score
from charlstm.model.file import load_model, save_model
from charlstm.text.corpus import open_corpus
from charlstm_tui.app import CharLSTMApp, Opening
from charlstm_tui.kept_sessions import save_as
from charlstm_tui.pictures import FULL, Picture, Wish
from charlstm_tui.remembered import Memory, remember, state_file
from charlstm_tui.screens.generate import GenerateScreen
from charlstm_tui.widgets.branch_tree import BranchTree
from charlstm_tui.widgets.candidates import Candidates
from charlstm_tui.widgets.dialogs import ChoiceDialog, PromptDialog
from charlstm_tui.widgets.generate_bar import GenerateBar, StatusLine
from charlstm_tui.widgets.model_picker import ModelPicker
from charlstm_tui.widgets.sampler_dialog import SamplerDialog, SamplerRow
from charlstm_tui.widgets.top_bar import TopBar
from recorded_run import NASTY, SYMBOLS, record, tiny_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's own is read or written."""
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(home: Path) -> Path:
    path = home / "tiny.safetensors"
    save_model(path, tiny_model(prime="The morning"))
    return path


class Session:
    """The app on Generate, and what a test wants to know of it."""

    def __init__(self, app: CharLSTMApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> GenerateScreen:
        screen = self.app.mode_screen
        assert isinstance(screen, GenerateScreen)
        return screen

    @property
    def picture(self) -> Picture:
        assert self.screen._picture is not None
        return self.screen._picture

    @property
    def text(self) -> str:
        return self.screen.stream.text()

    async def until(self, condition: Callable[[], bool], seconds: float = 10, *, settle: bool = True) -> None:
        """Wait for ``condition``; with ``settle`` then for the app to be idle, which a busy player keeps it from."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                if settle:
                    await self.pilot.pause()
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not within {seconds} s; {self.status()}; {self.screen._picture}")

    async def paused(self, count: int) -> None:
        """Stand still after ``count`` characters."""
        await self.until(lambda: self.screen.playing)
        self.screen._speed = FULL
        player = self.screen._player
        player.set_speed(FULL)
        player.go(count - self.picture.length)
        await self.until(lambda: self.picture.length == count and not self.picture.running)

    def status(self) -> str:
        return self.screen.query_one(StatusLine).render().plain

    def screen_text(self) -> str:
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())


@asynccontextmanager
async def playing(
    model: Path | str, size: tuple[int, int] = (80, 24), speed: float | None = 0
) -> AsyncIterator[Session]:
    if speed is not None:
        remember(str(model), Memory(speed=speed))
    app = CharLSTMApp(Opening(model=str(model)))
    async with app.run_test(size=size) as pilot:
        session = Session(app, pilot)
        await session.until(lambda: isinstance(app.mode_screen, GenerateScreen))
        yield session
    assert not app.is_running


async def test_opens_streaming_and_space_pauses_and_goes_on(model: Path) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.screen.playing and it.picture.length > 5)
        assert it.picture.running
        assert it.text.startswith("The morning")
        await it.pilot.press("space")
        await it.until(lambda: not it.picture.running)
        length = it.picture.length
        assert length < 1000
        assert "paused" in it.status()
        await it.pilot.press("space")
        await it.until(lambda: it.picture.length > length)
        assert "ch/s" in it.status()


async def test_settings_are_changed_in_flight(model: Path) -> None:
    async with playing(model, speed=30) as it:
        await it.until(lambda: it.screen.playing and it.picture.running)
        await it.pilot.press("T", "T", "k", "k", "p", "M")
        await it.until(lambda: it.picture.settings.temperature == 0.9 and it.picture.settings.min_p == 0.1)
        assert it.picture.running
        settings = it.picture.settings
        assert (settings.top_k, settings.top_p) == (50, 0.99)
        await it.pilot.press("t", "K", "K", "P", "m", "m", "m", "m", "m")
        await it.until(lambda: it.picture.settings.min_p is None)
        settings = it.picture.settings
        assert (settings.temperature, settings.top_k, settings.top_p) == (0.85, None, None)
        assert "off" in it.screen_text()


async def test_every_sampler_setting_is_in_a_form(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)

        async def form(**values: str) -> SamplerDialog:
            await it.pilot.press("a")
            await it.until(lambda: isinstance(it.app.screen, SamplerDialog))
            for name, value in values.items():
                it.app.screen.query_one(f"#sampler-{name} Input", Input).value = value
            dialog = it.app.screen
            assert isinstance(dialog, SamplerDialog)
            await it.pilot.press("enter")
            return dialog

        await form(typical="0.9", mirostat="2.5", repetition="1", top_k="7", min_p="off", copied="12")
        await it.until(lambda: it.picture.settings.mirostat == 2.5)
        settings = it.picture.settings
        assert (settings.typical, settings.repetition, settings.top_k, settings.min_p) == (0.9, 1.0, 7, None)
        assert it.screen._copied_from == 12
        await it.until(lambda: "typical 0.9 · miro" in it.screen_text())
        dialog = await form(mirostat="-1", copied="0", kind="other")
        await it.until(lambda: "above 0, up to 64" in it.screen_text())
        assert {row.setting for row in dialog.query(SamplerRow) if row.error} == {"mirostat", "copied", "kind"}
        await it.pilot.press("ctrl+r", "enter")
        await it.until(lambda: it.picture.settings == SamplerSettings())
        assert it.screen._copied_from == 30
    async with playing(model, speed=None) as it:
        await it.until(lambda: it.screen.playing)
        assert it.picture.settings == SamplerSettings()


async def test_what_a_filter_cuts_is_named_and_told_apart(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press(*"k" * 12)
        await it.until(lambda: it.picture.settings.top_k == 2)
        await it.until(lambda: "2 of 63 kept" in it.screen_text() or "3 of 63 kept" in it.screen_text())
        shown = it.screen_text()
        assert "cut by top-k" in shown
        assert "█" in shown
        assert "░" in shown


async def test_speed_goes_from_one_a_key_to_full(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        assert "full" in it.screen_text()
        await it.pilot.press(*["minus"] * 12)
        await it.until(lambda: it.picture.speed == 0)
        length = it.picture.length
        await it.pilot.press("space")
        await it.until(lambda: it.picture.length == length + 1)
        await it.pilot.press("space", "right")
        await it.until(lambda: it.picture.length == length + 3)
        assert not it.picture.running


async def test_walking_shows_the_candidates_there(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        length = it.picture.length
        await it.pilot.press("left", "left", "left")
        await it.until(lambda: it.picture.position == length - 3)
        assert it.picture.standing == it.text[len("The morning") + length - 3]
        await it.pilot.press("right", "right", "right")
        await it.until(lambda: it.picture.position == length)
        await it.pilot.press("right")
        await it.until(lambda: it.picture.length == length + 1)
        await it.pilot.press(*["up"] * 10)
        await it.until(lambda: it.picture.position == 0)
        assert it.screen.stream.cursor == len("The morning")
        await it.pilot.press("space")
        await it.until(lambda: it.picture.length > length + 1)
        assert it.screen.stream.at_end


async def test_a_choice_branches_and_the_tree_brings_the_old_line_back(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left", "enter")
        await it.until(lambda: it.picture.position == it.picture.length - 2)
        alternatives = it.screen.query_one(Candidates).shown
        other = next(number for number, one in enumerate(alternatives, 1) if one.char != before[-2])
        await it.pilot.press(str(other))
        await it.until(lambda: len(it.picture.branches) == 2)
        assert it.text == before[:-2] + alternatives[other - 1].char
        assert it.screen.scopes()[-1] == "generate.text"
        await it.pilot.press("b")
        tree = it.screen.query_one(BranchTree)
        await it.until(lambda: tree.has_focus and tree.option_count == 2)
        assert tree.highlighted == 1  # the branch that is walked, the only one with the mark
        lines = [str(option.prompt) for option in tree.options]
        assert [line.startswith("▸") for line in lines] == [False, True]
        await it.pilot.press("home", "enter")
        await it.until(lambda: it.text == before)
        await it.pilot.press("b", "b", "down", "n")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        await it.pilot.press(*"[x]", "enter")
        await it.until(lambda: any(branch.name == "[x]" for branch in it.picture.branches))
        await it.pilot.press("D")
        await it.until(lambda: len(it.picture.branches) == 1)


async def test_escape_leaves_the_choices_and_digits_are_modes_again(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("enter")
        await it.until(lambda: it.screen.scopes() == ("generate.choices",))
        assert "CHOOSE" in it.screen_text()
        await it.pilot.press("escape")
        await it.until(lambda: "generate.text" in it.screen.scopes())
        await it.pilot.press("4")
        await it.until(lambda: not isinstance(it.app.screen, GenerateScreen))


async def test_rolling_again_and_own_text(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left", "left", "r")
        await it.until(lambda: it.text[: len(before)] != before)
        assert it.text.startswith(before[:-3])
        await it.until(lambda: not it.picture.running)
        length = it.picture.length
        await it.pilot.press("i")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        await it.pilot.press(*"hello", "enter")
        await it.until(lambda: it.picture.length == length + 5)
        assert it.text.endswith("hello")


async def test_the_prime_is_edited_in_place_with_several_lines(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("e")
        await it.until(lambda: it.screen.in_input())
        await it.pilot.press(*["backspace"] * 11, "q", "1", "ctrl+j", "x", "enter")
        await it.until(lambda: it.picture.prime == "q\nx")
        assert it.picture.unknown == ("1",)
        assert "has never seen 1" in it.screen_text()
        assert it.text.startswith("q\nx")
        assert not it.screen.in_input()
        await it.pilot.press("e", "z", "escape")
        await it.until(lambda: it.screen.prime_input.text == "q1\nx")


async def test_an_empty_prime_says_where_it_begins_and_a_stopped_one_leaves_what_was_played(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm_tui.playing.SOON", 0.02)
    save_model(model, tiny_model(prime="The morning", hidden_size=256))
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("e", *["backspace"] * 11, "enter")
        await it.until(lambda: it.picture.prime == "" and it.screen.playing)
        await it.until(lambda: "begins as a line does" in it.screen_text())
        await it.pilot.press("e")
        it.screen.prime_input.load_text("The morning and the sea.\n" * 4_000)
        it.app.simulate_key("enter")
        await it.until(lambda: "Reading the prime" in it.screen_text(), settle=False)
        it.app.simulate_key("escape")
        await it.until(lambda: "Stopped reading" in it.status())
        await it.until(lambda: "choices" in it.screen_text())  # the keys are back
        assert it.picture.prime == ""


async def test_colours_change_what_the_legend_says(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        seen = []
        for _ in range(4):
            seen.append(it.status().split()[0])
            await it.pilot.press("c")
        assert seen == ["RANK", "UNSURE", "no", "CHANCE"]


async def test_find_goes_to_the_next_place(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(40)
        needle = it.text[-8:-5]
        await it.pilot.press("slash")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = needle
        await it.pilot.press("enter")
        await it.until(lambda: it.text[it.screen.stream.cursor :].startswith(needle))
        await it.pilot.press("slash")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = "[never]"
        await it.pilot.press("enter")
        await it.until(lambda: "There is no “[never]”" in it.status())


async def test_younger_and_older_selves_play_the_same_prime(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.playing)
        assert it.picture.facts is not None
        best = it.picture.facts.step
        assert best == 400
        await it.pilot.press("left_square_bracket")
        await it.until(lambda: it.picture.facts is not None and it.picture.facts.step == 200)
        await it.pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        await it.until(lambda: it.picture.facts is not None and it.picture.facts.step == 0)
        await it.paused(30)
        young = it.text
        await it.pilot.press("left_square_bracket")
        await it.until(lambda: "cannot be younger" in it.status())
        bar = it.screen.query_one(GenerateBar).render().plain
        assert "novel-quick-1 @ step 0 of 1,000" in bar
        await it.pilot.press("right_square_bracket")
        await it.until(lambda: it.picture.facts is not None and it.picture.facts.step == 50)
        await it.until(lambda: it.picture.length >= 30)
        assert it.text[:30] != young


async def test_a_live_run_is_played_as_it_grows(home: Path) -> None:
    with record(home / "runs", "running", steps=120) as worker:
        async with playing(worker.run.path) as it:
            await it.until(lambda: it.screen.playing)
            assert it.picture.facts is not None
            assert it.picture.facts.step == 100
            worker.advance(100)
            await it.pilot.press("right_square_bracket")
            await it.until(lambda: it.picture.facts is not None and it.picture.facts.step == 200)


async def test_what_a_run_has_learnt_since_is_played_when_it_is_asked_for_again(home: Path) -> None:
    with record(home / "runs", "running", steps=120) as worker:
        async with playing(worker.run.path) as it:
            await it.until(lambda: it.screen.playing)
            worker.advance(100)
            await it.pilot.press("4")
            it.app.play(str(worker.run.path))
            await it.until(lambda: it.picture.facts is not None and it.picture.facts.step == 200)
            await it.until(lambda: it.screen.playing)
            take = it.picture.take
            it.app.play(str(worker.run.path))  # there is nothing newer: what is played stays
            await it.paused(5)
            assert it.picture.take == take
            it.app.play(str(worker.run.path), 0)  # while Generate is shown
            await it.until(lambda: it.picture.facts is not None and it.picture.facts.step == 0)


async def test_a_model_that_cannot_be_opened_leaves_the_settings_in_use(model: Path, home: Path) -> None:
    broken = home / "broken.json"
    broken.write_text('{"kind": "charlstm session"}')
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("T", "T", "=")
        await it.until(lambda: it.picture.settings.temperature == 0.9)
        speed = it.screen._speed
        it.screen._load(Wish(str(model), session=broken))
        await it.until(lambda: "broken.json" in it.screen._note)
        assert (it.screen._settings, it.screen._speed) == (it.picture.settings, speed)
        assert it.screen._settings.temperature == 0.9


async def test_a_name_typed_in_full_is_the_one_that_is_meant(model: Path, home: Path) -> None:
    for name in ("novel-1", "novel-10"):
        record(home / "runs", "finished", name=name, steps=100)
    async with playing(model) as it:
        await it.until(lambda: it.screen.playing and len(it.app.snapshot.runs) == 2)
        for name in ("novel-1", "novel-10"):
            await it.pilot.press("o")
            await it.until(lambda: isinstance(it.app.screen, ModelPicker))
            it.app.screen.query_one(Input).value = name
            await it.pilot.press("enter")
            await it.until(lambda: it.picture.facts is not None and it.picture.facts.name == name)  # noqa: B023


async def test_the_tree_takes_keys_where_there_is_no_room_for_it(model: Path) -> None:
    async with playing(model, size=(50, 14)) as it:
        await it.paused(20)
        it.screen._player.choose("q", 10)
        await it.until(lambda: len(it.picture.branches) == 2)
        await it.pilot.press("b", "pagedown", "pageup", "end", "escape")
        assert it.screen.playing
        assert "BRANCHES" not in it.screen_text()
        await it.pilot.press("b", "home", "enter")  # a branch that is taken is seen
        await it.until(lambda: "BRANCHES" not in it.screen_text() and it.screen.focused is it.screen.stream)
        await it.pilot.press("left", "enter")  # the choices take the room of the text
        await it.until(lambda: "CHOOSE after" in it.screen_text())
        shown = it.screen.query_one(Candidates).shown
        assert 0 < len(shown) < 10
        await it.pilot.press(str(len(shown) + 1))  # what is not seen is not picked
        assert it.screen._choosing
        await it.pilot.press("escape")
        await it.until(lambda: "CHOOSE" not in it.screen_text() and it.screen.focused is it.screen.stream)


async def test_the_mouse_goes_to_another_mode_from_within_an_input(model: Path) -> None:
    async with playing(model) as it:
        await it.until(lambda: it.screen.playing)
        await it.pilot.press("e")
        assert it.screen.in_input()
        bar = it.screen.query_one(TopBar)
        await it.pilot.click(bar, offset=(bar.render().plain.index("Runs"), 0))
        await it.until(lambda: it.app.mode_screen is not None and it.app.mode_screen.MODE == "runs")


async def test_another_model_is_picked_by_name_or_path(model: Path, home: Path) -> None:
    record(home / "runs", "finished", name="novel-quick-1", steps=200)
    record(home / "runs", "stopped", name="[b]anna-1", steps=200)
    async with playing(model) as it:
        await it.until(lambda: it.screen.playing and len(it.app.snapshot.runs) == 2)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        assert "[b]anna-1" in it.screen_text()
        await it.pilot.press(*"novel", "enter")
        await it.until(lambda: it.picture.facts is not None and it.picture.facts.name == "novel-quick-1")
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = "nothing like that"
        await it.pilot.press("enter")
        await it.until(lambda: "There is no model or session called" in it.screen_text())
        it.app.screen.query_one(Input).value = str(model)
        await it.pilot.press("enter")
        await it.until(lambda: it.picture.facts is not None and it.picture.facts.name == "tiny")


async def test_settings_are_remembered_for_each_model(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("T", "minus", "c")  # from full
        await it.until(lambda: it.picture.settings.temperature == 0.85)
    async with playing(model, speed=None) as it:
        await it.until(lambda: it.screen.playing)
        assert (it.picture.settings.temperature, it.picture.speed) == (0.85, 1000)
        assert it.screen._scale.name == "entropy"


async def test_what_a_newer_charlstm_remembers_is_left_alone_and_said_once(model: Path) -> None:
    path = state_file()
    path.parent.mkdir(parents=True)
    path.write_text(newer := '{"format": 2, "models": {}}')
    async with playing(model) as it:
        await it.until(lambda: it.screen.playing)
        it.screen._open("demo")
        await it.until(lambda: it.picture.facts is not None and it.picture.facts.name != "tiny")
        [told] = [each.message for each in it.app._notifications]
        assert "written by a newer charlstm (format 2) and stays as it is; update this one" in told
    assert path.read_text() == newer


async def test_the_last_session_is_offered_and_gone_on_with(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        text = it.text
    async with playing(model) as it:
        await it.until(lambda: "last session" in it.status())
        await it.pilot.press("l")
        await it.until(lambda: it.text == text)
        assert not it.picture.running


async def test_a_saved_session_is_opened_by_path_on_the_run_that_it_lies_in(model: Path, home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run
    async with playing(run.path) as it:
        await it.paused(10)
        session = run.sessions_dir / "mine.json"
        it.screen._player.run_with(lambda played: save_as(session, "rank", played))
        await it.until(session.is_file)
        text = it.text
        await it.pilot.press("o")
        await it.until(lambda: "mine.json" in it.screen_text())  # it stands in the list
        await it.pilot.press("escape")
    async with playing(model) as it:
        await it.paused(3)
        here = it.text
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = str(session)
        await it.pilot.press("enter")
        await it.until(lambda: it.screen.playing and it.picture.facts is not None and it.picture.facts.run == run.path)
        await it.until(lambda: it.text == text)
        broken = home / "broken.json"
        broken.write_text('{"kind": "charlstm session"}')
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = str(broken)
        await it.pilot.press("enter")
        await it.until(lambda: "broken.json" in it.screen._note)
        assert it.text == text != here


@pytest.mark.parametrize("ending", ["json", "txt", "md", "html"])
async def test_saving_and_exporting(model: Path, home: Path, ending: str) -> None:
    target = home / "kept" / f"mine.{ending}"
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        assert it.app.screen.query_one(Input).value.endswith(".json")
        it.app.screen.query_one(Input).value = str(target)
        await it.pilot.press("enter")
        await it.until(lambda: "mine" in it.screen._note)
        text = it.text
    assert target.is_file()
    if ending == "json":
        loaded = load_session(target, load_model(model))
        assert loaded.prime + loaded.read() == text
        assert json.loads(target.read_text())["format"] == 1
    elif ending == "txt":
        assert target.read_text() == text


async def test_what_stands_there_is_written_over_only_when_that_is_wanted(model: Path, home: Path) -> None:
    novel = home / "novel.txt"
    novel.write_text("mine")
    async with playing(model) as it:
        await it.paused(10)
        for answer in ("enter", "y"):
            await it.pilot.press("ctrl+s")
            await it.until(lambda: isinstance(it.app.screen, PromptDialog))
            it.app.screen.query_one(Input).value = str(novel)
            await it.pilot.press("enter")
            await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
            await it.pilot.press(answer)
            if answer == "enter":
                assert novel.read_text() == "mine"
        for name in ("/", "x" * 300, "novel.txt/x.txt"):  # what cannot be is said
            await it.pilot.press("ctrl+s")
            await it.until(lambda: isinstance(it.app.screen, PromptDialog))
            it.app.screen.query_one(Input).value = name
            await it.pilot.press("enter")
            await it.until(lambda: it.app.screen is it.screen)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = str(novel)
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
        await it.pilot.press("y")
        await it.until(lambda: "novel.txt" in it.screen._note)
        assert novel.read_text() == it.text


async def test_a_damaged_model_is_said_in_its_pane(home: Path) -> None:
    broken = home / "broken.safetensors"
    broken.write_bytes(b"not a model [/red]")
    async with playing(broken) as it:
        await it.until(lambda: "is no model file" in " ".join(it.screen_text().split()))
        assert "opens another model" in it.screen_text()
        await it.pilot.press("space", "enter", "t", "left", "e", "c")
        assert not it.screen.playing


async def test_with_nothing_to_play_the_pane_names_the_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.runs.models.demo_path", lambda: None)
    app = CharLSTMApp(Opening())
    async with app.run_test(size=(80, 24)) as pilot:
        it = Session(app, pilot)
        await pilot.press("3")
        await it.until(lambda: isinstance(app.screen, GenerateScreen))
        assert "Nothing to play yet" in it.screen_text()
        record(home / "runs", "finished", steps=100)
        await it.until(lambda: it.screen.playing)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 60), (40, 12)])
async def test_hostile_text_at_every_size(home: Path, size: tuple[int, int]) -> None:
    nasty = unicodedata.normalize("NFC", NASTY)
    symbols = tuple(sorted(set(SYMBOLS) | set(nasty)))
    path = home / "nasty.safetensors"
    save_model(path, tiny_model(symbols=symbols, prime=nasty))
    async with playing(path, size) as it:
        await it.paused(200)
        assert it.text.startswith(nasty)
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
        await it.until(lambda: it.screen.room == view)
        for action in it.screen.available():
            target = it.screen if action.mode == "generate" else it.app
            assert callable(getattr(target, f"do_{action.handler}", None)), action.id
        await it.pilot.press("escape", "escape", "escape")
        await it.until(lambda: it.screen.room == "play")


async def test_write_together(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        before = it.text
        await it.pilot.press("w")
        await it.until(lambda: bool(it.picture.ghost))
        await it.pilot.press(*"q? 1")
        await it.until(lambda: it.text == before + "q? ")  # this model knows no 1
        assert "never seen" in it.status()
        ghost = it.picture.ghost
        assert ghost[:5] in "".join(it.screen.stream._page.chars)
        await it.pilot.press("tab")
        await it.until(lambda: it.text == before + "q? " + ghost)
        await it.pilot.press("backspace")
        await it.until(lambda: it.text == before + "q? " + ghost[:-1])
        word = it.picture.ghost
        await it.pilot.press("ctrl+right")
        await it.until(lambda: len(it.text) > len(before + "q? " + ghost[:-1]))
        assert (ghost[:-1] + word).startswith(it.text[len(before + "q? ") :])
        await it.pilot.press("escape")
        await it.until(lambda: it.screen.room == "write")
        assert "generate.write.ghost" not in it.screen.scopes()
        await it.pilot.press("enter", "x")
        await it.until(lambda: it.text.endswith("\nx"))
        assert "generate.write.ghost" in it.screen.scopes()
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.screen.room == "play")
        await it.until(lambda: not it.picture.ghost)


async def test_what_is_written_is_saved_where_it_is_written(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", *"mine")
        await it.until(lambda: it.text.endswith("mine"))
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = str(home / "written.txt")
        await it.pilot.press("enter")
        await it.until(lambda: (home / "written.txt").exists())
        assert (home / "written.txt").read_text().rstrip("\n").endswith("mine")
        assert it.screen.room == "write"


async def test_in_write_no_digit_and_no_tree_offer_keys_that_type(model: Path) -> None:
    async with playing(model, (120, 36)) as it:
        await it.paused(5)
        await it.until(lambda: "BRANCHES" in it.screen_text())
        first = it.screen.query_one(Candidates).render_line(1).text
        assert first.startswith("1 ")
        await it.pilot.press("w")
        await it.until(lambda: "NEXT" in it.screen_text() and "BRANCHES" not in it.screen_text())
        assert it.screen.query_one(Candidates).render_line(1).text == f"  {first[2:]}"
        assert "paused" not in it.status()
        await it.pilot.press("escape", "escape")
        await it.until(lambda: "BRANCHES" in it.screen_text() and "paused" in it.status())


async def test_what_is_typed_in_the_prime_waits_while_another_window_has_the_keyboard(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("e", *"Once")
        prime = it.screen.prime_input
        await it.until(lambda: prime.text.endswith("Once"))
        it.app.post_message(events.AppBlur())
        await it.until(lambda: not prime.has_focus)
        it.app.post_message(events.AppFocus())
        await it.until(lambda: prime.has_focus)
        assert prime.text.endswith("Once")
        await it.pilot.press("enter")
        await it.until(lambda: it.picture.prime.endswith("Once"))


async def test_another_model_ends_the_other_views(model: Path, home: Path) -> None:
    other = home / "other.safetensors"
    save_model(other, tiny_model(seed=1, prime="The other"))
    async with playing(model) as it:
        await it.paused(10)
        for view in ("s", "d", "w"):
            await it.pilot.press(view)
            await it.until(lambda: it.screen.room != "play")
            wanted = other if it.picture.prime == "The morning" else model
            it.app.go("runs")
            await it.pilot.pause()
            it.app.play(str(wanted))
            await it.pilot.pause()
            await it.until(lambda wanted=wanted: it.screen.room == "play" and it.picture.facts.path == wanted)
            await it.until(lambda: it.picture.outlook is not None)


async def test_a_pane_that_fills_the_screen_gives_way_to_what_gets_the_keys(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("z")
        await it.until(lambda: it.screen.maximized is it.screen.stream)
        await it.until(lambda: "z back" in it.screen_text())
        await it.pilot.press("e")
        await it.until(lambda: it.screen.maximized is None and it.screen.prime_input.has_focus)


async def test_choices_are_seen_where_the_tree_stood(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("b")
        candidates = it.screen.query_one(Candidates)
        await it.until(lambda: not candidates.display)
        it.screen.stream.focus()
        await it.until(lambda: it.screen.stream.has_focus)
        await it.pilot.press("enter")
        await it.until(lambda: candidates.display and "CHOOSE after" in it.screen_text())


def test_a_session_is_not_saved_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (".", "/", str(tmp_path)):
        assert "is a folder" in save_as(Path(path), "rank", None)  # type: ignore[arg-type]


async def test_the_prime_says_its_keys_while_it_is_edited(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("e")
        await it.until(lambda: "Enter takes the prime" in it.status())
        await it.pilot.press("escape")
        await it.until(lambda: "RANK" in it.status())


async def test_writing_in_the_middle_hides_the_rest_and_play_shows_it_again(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        before = it.text
        await it.pilot.press("left", "left", "left", "left", "w")
        await it.until(lambda: it.text == before[:-4])
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.text == before)


async def test_score_shows_how_surprising_a_text_is(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(60)
        await it.pilot.press("s")
        room = it.screen.score_room
        await it.until(lambda: room.scores is not None)
        expected = score(load_model(model), it.text)
        assert f"{expected.bits_per_char:.3f} bits per character" in it.screen_text()
        await it.pilot.press("enter")
        await it.until(lambda: "rank" in it.status())
        assert room.view.cursor == min(place.position for place in expected.places(40))
        shown = it.screen_text()
        assert "8 bits┤" in shown
        assert "MOST SURPRISING, in bits" in shown
        assert shown.count("▸") == 1  # the place that the cursor is on
        (home / "own.txt").write_text("The morning, [/red] and 1 more\n" * 20)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = str(home / "own.txt")
        await it.pilot.press("enter")
        await it.until(lambda: room.view.text().startswith("The morning, red and "))
        assert "that it does not know" in it.screen_text()
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = str(home / "missing.txt")
        await it.pilot.press("enter")
        await it.until(lambda: "missing.txt" in "".join(it.screen_text().split()))  # a long path is wrapped


async def test_scoring_a_long_text_can_be_stopped(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(60)
        await it.pilot.press("s")
        room = it.screen.score_room
        await it.until(lambda: room.scores is not None)
        (home / "long.txt").write_text("The morning and the sea. " * 24_000)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, PromptDialog))
        it.app.screen.query_one(Input).value = str(home / "long.txt")
        it.app.simulate_key("enter")
        await it.until(lambda: "Esc stops" in it.screen_text(), settle=False)
        it.app.simulate_key("escape")
        await it.until(lambda: "Stopped." in it.screen_text())
        assert it.screen.room == "score"
        await it.pilot.press("escape")
        await it.until(lambda: it.screen.room == "play")


async def test_nobody_draws_what_nobody_sees(model: Path) -> None:
    """Text that streams behind Train costs the training beside it nothing, and is all there on the way back."""
    async with playing(model, speed=120) as it:
        await it.until(lambda: it.screen.playing and it.picture.length > 5)
        player = it.screen._player
        voice = player._voices[0]
        await it.pilot.press("2")
        await it.until(lambda: not player._watched)
        assert voice.session is not None
        made, left = len(voice.session), time.monotonic()
        await it.until(lambda: (time.monotonic() - left) * voice.speed >= 60, settle=False)  # so many became due
        assert len(voice.session) <= made + 1  # the character that was being made
        await it.pilot.press("3")
        await it.until(lambda: it.picture.running and it.picture.length >= made + 60, settle=False)


async def test_duel_streams_two_settings_side_by_side(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("d")
        duel = it.screen.duel
        await it.until(lambda: all((p := duel.picture(v)) is not None and p.length > 5 for v in (1, 2)))
        assert duel.view(1).text().startswith("The morning")
        await it.pilot.press("space")
        await it.until(lambda: not duel.running)
        first, second = duel.picture(1), duel.picture(2)
        assert first is not None
        assert second is not None
        assert second.settings.temperature > first.settings.temperature
        await it.pilot.press("tab", "t")
        await it.until(lambda: (p := duel.picture(2)) is not None and p.settings.temperature == 1.15)
        assert first.settings.temperature == 0.8
        line = duel.view(2).text()
        await it.pilot.press("equals_sign", "r")
        await it.until(lambda: (p := duel.picture(2)) is not None and p.length > 5 and duel.view(2).text() != line)
        assert {duel.picture(voice).speed for voice in (1, 2)} == {it.screen._speed}  # type: ignore[union-attr]
        await it.pilot.press("escape")
        await it.until(lambda: it.screen.room == "play" and it.picture.speed == it.screen._speed)
        assert it.text.startswith("The morning")


async def test_what_is_copied_is_marked_and_says_where_it_comes_from(home: Path) -> None:
    text = home / "novel.txt"
    text.write_text("Some line.\n" * 5 + "she had not been in the house for seven long years\n" * 3)
    recorded = record(home / "runs", "finished", name="novel-quick-1", steps=100)
    spec = json.loads(recorded.run.spec_path.read_text())
    spec["corpus"] = open_corpus(text).to_record()
    recorded.run.spec_path.write_text(json.dumps(spec))
    async with playing(recorded.run.path) as it:
        await it.paused(3)
        await it.pilot.press("w")
        it.screen._player.write_text("she had not been in the house for seven long years")
        await it.until(lambda: it.screen._copied is not None and it.screen._copied.share > 0.8)
        await it.pilot.press("escape", "escape", "left", "left", "left")
        await it.until(lambda: " of novel.txt" in it.status())
        copied = it.screen.stream.get_component_rich_style("stream--copied", partial=True)
        assert copied.bgcolor is not None
        assert copied.bgcolor.name == "#34412e"  # dark: own text on it is green
        await it.pilot.press(*["left"] * 3, *["right"] * 6)
        await it.until(lambda: "copied" in it.status())
