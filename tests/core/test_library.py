"""The public library: its names, what resolves models by name, evaluation, and a run's log as arrays."""

import dataclasses
import html
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

import charlstm
from charlstm.display import visible
from charlstm.engine.evaluation import evaluate as evaluate_spans
from charlstm.errors import GenerationError
from charlstm.generation.sampler_settings import SamplerKeywords, SamplerSettings
from charlstm.training.events import Stepped, Validated
from recorded_run import record, tiny_model
from small_training import make_corpus, words
from wrapped_prose import prose


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> charlstm.Run:
    return record(tmp_path_factory.mktemp("runs"), steps=60, name="run").run


def test_numpy_torch_and_what_torch_could_load_too_are_imported_only_where_they_are_used() -> None:
    """The compiler of torch and sympy take 2 s together at the start of every run, and nothing here uses them."""
    code = """
import json, sys
watched = {"numpy", "torch", "sympy", "torch._dynamo", "torch._inductor"}
import charlstm
charlstm.find_run, charlstm.Validated
loaded = [watched & set(sys.modules)]
charlstm.generate("demo", length=3)
loaded.append(watched & set(sys.modules))
charlstm.Trainer
import numpy as np
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches
batches = Batches(np.arange(200) % 5, [(0, 200)], 4, 10)
step = TrainStep(charlstm.CharLSTM(5, 8, 1), batches, charlstm.Settings(max_steps=1), "fused-f32")
step.step(0, 1e-3)
loaded.append(watched & set(sys.modules))
print(json.dumps([sorted(each) for each in loaded]))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    *before, training = json.loads(done.stdout)
    assert before == [[], ["numpy"]]
    earlier = tuple(map(int, version("torch").split(".")[:2])) < (2, 13)  # 2.6 imports sympy for itself
    assert training == ["numpy", "torch"] or (earlier and training == ["numpy", "sympy", "torch"])


def test_models_are_found_by_name_path(finished: charlstm.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = finished.path.parent
    best = charlstm.load_model("run", runs_dir=runs)
    assert np.array_equal(charlstm.load_model(finished.path).weights["fc.bias"], best.weights["fc.bias"])
    other = tmp_path / "any.name"
    charlstm.save_model(other, best)
    assert charlstm.load_model(other).vocabulary == best.vocabulary
    run = charlstm.Run(Path(shutil.copytree(finished.path, tmp_path / "copy")))
    monkeypatch.chdir(tmp_path)
    Path("run").write_text("as find_model and the commands, it takes the run")
    assert charlstm.load_model("run", runs_dir=runs).vocabulary == best.vocabulary
    shutil.rmtree(run.snapshots_dir)
    run.snapshots_dir.mkdir()
    early = charlstm.load_model("demo")
    charlstm.save_model(run.snapshots_dir / "5.safetensors", early)
    assert charlstm.load_model("copy", step=5, runs_dir=tmp_path).vocabulary == run.model(5).vocabulary
    assert run.model(5).vocabulary == early.vocabulary != run.model().vocabulary
    with pytest.raises(charlstm.CharLSTMError, match="no snapshot of step 7; it has 5"):
        run.model(7)
    assert run.model(run.model().info["step"]).vocabulary == best.vocabulary  # no snapshot, but the best model's step
    with pytest.raises(charlstm.CharLSTMError, match="nothing"):
        charlstm.load_model("nothing", runs_dir=tmp_path)


def test_classes_take_names_of_models(finished: charlstm.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLSTM_RUNS", str(finished.path.parent))
    run, corpus, file = charlstm.load_model("run"), make_corpus(words(100)), tmp_path / "copy.safetensors"
    charlstm.save_model(file, "run")
    for given in ("run", file, str(file), finished.path):
        assert charlstm.Session(given).model.vocabulary == run.vocabulary
        assert charlstm.CharLSTM.from_model(given).config == run.config
        assert charlstm.preset("quick", start_from=given) == charlstm.preset("quick", start_from=run.config)
        trainer = charlstm.Trainer(corpus, charlstm.Settings(max_steps=1), start_from=given)
        assert trainer.settings.hidden_size == run.config.hidden_size
    with pytest.raises(charlstm.CharLSTMError, match=r"There is no run .runn..*did you mean run"):
        charlstm.Session("runn")
    with pytest.raises(charlstm.CharLSTMError, match="takes a Model, the file of one"):
        charlstm.Session(corpus)


def test_evaluate_reads_the_part_that_is_named() -> None:
    corpus = make_corpus(words(600))
    network = charlstm.CharLSTM(len(corpus.vocabulary), 8, 1)
    how: dict[str, Any] = {"val_fraction": 0.25, "split": "blocks", "test_fraction": 0.2}
    model = network.to_model(corpus.vocabulary, info={"settings": how})
    split = corpus.split(0.25, "blocks", 0.2)
    parts = {"validation": split.held_out, "test": split.test, "train": split.train, "all": ((0, corpus.chars),)}
    for part, spans in parts.items():
        expected = evaluate_spans(network, corpus.ids, spans)
        assert charlstm.evaluate(model, corpus, part) == charlstm.evaluate(network, corpus, part, **how) == expected
    assert charlstm.evaluate(network, corpus).chars == corpus.split(0.1).held_out_chars - 1
    assert charlstm.evaluate(network, corpus, "all", max_chars=300).chars < 600


def test_another_text_is_read_as_the_model_has_read_its_own_and_evaluated_whole() -> None:
    text, options = prose(seed=3), charlstm.TextOptions(lines="auto")
    own, wrapped = charlstm.open_corpus(text=prose(seed=1), options=options), charlstm.open_corpus(text=text)
    joined = charlstm.open_corpus(text=text, options=options).text()
    network, info = charlstm.CharLSTM(len(own.vocabulary), 8, 1), {"fingerprint": own.fingerprint}
    model = network.to_model(own.vocabulary, own.options, info)
    assert charlstm.score(model, text).text == charlstm.score_models([model], text)[0].text == joined
    assert charlstm.score_dynamic(model, text).text == joined
    assert charlstm.evaluate(model, wrapped).loss == pytest.approx(charlstm.score(model, text).loss, rel=1e-5)
    assert charlstm.evaluate(model, own) == charlstm.evaluate(model, own, "validation")


def test_evaluate_refuses_what_has_no_figure() -> None:
    corpus = make_corpus(words(100))
    network = charlstm.CharLSTM(len(corpus.vocabulary), 8, 1)
    with pytest.raises(charlstm.CharLSTMError, match="nothing to evaluate"):
        charlstm.evaluate(network, corpus, val_fraction=0.0)
    with pytest.raises(charlstm.CharLSTMError, match="outputs"):
        charlstm.evaluate(charlstm.CharLSTM(3, 8, 1), corpus)
    with pytest.raises(charlstm.CharLSTMError, match="nothing to evaluate"):
        charlstm.evaluate(network.to_model(corpus.vocabulary), make_corpus("€" * 100))


def test_evaluate_divides_a_text_with_unknown_characters_where_they_stand() -> None:
    """Such a text could not be divided."""
    corpus, text = make_corpus(words(100)), words(100)
    model = charlstm.CharLSTM(len(corpus.vocabulary), 8, 1).to_model(corpus.vocabulary)
    whole = "€" * 100 + text[:100] + "€" + text[100:300]
    for part, start, stop, known in (("train", 0, 360, 259), ("validation", 360, 401, 40), ("all", 0, 401, 300)):
        expected, found = charlstm.score(model, whole[start:stop]), charlstm.evaluate(model, make_corpus(whole), part)
        assert (found.chars, found.loss) == (known, pytest.approx(expected.loss, rel=1e-5))


def test_novelty_finds_what_is_copied_from_a_part_of_a_corpus() -> None:
    corpus = make_corpus("The sea was calm that morning.\n")
    report = charlstm.novelty("he sea was calm that ", corpus, min_length=10, spans=[(0, 15)])
    assert [(match.start, match.length) for match in report.matches] == [(0, 14)]


def test_history_of_a_run_is_its_log_as_arrays(finished: charlstm.Run) -> None:
    events, history = finished.events(), finished.history()
    stepped = [event for event in events if isinstance(event, Stepped)]
    validated = [event for event in events if isinstance(event, Validated) and not event.whole]
    figures = ("step", "train_loss", "lr", "grad_norm", "chars_per_second", "train_seconds")
    assert {name: array.tolist() for name, array in history.items()} == {
        **{name: [getattr(event, name) for event in stepped] for name in figures},
        "val_step": [event.step for event in validated],
        "val_loss": [event.loss for event in validated],
        "val_train_seconds": [event.train_seconds for event in validated],
    }
    assert history["step"].dtype == history["val_step"].dtype == np.int64


def test_tables_of_a_run_have_columns_of_one_length(finished: charlstm.Run) -> None:
    history, table = finished.history(), finished.history_table()
    assert set(table["step"].tolist()) == {*history["step"].tolist(), *history["val_step"].tolist()}
    assert {len(column) for column in table.values()} == {len(table["step"])}
    for name in ("train_loss", "val_loss"):
        at = ~np.isnan(table[name])
        assert table[name][at].tolist() == history[name].tolist()
    assert table["step"][~np.isnan(table["val_loss"])].tolist() == history["val_step"].tolist()
    assert not np.isnan(table["train_seconds"]).any()
    [row] = charlstm.list_runs(finished.path.parent)[:1].rows()
    assert (row["name"], row["step"]) == (finished.name, finished.status().step)


def test_history_leaves_out_what_a_resume_replaced(finished: charlstm.Run, tmp_path: Path) -> None:
    run = charlstm.Run(tmp_path)
    assert run.events() == []
    assert {len(array) for array in run.history().values()} == {0}
    assert {len(array) for array in run.history_table().values()} == {0}
    lines = finished.events_path.read_text().splitlines()
    resumed = {"event": "resumed", "step": 0, "time": 1.0}
    (tmp_path / "events.jsonl").write_text("\n".join([*lines, json.dumps(resumed), *lines[1:]]) + "\n")
    assert len(run.events()) == 2 * len(lines)
    assert run.history()["step"].tolist() == finished.history()["step"].tolist()


def test_names_are_the_public_ones_and_the_version_is_that_of_the_package() -> None:
    assert charlstm.__version__ == version("charlstm-tui")
    assert dir(charlstm) == sorted([*charlstm.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no_such_name"):
        charlstm.no_such_name  # noqa: B018


def test_models_and_arrays_have_a_short_repr(finished: charlstm.Run) -> None:
    model, text = tiny_model(num_layers=2, val_loss=1.5), "The value of the function is not a number. " * 10
    session = charlstm.Session(model, "The " * 500)
    list(session.stream(200))
    trainer = charlstm.Trainer(make_corpus(text), charlstm.Settings(max_steps=1))
    corpus, spec = make_corpus(text), finished.spec()
    shown: list[object] = [model, session, trainer, corpus, spec, charlstm.score(model, text)]
    shown += [charlstm.activations(model, text), charlstm.lesions(model, text), charlstm.influence(model, text, 50)]
    shown += [charlstm.multiverse(model, "The ", depth=8), charlstm.novelty(text, corpus, min_length=5)]
    for each in map(repr, shown):
        assert len(each) < 800
        assert not re.search(r"array\(|\n", each), each
    about = f"Model(2 × 8, {len(model.vocabulary)} characters, "
    assert repr(model).startswith(f"{about}loss 1.5")
    unknown = dataclasses.replace(model, info={})
    assert repr(unknown) == f"{about}{model.config.parameters:,} weights)"


def test_sampler_settings_are_keywords_of_what_generates() -> None:
    hints = get_type_hints(SamplerSettings)
    assert get_type_hints(SamplerKeywords) == {name: hints[name] for name in SamplerSettings().to_dict()}
    cold = SamplerSettings(temperature=0, min_p=None)
    for generate in (charlstm.generate, charlstm.generate_many):
        text = generate("demo", "The ", 30, temperature=0, min_p=None)
        assert text == generate("demo", "The ", 30, settings=cold)
    session = charlstm.Session(charlstm.load_model("demo"), settings=cold, top_k=3)
    assert session.settings == SamplerSettings(temperature=0, min_p=None, top_k=3)


def test_session_shows_its_text_coloured_by_surprise_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    session = charlstm.Session(charlstm.load_model("demo"), "<The & ", seed=1)
    list(session.stream(30))
    session.choose("Q")
    session.type("<b>\x1b")
    shown = session._repr_html_()
    text = visible(session.prime + session.text)
    assert re.sub("<[^>]*>", "", shown) == html.escape(text, quote=False)
    assert "color:" not in shown.replace("background-color:", ""), "the text has the colour of the page"
    monkeypatch.setattr("charlstm.generation.session.MOST_CHARS", 10)
    assert re.sub("<[^>]*>", "", session._repr_html_()) == f"…{html.escape(text[-10:], quote=False)}"


def test_length_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(GenerationError, match="length takes a whole number"):
        charlstm.generate("demo", length=2.5)
