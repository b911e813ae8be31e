"""Train before a run: presets with their costs, all settings as a form, where weights start, and the start itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from charlstm.errors import RunError
from charlstm.model.file import ModelConfig
from charlstm.runs.launch import NewRun
from charlstm.runs.start_models import StartModel
from charlstm.training.presets import PRESETS, preset
from charlstm.training.settings import setting_names
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import CorpusChoice, StartOptions
from charlstm_tui.corpus.screen import CorpusScreen
from charlstm_tui.dialogs import ChoiceDialog
from charlstm_tui.train import setup_pane
from charlstm_tui.train.run_plan import RunChoices
from charlstm_tui.train.screen import TrainScreen
from charlstm_tui.train.settings_dialog import SettingsDialog
from charlstm_tui.train.setup import Setup
from charlstm_tui.widgets.row_list import RowList
from driven_app import DEADLINE, screen_text, shows, until
from recorded_run import record

SENTENCES = "The sea was calm, and the light was on the stairs. He had left it there, she said. [/red]\n" * 300


NICE = ("--set", "niceness=10")
"""Of the runs that the app starts."""


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Replace the command that measures by fixed results; returns the arguments of its calls."""
    asked: list[tuple[str, ...]] = []

    async def run_command(*argv: str) -> Any:
        asked.append(argv)
        figures = {"seconds": 61.0, "memory_bytes": 345e6, "chars_per_second": 23_456.0, "kernel": "nn"}
        return [
            {"name": name, **figures, "slowdown": 1.0, "settings": preset(name, 2000, 30).to_dict()} for name in PRESETS
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
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.ready)
        yield app, pilot


async def choose_text(app: CharLSTMApp, pilot: Pilot[None], text: Path) -> None:
    """Take a text in Corpus."""
    app.go("corpus")
    await until(pilot, lambda: isinstance(app.screen, CorpusScreen) and app.screen.is_mounted)
    app.use_corpus(CorpusChoice(str(text), text.name))


async def test_parts_that_a_text_brings_are_drawn_in_the_width_that_they_get(tmp_path: Path, text: Path) -> None:
    """They were drawn while they had no width, and nothing drew them again if the text was read quickly."""
    async with setup_for(tmp_path, None) as (app, pilot):
        await shows(pilot, "No text is chosen yet. 1 goes to Corpus")
        await pilot.resize_terminal(200, 60)
        assert "LEARNING RATE" not in await shows(pilot, "No text is chosen yet")
        await pilot.press("enter", "a", "f", "right")
        await shows(pilot, "No text is chosen yet")
        pane = app.screen.query_one(setup_pane.SetupPane)
        pane.state = Setup(CorpusChoice(str(text), text.name))
        rates = pane.query_one("#rate-plan", Static)
        await until(pilot, lambda: str(rates.render()).strip())


async def test_arrows_choose_a_preset_and_a_key_goes_back_to_it_as_it_is(
    tmp_path: Path, text: Path, answers: list[tuple[str, ...]]
) -> None:
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        assert answers == [("presets", str(text), *NICE)]
        for key, name in (("right", "standard"), ("down", "best"), ("left", "standard"), ("up", "quick")):
            await pilot.press(key)
            await shows(pilot, f"▸ {name}", PRESETS[name].about)
        pane = app.screen.setup  # type: ignore[attr-defined]
        assert pane.state.choices == RunChoices()
        pane.choose(RunChoices(changes={"max_steps": 300, "seed": 5}))
        await shows(pilot, "2 changes", "d resets", "* seed")
        await pilot.press("d")
        await until(pilot, lambda: "2 changes" not in screen_text(pilot.app))
        assert pane.state.choices == RunChoices()


async def open_settings(app: CharLSTMApp, pilot: Pilot[None]) -> SettingsDialog:
    await shows(pilot, "▸ quick", "23,456")
    await pilot.press("a")
    await until(pilot, lambda: isinstance(app.screen, SettingsDialog) and isinstance(app.focused, Input))
    assert isinstance(app.screen, SettingsDialog)
    return app.screen


async def test_every_setting_is_in_the_form_and_what_is_wrong_is_not_accepted(
    tmp_path: Path, text: Path, answers: list[tuple[str, ...]]
) -> None:
    async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
        form = await open_settings(app, pilot)
        assert tuple(form.values) == setting_names()
        await pilot.press(*"num_lay", "enter", *"many", "enter")
        await shows(pilot, "✗ num_layers takes a whole number from 1 to 16, not 'many'")
        await pilot.press("ctrl+r", "enter")
        assert form.values["num_layers"] == 2
        for name in ("val_fraction", "test_fraction"):
            await pilot.press(*name, "enter", *"0.5", "enter")
        await pilot.press("ctrl+s")
        await shows(pilot, "✗ val_fraction and test_fraction are 0.9 together at most")
        assert app.screen is form
        await pilot.press("ctrl+r", *"num_lay", "enter")
        await pilot.press("3", "enter")
        await shows(pilot, "* num_layers           3", "num_layers: number of LSTM layers")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await shows(pilot, "quick *", "* network", "3 layers of")
        assert app.screen.setup.state.choices.changes == {"num_layers": 3}  # type: ignore[attr-defined]
        await until(
            pilot, lambda: answers[-1] == ("presets", str(text), *NICE, "--set", "num_layers=3", "--from", "none")
        )
        await shows(pilot, "quick *", "23,456")


async def test_escape_asks_before_changed_values_are_lost(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text) as (app, pilot):
        for answer, changes in (("l", {}), ("u", {"hidden_size": 77})):
            form = await open_settings(app, pilot)
            await pilot.press("enter", *"77", "down")
            assert form.values["hidden_size"] == 77
            await pilot.press("escape")
            await shows(pilot, "Use the changed values?")
            await pilot.press(answer)
            await until(pilot, lambda: isinstance(app.screen, TrainScreen))
            assert app.screen.setup.state.choices.changes == changes  # type: ignore[attr-defined]


async def test_weights_may_start_from_a_run(tmp_path: Path, text: Path) -> None:
    with record(tmp_path, "finished", name="older") as recorded:
        async with setup_for(tmp_path, text) as (app, pilot):
            await shows(pilot, "weights", "random", "23,456")
            await pilot.press("f")
            await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
            await shows(pilot, "older")
            await pilot.press("1")
            await shows(pilot, "from older")
            assert app.screen.setup.state.choices.start_from.path == recorded.run.model_path  # type: ignore[attr-defined]
            await shows(pilot, "1 layer of 8", "quick *", "1 change")  # a model keeps its size
            app.screen.setup.start_from("a text", text)  # type: ignore[attr-defined]
            await until(pilot, lambda: "[red]sea.txtisnotamodelfile" in "".join(screen_text(pilot.app).split()))
            await pilot.press("f", "enter")  # on what is chosen now, so that Enter changes nothing
            await until(pilot, lambda: isinstance(app.screen, TrainScreen))
            assert app.screen.setup.state.choices.start_from.path == recorded.run.model_path  # type: ignore[attr-defined]


async def test_a_model_that_is_typed_is_called_by_its_run(tmp_path: Path, text: Path) -> None:
    """It was "from model.safetensors", and a name was looked for in the usual folder of runs alone."""
    with record(tmp_path, "finished", name="older") as recorded:
        run = recorded.run
        assert setup_pane.model_name(run.model_path) == "older"
        async with setup_for(tmp_path, text) as (app, pilot):
            await shows(pilot, "weights", "random", "23,456")
            await pilot.press("f")
            await shows(pilot, "a model file: type its path")
            await pilot.press("p")
            await shows(pilot, "A .safetensors file, or the name or folder of a run.")
            await pilot.press(*"older", "enter")
            await shows(pilot, "from older", "of older")
            assert app.screen.setup.state.choices.start_from.path == run.model_path  # type: ignore[attr-defined]


@pytest.fixture
def helpful_box(monkeypatch: pytest.MonkeyPatch) -> StartModel:
    """The model in the box helps on every text."""
    box = StartModel(
        "demo", Path("demo.safetensors"), ModelConfig(90, 512, 2), loss=1.3, pairs=2.4, read=0.0, symbols=95
    )
    monkeypatch.setattr(setup_pane, "find_start", lambda word, corpus, settings: box)
    return box


async def test_one_key_starts_from_nothing_and_back_from_the_model_in_the_box(
    tmp_path: Path, text: Path, helpful_box: StartModel, answers: list[tuple[str, ...]]
) -> None:
    async with setup_for(tmp_path, text) as (_app, pilot):
        await shows(pilot, "of the model in the box", "~1.30 nats on this text now. 0 starts", "23,456")
        await pilot.press("0")
        await shows(pilot, "0 starts from the model in the box", "1 change", "from nothing", "weights      random")
        await until(pilot, lambda: answers[-1][-2:] == ("--from", "none"))
        await pilot.press("0")
        await shows(pilot, "of the model in the box")


async def test_a_dialog_stands_while_a_model_is_read_and_keys_wait_for_it(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enter began the run with random weights, and the pane said nothing of it."""
    go_on, started, read = threading.Event(), [], setup_pane.try_start

    def slow(*args: Any) -> StartModel:
        assert go_on.wait(DEADLINE)
        return read(*args)

    def start(new: NewRun) -> None:
        started.append(new.model_from)
        raise RunError("not now")

    monkeypatch.setattr(setup_pane, "try_start", slow)
    monkeypatch.setattr(setup_pane, "start_run", start)
    with record(tmp_path, "finished", name="older") as recorded:
        async with setup_for(tmp_path, text) as (_app, pilot):
            await shows(pilot, "weights", "random", "23,456")
            for keys in (("f", "1", "escape"), ("f", "1", "enter")):
                await pilot.press(*keys[:2])
                await shows(pilot, "Reading older …")
                await pilot.press(keys[2])
            go_on.set()
            await shows(pilot, "not now", "from older")
            assert started == [recorded.run.model_path]


async def test_enter_before_the_text_is_read_starts_when_it_is(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone who knows what they want presses Enter twice in a row."""
    read = threading.Event()

    def slow(choice: CorpusChoice, check: Any, tell: Any) -> Any:
        tell("encoding … 34 %")
        assert read.wait(DEADLINE)
        return read_text_facts(choice, check, tell)

    read_text_facts = setup_pane.read_text_facts
    monkeypatch.setattr(setup_pane, "read_text_facts", slow)
    monkeypatch.setattr(setup_pane, "start_run", lambda new: record(tmp_path, "starting", name="fresh").run)
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "encoding … 34 %")
        await pilot.press("enter")
        await shows(pilot, "as soon as the text is read")
        read.set()
        await until(pilot, lambda: app.run_path is not None and app.run_path.name == "fresh")


async def test_enter_twice_makes_one_run(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the disk takes over the first."""
    go_on, made = threading.Event(), []

    def start_run(new: NewRun) -> Any:
        made.append(new)
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
        await until(pilot, lambda: app.current_mode == "generate")  # the second one plays it
    assert len(made) == 1


async def test_a_start_that_is_refused_says_why_and_may_be_tried_again(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def start_run(new: NewRun) -> Any:
        tries.append(new)
        raise RunError("No run can be created in [/red] (read-only): choose another folder for runs")

    monkeypatch.setattr("charlstm_tui.train.setup_pane.start_run", start_run)
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        await pilot.press("enter")
        await shows(pilot, "✗ No run can be created in [/red]")
        await pilot.press("enter")
        await until(pilot, lambda: len(tries) == 2)
        app.screen.setup.choose(RunChoices(changes={"max_minutes": None}))  # type: ignore[attr-defined]
        await pilot.press("enter")
        await shows(pilot, "never: set epochs", "would never end")
        assert len(tries) == 2
        assert app.run_path is None


async def test_settings_are_searched_clicked_and_warned_of(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text) as (app, pilot):
        form = await open_settings(app, pilot)
        rows = form.query_one(RowList)
        await pilot.press(*"val_x")
        await shows(pilot, "No setting has “val_x” in its name")
        await pilot.press("backspace")
        await until(pilot, lambda: rows.cursor == "val_fraction")
        assert "hidden_size" not in screen_text(app)
        await pilot.press("escape")
        await shows(pilot, "hidden_size")
        await pilot.click(rows, offset=(4, 3))
        clicked = rows.cursor
        await pilot.click(rows, offset=(4, 3))
        await until(pilot, lambda: form.editing == clicked)
        await pilot.press("escape", *"lr", "enter", *"0.5", "enter")
        await shows(pilot, "times the preset's", "Ctrl+S use")
        await pilot.press("n")  # what is found first stands at the top, wherever the list was scrolled to
        await shows(pilot, "▸   num_layers")
        await pilot.press("escape", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await shows(pilot, "! The learning rate is 42 times the preset's: training may diverge.")


# ---- choices belong to a text


async def test_settings_that_were_changed_for_a_text_do_not_apply_to_the_next(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def start(new: NewRun) -> None:
        started.append(new.settings.max_steps)
        raise RunError("not now")

    monkeypatch.setattr(setup_pane, "start_run", start)
    other = tmp_path / "other.txt"
    other.write_text(SENTENCES)
    async with setup_for(tmp_path, text) as (app, pilot):
        await shows(pilot, "▸ quick", "23,456")
        pane = app.screen.setup  # type: ignore[attr-defined]
        pane.choose(RunChoices(preset="standard", changes={"max_steps": 300}))
        await shows(pilot, "▸ standard *", "* ends", "300 steps", "1 change")
        await choose_text(app, pilot, other)
        shown = await shows(pilot, "other.txt", "▸ quick ", "23,456")
        assert "300 steps" not in shown
        assert "change" not in shown
        await pilot.press("enter")
        await shows(pilot, "not now")
        assert started == [None]
        await choose_text(app, pilot, text)  # what was chosen for it is there again
        await shows(pilot, "▸ standard *", "300 steps", "1 change")


# ---- the table and the mouse


async def test_a_click_chooses_the_preset_under_the_mouse(tmp_path: Path, text: Path) -> None:
    async with setup_for(tmp_path, text, (60, 20)) as (app, pilot):
        await shows(pilot, *PRESETS, "▸ quick", "Enter start")
        for name in ("best", "quick", "reference", "standard"):
            lines = screen_text(pilot.app).splitlines()
            row = next(number for number, line in enumerate(lines) if f" {name}  " in line)
            await pilot.click(offset=(8, row))
            await shows(pilot, f"▸ {name}")
        row = next(number for number, line in enumerate(screen_text(pilot.app).splitlines()) if "NETWORK" in line)
        await pilot.click(offset=(8, row))
        await pilot.pause()
        assert app.screen.setup.state.choices.preset == "standard"  # type: ignore[attr-defined]


# ---- a busy processor


async def test_what_presets_cost_is_measured_again_when_train_is_entered_again(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowdown = [2.1]

    async def answer(*argv: str) -> Any:
        figures = {"seconds": 61.0, "memory_bytes": 345e6, "chars_per_second": 11_170.0, "slowdown": slowdown[0]}
        return [{"name": name, **figures} for name in PRESETS]

    monkeypatch.setattr(setup_pane, "run_command", answer)
    async with setup_for(tmp_path, text, (100, 30)) as (_app, pilot):
        await shows(pilot, "The processor has other work too", "~11,170")
        await pilot.press("m")
        await shows(pilot, "* ends", "after 2:00", "1 change")
        slowdown[0] = 1.0
        await pilot.press("1")
        await pilot.press("2")  # Train is entered again
        await until(pilot, lambda: "The processor has other work" not in screen_text(pilot.app))


async def test_a_reset_during_a_measurement_discards_it(
    tmp_path: Path, text: Path, answers: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, free = setup_pane.run_command, asyncio.Event()

    async def held(*argv: str) -> Any:
        if "seed=5" in argv:
            await free.wait()
        return await measure(*argv)

    monkeypatch.setattr(setup_pane, "run_command", held)
    async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
        await shows(pilot, "23,456")
        pane = app.screen.setup  # type: ignore[attr-defined]
        pane.choose(RunChoices(changes={"seed": 5}))
        await until(pilot, lambda: pane.state.measuring)
        pane.do_reset()
        free.set()
        await until(pilot, lambda: not pane.state.measuring)
        assert pane.state.changed_costs == {}


async def test_a_text_that_has_changed_is_read_again(tmp_path: Path, text: Path) -> None:
    """A run on the new text had the settings for the old one."""
    text.write_text(SENTENCES[:2000])
    async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
        await shows(pilot, "2,000 characters", "23,456")
        text.write_text(SENTENCES * 40)
        await choose_text(app, pilot, text)
        await shows(pilot, "1,080,000 characters", "2×256")


async def test_an_unexpected_error_while_a_text_is_read_is_shown_and_it_can_be_read_again(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, unexpected_errors: Any
) -> None:
    """Train stayed at "reading …", and Enter waited for ever."""
    read, calls = setup_pane.read_text_facts, []

    def fail_once(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise MemoryError("no room")
        return read(*arguments)

    monkeypatch.setattr(setup_pane, "read_text_facts", fail_once)
    async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
        await shows(pilot, "✗ Reading the text failed: MemoryError: no room")
        await choose_text(app, pilot, tmp_path / "missing[red].txt")
        await shows(pilot, "✗ There is no file", "missing[red].txt")
        await pilot.press("enter")
        await pilot.pause()
        assert app.run_path is None
        await choose_text(app, pilot, text)
        await shows(pilot, "27,000 characters")


async def test_nothing_is_measured_while_a_run_is_shown(
    tmp_path: Path, text: Path, answers: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would slow the run down, which measures its own speed first. The costs are measured when the settings are
    shown again."""
    measure, asked, ended = setup_pane.run_command, [], []

    async def endless_at_first(*argv: str) -> Any:
        asked.append(argv)
        try:
            return await (asyncio.Event().wait() if len(asked) == 1 else measure(*argv))
        finally:
            ended.append(argv)

    monkeypatch.setattr(setup_pane, "run_command", endless_at_first)
    with ExitStack() as runs:

        def start_run(new: NewRun) -> Any:
            return runs.enter_context(record(tmp_path, "running", name="fresh")).run

        monkeypatch.setattr(setup_pane, "start_run", start_run)
        async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
            await until(pilot, lambda: asked)
            await pilot.press("enter")
            await shows(pilot, "Still learning")
            await pilot.press("r")
            await shows(pilot, "The rate now is")
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, TrainScreen))
            assert len(asked) == len(ended) == 1
            await pilot.press("full_stop")
            await shows(pilot, "fresh is training")
            await until(pilot, lambda: answers == [("presets", str(text), *NICE)])


async def test_a_second_run_beside_a_live_one_asks_first(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def start(new: NewRun) -> None:
        started.append(new)
        raise RunError("not now")

    monkeypatch.setattr(setup_pane, "start_run", start)
    with record(tmp_path, "running", name="first") as recorded:
        async with setup_for(tmp_path, text, (100, 30)) as (app, pilot):
            await shows(pilot, "first is training", "23,456")
            await pilot.press("enter")
            await shows(pilot, "Train beside first?", "each takes about twice as")
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, TrainScreen))
            assert not started
            await pilot.press("enter")
            await shows(pilot, "Train beside first?")
            await pilot.press("s")
            await shows(pilot, "not now")
            assert len(started) == 1
            await pilot.press("enter")
            await shows(pilot, "Train beside first?")
            await pilot.press("enter")  # the default is the harmless answer
            await until(pilot, lambda: app.run_path == recorded.run.path)
            assert len(started) == 1
