"""What the screens of all modes look like: they are compared with the files in ``snapshots``, which ``make snapshots``
writes. Nothing in them depends on the time, the machine, its Python or the last digits of a number."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.cache import LRUCache
from textual.widgets import Input

from charlstm.model.file import Model, ModelConfig, save_model
from charlstm.runs.folder import RunFolder
from charlstm.text.builtin import Builtin
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.presets import PRESETS
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.app_state import save_state
from charlstm_tui.choices import CorpusChoice, StartOptions
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.theme import DARK, LIGHT
from driven_app import Driven, driven
from playing_app import PlayingApp
from recorded_run import ended, record, stepped
from screen_snapshots import check_screen

PROSE = "It was the best of times, it was the worst of times.\n" * 400
NOW = time.time()
"""When the tests take place. The screens show ages only, and files have the time of the real clock."""


@pytest.fixture(autouse=True)
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders that have the same names in each test; a clock that stands; texts that are read at once; sizes of runs,
    memory, built-in texts and a compressor that are the same everywhere; and cursors that do not blink."""
    work = own_home / "texts"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr("charlstm_tui.corpus.texts_view.PAUSE", 0)
    monkeypatch.setattr(
        "charlstm_tui.corpus.sources.builtins", lambda: [Builtin("python-reference", "", lambda: iter(()), 500_000)]
    )
    monkeypatch.setattr("charlstm.text.statistics._xz_size", lambda content: len(content) // 4)
    monkeypatch.setattr("charlstm_tui.train.baselines._counted", LRUCache(maxsize=32))  # by the usual compressor
    monkeypatch.setattr(RunFolder, "size", lambda run: 123_456)
    monkeypatch.setattr("charlstm.system.memory_bytes", lambda: 123_456_789)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
    return own_home


def created(run: RunFolder, minutes: float, **settings: Any) -> None:
    """Let ``run`` have been made so many minutes ago, with some settings changed."""
    spec = run.spec()
    run.write_spec(replace(spec, created=NOW - 60 * minutes, settings=spec.settings.with_changes(**settings)))


def steady_model() -> Model:
    """A model that knows which character follows which. Its gates are fully open or shut, and its probabilities are
    far from where a figure would be rounded the other way."""
    follow = {"T": "h", "t": "h", "h": "ea", "e": " an", "a": "nt ", "n": "d ", "d": " .", " ": "tas", "s": "eat"}
    follow |= {".": "\n", "\n": "T"}
    symbols = tuple(sorted(follow))
    size = len(symbols)
    config = ModelConfig(size, size, 1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.shapes.items()}
    forget, cell = slice(size, 2 * size), slice(2 * size, 3 * size)
    weights["lstm.bias_ih_l0"][:] = 40.0
    weights["lstm.bias_ih_l0"][forget] = -40.0
    weights["lstm.bias_ih_l0"][cell] = 0.0
    weights["lstm.weight_ih_l0"][cell] = 40.0 * np.eye(size)  # cell i is 1 after character i, else 0
    output = float(np.tanh(1.0))
    weights["fc.weight"][:] = (-16.0 - np.arange(size)[:, None]) / output  # no two are equally unlikely
    for before, after in follow.items():
        for character, share in zip(after, (0.72, 0.17, 0.11), strict=False):
            weights["fc.weight"][symbols.index(character), symbols.index(before)] = np.log(share) / output
    return Model(config, Vocabulary(symbols), weights, TextOptions(), {"prime": "The sand and", "val_loss": 0.75})


async def test_corpus_and_help_look_as_in_their_snapshots(home: Path) -> None:
    Path("times.txt").write_text(PROSE)
    async with driven(home / "runs", text="times.txt") as app:
        await app.shows("Frequent")
        await check_screen("corpus", app)
        await app.press("f1", shows="Corpus: keys")
        await check_screen("help", app)


async def test_train_before_a_start_looks_as_in_its_snapshots(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_command(*argv: str) -> Any:
        costs = {"memory_bytes": 345e6, "chars_per_second": 23_456.0, "epochs": 73.8}
        return [{"name": name, "seconds": 60.0 * (at + 1), **costs} for at, name in enumerate(PRESETS)]

    monkeypatch.setattr("charlstm_tui.train.setup_pane.run_command", run_command)
    Path("times.txt").write_text(PROSE)
    async with driven(home / "runs") as app:
        app.app.go("train")
        await app.shows("No text is chosen yet")
        await check_screen("train-empty", app)
        await app.go("runs")
        await check_screen("runs-empty", app)
        app.app.use_corpus(CorpusChoice("times.txt", "times.txt"))
        await app.shows("345 MB", "compressor")
        await check_screen("train-before-a-start", app)
        await app.press("a", until=lambda: app.screen is not app.mode)
        await check_screen("settings", app)


async def test_run_that_trains_looks_as_in_its_snapshot(home: Path) -> None:
    with record(home / "runs", "running", name="novel-quick") as recorded:
        created(recorded.run, 3)
        async with driven(home / "runs", run=recorded.run.name) as app:
            await app.shows("novel.txt", "left ")
            await check_screen("train-running", app)


async def test_diverged_run_and_list_of_runs_look_as_in_their_snapshots(home: Path) -> None:
    with record(home / "runs", "stopped", name="novel-quick") as recorded:
        created(recorded.run, 60, lr=0.001)
    with record(home / "runs", "finished", name="poems-quick", text="poems.txt") as recorded:
        created(recorded.run, 30)
    with record(home / "runs", "running", name="tunes-quick", steps=400) as recorded:
        created(recorded.run, 3)
        diverged: dict[str, Any] = {"reason": "diverged", "time": NOW, "train_seconds": 21.0}
        recorded.append(stepped(405, float("nan"), time=NOW), ended(405, 1.8, 400, **diverged))
        recorded.beat("failed", "the loss was no longer a number")
    async with driven(home / "runs", run="tunes-quick") as app:
        await app.shows("the loss ran away")
        await check_screen("train-diverged", app)
        await app.go("runs")
        await app.shows("novel-quick", "poems-quick")
        await check_screen("runs", app)
        app.app.theme = LIGHT.name
        await check_screen("runs-light", app)
        app.app.theme = DARK.name
        await app.press("down", "space", "down", "space", "c", shows="what differs")
        await check_screen("runs-compared", app)


async def test_play_write_score_and_cells_look_as_in_their_snapshots(home: Path) -> None:
    model = home / "texts" / "sand.safetensors"
    save_model(model, steady_model())
    save_state({"preferences": Preferences(speed=0.0).to_dict()})
    app = CharLSTMApp(StartOptions(model=str(model), runs_dir=home / "runs"))
    async with app.run_test(size=(80, 24)) as pilot:
        driver, played = Driven(app, pilot), PlayingApp(app, pilot)
        await driver.in_mode("generate")
        await played.paused(240)
        await driver.press("left", "left")
        await check_screen("play", driver)
        app.theme = LIGHT.name
        await check_screen("play-light", driver)
        app.theme = DARK.name
        await driver.press("s", until=lambda: played.screen.score.scores is not None)
        await driver.press("enter")
        await check_screen("score", driver)
        await driver.press("escape")
        await driver.press("x", until=lambda: played.screen.cells.activations is not None)
        await check_screen("cells", driver)
        await driver.press("escape", "ctrl+end", "w", *" the", until=lambda: bool(played.state.suggestion))
        await check_screen("write", driver)
