"""Whatever a user passes to the public library, a wrong value is a CharLSTMError: every parameter, absurd values."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.runs import launch
from charlstm.training.hooks import Hooks
from small_training import make_corpus, words


class Strange:
    """An object that the library knows nothing of."""

    def __repr__(self) -> str:
        return "x" * 10_000


ABSURD: list[Any] = [
    *(None, True, -3, 0, 10**400, 1e39, -0.5, math.nan, math.inf, 2j),
    *("", "x", "\0", "x" * 5000, "\ud800", "/dev/null/x", b"x", Path("missing"), Path("/dev/null")),
    *([], [3], ["x", None], [(5, 2)], (), {}, {"x": 1}, {3: "x"}, {"x": "("}, range(3)),
    *(Strange(), np.int64(-2), np.float32(math.nan), np.array([1.0, 2.0]), np.zeros((0, 3))),
]

TEXT = words(200)
CORPUS = make_corpus(TEXT)
SETTINGS = charlstm.Settings(
    hidden_size=4, num_layers=1, batch_size=2, seq_length=8, max_steps=1, threads=1, kernel="nn", val_chars=50
)
MODEL = charlstm.CharLSTM(len(CORPUS.vocabulary), 6, 2).to_model(CORPUS.vocabulary)

Call = tuple[Callable[..., Any], dict[str, Any]]


def session(**arguments: Any) -> charlstm.Session:
    made = charlstm.Session(MODEL, "the quick", **arguments)
    list(made.stream(20))
    return made


def trainer() -> charlstm.Trainer:
    return charlstm.Trainer(CORPUS, SETTINGS)


def functions(folder: Path) -> dict[str, Call]:
    """Every public function and class, with arguments that it takes."""
    file = folder / "model.safetensors"
    charlstm.save_model(file, MODEL)
    state = trained(folder)
    (folder / "settings.toml").write_text("max_steps = 3\n", encoding="utf-8")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    run = charlstm.find_run("finished", Path(__file__).parents[1] / "data" / "version_0_1" / "runs")
    sampled: dict[str, Any] = {"model": MODEL, "prime": "the", "length": 3, "seed": 1, "settings": None, "stop": "x"}
    sampled |= {"clamps": [charlstm.Clamp(1, 2)], **charlstm.SamplerSettings().to_dict()}
    corpus = {"options": None, "name": "n", "validation": None, "progress": None}
    return {
        "activations": (charlstm.activations, {"model": MODEL, "text": TEXT}),
        "CharLSTM": (
            charlstm.CharLSTM,
            {"vocab_size": 3, "hidden_size": 2, "num_layers": 1, "init": "none", "generator": None},
        ),
        "Clamp": (charlstm.Clamp, {"layer": 1, "cell": 1, "value": 1.0, "factor": 0.5}),
        "context": (charlstm.context, {"model": MODEL, "text": TEXT, "at": None, "places": 2, "max_chars": None}),
        "describe": (charlstm.describe, {"corpus": CORPUS, "split": None, "bits": False}),
        "evaluate": (
            charlstm.evaluate,
            {
                "model": MODEL,
                "corpus": CORPUS,
                "part": "all",
                "val_fraction": None,
                "split": None,
                "test_fraction": None,
                "max_chars": 20,
                "progress": None,
            },
        ),
        "find_model": (charlstm.find_model, {"word": file, "runs_dir": folder, "snapshot": None}),
        "find_run": (charlstm.find_run, {"word": run.path, "folder": folder}),
        "FolderStore": (charlstm.FolderStore, {"path": folder / "store"}),
        "generate": (charlstm.generate, sampled),
        "generate_many": (charlstm.generate_many, {**sampled, "samples": 2, "threads": 1}),
        "influence": (charlstm.influence, {"model": MODEL, "text": TEXT, "at": 30, "back": 5}),
        "lesions": (charlstm.lesions, {"model": MODEL, "text": TEXT}),
        "list_runs": (charlstm.list_runs, {"folder": folder, "elsewhere": False}),
        "load_model": (charlstm.load_model, {"model": file, "step": None, "runs_dir": folder}),
        "load_settings": (charlstm.load_settings, {"path": folder / "settings.toml"}),
        "load_state": (charlstm.load_state, {"path": folder / "state.safetensors"}),
        "Model": (
            charlstm.Model,
            {
                "config": MODEL.config,
                "vocabulary": MODEL.vocabulary,
                "weights": MODEL.weights,
                "text_options": MODEL.text_options,
                "info": {},
                "passages": None,
            },
        ),
        "multiverse": (charlstm.multiverse, {"model": MODEL, "prime": "the", "depth": 2, "cutoff": 0.2}),
        "name_cells": (
            charlstm.name_cells,
            {"model": MODEL, "text": TEXT, "per_feature": 1, "patterns": None, "functions": None, "max_chars": None},
        ),
        "next_words": (charlstm.next_words, {"model": MODEL, "prime": "the", "count": 2}),
        "novelty": (charlstm.novelty, {"text": "the", "corpus": CORPUS, "min_length": 9, "spans": None}),
        "open_corpus": (charlstm.open_corpus, {"source": folder / "text.txt", **corpus}),
        "open_corpus of a string": (charlstm.open_corpus, {"text": TEXT, **corpus}),
        "preset": (charlstm.preset, {"name": "quick", "chars": 1000, "vocab_size": 30, "start_from": MODEL.config}),
        "resume_run": (charlstm.resume_run, {"run": run, "changes": {"max_steps": 3}}),
        "Run": (charlstm.Run, {"path": run.path}),
        "SamplerSettings": (charlstm.SamplerSettings, charlstm.SamplerSettings().to_dict()),
        "save_model": (charlstm.save_model, {"path": file, "model": MODEL}),
        "save_state": (charlstm.save_state, {"path": folder / "other.safetensors", "state": state}),
        "score": (charlstm.score, {"model": MODEL, "text": "the fox"}),
        "score_dynamic": (
            charlstm.score_dynamic,
            {"model": MODEL, "text": "the fox", "strength": 1.0, "segment": 20},
        ),
        "Session": (
            charlstm.Session,
            {
                "model": MODEL,
                "prime": "the",
                "seed": 1,
                "sample": 0,
                "settings": None,
                "clamps": (),
                "progress": None,
                **charlstm.SamplerSettings().to_dict(),
            },
        ),
        "Settings": (charlstm.Settings, SETTINGS.to_dict()),
        "start_run": (
            charlstm.start_run,
            {
                "source": CORPUS,
                "settings": SETTINGS,
                "preset": "quick",
                "text_options": None,
                "validation": None,
                "name": None,
                "runs_dir": folder / "runs",
                "model_from": None,
            },
        ),
        "TextOptions": (charlstm.TextOptions, charlstm.TextOptions().to_dict()),
        "Trainer": (
            charlstm.Trainer,
            {
                "corpus": CORPUS,
                "settings": SETTINGS,
                "start_from": None,
                "plan": None,
                "store": None,
                "hooks": Hooks(),
                "logged_until": 0,
                "info": None,
                "spent": 0.0,
            },
        ),
        "Vocabulary": (charlstm.Vocabulary, {"symbols": "ab", "replacement": "b"}),
    }


def methods(folder: Path) -> dict[str, Call]:
    """Every method of a public class that takes arguments."""
    run = charlstm.Run(folder / "runs" / "gone")
    state = trained(folder)
    vocabulary, made = CORPUS.vocabulary, session()
    return {
        "CharLSTM.from_model": (charlstm.CharLSTM.from_model, {"model": MODEL}),
        "Corpus.encoded_for": (CORPUS.encoded_for, {"vocabulary": vocabulary}),
        "Corpus.split": (CORPUS.split, {"val_fraction": 0.1, "mode": "tail", "test_fraction": 0.0}),
        "Corpus.text": (CORPUS.text, {"start": 0, "stop": 5}),
        "Run.delete": (run.delete, {}),
        "Run.model": (run.model, {"step": 3}),
        "Run.model_file": (run.model_file, {"step": 3}),
        "Run.more": (run.more, {"minutes": 1}),
        "Run.rename": (run.rename, {"name": "other"}),
        "Run.resume": (run.resume, {"max_steps": 3}),
        "Run.set_lr": (run.set_lr, {"rate": 0.1}),
        "Run.wait": (run.wait, {"timeout": 1.0, "progress": False}),
        "SamplerSettings.with_changes": (
            charlstm.SamplerSettings().with_changes,
            charlstm.SamplerSettings().to_dict(),
        ),
        "SamplerSettings.from_dict": (charlstm.SamplerSettings.from_dict, {"values": {}}),
        "Scores.places": (charlstm.score(MODEL, TEXT).places, {"count": 2, "context": 3}),
        "Scores.strip": (charlstm.score(MODEL, TEXT).strip, {"width": 3}),
        "Lesions.ranked": (charlstm.lesions(MODEL, TEXT).ranked, {"count": 3}),
        "Session.at": (made.at, {"position": 3}),
        "Session.choose": (made.choose, {"char": "t"}),
        "Session.continuations": (
            made.continuations,
            {"count": 2, "length": 3, "lines": 1, "first": 1, "progress": len},
        ),
        "Session.go_to": (made.go_to, {"end": made.path_end, "length": 2}),
        "Session.keep_only": (made.keep_only, {"ends": [made.path_end]}),
        "Session.next_char_distribution": (made.next_char_distribution, {"count": 3}),
        "Session.prune": (lambda **given: session().prune(**given), {"number": 0}),
        "Session.read": (made.read, {"start": 0, "stop": 5}),
        "Session.rename": (made.rename, {"number": 0, "name": "first"}),
        "Session.rewind": (made.rewind, {"position": 3}),
        "Session.rows": (made.rows, {"start": 0, "stop": 5}),
        "Session.steps": (made.steps, {"start": 0, "stop": 5}),
        "Session.stream": (made.stream, {"length": 3, "stop": "x"}),
        "Session.suggest": (made.suggest, {"length": 3}),
        "Session.switch": (made.switch, {"number": 0, "position": 0, "length": None}),
        "Session.type": (made.type, {"text": "the"}),
        "Session.clamps": (lambda value: setattr(made, "clamps", value), {"value": ()}),
        "Session.seed": (lambda value: setattr(made, "seed", value), {"value": 3}),
        "Session.settings": (lambda value: setattr(made, "settings", value), {"value": made.settings}),
        "Settings.from_dict": (charlstm.Settings.from_dict, {"values": {}}),
        "Settings.with_changes": (SETTINGS.with_changes, SETTINGS.to_dict()),
        "SettingsFile.settings": (charlstm.SettingsFile().settings, {"chars": 100, "vocab_size": 30}),
        "TextOptions.apply": (charlstm.TextOptions().apply, {"text": "a"}),
        "TextOptions.for_another_text": (
            charlstm.TextOptions().for_another_text,
            {"encoding": "utf-8", "max_chars": 5},
        ),
        "TextOptions.from_dict": (charlstm.TextOptions.from_dict, {"values": {}}),
        "Trainer.resume": (
            charlstm.Trainer.resume,
            {
                "corpus": CORPUS,
                "settings": SETTINGS,
                "state": state,
                "store": None,
                "hooks": Hooks(),
                "logged_until": 0,
                "info": None,
            },
        ),
        "Trainer's hooks": (
            Hooks,
            {"sample": None, "commands": None, "validation_progress": None},
        ),
        "Trainer.train": (lambda **given: trainer().train(**given), {"callback": None, "progress": False}),
        "Vocabulary.decode": (vocabulary.decode, {"ids": [1, 2]}),
        "Vocabulary.encode": (vocabulary.encode, {"text": "the"}),
        "Vocabulary.extended": (vocabulary.extended, {"other": vocabulary}),
        "Vocabulary.from_counts": (vocabulary.from_counts, {"counts": {"a": 3}, "fold_rare": 0}),
        "Vocabulary.from_dict": (vocabulary.from_dict, {"values": vocabulary.to_dict()}),
        "Vocabulary.from_text": (vocabulary.from_text, {"text": "the"}),
        "Vocabulary.index": (vocabulary.index, {"char": "t"}),
    }


def trained(folder: Path) -> charlstm.TrainingState:
    made = trainer()
    made.train()
    charlstm.save_state(folder / "state.safetensors", made.state())
    return made.state()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which relative names are; and no worker is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(launch, "launch", lambda *_: 0)
    return tmp_path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Call]:
    return functions(tmp_path_factory.mktemp("arguments"))


def problems(name: str, function: Callable[..., Any], usual: dict[str, Any]) -> Iterator[str]:
    """What goes wrong with absurd values, one parameter at a time."""
    for parameter in usual:
        for value in ABSURD:
            try:
                function(**usual | {parameter: value})
            except charlstm.CharLSTMError as error:
                if len(str(error)) > 700 or "\n" in str(error):
                    yield f"{name}({parameter}={value!r:.40}): a long message"
            except Exception as error:
                yield f"{name}({parameter}={value!r:.40}): {type(error).__name__}: {error!s:.100}"


def test_functions_refuse_absurd_arguments_with_an_error_of_the_library(table: dict[str, Call]) -> None:
    found = []
    for name, (function, usual) in table.items():
        if name != "resume_run":  # of a run that is finished, and without a worker
            function(**usual)
        found += problems(name, function, usual)
    assert not found, "\n".join(found)


def test_methods_refuse_absurd_arguments_with_an_error_of_the_library(place: Path) -> None:
    found = [each for name, call in methods(place).items() for each in problems(name, *call)]
    assert not found, "\n".join(found)


def test_numbers_of_numpy_are_taken_where_python_s_are(place: Path) -> None:
    found = []
    for name, (function, usual) in {**functions(place), **methods(place)}.items():
        for parameter, value in usual.items():
            numbers = {int: (np.int64, np.uint16), float: (np.float64, np.float32)}.get(type(value), ())
            for kind in numbers:
                expected = outcome(function, usual, parameter)
                got = outcome(function, usual | {parameter: kind(value)}, parameter)
                if got != expected:
                    found.append(f"{name}({parameter}={kind.__name__}): {got} instead of {expected}")
    assert not found, "\n".join(found)


def outcome(function: Callable[..., Any], given: dict[str, Any], parameter: str) -> str:
    """The error of a call, or of which type ``parameter`` is in what it makes."""
    try:
        made = function(**given)
    except charlstm.CharLSTMError as error:
        return str(error)
    return type(getattr(made, parameter, None)).__name__


@pytest.mark.parametrize(
    "call",
    [
        lambda: charlstm.influence(MODEL, TEXT, 30, back=-3),
        lambda: charlstm.name_cells(MODEL, TEXT, per_feature=0),
        lambda: charlstm.next_words(MODEL, "the", count=0),
        lambda: charlstm.context(MODEL, TEXT, places=0),
        lambda: charlstm.Clamp(1, 1, value=1e39),
        lambda: charlstm.evaluate("demo", "text"),  # type: ignore[arg-type]
        lambda: charlstm.Trainer("file", SETTINGS),  # type: ignore[arg-type]
        lambda: charlstm.start_run(CORPUS, "x"),  # type: ignore[arg-type]
        lambda: charlstm.generate(MODEL, "the", -5),
        lambda: session().stream(-1),
        lambda: session().suggest(-1),
        lambda: charlstm.generate(MODEL, "the", 5, temperatur=0.5),  # type: ignore[call-arg]
        lambda: charlstm.Model(MODEL.config, MODEL.vocabulary, {}).check_computable(),
    ],
)
def test_wrong_arguments_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(charlstm.CharLSTMError):
        call()


def test_every_public_function_and_method_is_in_the_tables(table: dict[str, Call], place: Path) -> None:
    """Classes whose objects only the library makes are left out, and what takes events alone."""
    results = {"AnyEvent", "CharLSTMError", "CheckpointStore", "Corpus", "ProgressLine", "RunList", "SettingsFile"}
    results |= {"Step", "TrainingState"}
    events = {name for name in charlstm.__all__ if getattr(getattr(charlstm, name), "name", None) is not None}
    events |= {"Event"}
    names = {name for name in charlstm.__all__ if not isinstance(getattr(charlstm, name), property)}
    names -= events - {"Run"}
    assert names - results == {name for name in table if " " not in name}
    for name, (function, usual) in table.items():
        parameters = set(inspect.signature(function).parameters)
        internal = {"ranks", "continuation", "stepper", "sampler"}
        internal |= {"text"} if name == "open_corpus" else {"source"} if "string" in name else set()
        assert parameters - internal == {each for each in usual if each in parameters}, name
    in_table = methods(place)
    for name in ("Session", "Run", "Corpus", "Vocabulary", "Trainer", "SamplerSettings", "TextOptions"):
        for method, value in inspect.getmembers(getattr(charlstm, name), callable):
            if method.startswith("_") or method in ("of", "restored", "put_back", "write_spec", "statuses"):
                continue
            takes = [each for each in inspect.signature(value).parameters if each not in ("self", "cls")]
            assert not takes or f"{name}.{method}" in in_table, f"{name}.{method}"
