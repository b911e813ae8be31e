"""What Generate plays and keeps: models and their ages, sessions, what is remembered and exported."""

from __future__ import annotations

import math
import os
import shutil
import stat
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from charlstm.errors import CharLSTMError
from charlstm.generation.session import Session as Played
from charlstm.generation.session_file import load_session, read_summary, state_of
from charlstm.model.file import load_model, save_model
from charlstm.paths import state_dir
from charlstm_tui import formatting
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import ModelChoice, StartOptions
from charlstm_tui.dialogs import ChoiceDialog
from charlstm_tui.generate.awaited import BetterModel
from charlstm_tui.generate.model_picker import ModelPicker
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.generate.text_picker import TextPicker
from charlstm_tui.generate.view_bar import SLIDER, GenerateBar, slider_track
from charlstm_tui.main import is_session
from charlstm_tui.player import desk, preferences, saved_sessions, session_saver
from charlstm_tui.player.saved_sessions import export_as
from charlstm_tui.save_dialog import SaveDialog
from driven_app import Held, driven
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
        await it.press("left_square_bracket", says="earliest model")
        bar = it.screen.query_one(GenerateBar).render().plain
        assert "novel-quick-1 @ step 0" in bar
        await it.pilot.press("right_square_bracket")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 50)
        await it.until(lambda: it.state.length >= 30)
        assert it.text[:30] != young
        assert "model 2 of 5: step 50" in it.status()
        await it.pilot.resize_terminal(160, 36)
        await it.until(lambda: "[ ─●─── ] 2 of 5" in it.screen_text())
        bar = it.screen.query_one(GenerateBar)
        it.screen.play.offer(BetterModel(ModelChoice(str(run.path)), 400, 1.5))
        await it.pilot.click(bar, offset=(bar.render().plain.index("●") + 2 + 1, 0))
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200)
        await it.until(lambda: "[ ───●─ ] 4 of 5" in it.screen_text())


async def test_page_of_what_each_model_of_the_run_generates(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.press("left_square_bracket")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 50)
        await it.enter("ctrl+s", "all.checkpoints.html")
        await it.says("Exported to all.checkpoints.html")
        page = (home / "all.checkpoints.html").read_text()
        assert page.count("<section>") == 3
        assert "How novel-quick-1 learnt" in page


def test_slider_has_a_cell_for_each_checkpoint_as_far_as_there_is_space() -> None:
    assert "".join(char for char, _ in slider_track(0, 2)) == "●─"
    assert "".join(char for char, _ in slider_track(2, 5)) == "──●──"
    many = slider_track(17, 40)
    assert len(many) == SLIDER
    assert [place for char, place in many if char == "●"] == [17]
    assert (many[0][1], many[-1][1]) == (0, 39)
    assert [place for _, place in many] == sorted(place for _, place in many)


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


async def test_a_model_is_picked_by_name_or_path_in_a_list_that_opens_at_the_one_that_is_played(
    model: Path, home: Path
) -> None:
    names = ("novel-1", "novel-10", "[b]anna-1", "the-complete-works-of-a-poet-standard-2")
    runs = [record(home / "runs", "finished", name=name, steps=100).run for name in names]
    best = runs[0].status().best_val
    assert best is not None
    async with playing("runs/novel-1/model.safetensors") as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == len(names))
        await it.press("o", shows=("● novel-1 ", *names, f"best {best:.2f} nats"))
        options = it.app.screen.query_one(OptionList)
        assert options.size.height == options.option_count, "a long name takes one row"
        assert str(options.options[options.highlighted or 0].prompt).startswith("● novel-1 ")
        await it.press(*"anna")
        await it.until(lambda: options.option_count == 1)
        await it.press("backspace", "escape")
        it.app.bits = True
        await it.press("o", shows=f"best {best / math.log(2):.2f} bits")
        await it.press("escape")
        for typed, name in (("novel-10", "novel-10"), ("novel-1", "novel-1"), (str(model), "tiny")):
            await it.enter("o", typed)
            await it.until(lambda name=name: it.state.facts is not None and it.state.facts.name == name)
        await it.press("o", shows="● tiny.safetensors ")


async def test_text_goes_on_in_another_model_with_all_that_was_done_to_it(model: Path, home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=200).run

    async def choose(name: str, key: str, plays: str) -> None:
        await it.enter("o", name)
        await it.until(lambda: isinstance(it.app.screen, ChoiceDialog))
        await it.press(key)
        await it.until(lambda: it.state.facts is not None and it.state.facts.name == plays)

    async with playing(run.path) as it:
        await it.paused(30)
        await it.press("w", *"Zoë ñ5 ", "escape", "escape")
        await it.until(lambda: it.screen.view_name == "play" and it.text.endswith("Zoë ñ5 "))
        it.desk.give_title("The bell")
        before = it.text
        await choose(str(model), "g", "tiny")
        await it.says("The text goes on with tiny.")
        await it.until(lambda: it.state.read_to == it.state.size)
        assert (it.text, it.state.title, it.state.position) == (before, "The bell", len(before))
        await it.until(lambda: it.state.file is not None and read_summary(it.state.file).model == str(model))
        file = it.state.file
        assert file is not None
        await it.press("ctrl+z", gives=before.removesuffix("ñ5 "))
        await it.press("ctrl+y", gives=before)
        await it.until(lambda: read_summary(file).model == str(model) and it.state.file == file)
        await choose("novel-quick-1", "n", "novel-quick-1")
        await it.until(lambda: it.text != before)
    assert saved_sessions.model_of(file) == str(model)


async def test_the_picker_in_duel_opens_at_the_model_of_the_side(home: Path) -> None:
    for name in ("novel-1", "novel-2"):
        record(home / "runs", "finished", name=name, steps=200)
    async with playing("novel-1", (120, 30)) as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 2)

        async def is_marked_and_changes(name: str) -> None:
            await it.until(lambda: it.screen.view_name == "duel" and len(it.screen.duel.sides) == 2)
            await it.press("o", shows=f"● {name} ")
            await it.pilot.press(*"novel-2", "enter")
            await it.until(lambda: it.screen.duel.sides[it.screen.duel.chosen].request.model_name.endswith("novel-2"))

        await it.pilot.press("d")
        await is_marked_and_changes("novel-1")
        await is_marked_and_changes("novel-2")


async def test_the_model_that_is_played_is_in_view_in_a_long_list(home: Path) -> None:
    for number in range(20):
        record(home / "runs", "finished", name=f"novel-{number}", steps=100)
    async with playing("novel-0") as it:
        await it.until(lambda: it.screen.play.playing and len(it.app.runs_state.runs) == 20)
        await it.pilot.press("o")
        await it.until(lambda: isinstance(it.app.screen, ModelPicker) and "● novel-0 " in it.screen_text())
        await it.pilot.press(*"novel-7")
        await it.until(lambda: "● novel-0 " not in it.screen_text())
        await it.press("ctrl+u", shows="● novel-0 ")


async def test_settings_are_remembered_for_each_model(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(3)
        await it.pilot.press("T", "minus", "c")  # from full
        await it.until(lambda: (it.state.settings.temperature, it.state.speed) == (0.85, 1000))
    async with playing(model, speed=None) as it:
        await it.until(lambda: it.screen.play.playing)
        assert (it.state.settings.temperature, it.state.speed) == (0.85, 1000)
        assert it.screen.play.scale.name == "rank"


async def test_colours_that_suit_the_theme_are_not_remembered_as_chosen(model: Path, home: Path) -> None:
    other = home / "other.safetensors"
    shutil.copy(model, other)
    async with playing(model, paused=3) as it:
        it.app.theme = "ansi-dark"
        it.app.play(str(other))
        await it.until(lambda: it.screen.play.playing and it.screen.play.scale.name == "rank")
    assert preferences.recall(str(other)).colour is None


async def test_a_prime_that_was_edited_is_not_remembered_as_an_empty_one(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(20)
        it.desk.save_as(home / "bell.json", "rank")
        await it.until((home / "bell.json").is_file)
        it.screen.play.load_session(home / "bell.json")
        await it.until(lambda: it.state.request.session is not None and it.screen.play.playing)
        await it.pilot.press("w", "ctrl+home", "delete")
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


async def test_story_that_another_prime_replaced_comes_back_and_is_the_last_session(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.write_in("and so on")
        story = it.text
        it.desk.change_speed(lambda speed: 0)
        await it.pilot.press("e", "end", "x", "enter")
        await it.until(lambda: it.prime.endswith("x"))
        await it.until(lambda: "l brings back the text before" in it.screen.message)
        assert "4 words · “The morning" in it.screen.message
        await it.press("l", gives=story)
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
        await it.press("O", shows="not kept")
        kept, unkept = (row for row in it.screen_text().splitlines() if "tiny · " in row and " words · " in row)
        assert ("4 words" in kept, "not kept" in kept) == (True, False)
        assert "2 words" in unkept
        await it.press("enter", gives=story)


async def test_file_of_ones_own_is_gone_on_in_from_the_command_line_and_from_the_list(model: Path, home: Path) -> None:
    mine = home / "mine.json"
    async with playing(model) as it:
        await it.paused(10)
        await it.enter("ctrl+s", str(mine))
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
        await it.write_in("and")
    async with playing(model) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.press("O", shows="your file mine.json")
        await it.pilot.press(*"your file", "enter")
        await it.until(lambda: it.state.length == 13)
        await it.write_in("so")
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
        await it.press("tab", "enter", gives=page.read_text())
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
    async with playing(model) as it:
        await it.paused(3)
        await it.enter("o", str(session))
        await it.until(lambda: it.screen.play.playing and it.state.facts is not None and it.state.facts.run == run.path)
        await it.until(lambda: it.text == text)


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
        await it.press("delete", shows="This session is being played")
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
            await it.until(lambda deleted=deleted: own.exists() is not deleted)
        await it.until(lambda: "novel-quick-1 · 1 word" not in it.screen_text())


async def test_a_damaged_model_is_said_in_its_pane(home: Path) -> None:
    broken = home / "broken.safetensors"
    broken.write_bytes(b"not a model [/red]")
    async with playing(broken) as it:
        await it.until(lambda: "is not a model file" in " ".join(it.screen_text().split()))
        assert "opens another model" in it.screen_text()
        await it.pilot.press("space", "enter", "t", "left", "e", "c")
        assert not it.screen.play.playing
        assert "Prime" not in it.screen_text()
        assert "surprising" not in it.status()


async def test_esc_while_the_first_model_opens_leaves_a_pane_that_names_the_keys(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = Held(monkeypatch, desk, "load")
    async with playing(model) as it:
        await it.shows("Opening tiny.safetensors …", "Esc stops")
        await it.press("escape", shows=("Nothing to play yet", "o opens a model"))
        opening.release()


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
            assert export_as(path, "rank", state, lambda: played).endswith(
                f"{path.name} in {formatting.home(path.parent)}"
            )
            assert (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (folder, file)
    finally:
        os.umask(umask)
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(CharLSTMError, match=r"pipe\.txt is a pipe"):
        export_as(tmp_path / "pipe.txt", "rank", state, lambda: played)


async def test_two_apps_with_one_session_do_not_write_over_each_other(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(5)
        await it.write_in("one")
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
    monkeypatch.setattr(session_saver, "RETRY_AFTER", 60.0)
    folder = saved_sessions.folder(None, model)
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    async with playing(model) as it:
        await it.paused(5)
        await it.press("w", *"mine", says="cannot be saved")
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
        await it.write_in(" my own words")
        await it.until(lambda: it.state.file is not None)
        text = it.text
    async with playing(model) as it:
        await it.until(lambda: "l continues the last session of novel-quick-1" in it.screen.message)
        await it.pilot.press("O")
        await it.until(lambda: isinstance(it.app.screen, TextPicker) and "novel-quick-1 · " in it.screen_text())
        await it.press("escape", "l", gives=text)
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
        await app.press("escape", "escape", "2", mode="train")
        await app.press("3", mode="generate")
        await app.press("w", *" more")
        await app.until(lambda: screen.play.text_view.text().endswith("own words more"))
        assert screen.play.state.session_id == number


async def test_session_gets_a_title_by_which_it_is_listed_and_looked_for(model: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.write_in(" my own words")
        await it.until(lambda: it.state.file is not None)
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
        await it.write_in(" again")
        assert it.state.file == first
    assert read_summary(first).title == "a storm at sea"


async def test_a_key_in_play_and_write_gives_the_session_a_title_that_stands_above_the_text(model: Path) -> None:
    async with playing(model, (120, 36)) as it:
        await it.paused(10)
        await it.press("f2", *"a storm", "enter", shows="“a storm” e edit")
        await it.until(lambda: "Title: a storm" in it.screen.message)
        await it.until(lambda: it.state.file is not None)
        file = it.state.file
        assert file is not None
        await it.pilot.press("w")
        await it.until(lambda: it.screen.view_name == "write")
        await it.pilot.press("f2", "end", *" at sea", "enter")
        await it.until(lambda: "“a storm at sea” ·" in it.screen.query_one(GenerateBar).render().plain)
    assert read_summary(file).title == "a storm at sea"
    session = saved_sessions.session_at(file)
    assert session is not None
    assert session.has_work
