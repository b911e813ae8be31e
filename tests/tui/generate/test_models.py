"""What Generate plays and keeps: models and their ages, sessions, what is remembered and exported."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import parse_clamp
from charlstm.generation.session import Session as Played
from charlstm.generation.session_file import load_session, read_summary, save_session, state_of
from charlstm.model.file import Model, load_model, save_model
from charlstm.paths import state_dir
from charlstm_tui import formatting
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.background import CommandError
from charlstm_tui.choices import StartOptions
from charlstm_tui.dialogs import ChoiceDialog
from charlstm_tui.generate import model_picker
from charlstm_tui.generate.model_picker import ModelPicker
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.generate.text_picker import TextPicker
from charlstm_tui.generate.view_bar import SLIDER, GenerateBar, slider_track
from charlstm_tui.main import is_session
from charlstm_tui.player import opening, preferences, saved_sessions, session_saver
from charlstm_tui.player.opening import PlayRequest
from charlstm_tui.player.saved_sessions import copy_as
from charlstm_tui.save_dialog import SaveDialog
from driven_app import driven
from playing_app import PRIME, Session, playing
from recorded_run import record, tiny_model


async def test_earlier_and_later_checkpoints_play_the_same_prime(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.play.playing)
        assert it.state.facts is not None
        best = it.state.facts.step
        assert best == 400
        await it.pilot.press("left_square_bracket")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200)
        for step in (100, 50, 0):
            await it.pilot.press("left_square_bracket")
            await it.until(lambda step=step: it.state.facts is not None and it.state.facts.step == step)
        await it.paused(30)
        young = it.text
        await it.pilot.press("left_square_bracket")
        await it.until(lambda: "earliest checkpoint" in it.status())
        bar = it.screen.query_one(GenerateBar).render().plain
        assert "novel-quick-1 @ step 0" in bar
        await it.pilot.press("right_square_bracket")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 50)
        await it.until(lambda: it.state.length >= 30)
        assert it.text[:30] != young
        assert "─●───  checkpoint 2 of 5: step 50" in it.status()
        await it.pilot.resize_terminal(160, 36)
        await it.until(lambda: "[ ─●─── ] 2 of 5" in it.screen_text())
        bar = it.screen.query_one(GenerateBar)
        await it.pilot.click(bar, offset=(bar.render().plain.index("●") + 2 + 1, 0))
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200)
        await it.until(lambda: "[ ───●─ ] 4 of 5" in it.screen_text())
        await it.pilot.press("ctrl+s", *"all.checkpoints.html", "enter")
        await it.until(lambda: "Exported to all.checkpoints.html" in it.status())
        page = (home / "all.checkpoints.html").read_text()
        assert page.count("<section>") == 5
        assert "How novel-quick-1 learnt" in page


async def test_keys_while_a_checkpoint_is_opened_act_afterwards(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    read, free = opening.load_model, threading.Event()
    free.set()
    monkeypatch.setattr(opening, "load_model", lambda path: (free.wait(60), read(path))[1])
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.play.playing)
        free.clear()
        await it.pilot.press("left_square_bracket")
        await it.until(lambda: "Opening novel-quick-1" in it.screen_text())
        await it.pilot.press("left_square_bracket", "left_square_bracket", "d")
        assert it.screen.view_name == "play"
        free.set()
        await it.until(lambda: it.screen.view_name == "duel")
        assert it.state.facts is not None
        assert it.state.facts.step == 50


async def test_report_on_the_checkpoint_that_is_played(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []

    async def run_command(*argv: str) -> None:
        commands.append(argv)
        if len(commands) > 1:
            raise CommandError("The disk is full")

    monkeypatch.setattr("charlstm_tui.generate.exports.run_command", run_command)
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.pilot.press("left_square_bracket")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200)
        await it.pilot.press("ctrl+s", *"inside.report.html", "enter")
        await it.until(lambda: "Exported to inside.report.html" in it.status())
        page = str(home / "inside.report.html")
        assert commands == [("report", str(run.path), "--out", page, "--snapshot", "200")]
        await it.pilot.press("ctrl+s", *"inside.report.html", "enter")
        await it.until(lambda: "The disk is full" in it.status())


async def test_pages_that_are_asked_for_one_after_the_other_are_both_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = asyncio.Event()

    async def write_report(path: Path, run: Path, step: int | None) -> None:
        await finished.wait()
        path.write_text("the report")

    monkeypatch.setattr("charlstm_tui.generate.exports.write_report", write_report)
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.paused(10)
        for name in ("one.report.html", "two.checkpoints.html"):
            await it.pilot.press("ctrl+s", *name, "enter")
            await it.until(lambda: it.app.screen is it.screen)
        await it.until(lambda: "Exported to two.checkpoints.html" in it.status())
        finished.set()
        await it.until(lambda: "Exported to one.report.html" in it.status())
    assert (home / "one.report.html").read_text() == "the report"


def test_slider_has_a_cell_for_each_checkpoint_as_far_as_there_is_space() -> None:
    assert "".join(char for char, _ in slider_track(0, 2)) == "●─"
    assert "".join(char for char, _ in slider_track(2, 5)) == "──●──"
    many = slider_track(17, 40)
    assert len(many) == SLIDER
    assert [place for char, place in many if char == "●"] == [17]
    assert (many[0][1], many[-1][1]) == (0, 39)
    assert [place for _, place in many] == sorted(place for _, place in many)


async def test_a_live_run_is_played_as_it_grows(home: Path) -> None:
    with record(home / "runs", "running", steps=420) as worker:
        async with playing(worker.run.path) as it:
            await it.until(lambda: it.screen.play.playing)
            assert it.state.facts is not None
            assert it.state.facts.step == 400
            worker.advance(300)
            await it.pilot.press("right_square_bracket")
            await it.until(lambda: it.state.facts is not None and it.state.facts.step == 700)


async def test_what_a_run_has_learnt_since_is_played_when_it_is_asked_for_again(home: Path) -> None:
    with record(home / "runs", "running", steps=420) as worker:
        async with playing(worker.run.path) as it:
            await it.until(lambda: it.screen.play.playing)
            worker.advance(300)
            await it.pilot.press("4")
            it.app.play(str(worker.run.path))
            await it.until(lambda: it.state.facts is not None and it.state.facts.step == 700)
            await it.until(lambda: it.screen.play.playing)
            take = it.state.session_id
            it.app.play(str(worker.run.path))  # there is nothing newer: what is played stays
            await it.paused(5)
            assert it.state.session_id == take
            it.app.play(str(worker.run.path), 0)  # while Generate is shown
            await it.until(lambda: it.state.facts is not None and it.state.facts.step == 0)


async def test_a_model_that_cannot_be_opened_leaves_the_settings_in_use(model: Path, home: Path) -> None:
    broken = home / "broken.json"
    broken.write_text('{"kind": "charlstm session"}')
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("T", "T", "=")
        await it.until(lambda: it.state.settings.temperature == 0.9)
        speed = it.state.speed
        it.screen.play.load(PlayRequest(str(model), session=broken))
        await it.until(lambda: "broken.json" in it.screen.message)
        assert (it.state.settings, it.state.speed) == (it.state.settings, speed)
        assert it.state.settings.temperature == 0.9


async def test_a_name_typed_in_full_is_the_one_that_is_meant(model: Path, home: Path) -> None:
    for name in ("novel-1", "novel-10"):
        record(home / "runs", "finished", name=name, steps=100)
    async with playing(model) as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 2)
        for name in ("novel-1", "novel-10"):
            await it.pilot.press("o")
            await it.until(lambda: isinstance(it.app.screen, ModelPicker))
            it.app.screen.query_one(Input).value = name
            await it.pilot.press("enter")
            await it.until(lambda: it.state.facts is not None and it.state.facts.name == name)  # noqa: B023


async def test_another_model_is_picked_by_name_or_path(model: Path, home: Path) -> None:
    record(home / "runs", "finished", name="novel-quick-1", steps=200)
    record(home / "runs", "stopped", name="[b]anna-1", steps=200)
    async with playing(model) as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 2)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        assert "[b]anna-1" in it.screen_text()
        await it.pilot.press(*"novel", "enter")
        await it.until(lambda: it.state.facts is not None and it.state.facts.name == "novel-quick-1")
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = "nothing like that"
        await it.pilot.press("enter")
        await it.until(lambda: "There is no model or session called" in it.screen_text())
        it.app.screen.query_one(Input).value = str(model)
        await it.pilot.press("enter")
        await it.until(lambda: it.state.facts is not None and it.state.facts.name == "tiny")


async def test_text_goes_on_in_another_model_with_all_that_was_done_to_it(model: Path, home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run
    record(home / "runs", "finished", name="other-1", steps=200)

    async def choose(it: Session, name: str, key: str) -> None:
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = name
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
        await it.pilot.press(key)

    def plays(it: Session, name: str) -> bool:
        state = it.state
        return state.facts is not None and state.facts.name == name and state.read_to == state.size

    async with playing(run.path) as it:
        await it.paused(30)
        await it.pilot.press("w", *"Zoë ñ5 ", "escape", "escape")
        await it.until(lambda: it.screen.view_name == "play" and it.text.endswith("Zoë ñ5 "))
        it.desk.give_title("The bell")
        before = it.text
        await choose(it, str(model), "g")
        await it.until(lambda: plays(it, "tiny") and "The text goes on with tiny." in it.status())
        assert (it.text, it.state.title, it.state.position) == (before, "The bell", len(before))
        await it.until(lambda: it.state.file is not None and read_summary(it.state.file).model == str(model))
        file = it.state.file
        assert file is not None
        await it.pilot.press("ctrl+z")
        await it.until(lambda: it.text == before.removesuffix("ñ5 "))
        await choose(it, "other-1", "g")
        await it.until(lambda: plays(it, "other-1"))
        await it.pilot.press("ctrl+y")
        await it.until(lambda: it.text == before and plays(it, "other-1"))
        assert it.state.file == file
        await choose(it, str(model), "g")
        await it.until(lambda: plays(it, "tiny"))
    assert saved_sessions.model_of(file) == str(model)
    async with playing(model) as it:
        it.app.open_session(file)
        await it.until(lambda: it.screen.play.playing and it.text == before)
        await choose(it, "novel-quick-1", "n")
        await it.until(lambda: it.state.facts is not None and it.state.facts.name == "novel-quick-1")
        await it.until(lambda: it.text != before)


@pytest.mark.parametrize("named", ["novel-1", "runs/novel-1", "runs/novel-1/model.safetensors", "tiny.safetensors"])
async def test_the_picker_opens_at_the_model_that_is_played_however_it_was_named(
    model: Path, home: Path, named: str
) -> None:
    record(home / "runs", "finished", name="novel-1", steps=200)
    record(home / "runs", "finished", name="novel-2", steps=200)
    async with playing(named) as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 2)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker) and "novel-2" in it.screen_text())
        options, name = it.app.screen.query_one(OptionList), named.split("/")[min(1, named.count("/"))]
        shown = [str(option.prompt) for option in options.options]
        assert [row.split()[1] for row in shown if row.startswith("●")] == [name]
        assert shown[options.highlighted or 0].startswith(f"● {name} ")
        await it.pilot.press(*"novel-2")
        await it.until(lambda: options.option_count == 1 and options.highlighted == 0)
        await it.pilot.press("backspace")
        await it.until(lambda: options.option_count == 2)
        assert options.highlighted == 0, "what fits best"


async def test_the_picker_in_duel_opens_at_the_model_of_the_side(home: Path) -> None:
    for name in ("novel-1", "novel-2"):
        record(home / "runs", "finished", name=name, steps=200)
    async with playing("novel-1", (120, 30)) as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 2)

        async def is_marked_and_changes(name: str) -> None:
            await it.until(lambda: it.screen.view_name == "duel" and len(it.screen.duel.sides) == 2)
            await it.pilot.press("o")
            await it.until(lambda: f"● {name} " in it.screen_text())
            await it.pilot.press(*"novel-2", "enter")
            await it.until(lambda: it.screen.duel.sides[it.screen.duel.chosen].request.model_name.endswith("novel-2"))

        await it.pilot.press("d")
        await is_marked_and_changes("novel-1")
        await is_marked_and_changes("novel-2")


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_the_model_that_is_played_is_in_view_in_a_long_list(home: Path, size: tuple[int, int]) -> None:
    for number in range(20):
        record(home / "runs", "finished", name=f"novel-{number}", steps=100)
    async with playing("novel-0", size) as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 20)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker) and "● novel-0 " in it.screen_text())
        await it.pilot.press(*"novel-7")
        await it.until(lambda: "● novel-0 " not in it.screen_text())
        await it.pilot.press("ctrl+u")
        await it.until(lambda: "● novel-0 " in it.screen_text())


async def test_settings_are_remembered_for_each_model(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("T", "minus", "c")  # from full
        await it.until(lambda: (it.state.settings.temperature, it.state.speed) == (0.85, 1000))
    async with playing(model, speed=None) as it:
        await it.until(lambda: it.screen.play.playing)
        assert (it.state.settings.temperature, it.state.speed) == (0.85, 1000)
        assert it.screen.play.scale.name == "rank"


@pytest.mark.parametrize("keys", [("ctrl+home", "delete"), ("ctrl+a", "delete")])
async def test_a_prime_that_was_edited_is_not_remembered_as_an_empty_one(
    model: Path, home: Path, keys: tuple[str, ...]
) -> None:
    async with playing(model) as it:
        await it.paused(20)
        it.desk.save_as(home / "bell.json", "rank")
        await it.until((home / "bell.json").is_file)
        it.screen.play.load_session(home / "bell.json")
        await it.until(lambda: it.state.request.session is not None and it.screen.play.playing)
        await it.pilot.press("w", *keys)
        await it.until(lambda: it.state.prime_length == 0)
    async with playing(model, speed=None) as it:
        await it.until(lambda: it.screen.play.playing)
        assert it.prime == PRIME


async def test_preferences_of_a_newer_charlstm_are_left_alone_and_the_user_is_told(model: Path) -> None:
    path = preferences.MEMORY.path
    path.parent.mkdir(parents=True)
    path.write_text(newer := '{"format": 2, "models": {}}')
    async with playing(model) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.until(lambda: "written by a newer charlstm (format 2) and stays as it is" in it.screen.message)
        it.screen.play.open("demo", None, None, None)
        await it.until(lambda: it.state.facts is not None and it.state.facts.name != "tiny")
    assert path.read_text() == newer


async def test_the_last_session_is_offered_and_gone_on_with(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        text = it.text
        it.desk.give_title("a storm")
    async with playing(model) as it:
        await it.until(lambda: "last session" in it.status())
        await it.pilot.press("l")
        await it.until(lambda: it.text == text)
        assert not it.state.running


async def test_story_that_another_prime_replaced_comes_back_and_is_the_last_session(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("w", *"and so on", "escape", "escape")
        await it.until(lambda: it.state.length == 19 and it.screen.view_name == "play")
        story = it.text
        it.desk.change_speed(lambda speed: 0)
        await it.pilot.press("e", "end", "x", "enter")
        await it.until(lambda: it.prime.endswith("x"))
        await it.until(lambda: "l brings back the text before" in it.screen.message)
        assert "4 words · “The morning" in it.screen.message
        await it.pilot.press("l")
        await it.until(lambda: it.text == story)
        await it.pilot.press("l")
        await it.until(lambda: "This is the last session" in it.screen.message)
        await it.pilot.press("e", "enter")
        await it.until(lambda: it.screen.play.playing and it.state.length == 0)
        await it.pilot.press("right", "right")
        await it.until(lambda: it.state.length == 2)
        await it.until(lambda: it.state.file is not None)
        it.app.exit(return_code=129)  # as when the terminal is gone: then what only grew stays, and comes last
    async with playing(model) as it:
        await it.until(lambda: "l continues the last session" in it.screen.message)
        assert "4 words · “The morning" in it.screen.message
        await it.pilot.press("o")
        await it.until(lambda: "the model in the box" in it.screen_text())
        assert "not kept" not in it.screen_text()  # the texts have a list of their own
        it.app.screen.query_one(Input).value = "./tin"
        await it.until(lambda: "./tiny.safetensors" in it.screen_text())
        await it.pilot.press("tab")
        await it.until(lambda: it.app.screen.query_one(Input).value == "./tiny.safetensors")
        await it.pilot.press("escape", "O")
        await it.until(lambda: "not kept" in it.screen_text())
        kept, unkept = (row for row in it.screen_text().splitlines() if "tiny · " in row and " words · " in row)
        assert "The morning" in kept
        assert "4 words" in kept
        assert "not kept" not in kept
        assert "2 words" in unkept
        await it.pilot.press("enter")
        await it.until(lambda: it.text == story)


async def test_file_of_ones_own_is_gone_on_in_from_the_command_line_and_from_the_list(model: Path, home: Path) -> None:
    mine = home / "mine.json"
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        it.app.screen.query_one(Input).value = str(mine)
        await it.pilot.press("enter")
        await it.until(lambda: "Saved as mine.json" in it.screen.message)
    assert it.app.farewell == f"The text is kept: {saved_sessions.continues(mine)}."
    assert is_session(str(mine))
    assert not is_session(str(model))
    app = CharLSTMApp(StartOptions(session=mine))  # which knows its model
    async with app.run_test(size=(80, 24)) as pilot:
        it = Session(app, pilot)
        await it.until(lambda: isinstance(app.mode_screen, GenerateScreen) and it.screen.play.playing)
        await it.until(lambda: "mine.json" in it.screen.message)
        assert (it.state.length, it.state.running) == (10, False)
        await it.pilot.press("w", *"and", "escape", "escape")
        await it.until(lambda: it.state.length == 13)
    async with playing(model) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.pilot.press("O")
        await it.until(lambda: "your file mine.json" in it.screen_text())
        await it.pilot.press(*"your file", "enter")
        await it.until(lambda: it.state.length == 13)
        await it.pilot.press("w", *"so", "escape", "escape")
        await it.until(lambda: it.state.length == 15 and it.screen.view_name == "play")
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        assert it.app.screen.query_one(Input).value == formatting.home(mine)
        await it.pilot.press("enter")  # does not ask: it is the session's own file
        await it.until(lambda: "Saved as mine.json" in it.screen.message)
        assert read_summary(mine).length == 15


async def test_file_of_text_is_opened_from_the_list_and_its_name_is_offered(model: Path, home: Path) -> None:
    page = home / "page.txt"
    page.write_text("A page of one's own.\n")
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("O")
        await it.until(lambda: isinstance(it.app.screen, TextPicker))
        it.app.screen.query_one(Input).value = "./pag"
        await it.until(lambda: "./page.txt" in it.screen_text())
        await it.pilot.press("tab", "enter")
        await it.until(lambda: it.text == page.read_text())
        assert (it.state.title, it.state.facts and it.state.facts.name) == ("page", "tiny")
        await it.pilot.press("w", *"My ", "escape", "escape")
        await it.until(lambda: it.text == "My A page of one's own.\n" and it.screen.view_name == "play")
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, ChoiceDialog) and "Replace" in it.screen_text())
        await it.pilot.press("n")
    assert page.read_text() == "A page of one's own.\n"


async def test_a_saved_session_is_opened_by_path_on_the_run_that_it_lies_in(model: Path, home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run
    async with playing(run.path) as it:
        await it.paused(10)
        session = run.sessions_dir / "mine.json"
        it.desk.save_as(session, "rank")
        await it.until(session.is_file)
        text = it.text
        await it.pilot.press("O")
        await it.until(lambda: "mine.json" in it.screen_text())  # it stands in the list
        await it.pilot.press("escape")
    async with playing(model) as it:
        await it.paused(3)
        here = it.text
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = str(session)
        await it.pilot.press("enter")
        await it.until(lambda: it.screen.play.playing and it.state.facts is not None and it.state.facts.run == run.path)
        await it.until(lambda: it.text == text)
        broken = home / "broken.json"
        broken.write_text('{"kind": "charlstm session"}')
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        it.app.screen.query_one(Input).value = str(broken)
        await it.pilot.press("enter")
        await it.until(lambda: "broken.json" in it.screen.message)
        assert it.text == text != here


async def test_a_session_in_the_list_is_deleted_when_it_is_confirmed(model: Path, home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.until(lambda: it.state.file is not None)
        own = it.state.file
        assert own is not None
        it.desk.give_title("mine")
        await it.until(lambda: read_summary(own).title == "mine")
        await it.pilot.press("O", *"mine")
        await it.until(lambda: isinstance(it.app.screen, TextPicker) and "● mine" in it.screen_text())
        await it.pilot.press("left", "delete")  # within what is typed, it is the line's key
        assert it.app.screen.query_one(Input).value == "min"
        await it.pilot.press("delete")
        await it.until(lambda: "This session is being played" in it.screen_text())
        await it.pilot.press("escape", "e", "end", "x", "enter")
        await it.until(lambda: it.prime.endswith("x"))
        await it.pilot.press("O", *"mine")
        await it.until(lambda: isinstance(it.app.screen, TextPicker) and " mine " in it.screen_text())
        for answer, deleted in (("n", False), ("y", True)):
            await it.pilot.press("delete")
            await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
            assert "novel-quick-1" in it.screen_text()
            await it.pilot.press(answer)
            await it.until(lambda: isinstance(it.app.screen, TextPicker))
            await it.until(lambda: own.exists() is not deleted)  # noqa: B023 - it is awaited here
        await it.until(lambda: "novel-quick-1 · 1 word" not in it.screen_text())


@pytest.mark.parametrize("ending", ["json", "txt", "md", "html"])
async def test_saving_and_exporting(model: Path, home: Path, ending: str) -> None:
    target = home / "kept" / f"mine.{ending}"
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        assert it.app.screen.query_one(Input).value == f"{model.stem}.txt"
        it.app.screen.query_one(Input).value = str(target)
        await it.pilot.press("enter")
        await it.until(lambda: "mine" in it.screen.message)
        text = it.text
    assert target.is_file()
    if ending == "json":
        loaded = load_session(target, load_model(model))
        assert loaded.prime + loaded.read() == text
        assert json.loads(target.read_text())["automatic"] is False
    elif ending == "txt":
        assert target.read_text() == text


async def test_what_stands_there_is_written_over_only_when_that_is_wanted(model: Path, home: Path) -> None:
    novel = home / "novel.txt"
    novel.write_text("mine")
    async with playing(model) as it:
        await it.paused(10)
        for answer in ("enter", "y"):
            await it.pilot.press("ctrl+s")
            await it.until(lambda: isinstance(it.app.screen, SaveDialog))
            it.app.screen.query_one(Input).value = str(novel)
            await it.pilot.press("enter")
            await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
            await it.pilot.press(answer)
            if answer == "enter":
                assert novel.read_text() == "mine"
        for name in ("/", "x" * 300, "novel.txt/x.txt"):  # what cannot be is said
            await it.pilot.press("ctrl+s")
            await it.until(lambda: isinstance(it.app.screen, SaveDialog))
            it.app.screen.query_one(Input).value = name
            await it.pilot.press("enter")
            await it.until(lambda: it.app.screen.query_one(".dialog-error").display)
            await it.pilot.press("escape")
            await it.until(lambda: it.app.screen is it.screen)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        it.app.screen.query_one(Input).value = str(novel)
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
        await it.pilot.press("y")
        await it.until(lambda: "novel.txt" in it.screen.message)
        assert novel.read_text() == it.text


async def test_a_damaged_model_is_said_in_its_pane(home: Path) -> None:
    broken = home / "broken.safetensors"
    broken.write_bytes(b"not a model [/red]")
    async with playing(broken) as it:
        await it.until(lambda: "is not a model file" in " ".join(it.screen_text().split()))
        assert "opens another model" in it.screen_text()
        await it.pilot.press("space", "enter", "t", "left", "e", "c")
        assert not it.screen.play.playing


async def test_with_nothing_to_play_the_pane_names_the_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.generate.screen.demo_path", lambda: None)
    app = CharLSTMApp(StartOptions())
    async with app.run_test(size=(80, 24)) as pilot:
        it = Session(app, pilot)
        await pilot.press("3")
        await it.until(lambda: isinstance(app.screen, GenerateScreen))
        assert "Nothing to play yet" in it.screen_text()
        record(home / "runs", "finished", steps=100)
        await it.until(lambda: it.screen.play.playing)


async def test_another_model_ends_the_other_views(model: Path, home: Path) -> None:
    other = home / "other.safetensors"
    save_model(other, tiny_model(seed=1, prime="The other"))
    async with playing(model) as it:
        await it.paused(10)
        for view in ("s", "d", "w"):
            await it.pilot.press(view)
            await it.until(lambda: it.screen.view_name != "play")
            wanted = other if it.prime == "The morning" else model
            it.app.go("runs")
            await it.pilot.pause()
            it.app.play(str(wanted))
            await it.pilot.pause()
            await it.until(lambda wanted=wanted: it.screen.view_name == "play" and it.state.facts.path == wanted)
            await it.until(lambda: it.state.distribution is not None)


def test_a_session_is_not_saved_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (".", "/", str(tmp_path)):
        with pytest.raises(CharLSTMError, match="is a folder"):
            copy_as(Path(path), "rank", None, None)  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="permissions, links and devices of POSIX")
def test_what_a_person_saves_is_theirs_to_share_and_in_a_run_private(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARLSTM_STATE", str(tmp_path / "state"))
    run = record(tmp_path / "runs", "finished", name="one", steps=200).run
    played = Played(load_model(model), "a")
    state = state_of(played)
    umask = os.umask(0o027)
    try:
        for path, folder, file in (
            (tmp_path / "mine" / "a.txt", 0o750, 0o640),
            (run.sessions_dir / "a.md", 0o700, 0o600),
            (tmp_path / "state" / "sessions" / "demo" / "a.html", 0o700, 0o600),
        ):
            assert copy_as(path, "rank", state, lambda: played)().endswith(
                f"{path.name} in {formatting.home(path.parent)}"
            )
            assert (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (folder, file)
    finally:
        os.umask(umask)
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(CharLSTMError, match=r"pipe\.txt is a pipe"):
        copy_as(tmp_path / "pipe.txt", "rank", state, lambda: played)


async def test_loading_keeps_the_focus_out_of_inputs_and_gives_it_to_the_text(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def slow(path: Path) -> Model:
        release.wait(10)
        return load_model(path)

    other = model.with_name("other.safetensors")
    shutil.copy(model, other)
    async with playing(model) as it:
        await it.paused(3)  # a state was shown only just now, and the next one is not due yet
        monkeypatch.setattr(opening, "load_model", slow)
        it.desk.open(PlayRequest(str(other), prime="She"))
        await it.until(lambda: "Opening other.safetensors …" in it.screen_text())
        assert it.screen.focused is it.screen.play.text_view
        assert not it.screen.in_input()
        await it.pilot.press("x", "y")
        release.set()
        await it.until(lambda: it.prime == "She" and it.screen.focused is it.screen.play.text_view)
        assert it.screen.play.prime_input.text == "She"


async def test_a_session_with_clamped_cells_is_continued_and_saved_with_them(model: Path, home: Path) -> None:
    clamps = (parse_clamp("1:2=0.5"),)
    played = Played(load_model(model), "The", clamps=clamps)
    played.type("re")
    save_session(played, home / "clamped.json")

    async def saved(it: Session, name: str) -> Played:
        it.desk.save_as(home / name, "rank")
        await it.until(lambda: name in it.screen.message)
        return load_session(home / name, load_model(model))

    async with playing(model) as it:
        await it.paused(3)
        it.screen.play.load_session(home / "clamped.json")
        await it.until(lambda: it.prime == "The" and it.screen.play.playing)
        it.desk.stream(20)
        await it.until(lambda: it.state.length > 2)
        assert (await saved(it, "again.json")).clamps == clamps
        it.screen.play.load(PlayRequest(str(model), prime="She"))
        await it.until(lambda: it.prime == "She" and it.screen.play.playing)
        assert (await saved(it, "other.json")).clamps == ()


async def test_model_files_and_folders_are_read_in_threads(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, threading.Thread] = {}

    def noted(module: str, name: str) -> None:
        function = getattr(__import__(module, fromlist=[name]), name)

        def call(*arguments: object) -> object:
            threads[name] = threading.current_thread()
            return function(*arguments)

        monkeypatch.setattr(f"{module}.{name}", call)

    noted("charlstm_tui.generate.screen", "is_newest")
    noted("charlstm_tui.generate.screen", "first_choice")
    noted("charlstm_tui.generate.model_picker", "entries")
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run
    (home / "text.txt").write_text("a text")
    app = CharLSTMApp(StartOptions(text=str(home / "text.txt")))
    async with app.run_test(size=(80, 24)) as pilot:
        it = Session(app, pilot)
        app.go("generate")
        await it.until(lambda: isinstance(app.mode_screen, GenerateScreen) and it.screen.play.playing)
        app.go("runs")
        await it.pilot.pause()
        app.play(str(run.path))
        await it.until(lambda: "is_newest" in threads)
        await it.until(lambda: app.mode_screen is not None and app.mode_screen.MODE == "generate")
        await it.pilot.press("o")
        await it.until(lambda: isinstance(app.screen, ModelPicker) and "novel-quick-1" in it.screen_text())
    assert threading.main_thread() not in threads.values()
    assert set(threads) == {"is_newest", "first_choice", "entries"}


async def test_a_long_name_takes_one_row_of_the_model_picker(model: Path, home: Path) -> None:
    for number in (1, 2):
        record(home / "runs", "finished", name=f"the-complete-works-of-a-poet-standard-{number}", steps=200)
    async with playing(model) as it:
        await it.until(lambda: len(it.app.runs_state.runs) == 2)
        await it.pilot.press("o")
        await it.until(lambda: "the-complete-works-of-a-poet-standard-2" in it.screen_text())
        options = it.app.screen.query_one(OptionList)
        assert options.size.height == options.option_count


async def test_keys_and_words_of_the_view_line_do_not_merge_in_a_narrow_terminal(model: Path) -> None:
    async with playing(model) as it:
        bar = it.screen.query_one(GenerateBar)
        views = ("play", "write", "score", "duel")
        bar.show("play", views, ("m" * (bar.content_size.width - len("[Play] w:Write s:Score d:Duel") - 2),))
        assert "[Play] w:Write s:Score d:Duel" in bar.render().plain
        bar.show("play", views, ("m",))
        assert "[Play]  w Write  s Score  d Duel" in bar.render().plain


async def test_the_picker_names_losses_in_the_chosen_unit(model: Path, home: Path) -> None:
    best = record(home / "runs", "finished", name="novel", steps=200).run.status().best_val
    assert best is not None
    async with playing(model) as it:
        await it.until(lambda: len(it.app.runs_state.runs) == 1)
        for bits, words in ((False, f"best {best:.2f} nats"), (True, f"best {best / math.log(2):.2f} bits")):
            it.app.bits = bits
            await it.pilot.press("o")
            await it.until(lambda words=words: words in it.screen_text())
            await it.pilot.press("escape")


async def test_enter_in_the_picker_waits_for_the_list(model: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, listed = threading.Event(), model_picker.entries
    monkeypatch.setattr(model_picker, "entries", lambda *which: (release.wait(10), listed(*which))[1])
    other = home / "other.safetensors"
    save_model(other, tiny_model(seed=1, prime="The other"))
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        await it.pilot.press(*"other")
        it.app.simulate_key("enter")
        release.set()
        await it.until(lambda: it.state.facts is not None and it.state.facts.path == other)


async def test_without_a_model_neither_prime_nor_legend_is_shown(home: Path) -> None:
    async with playing(home / "missing.safetensors") as it:
        await it.until(lambda: "There is no model file" in it.screen_text())
        assert "Prime" not in it.screen_text()
        assert "surprising" not in it.status()


async def test_a_session_that_is_opened_again_goes_on_in_its_file(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", *"one", "escape", "escape")
        await it.until(lambda: it.text.endswith("one") and it.state.file is not None)
        assert it.state.file is not None
        folder = it.state.file.parent
    for letter in "xyz":
        async with playing(model) as it:
            await it.until(lambda: "l continues the last session" in it.screen.message)
            await it.pilot.press("l")
            await it.until(lambda: "one" in it.text)
            await it.pilot.press("w", letter, "escape", "escape")
            await it.until(lambda: it.text.endswith(letter))  # noqa: B023
    stories = [each for each in saved_sessions.saved(folder) if each.has_work]
    assert [each.length for each in stories] == [5 + 3 + 3]


async def test_two_apps_with_one_session_do_not_write_over_each_other(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", *"one", "escape", "escape")
        await it.until(lambda: it.text.endswith("one"))
    async with playing(model) as it:
        await it.until(lambda: "l continues the last session" in it.screen.message)
        await it.pilot.press("l")
        await it.until(lambda: it.text.endswith("one"))
        path = it.state.file
        assert path is not None
        content = path.read_bytes()
        path.write_bytes(content)  # by another app
        await it.pilot.press("w", "x")
        await it.until(lambda: "in a file of its own" in it.screen.message)
        assert it.state.file not in (None, path)
        assert path.read_bytes() == content
        await it.until(lambda: it.state.file.is_file())  # type: ignore[union-attr]


async def test_a_text_is_offered_its_file_again_and_another_one_its_folder(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)

        async def offered() -> str:
            await it.pilot.press("ctrl+s")
            await it.until(lambda: isinstance(it.app.screen, SaveDialog))
            return it.app.screen.query_one(Input).value

        assert await offered() == "tiny.txt"
        target = home / "kept" / "story.md"
        target.parent.mkdir()
        it.app.screen.query_one(Input).value = str(target)
        await it.pilot.press("enter")
        await it.until(target.is_file)
        assert await offered() == str(target)
        await it.pilot.press("escape", "e", "end", "x", "enter")
        await it.until(lambda: it.prime.endswith("x") and it.screen.play.playing)
        assert await offered() == str(target.with_name("tiny.txt"))


async def test_session_that_cannot_be_saved_is_said_until_the_end(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_saver, "FIRST_PAUSE", 60.0)
    folder = saved_sessions.folder(None, model)
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    async with playing(model) as it:
        await it.paused(5)
        await it.pilot.press("w", *"mine")
        await it.until(lambda: "cannot be saved" in it.status())
        await it.pilot.press("left", "x", "escape", "left")
        await it.until(lambda: "x" in it.text)
        assert "cannot be saved" in it.status()
        app, text = it.app, it.text
        await it.pilot.press("ctrl+q")
        await it.until(lambda: isinstance(app.screen, ChoiceDialog))
        assert "cannot be saved" in it.screen_text()
        await it.pilot.press("c")
        await it.until(lambda: not isinstance(app.screen, ChoiceDialog))
        assert not app.exiting
        await it.pilot.press("ctrl+q")
        await it.until(lambda: isinstance(app.screen, ChoiceDialog))
        await it.pilot.press("l")
        await it.until(lambda: app.exiting, settle=False)
    assert "It is kept elsewhere: charlstm-tui ~/" in app.farewell
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert text.endswith(load_session(kept, load_model(model)).read())
    assert f"/{kept.name} continues it." in app.farewell


async def test_sessions_of_all_models_are_listed_and_the_last_one_is_gone_on_with(model: Path, home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.pilot.press("w", *" my own words", "escape", "escape")
        await it.until(lambda: it.state.file is not None and it.screen.view_name == "play")
        await it.until(lambda: it.text.endswith("my own words"))
        text = it.text
    async with playing(model) as it:
        await it.until(lambda: "l continues the last session of novel-quick-1" in it.screen.message)
        await it.pilot.press("O")
        await it.until(lambda: isinstance(it.app.screen, TextPicker) and "novel-quick-1 · " in it.screen_text())
        await it.pilot.press("escape", "l")
        await it.until(lambda: it.text == text)
        assert it.state.facts is not None
        assert it.state.facts.name == "novel-quick-1"
    async with driven(home / "runs", (100, 30)) as app:
        await app.press("3")
        await app.in_mode("generate")
        await app.until(lambda: isinstance(app.mode, GenerateScreen) and app.mode.play.text_view.text() == text)


async def test_the_first_session_stays_when_a_dialog_is_closed_and_the_mode_is_left(home: Path) -> None:
    """Nothing was chosen: its file must not be taken for what was left off."""
    record(home / "runs", "finished", name="novel-quick-1", steps=200)
    async with driven(home / "runs", (100, 30)) as app:
        await app.press("3")
        await app.in_mode("generate")
        screen = app.mode
        assert isinstance(screen, GenerateScreen)
        await app.until(lambda: screen.play.playing)
        await app.press("space", "w", *"own words")
        await app.until(lambda: screen.play.text_view.text().endswith("own words"))
        await app.until(lambda: screen.play.state.file is not None)
        number = screen.play.state.session_id
        await app.press("f2", *"title", "enter")
        await app.until(lambda: screen.play.state.title == "title")
        await app.press(*" more")
        await app.until(lambda: screen.play.text_view.text().endswith("own words more"))
        await app.press("escape", "escape", "2")
        await app.in_mode("train")
        await app.press("3")
        await app.in_mode("generate")
        await app.press("w", *" words")
        await app.until(lambda: screen.play.text_view.text().endswith("own words more words"))
        assert screen.play.state.session_id == number


async def test_session_gets_a_title_by_which_it_is_listed_and_looked_for(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("w", *" my own words", "escape", "escape")
        await it.until(lambda: it.state.file is not None and it.screen.view_name == "play")
        first = it.state.file
        assert first is not None
        await it.pilot.press("O", "f2", *"a storm", "enter")  # of what is played
        await it.until(lambda: isinstance(it.app.screen, TextPicker) and "● a storm" in it.screen_text())
        await it.pilot.press("escape", "e", "end", "x", "enter")
        await it.until(lambda: it.prime.endswith("x"))
        await it.pilot.press("w", *" other words", "escape", "escape")
        await it.until(lambda: it.state.file not in (first, None))
        await it.pilot.press("O", *"a storm", "f2", "end", *" at sea", "enter")  # of another one
        await it.until(lambda: isinstance(it.app.screen, TextPicker) and "a storm at sea" in it.screen_text())
        await it.pilot.press("escape")
        assert read_summary(first).title == "a storm at sea"
        await it.pilot.press("l")
        await it.until(lambda: "my own words" in it.text)
        await it.until(lambda: it.state.title == "a storm at sea")
        await it.pilot.press("w", *" again", "escape", "escape")
        await it.until(lambda: it.text.endswith("again") and it.screen.view_name == "play")
        assert it.state.file == first
    async with playing(model) as it:
        await it.pilot.press("O", *"storm", "enter")
        await it.until(lambda: "my own words" in it.text)
        await it.pilot.press("w", *" more", "escape", "escape")
        await it.until(lambda: it.state.length > 10)
    assert read_summary(first).title == "a storm at sea"


async def test_a_key_in_play_and_write_gives_the_session_a_title_that_stands_above_the_text(model: Path) -> None:
    async with playing(model, (120, 36)) as it:
        await it.paused(10)
        await it.pilot.press("f2", *"a storm", "enter")
        await it.until(lambda: "“a storm”   e edit" in it.screen_text())
        await it.until(lambda: "Title: a storm" in it.screen.message)
        await it.until(lambda: it.state.file is not None)
        file = it.state.file
        assert file is not None
        await it.pilot.press("w")
        await it.until(lambda: it.screen.view_name == "write")
        await it.pilot.press("f2", "end", *" at sea", "enter")
        await it.until(lambda: "“a storm at sea” ·" in it.screen.query_one(GenerateBar).render().plain)
        await it.pilot.resize_terminal(50, 24)
        await it.until(lambda: "storm" not in it.screen.query_one(GenerateBar).render().plain)
    assert read_summary(file).title == "a storm at sea"
    session = saved_sessions.session_at(file)
    assert session is not None
    assert session.has_work


async def test_the_slider_says_what_it_counts_and_rows_of_dialogs_use_free_columns(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path, (140, 45)) as it:
        await it.paused(5)
        count = len(it.state.facts.checkpoint_steps) if it.state.facts else 0
        assert f"{count} of {count} checkpoints" in it.screen_text()
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker))
        dialog = it.app.screen.query_one(".dialog")
        assert dialog.region.width == 100, "rows of 78 columns were cut"
        await it.pilot.resize_terminal(80, 24)
        await it.until(lambda: dialog.region.width in (76, 77))
        await it.pilot.press("escape")
