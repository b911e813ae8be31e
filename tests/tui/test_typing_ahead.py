"""Keys that come before what they are meant for is there: they wait for it, in every mode, and never act elsewhere."""

import time
from pathlib import Path

import pytest
from textual.events import Key
from textual.screen import Screen
from textual.widgets import Static

from charlstm.runs.folder import list_runs
from charlstm.runs.models import demo_path
from charlstm_tui import run_actions
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.corpus import texts_view
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.ordered_keys import LONGEST_WAIT, KeyHandled
from charlstm_tui.train import setup_pane
from charlstm_tui.widgets.row_list import RowList
from driven_app import Held, driven
from recorded_run import record

SENTENCES = "The sea was calm, and the light was on the stairs. He had left it there, she said.\n" * 300


@pytest.fixture
def text() -> Path:
    path = Path("sea.txt")
    path.write_text(SENTENCES)
    return path.absolute()


async def test_three_enters_train_and_play_the_text(places: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the third one came while the run was being made, or not listed yet, and did nothing."""
    monkeypatch.setattr(setup_pane, "start_run", lambda *_: record(places, "starting", name="sea-quick-1").run)
    start = Held(monkeypatch, setup_pane, "start_run")
    async with driven(places) as app:
        app.burst("enter", "enter", "enter")
        await app.until(start.called.is_set)
        assert app.mode.MODE == "train"
        start.release()
        await app.in_mode("generate")
    assert len(list_runs(places)) == 1


async def test_enter_in_a_folder_takes_its_own_text(places: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the folder before."""
    inner = Path("a folder") / "inner.txt"
    inner.parent.mkdir()
    inner.write_text(SENTENCES)
    async with driven(places) as app:
        await app.shows("▸ sea.txt")
        await app.press("down", "down", shows="▸ a folder/")
        sections = Held(monkeypatch, texts_view, "sections")
        app.burst("enter", "enter")
        await app.until(sections.called.is_set)
        assert app.mode.MODE == "corpus"
        sections.release()
        await app.in_mode("train")
        assert app.app.corpus == CorpusChoice(str(inner.absolute()), "inner.txt")


async def test_key_after_play_in_runs_reaches_the_played_text(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``D`` deletes in Runs, and asks for Enter."""
    with record(places, "finished", name="novel-quick-1") as recorded:
        async with driven(places) as app:
            await app.press("4", shows="▸   novel-quick-1")
            playable = Held(monkeypatch, run_actions, "playable")
            app.burst("p", "D", "enter", "enter")
            await app.until(playable.called.is_set)
            await app.pilot.pause()
            assert app.screen is app.mode
            playable.release()
            await app.in_mode("generate")
            await app.until(lambda: isinstance(app.mode, GenerateScreen) and app.mode.play.playing)
            assert recorded.run.exists()


@pytest.mark.skipif(demo_path() is None, reason="needs the model in the box")
async def test_arrow_and_enter_choose_in_the_list_of_models_however_early_they_come(places: Path) -> None:
    async with driven(places) as app:
        await app.press("3", until=lambda: isinstance(app.mode, GenerateScreen) and app.mode.play.playing)
        Path("other.safetensors").write_bytes(demo_path().read_bytes())
        app.burst("o", *"other", "enter")
        await app.shows("other")
        await app.until(lambda: "other.safetensors" in str(app.app.to_play.chosen))


async def test_key_acts_long_after_one_whose_dialog_was_closed(places: Path) -> None:
    """It was left out where the message that follows a key had gone with the dialog that the key closed."""
    async with driven(places) as app:
        await app.in_mode("corpus")
        app.app._following, app.app._follows, app.app._target = KeyHandled(), True, Static()
        app.app._sent_at = time.monotonic() - 2 * LONGEST_WAIT
        await app.press("4", mode="runs")


async def test_keys_flow_on_after_the_longest_wait(places: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm_tui.ordered_keys.LONGEST_WAIT", 0.05)
    read = Held(monkeypatch, setup_pane, "read_text_facts")
    async with driven(places) as app:
        app.app.use_corpus(CorpusChoice(str(text), text.name))
        await app.in_mode("train")
        await app.until(read.called.is_set)
        app.burst("a", "a", "1")
        await app.shows("Left out 3 keys")
        await app.press("1", mode="corpus")
        read.release()


async def test_key_behind_another_puts_the_picture_off(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held arrow in Runs drew three pictures for each key, between the messages that it caused."""
    async with driven(places) as driver:
        app, screen, drawn = driver.app, driver.mode, list[object]()
        await driver.until(lambda: not screen._layout_required)  # a new layout is drawn at once
        monkeypatch.setattr(Screen, "_on_timer_update", lambda screen: drawn.append(screen))
        app._following, app._follows, app._draw_at = KeyHandled(), True, time.monotonic() + LONGEST_WAIT
        await app.on_event(Key("down", None))
        screen._on_timer_update()
        assert not drawn
        app._draw_at = 0.0
        await app._handle_keys()
        screen._on_timer_update()
        assert drawn


async def test_arrows_that_come_at_once_move_the_cursor_of_a_list_once(places: Path) -> None:
    for number in range(6):
        Path(f"text-{number}.txt").write_text(SENTENCES)
    async with driven(places) as app:
        await app.shows("▸ text-0.txt")
        moved: list[str] = []
        app.mode.watch(app.mode.query_one(RowList), "cursor", lambda key: moved.append(key), init=False)
        app.burst(*["down"] * 4, "up")
        await app.shows("▸ text-3.txt")
        assert [Path(each).name for each in moved] == ["text-4.txt", "text-3.txt"]
