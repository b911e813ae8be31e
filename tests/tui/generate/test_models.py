"""What Generate plays and keeps: models and their ages, sessions, what is remembered and exported."""

import math
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, OptionList

from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session as Played
from charlstm.generation.session_file import read_summary
from charlstm.model.file import Model, load_model, save_model
from charlstm.paths import state_dir
from charlstm.runs.folder import RunFolder
from charlstm.storage import changing
from charlstm.text.reading import TextOptions
from charlstm_tui import formatting
from charlstm_tui.app_state import load_state
from charlstm_tui.choices import ModelChoice
from charlstm_tui.dialogs import ChoiceDialog
from charlstm_tui.generate import screen as generate_screen
from charlstm_tui.generate.awaited import BetterModel
from charlstm_tui.generate.text_picker import TextPicker
from charlstm_tui.generate.view_bar import SLIDER, GenerateBar, slider_track
from charlstm_tui.main import is_session
from charlstm_tui.player import found_text, saved_sessions, session_saver
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.player.saved_sessions import export_as
from charlstm_tui.save_dialog import SaveDialog
from driven_app import Held, driven
from played_documents import state_of_session, text_of
from playing_app import PRIME, PlayingApp, playing
from recorded_run import record


async def offered(app: PlayingApp) -> str:
    """The name under which the text may be saved."""
    await app.press("ctrl+s")
    await app.opens(SaveDialog)
    return app.app.screen.query_one(Input).value


async def test_earlier_and_later_checkpoints_play_the_same_prime(run: RunFolder) -> None:
    async with playing(run.path, (160, 36)) as app:
        await app.until(lambda: app.step == 400)
        for step in (200, 100, 50, 0):
            await app.press("left_square_bracket", until=lambda step=step: app.step == step)
        await app.paused(30)
        young = app.text
        await app.press("left_square_bracket", says="earliest model")
        assert "novel-quick-1 @ step 0" in app.bar()
        await app.press("right_square_bracket", until=lambda: app.step == 50 and app.state.length >= 30)
        assert app.text[:30] != young
        assert "model 2 of 5: step 50" in app.status()
        await app.shows("[ ─●─── ] 2 of 5")
        app.screen.play.offer(BetterModel(ModelChoice(str(run.path)), 400, 1.5))
        await app.pilot.click(GenerateBar, offset=(app.bar().index("●") + 2 + 1, 0))
        await app.shows("[ ───●─ ] 4 of 5")
        assert app.step == 200


def test_slider_has_a_cell_for_each_checkpoint_as_far_as_there_is_space() -> None:
    assert "".join(char for char, _ in slider_track(0, 2)) == "●─"
    assert ["".join(char for char, _ in slider_track(at, 5)) for at in (2, 4)] == ["──●──", "────●"]
    many = slider_track(17, 40)
    assert len(many) == SLIDER
    assert [place for char, place in many if char == "●"] == [17]
    assert (many[0][1], many[-1][1]) == (0, 39)
    assert [place for _, place in many] == sorted(place for _, place in many)


async def test_what_a_run_has_learnt_since_is_played_when_it_is_asked_for_again(home: Path) -> None:
    with record(home / "runs", "running", steps=420) as worker:
        async with playing(worker.run.path) as app:
            worker.advance(300)
            await app.pilot.press("4")
            app.app.play(str(worker.run.path))
            await app.until(lambda: app.step == 700 and app.screen.play.playing)
            take = app.state.session_id
            app.app.play(str(worker.run.path))  # there is nothing newer: what is played stays
            await app.paused(5)
            assert app.state.session_id == take
            app.app.play(str(worker.run.path), 0)  # while Generate is shown
            await app.until(lambda: app.step == 0)


async def test_model_is_picked_by_name_or_path_in_a_list_that_opens_at_the_played_one(model: Path, home: Path) -> None:
    names = ("novel-1", "novel-10", "[b]anna-1", "the-complete-works-of-a-poet-standard-2")
    best, *_ = [record(home / "runs", "finished", name=name, steps=100).run.status().loss for name in names]
    async with playing("runs/novel-1/model.safetensors") as app:
        await app.until(lambda: len(app.app.runs_state.runs) == len(names))
        await app.press("o", shows=("● novel-1 ", *names, f"best {best:.3f} nats"))
        options = app.app.screen.query_one(OptionList)
        assert options.size.height == options.option_count, "a long name takes one row"
        assert str(options.options[options.highlighted or 0].prompt).startswith("● novel-1 ")
        await app.press(*"anna", until=lambda: options.option_count == 1)
        await app.press("backspace", "escape")
        app.app.bits = True
        await app.press("o", shows=f"best {best / math.log(2):.3f} bits")
        await app.press("escape")
        for typed, name in (("novel-10", "novel-10"), ("novel-1", "novel-1"), (str(model), "tiny")):
            await app.enter("o", typed, until=lambda name=name: app.model_name == name)
        await app.press("o", shows="● tiny.safetensors ")


async def test_text_goes_on_in_another_model_with_all_that_was_done_to_it(model: Path, run: RunFolder) -> None:
    async def choose(name: str, key: str, plays: str) -> None:
        await app.enter("o", name)
        await app.opens(ChoiceDialog)
        await app.press(key, until=lambda: app.model_name == plays)

    async with playing(run.path, paused=30) as app:
        await app.write_in("Zoë ñ5 ")
        app.player.give_title("The bell")
        before = app.text
        await choose(str(model), "g", "tiny")
        await app.says("The text goes on with tiny.")
        assert (app.text, app.state.title, app.state.position) == (before, "The bell", len(before))
        file = await app.file()
        await app.press("ctrl+z", gives=before.removesuffix("ñ5 "))
        await app.press("ctrl+y", gives=before)
        await app.until(lambda: read_summary(file).model == str(model) and app.state.file == file)
        await choose("novel-quick-1", "n", "novel-quick-1")
        await app.until(lambda: app.text != before)
    assert saved_sessions.model_of(file) == str(model)


async def test_the_model_that_is_played_or_that_of_the_side_in_duel_is_in_view_in_a_long_list(home: Path) -> None:
    for number in range(20):
        record(home / "runs", "finished", name=f"novel-{number}", steps=100)
    async with playing("novel-0") as app:
        await app.until(lambda: len(app.app.runs_state.runs) == 20)
        await app.press("o", shows="● novel-0 ")
        await app.press(*"novel-7", lacks="● novel-0 ")
        await app.press("ctrl+u", shows="● novel-0 ")
        await app.go("duel", "escape", "d")
        await app.enter("o", "novel-7")
        await app.until(lambda: (facts := app.screen.duel.sides[1].facts) is not None and facts.name == "novel-7")
        await app.press("o", shows="● novel-7 ")


async def test_how_models_are_played_is_remembered_for_all_but_the_prime_for_the_last(model: Path, other: Path) -> None:
    async with playing(model, paused=3) as app:
        await app.press("e", *["backspace"] * 20, *"An owl", "enter")
        await app.until(lambda: app.prime == "An owl" and app.screen.play.playing)
        await app.press("T", "minus", "c")  # from full
        await app.until(lambda: (app.state.settings.temperature, app.state.speed) == (0.85, 1000))
        await app.press("w", "ctrl+home", "delete", until=lambda: app.state.prime_length == 0)
    async with playing(model, speed=None) as app:
        assert (app.state.settings.temperature, app.state.speed) == (0.85, 1000)
        assert app.screen.play.scale.name == "rank"
        assert app.prime == "An owl"
        app.app.play(str(other))
        await app.until(lambda: app.screen.play.playing and app.state.facts.path == other)
        assert (app.state.settings.temperature, app.state.speed) == (0.85, 1000)
        assert app.screen.play.scale.name == "rank"
        assert app.prime == PRIME


async def test_colours_that_suit_the_theme_are_not_remembered_as_chosen(model: Path, other: Path) -> None:
    async with playing(model, paused=3) as app:
        app.app.theme = "ansi-dark"
        app.app.play(str(other))
        await app.until(lambda: app.screen.play.playing and app.screen.play.scale.name == "rank")
    assert Preferences.from_dict(load_state().preferences).colouring is None


async def test_story_that_another_prime_replaced_comes_back_and_is_the_last_session(model: Path) -> None:
    async with playing(model, paused=10) as app:
        await app.write_in("and so on")
        story = app.text
        about = f"{len(story.split())} words · “The morning"
        app.player.change_speed(0)
        await app.press("e", "end", "x", "enter", says="l brings back the text before")
        assert app.prime.endswith("x")
        assert about in app.screen.message
        await app.press("l", gives=story)
        await app.press("l", says="This is the last session")
        await app.press("e", "enter", until=lambda: app.screen.play.playing and app.state.length == 0)
        await app.press("right", "right")
        await app.file()
        app.app.exit(return_code=129)  # as when the terminal is gone: then what only grew stays, and comes last
    async with playing(model) as app:
        await app.until(lambda: "l continues the last session" in app.screen.message and about in app.screen.message)
        await app.press("O", shows=("2 words", "not kept"))
        await app.press("enter", gives=story)


async def test_file_of_ones_own_is_named_at_the_end_and_gone_on_in_from_the_list(model: Path, home: Path) -> None:
    mine = home / "mine.json"
    async with playing(model, paused=10) as app:
        await app.enter("ctrl+s", str(mine), shows="Saved as mine.json")
    assert app.app.farewell == f"The text is kept: {saved_sessions.continues(mine)}."
    assert is_session(str(mine))
    assert not is_session(str(model))
    async with playing(model) as app:
        await app.press("O", shows="your file mine.json")
        await app.press(*"your file", "enter", until=lambda: app.state.length == 10)
        await app.write_in("so")
        assert await offered(app) == formatting.home(mine)
        await app.press("enter", says="Saved as mine.json")  # does not ask: it is the session's own file
        assert read_summary(mine).length == 12


async def test_file_of_text_is_opened_from_the_list_and_its_name_is_offered(model: Path, home: Path) -> None:
    page = home / "page.txt"
    page.write_text("A page of one's own.\n")
    async with playing(model, paused=3) as app:
        await app.press("O")
        await app.opens(TextPicker)
        app.app.screen.query_one(Input).value = "./pag"
        await app.shows("./page.txt")
        await app.press("tab", "enter", gives=page.read_text())
        assert (app.state.title, app.model_name) == ("page", "tiny")
        await app.press("w", *"My ", gives="My A page of one's own.\n")
        assert await offered(app) == "page.txt"
        await app.press("enter", shows="Replace")


async def test_a_session_in_the_list_is_deleted_when_it_is_confirmed(run: RunFolder) -> None:
    async with playing(run.path, paused=10) as app:
        app.player.give_title("mine")
        own = await app.file()
        await app.until(lambda: read_summary(own).title == "mine")
        await app.press("O", *"mine", shows="● mine")
        await app.press("left", "delete")  # within what is typed, it is the line's key
        assert app.app.screen.query_one(Input).value == "min"
        await app.press("delete", shows="This session is being played")
        await app.press("escape", "e", "end", "x", "enter", until=lambda: app.prime.endswith("x"))
        await app.press("O", *"mine", shows=" mine ")
        with changing(own):
            await app.press("delete")
            await app.opens(ChoiceDialog)
            await app.press("y", shows="Another program has this session open")
        for answer, deleted in (("n", False), ("y", True)):
            await app.press("delete")
            await app.opens(ChoiceDialog)
            assert "novel-quick-1" in app.screen_text()
            await app.press(answer)
            await app.opens(TextPicker)
            await app.until(lambda deleted=deleted: own.exists() is not deleted)
        await app.lacks("novel-quick-1 · 1 word")


async def test_a_damaged_model_is_said_in_its_pane(home: Path) -> None:
    broken = home / "broken.safetensors"
    broken.write_bytes(b"not a model [/red]")
    async with playing(broken, opens=False) as app:
        await app.shows("is not a model file", "opens another model")
        await app.pilot.press("space", "enter", "t", "left", "e", "c")
        assert not app.screen.play.playing
        assert "Prime" not in app.screen_text()
        assert "surprising" not in app.status()


async def test_esc_as_the_first_model_opens_leaves_a_pane_of_keys(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Held(monkeypatch, found_text, "load")
    async with playing(model, opens=False) as app:
        await app.shows("Opening tiny.safetensors …", "Esc stops")
        await app.press("escape", shows=("Nothing to play yet", "o opens a model"))
        opening.release()


async def test_with_nothing_to_play_the_pane_names_the_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_screen, "demo_path", lambda: None)
    async with driven(home / "runs") as app:
        await app.press("3", mode="generate", shows="Nothing to play yet")
        record(home / "runs", "finished", steps=100)
        await app.until(lambda: app.mode.play.playing)


async def test_run_that_ends_as_generate_finds_nothing_is_played(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_screen, "demo_path", lambda: None)
    choosing = Held(monkeypatch, generate_screen, "first_choice")
    ended = record(home / "runs", "finished", steps=100).run.path
    ended.rename(elsewhere := home / "elsewhere")
    async with driven(home / "runs") as app:
        await app.press("3", mode="generate", until=choosing.called.is_set)
        elsewhere.rename(ended)  # at once, so that the runs do not change again
        await app.until(lambda: app.mode.runs_state.runs)
        choosing.release()
        await app.until(lambda: app.mode.play.playing)


async def test_another_model_ends_the_other_views(model: Path, other: Path) -> None:
    async with playing(model, paused=10) as app:
        for view in ("s", "d", "w"):
            await app.press(view, until=lambda: app.screen.view_name != "play")
            wanted = other if app.state.facts.path == model else model
            app.app.go("runs")
            await app.in_mode("runs")
            app.app.play(str(wanted))
            await app.in_mode("generate")
            await app.until(lambda wanted=wanted: app.screen.view_name == "play" and app.state.facts.path == wanted)


def test_what_a_person_saves_is_theirs_to_share_and_in_a_run_private(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARLSTM_STATE", str(tmp_path / "state"))
    run = record(tmp_path / "runs", "finished", name="one", steps=200).run
    played = Played(load_model(model), "a")
    state = state_of_session(played)
    umask = os.umask(0o027)
    try:
        for path, folder, file in (
            (tmp_path / "mine" / "a.txt", 0o750, 0o640),
            (run.sessions_dir / "a.md", 0o700, 0o600),
            (tmp_path / "state" / "sessions" / "demo" / "a.html", 0o700, 0o600),
        ):
            said = export_as(path, "rank", state, lambda: played)
            assert said.endswith(f"{path.name} in {formatting.home(path.parent)}")
            assert (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (folder, file)
    finally:
        os.umask(umask)


async def test_text_whose_file_another_app_has_changed_goes_on_in_another_file_and_says_so(model: Path) -> None:
    async with playing(model, paused=5) as app:
        await app.press("w", "x")
        path = await app.file()
        content = path.read_bytes()
        path.write_bytes(content)
        await app.press("y", until=lambda: "in a file of its own" in app.screen.message)
        assert await app.file() != path
        assert path.read_bytes() == content


async def test_a_text_is_offered_its_file_again_and_another_one_its_folder(model: Path, home: Path) -> None:
    async with playing(model, paused=5) as app:
        assert await offered(app) == "tiny.txt"
        target = home / "kept" / "story.md"
        target.parent.mkdir()
        app.app.screen.query_one(Input).value = str(target)
        await app.press("enter", until=target.is_file)
        assert await offered(app) == str(target)
        await app.press("escape", "e", "end", "x", "enter")
        await app.until(lambda: app.prime.endswith("x") and app.screen.play.playing)
        assert await offered(app) == str(target.with_name("tiny.txt"))


async def test_session_that_cannot_be_saved_is_said_until_the_end(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_saver, "RETRY_AFTER", 60.0)
    folder = saved_sessions.folder(None, model)
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    async with playing(model, paused=5) as app:
        await app.press("w", *"mine", says="cannot be saved")
        await app.press("left", "x", "escape", "left", until=lambda: "x" in app.text)
        assert "cannot be saved" in app.status()
        text = app.text
        await app.press("ctrl+q")
        await app.opens(ChoiceDialog)
        assert "cannot be saved" in app.screen_text()
        await app.pilot.press("l")
        await app.until(lambda: app.app.exiting, settle=False)
    assert "It is kept elsewhere: charlstm-tui ~/" in app.app.farewell
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert text_of(kept).endswith(text)
    assert f"/{kept.name} continues it." in app.app.farewell


async def test_sessions_of_all_models_are_listed_and_the_last_is_gone_on_with(model: Path, run: RunFolder) -> None:
    async with playing(run.path, paused=10) as app:
        await app.write_in(" my own words")
        await app.file()
        text = app.text
    async with playing(model) as app:
        await app.until(lambda: "l continues the last session of novel-quick-1" in app.screen.message)
        await app.press("O", shows="novel-quick-1 · ")
        await app.press("escape", "l", gives=text)
        assert app.model_name == "novel-quick-1"
    async with driven(run.path.parent, (100, 30)) as app:
        await app.press("3", mode="generate", until=lambda: app.mode.play.text_view.text() == text)


async def test_the_first_session_stays_when_a_dialog_is_closed_and_the_mode_is_left(run: RunFolder) -> None:
    """Nothing was chosen: its file must not be taken for what was left off."""
    async with driven(run.path.parent, (100, 30)) as app:
        await app.press("3", mode="generate")
        app = PlayingApp(app.app, app.pilot)
        await app.until(lambda: app.screen.play.playing)
        await app.press("space", "w", *"own words", until=lambda: app.text.endswith("own words"))
        await app.file()
        number = app.state.session_id
        await app.press("f2", *"title", "enter", until=lambda: app.state.title == "title")
        await app.press("escape", "escape", "2", mode="train")
        await app.press("3", mode="generate")
        await app.press("w", *" more", until=lambda: app.text.endswith("own words more"))
        assert app.state.session_id == number


async def test_session_gets_a_title_that_stands_above_the_text_and_by_which_it_is_listed(model: Path) -> None:
    async with playing(model, (120, 36), paused=10) as app:
        await app.press("f2", *"a storm", "enter", shows="“a storm” e edit")
        first = await app.file()
        await app.until(lambda: saved_sessions.session_at(first).has_work)
        await app.go("write", "w")
        await app.press("f2", "end", *" at", "enter")
        await app.until(lambda: "“a storm at” ·" in app.bar() and read_summary(first).title == "a storm at")
        await app.go("play", "escape", "escape")
        await app.press("O", "f2", "end", *" sea", "enter", shows="● a storm at sea")  # of what is played
        await app.press("escape", "e", "end", "x", "enter", until=lambda: app.prime.endswith("x"))
        await app.write_in(" other words")
        await app.until(lambda: app.state.file not in (first, None))
        await app.press("O", *"a storm", "f2", "end", "!", "enter")  # of another one
        await app.until(lambda: read_summary(first).title == "a storm at sea!")
        await app.opens(TextPicker)
        await app.shows(" a storm at sea!")
        await app.press("escape", "l", until=lambda: app.state.title == "a storm at sea!")
        await app.write_in(" again")
        assert app.state.file == first
    assert read_summary(first).title == "a storm at sea!"


async def test_new_units_are_listed_and_the_chosen_is_put_in(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(run.model_path, replace(load_model(run.model_path), text_options=TextOptions(units="lines")))
    known, asked = frozenset({"known"}), list[tuple[object, ...]]()

    def generate_units(model: Model, count: int, *, recipe: Recipe, **options: Any) -> list[str]:
        asked.append((count, recipe.seed, options["known"], options["unique"]))
        return ["anna", "berta"]

    monkeypatch.setattr("charlstm_tui.generate.play_view.generate_units", generate_units)
    monkeypatch.setattr("charlstm_tui.generate.play_view.units_of_text", lambda run: known)
    async with playing(run.path) as app:
        await app.press("Y", shows=("2 new units", "anna", "berta"))
        await app.press("escape", "Y", until=lambda: len(asked) == 2)
        await app.opens(ChoiceDialog)
        await app.press("b", until=lambda: app.text == "berta\n")
    assert asked == [(20, 0, known, True), (20, 1, known, True)]  # the second time others
