"""Train before a run: presets with their costs, all settings as a form, where weights start, and the start itself."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from charlstm.errors import RunError
from charlstm.model.file import ModelConfig
from charlstm.runs.launch import NewRun
from charlstm.runs.start_models import StartModel
from charlstm.training.presets import PRESETS
from charlstm.training.settings import setting_names
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.train import setup_pane
from charlstm_tui.train.screen import TrainScreen
from charlstm_tui.train.settings_dialog import SettingsDialog
from charlstm_tui.train.setup import RunChoices
from charlstm_tui.widgets.row_list import RowList
from driven_app import DEADLINE, Driven, Held, driven
from recorded_run import record

SENTENCES = "The sea was calm, and the light was on the stairs. He had left it there, she said. [/red]\n" * 300
NICE = ("--set", "niceness=10")
"""Of the runs that the app starts."""


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[NewRun]:
    """The runs that were to be started, all of which are refused."""
    asked: list[NewRun] = []

    def start(new: NewRun, prepared: None) -> None:
        asked.append(new)
        raise RunError("not now: the disk is full [/red]")

    monkeypatch.setattr(setup_pane, "start_run", start)
    return asked


class Answers(list[tuple[str, ...]]):
    """Fixed results in place of the command that measures, and the arguments of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.slowdown = 1.0
        self.ended = 0
        """How many calls have been answered, or are no longer waited for."""
        self.never: Callable[..., bool] = lambda *argv: False
        """Whether a call is not answered."""

    async def __call__(self, *argv: str) -> Any:
        self.append(argv)
        try:
            if self.never(*argv):
                await asyncio.Event().wait()
        finally:
            self.ended += 1
        figures = {"seconds": 61.0, "memory_bytes": 345e6, "chars_per_second": 23_456.0, "slowdown": self.slowdown}
        return [{"name": name, **figures} for name in PRESETS]


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setattr(setup_pane, "run_command", found := Answers())
    return found


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "[red]sea.txt"
    path.write_text(SENTENCES)
    return path


@asynccontextmanager
async def setup_for(text: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    """The app on Train with this text; the folder of runs is that of the text."""
    async with driven(text.parent, size) as app:
        await take(app, text)
        yield app


async def take(app: Driven, text: Path) -> None:
    """Go to Train, by way of Corpus with this text."""
    await app.go("corpus")
    app.app.use_corpus(CorpusChoice(str(text), text.name))
    await app.until(lambda: isinstance(app.screen, TrainScreen) and app.screen.ready)


def pane_of(app: Driven) -> setup_pane.SetupPane:
    return app.screen.query_one(setup_pane.SetupPane)


async def test_arrows_and_clicks_choose_a_preset_and_a_key_goes_back_to_it(text: Path, answers: Answers) -> None:
    async def click(words: str) -> None:
        row = next(number for number, line in enumerate(app.text().splitlines()) if words in line)
        await app.pilot.click(offset=(8, row))

    async with setup_for(text) as app:
        await app.shows("▸ quick", "23,456")
        assert answers == [("presets", str(text), *NICE)]
        for key, name in (("right", "standard"), ("down", "best"), ("left", "standard"), ("up", "quick")):
            await app.press(key, shows=(f"▸ {name}", PRESETS[name].about))
        assert pane_of(app).state.choices == RunChoices()
        pane_of(app).choose(RunChoices(changes={"max_steps": 300, "seed": 5}))
        await app.shows("2 changes", "d resets", "* seed")
        await app.press("d", lacks="2 changes")
        assert pane_of(app).state.choices == RunChoices()
        await app.resize(60, 20)
        for name in ("best", "reference"):
            await click(f" {name}  ")
            await app.shows(f"▸ {name}", "Enter start")
        await click("NETWORK")
        await app.pilot.pause()
        assert pane_of(app).state.choices.preset == "reference"


async def open_settings(app: Driven) -> SettingsDialog:
    await app.shows("▸ quick", "23,456")
    await app.press("a", until=lambda: isinstance(app.screen, SettingsDialog) and isinstance(app.app.focused, Input))
    return app.screen


async def test_every_setting_is_in_the_form_and_what_is_wrong_is_not_accepted(text: Path, answers: Answers) -> None:
    async with setup_for(text, (100, 30)) as app:
        form = await open_settings(app)
        assert tuple(form.values) == setting_names()
        await app.press(*"num_lay", "enter", *"many", "enter")
        await app.shows("✗ num_layers takes a whole number from 1 to 16, not 'many'")
        await app.press("ctrl+r", "enter")
        assert form.values["num_layers"] == 2
        for name in ("val_fraction", "test_fraction"):
            await app.press(*name, "enter", *"0.5", "enter")
        await app.press("ctrl+s", shows="✗ val_fraction and test_fraction are 0.9 together at most")
        assert app.screen is form
        await app.press("ctrl+r", *"num_lay", "enter", "3", "enter")
        await app.shows("* num_layers           3", "num_layers: number of LSTM layers")
        await app.press("ctrl+s", shows=("quick *", "* network", "3 layers of", "23,456"))
        assert pane_of(app).state.choices.changes == {"num_layers": 3}
        asked = ("presets", str(text), *NICE, "--set", "num_layers=3", "--from", "none")
        await app.until(lambda: answers[-1] == asked)


async def test_settings_are_searched_clicked_and_warned_of_and_escape_asks(text: Path) -> None:
    async with setup_for(text) as app:
        form = await open_settings(app)
        rows = form.query_one(RowList)
        await app.press(*"val_x", shows="No setting has “val_x” in its name")
        await app.press("backspace", until=lambda: rows.cursor == "val_fraction")
        assert "hidden_size" not in app.text()
        await app.press("escape", shows="hidden_size")
        await app.pilot.click(rows, offset=(4, 3))
        clicked = rows.cursor
        await app.pilot.click(rows, offset=(4, 3))
        await app.until(lambda: form.editing == clicked)
        await app.press("escape", *"lr", "enter", *"0.5", "enter", shows=("times the preset's", "Ctrl+S use"))
        await app.press("n")  # what is found first stands at the top, wherever the list was scrolled to
        await app.shows("▸   num_layers")
        await app.press("escape", "ctrl+s", shows="! The learning rate is 42 times the preset's: training may diverge.")
        await app.press("d")
        for answer, changes in (("l", {}), ("u", {"hidden_size": 77})):
            form = await open_settings(app)
            await app.press("enter", *"77", "down")
            assert form.values["hidden_size"] == 77
            await app.press("escape", shows="Use the changed values?")
            await app.press(answer, mode="train", until=lambda: app.screen is app.mode)
            assert pane_of(app).state.choices.changes == changes


async def test_weights_may_start_from_a_run_that_is_chosen_or_typed(text: Path) -> None:
    """It was "from model.safetensors", and a name was looked for in the usual folder of runs alone."""
    run = record(text.parent, "finished", name="older").run
    assert setup_pane.model_name(run.model_path) == "older"
    async with setup_for(text) as app:
        await app.shows("weights", "random", "23,456")
        await app.press("f", shows="a model file: type its path")
        await app.press("p", shows="A .safetensors file, or the name or folder of a run.")
        await app.press(*"older", "enter", shows=("from older", "of older"))
        await app.press("d", lacks="from older")
        await app.press("f", shows="older")
        await app.press("1", shows=("from older", "1 layer of 8", "quick *", "1 change"))  # a model keeps its size
        pane_of(app).start_from("a text", text)
        await app.until(lambda: "[red]sea.txtisnotamodelfile" in "".join(app.text().split()))
        await app.press("f", "enter")  # on what is chosen now, so that Enter changes nothing
        await app.until(lambda: app.screen is app.mode)
        assert pane_of(app).state.choices.start_from.path == run.model_path


async def test_0_changes_where_weights_start(text: Path, monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    """From nothing, and back from the model in the box."""
    config = ModelConfig(90, 512, 2)
    box = StartModel("demo", Path("demo.safetensors"), config, loss=1.3, pairs=2.4, read=0.0, symbols=95)
    monkeypatch.setattr(setup_pane, "find_start", lambda word, corpus, settings: box)
    async with setup_for(text) as app:
        await app.shows("of the model in the box", "~1.300 nats on passages of this text. 0 starts", "23,456")
        await app.press("0")
        await app.shows("0 starts from the model in the box", "1 change", "from nothing", "weights      random")
        await app.until(lambda: answers[-1][-2:] == ("--from", "none"))
        await app.press("0", shows="of the model in the box")


async def test_keys_wait_for_a_model(text: Path, monkeypatch: pytest.MonkeyPatch, refused: list[NewRun]) -> None:
    """While it is read a dialog stands. Enter began the run with random weights, and the pane said nothing of it."""
    read = Held(monkeypatch, setup_pane, "try_start")
    run = record(text.parent, "finished", name="older").run
    async with setup_for(text) as app:
        await app.shows("weights", "random", "23,456")
        for last in ("escape", "enter"):
            await app.press("f", "1", shows="Reading older …")
            await app.press(last)
        read.release()
        await app.shows("not now", "from older")
        assert [new.model_from for new in refused] == [run.model_path]


async def test_enter_before_the_text_is_read_starts_when_it_is(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who knows what they want presses Enter twice in a row."""
    read, read_text_facts = threading.Event(), setup_pane.read_text_facts

    def slow(choice: CorpusChoice, check: Any, tell: Any) -> Any:
        tell("encoding … 34 %")
        assert read.wait(DEADLINE)
        return read_text_facts(choice, check, tell)

    monkeypatch.setattr(setup_pane, "read_text_facts", slow)
    monkeypatch.setattr(setup_pane, "start_run", lambda *_: record(text.parent, "starting", name="fresh").run)
    async with setup_for(text) as app:
        await app.shows("encoding … 34 %")
        await app.press("enter", shows="as soon as the text is read")
        read.set()
        await app.until(lambda: app.app.run_path == text.parent / "fresh")


async def test_settings_changed_for_a_text_are_not_those_of_the_next(text: Path, refused: list[NewRun]) -> None:
    """Which may be started again after a refusal."""
    other = text.with_name("other.txt")
    other.write_text(SENTENCES)
    async with setup_for(text) as app:
        await app.shows("▸ quick", "23,456")
        pane_of(app).choose(RunChoices(preset="standard", changes={"max_steps": 300}))
        await app.shows("▸ standard *", "* ends", "300 steps", "1 change")
        await take(app, other)
        shown = await app.shows("other.txt", "▸ quick ", "23,456")
        assert "300 steps" not in shown
        assert "change" not in shown
        await app.press("enter", shows="✗ not now: the disk is full [/red]")
        await app.press("enter", until=lambda: [new.settings.max_steps for new in refused] == [None, None])
        assert app.app.run_path is None
        await take(app, text)  # what was chosen for it is there again
        await app.shows("▸ standard *", "300 steps", "1 change")


async def test_what_presets_cost_is_measured_again_when_train_is_entered_again(text: Path, answers: Answers) -> None:
    answers.slowdown = 2.1
    async with setup_for(text, (100, 30)) as app:
        await app.shows("The processor has other work too", "~23,456")
        await app.press("m", shows=("* ends", "after 2:00", "1 change"))
        answers.slowdown, before = 1.0, len(answers)
        await app.press("question_mark", "escape", lacks="Train: keys")
        assert len(answers) == before  # a dialog that was closed is no new entry
        await app.press("1", "2")  # Train is entered again
        await app.lacks("The processor has other work")


async def test_a_measurement_of_what_is_no_longer_chosen_is_not_waited_for(text: Path, answers: Answers) -> None:
    """The next one waited for it, up to ten seconds."""
    answers.never = lambda *argv: argv[-2:] != ("--from", "none")
    async with setup_for(text) as app:
        await app.until(lambda: bool(answers))
        pane_of(app).choose(RunChoices("best"))  # whose figures are on their way
        await app.pilot.pause()
        assert len(answers) == 1
        pane_of(app).choose(RunChoices("best", from_nothing=True))
        await app.shows("23,456")


@pytest.mark.usefixtures("unexpected_errors")
async def test_text_is_read_again_after_an_error_or_a_change(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train stayed at "reading …", and Enter waited for ever. A run on a new text had the settings for the old one."""
    read = setup_pane.read_text_facts

    def fail(*arguments: Any) -> Any:
        monkeypatch.setattr(setup_pane, "read_text_facts", read)
        raise MemoryError("too large")

    monkeypatch.setattr(setup_pane, "read_text_facts", fail)
    text.write_text(SENTENCES[:2000])
    async with setup_for(text, (100, 30)) as app:
        await app.shows("✗ Reading the text failed: MemoryError: too large")
        await take(app, text.with_name("missing[red].txt"))
        await app.shows("✗ There is no file", "missing[red].txt")
        await app.press("enter")
        await app.pilot.pause()
        assert app.app.run_path is None
        await take(app, text)
        await app.shows("2,000 characters", "23,456")
        text.write_text(SENTENCES * 40)
        await take(app, text)
        await app.shows("1,080,000 characters", "2×256")


async def test_nothing_is_measured_beside_a_run(text: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would slow the run down, which measures its own speed first. The costs are measured when the settings are
    shown again."""
    answers.never = lambda *argv: len(answers) == 1
    with ExitStack() as runs:

        def start_run(new: NewRun, prepared: None) -> Any:
            return runs.enter_context(record(text.parent, "running", name="fresh")).run

        monkeypatch.setattr(setup_pane, "start_run", start_run)
        async with setup_for(text, (100, 30)) as app:
            await app.until(lambda: answers)
            await app.press("enter", shows="Still learning")
            await app.press("r", shows="The rate now is")
            await app.press("escape", until=lambda: app.screen is app.mode)
            assert len(answers) == answers.ended == 1
            await app.press("full_stop", shows="fresh is training", until=lambda: len(answers) == 2)


async def test_a_second_run_asks_first(text: Path, monkeypatch: pytest.MonkeyPatch, refused: list[NewRun]) -> None:
    """Beside a live one, and not while another mode is shown."""
    read = Held(monkeypatch, setup_pane, "read_text_facts")
    with record(text.parent, "running", name="first") as recorded:
        async with setup_for(text, (100, 30)) as app:
            await app.press("enter", shows="Starting as soon as the text is read")
            pane = pane_of(app)
            await app.press("4", mode="runs")
            read.release()
            await app.until(lambda: pane.state.ready)
            assert app.screen is app.mode
            await app.press("2", shows=("The text is read: Enter starts.", "first is training", "23,456"))
            for answer, starts in (("escape", 0), ("s", 1), ("enter", 1)):  # the default is the harmless answer
                await app.press("enter", shows=("Train beside first?", "each takes longer"))
                await app.press(answer, until=lambda: app.screen is app.mode)
                if answer == "s":
                    await app.shows("not now")
                assert len(refused) == starts
            assert app.app.run_path == recorded.run.path
