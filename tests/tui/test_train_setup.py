"""Train before a run: presets with their costs, all settings as a form, where weights start, and the start itself."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from charlstm.errors import RunError
from charlstm.training.presets import PRESETS
from charlstm.training.settings import setting_names
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.background import CommandError
from charlstm_tui.choices import CorpusChoice, StartOptions
from charlstm_tui.dialogs import ChoiceDialog
from charlstm_tui.train import setup_pane
from charlstm_tui.train.screen import TrainScreen
from charlstm_tui.train.settings_dialog import SettingRow, SettingsDialog
from recorded_run import record

DEADLINE = 10.0
SENTENCES = "The sea was calm, and the light was on the stairs. He had left it there, she said. [/red]\n" * 300


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's caches and index of runs are left alone."""
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Replace the command that measures by fixed results; returns the arguments of its calls."""
    asked: list[tuple[str, ...]] = []

    async def run_command(*argv: str) -> Any:
        asked.append(argv)
        return [
            {"name": name, "seconds": 61.0, "memory_bytes": 345e6, "chars_per_second": 23_456.0} for name in PRESETS
        ]

    monkeypatch.setattr("charlstm_tui.train.setup_pane.run_command", run_command)
    return asked


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "[red]sea.txt"
    path.write_text(SENTENCES)
    return path


@asynccontextmanager
async def setup_for(
    folder: Path, text: Path | None, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[tuple[CharLSTMApp, Pilot[None]]]:
    app = CharLSTMApp(StartOptions(runs_dir=folder))
    async with app.run_test(size=size) as pilot:
        if text is None:
            app.go("train")
        else:
            app.use_corpus(CorpusChoice(str(text), text.name, **options))
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.whole)
        yield app, pilot


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for ``condition``, at most until the deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"never came true; the screen was:\n{screen_text(pilot)}"
        await pilot.pause(0.01)


def screen_text(pilot: Pilot[None]) -> str:
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def shows(pilot: Pilot[None], *words: str) -> str:
    await until(pilot, lambda: all(word in screen_text(pilot) for word in words))
    return screen_text(pilot)


async def test_without_a_text_the_pane_names_the_key_that_brings_one(tmp_path: Path) -> None:
    async with setup_for(tmp_path, None) as (_app, pilot):
        await shows(pilot, "No text is chosen yet. 1 goes to Corpus")
        await pilot.press("enter", "a", "f", "right")
        await shows(pilot, "No text is chosen yet")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=str)
async def test_presets_show_what_they_cost(
    tmp_path: Path, text: Path, size: tuple[int, int], answers: list[tuple[str, ...]]
) -> None:
    async with setup_for(tmp_path, text, size, clean=True) as (_app, pilot):
        await shows(pilot, "[red]sea.txt", f"{len(SENTENCES):,} characters", *PRESETS, "1:01", "345 MB", "23,456")
        await shows(pilot, "order 0", "xz", "WHAT IT WILL DO", "held out")
        assert answers == [("presets", str(text), "--clean")]


async def test_a_text_too_short_to_count_says_so(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("A line.\n" * 20)
    async with setup_for(tmp_path, short, (120, 36)) as (_app, pilot):
        await shows(pilot, "Too little text for figures")


async def test_a_small_terminal_keeps_the_choice(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text, (60, 20)) as (_app, pilot):
        await shows(pilot, *PRESETS, "▸ quick", "Enter start")


async def test_without_an_answer_the_known_figures_stay(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*argv: str) -> Any:
        raise CommandError("no")

    monkeypatch.setattr("charlstm_tui.train.setup_pane.run_command", refuse)
    async with setup_for(tmp_path, text) as (_app, pilot):
        await shows(pilot, "1:00", "10:00", "2:00:00", "–")


async def test_arrows_choose_a_preset(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        for key, name in (("right", "standard"), ("down", "best"), ("left", "standard"), ("up", "quick")):
            await pilot.press(key)
            await shows(pilot, f"▸ {name}", PRESETS[name].about)
        assert app.screen.setup.preset_name == "quick"  # type: ignore[attr-defined]


async def test_a_text_that_cannot_be_read_says_so_and_cannot_be_started(tmp_path: Path) -> None:
    async with setup_for(tmp_path, tmp_path / "missing[red].txt") as (app, pilot):
        await shows(pilot, "✗ There is no file", "missing[red].txt · from nothing")
        await pilot.press("enter")
        await pilot.pause()
        assert app.run_path is None


async def test_every_setting_is_in_the_form_and_a_mistake_is_told_in_its_row(
    tmp_path: Path, text: Path, answers: list[tuple[str, ...]]
) -> None:
    async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, SettingsDialog) and app.focused is not None)
        rows = {row.setting: row for row in app.screen.query(SettingRow)}
        assert tuple(rows) == setting_names()
        rows["num_layers"].query_one(Input).value = "many"
        await shows(pilot, "✗ takes a whole number from 1 to 16")
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is rows["num_layers"].query_one(Input))
        rows["num_layers"].query_one(Input).value = "3"
        rows["lr"].query_one(Input).value = "0.5"
        await until(pilot, lambda: rows["lr"].has_class("-changed"))
        rows["lr"].reset()
        await until(pilot, lambda: not rows["lr"].has_class("-changed"))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await shows(pilot, "quick *", "3 layers of", "num_layers")
        assert app.screen.setup.changes == {"num_layers": 3}  # type: ignore[attr-defined]
        await until(pilot, lambda: answers[-1] == ("presets", str(text), "--set", "num_layers=3"))
        await shows(pilot, "quick *", "23,456")


async def test_what_would_never_end_is_not_started(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(setup_pane, "start_run", lambda *a, **k: started.append(a))
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        app.screen.setup.changes = {"max_minutes": None}  # type: ignore[attr-defined]
        await pilot.press("enter")
        await shows(pilot, "never: set epochs", "It would never end")
        assert not started


async def test_escape_leaves_the_form_without_a_change(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, SettingsDialog) and app.focused is not None)
        app.screen.query_one(SettingRow).query_one(Input).value = "77"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        assert app.screen.setup.changes == {}  # type: ignore[attr-defined]


async def test_weights_may_start_from_a_run(tmp_path: Path, text: Path) -> None:
    with record(tmp_path, "finished", name="older") as recorded:
        async with setup_for(tmp_path, text) as (app, pilot):
            await shows(pilot, "from nothing", "23,456")
            await pilot.press("f")
            await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
            await shows(pilot, "older")
            await pilot.press("1")
            await shows(pilot, "from older")
            assert app.screen.setup.model_from == recorded.run.model_path  # type: ignore[attr-defined]
            await shows(pilot, "1 layers of 8", "quick *")  # a model keeps its size


async def test_a_file_that_is_no_model_is_forgotten_with_the_next_choice(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "from nothing", "23,456")
        app.screen.setup._start_from("a text", text)  # type: ignore[attr-defined]
        await shows(pilot, "✗ ")
        app.screen.setup._start_from("nothing", None)  # type: ignore[attr-defined]
        assert not app.screen.query_one("#setup-note").display


async def test_enter_starts_with_what_was_chosen_and_watches_it(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Any, ...]] = []

    def start_run(source: str, settings: Any, preset: str, **rest: Any) -> Any:
        started.append((source, settings.split, preset, rest["text_options"].strip_boilerplate))
        return record(tmp_path, "starting", name="fresh").run

    monkeypatch.setattr("charlstm_tui.train.setup_pane.start_run", start_run)
    async with setup_for(tmp_path, text, strip_boilerplate=True, split="blocks") as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        await pilot.press("right", "enter")
        await until(pilot, lambda: app.run_path is not None and app.run_path.name == "fresh")
        await shows(pilot, "starting", "train ·")
        assert started == [(str(text), "blocks", "standard", True)]


async def test_enter_before_the_text_is_read_starts_when_it_is(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone who knows what they want presses Enter twice in a row."""
    read = threading.Event()

    def slow(choice: CorpusChoice, check: Any) -> Any:
        assert read.wait(DEADLINE)
        return known(choice, check)

    known = setup_pane._known
    monkeypatch.setattr(setup_pane, "_known", slow)
    monkeypatch.setattr(setup_pane, "start_run", lambda *a, **k: record(tmp_path, "starting", name="fresh").run)
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "reading…")
        await pilot.press("enter")
        await shows(pilot, "as soon as the text is read")
        read.set()
        await until(pilot, lambda: app.run_path is not None and app.run_path.name == "fresh")


async def test_enter_twice_makes_one_run(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the disk takes over the first."""
    go_on, made = threading.Event(), []

    def start_run(*args: Any, **rest: Any) -> Any:
        made.append(args)
        assert go_on.wait(DEADLINE)
        return record(tmp_path, "starting", name=f"fresh-{len(made)}").run

    monkeypatch.setattr(setup_pane, "start_run", start_run)
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "Enter start")
        await pilot.press("enter")
        await until(pilot, lambda: bool(made))
        await pilot.press("enter")
        await pilot.pause()
        go_on.set()
        await until(pilot, lambda: app.run_path is not None)
    assert len(made) == 1


async def test_a_start_that_is_refused_says_why_and_may_be_tried_again(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def start_run(*args: Any, **rest: Any) -> Any:
        tries.append(args)
        raise RunError("No run can be created in [/red] (read-only): choose another folder for runs")

    monkeypatch.setattr("charlstm_tui.train.setup_pane.start_run", start_run)
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        await pilot.press("enter")
        await shows(pilot, "✗ No run can be created in [/red]")
        await pilot.press("enter")
        await until(pilot, lambda: len(tries) == 2)
        assert app.run_path is None


async def test_separate_validation_text_is_shown_and_kept(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(SENTENCES)
    started: list[Any] = []

    def start(*arguments: Any, **options: Any) -> None:
        started.append(options["validation"])
        raise RunError("not now")

    monkeypatch.setattr(setup_pane, "start_run", start)
    async with setup_for(tmp_path, text, (140, 40), validation=(str(other),)) as (_app, pilot):
        await shows(pilot, "▸ quick", "23,456", "nothing: validation is on other.txt")
        await pilot.press("enter")
        await shows(pilot, "not now")
        assert started == [(str(other),)]


async def test_settings_that_do_not_go_together_are_told_in_the_form(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text, (140, 40)) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, SettingsDialog) and app.focused is not None)
        rows = {row.setting: row for row in app.screen.query(SettingRow)}
        for name in ("val_fraction", "test_fraction"):
            rows[name].query_one(Input).value = "0.5"
        await pilot.press("enter")
        await until(pilot, lambda: any("0.9 together at most" in each.message for each in app._notifications))
        assert isinstance(app.screen, SettingsDialog)
        rows["val_fraction"].query_one(Input).value = "0.2"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await shows(pilot, "50 % of the text")
