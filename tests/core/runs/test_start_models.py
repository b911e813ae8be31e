from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.errors import ModelError
from charlstm.model.file import Model, ModelConfig, save_model
from charlstm.runs import start_models
from charlstm.runs.start_models import StartModel, best_start, loss_before_training, pairs_loss, preset_from, try_model
from charlstm.text.corpus import Corpus, Span, TextSplit, open_corpus
from charlstm.text.passages import passages_of
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.presets import preset

TEXT = "abcd" * 3_000
"""Each character follows from the one before it."""


def model_of(symbols: str, logits: dict[str, float] | None = None) -> Model:
    """A model that gives each character the same probability whatever came before it."""
    config = ModelConfig(len(symbols), 3, 1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.shapes.items()}
    weights["fc.bias"][:] = [(logits or {}).get(symbol, 0.0) for symbol in symbols]
    return Model(config, Vocabulary(symbols), weights)


def everything(corpus: Corpus) -> tuple[Span, ...]:
    return (Span(0, corpus.chars),)


def whole(corpus: Corpus) -> TextSplit:
    """All of the text for training, and for validation too."""
    return TextSplit(everything(corpus), everything(corpus))


@pytest.mark.parametrize("symbols", ["abcd", "dcba", "abcdefgh"])
def test_loss_before_training_is_that_of_the_model_whatever_the_order_of_its_symbols(symbols: str) -> None:
    corpus = open_corpus(text=TEXT)
    found = loss_before_training(model_of(symbols), corpus, everything(corpus))
    assert found == pytest.approx(np.log(len(symbols)), abs=1e-4)


def test_characters_that_the_model_does_not_know_cost_a_choice_among_all() -> None:
    corpus = open_corpus(text="abcdefgh" * 500)
    sure = model_of("a")  # which has no other choice
    assert loss_before_training(sure, corpus, everything(corpus)) == pytest.approx(7 / 8 * np.log(8), abs=0.02)


def test_pairs_loss_is_the_entropy_of_a_character_given_the_one_before() -> None:
    random = "".join(np.random.default_rng(0).choice(list("abcd"), 20_000))
    for text, expected in ((TEXT, 0.0), (random, np.log(4))):
        corpus = open_corpus(text=text)
        assert pairs_loss(corpus, everything(corpus)) == pytest.approx(expected, abs=0.01)
    corpus = open_corpus(text=TEXT + random)
    assert pairs_loss(corpus, (Span(len(TEXT), corpus.chars),)) == pytest.approx(np.log(4), abs=0.01)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    """Models by name: two that expect an "a", one more than the other, one that expects nothing, and a damaged one."""
    for name, likelier in (("good", 2.8), ("fair", 1.0), ("blank", 0.0)):
        save_model(tmp_path / f"{name}.safetensors", model_of("abcd", {"a": likelier}))
    (tmp_path / "damaged.safetensors").write_bytes(b"x" * 100)
    return {path.stem: path for path in tmp_path.glob("*.safetensors")}


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A text that is mostly "a", but not at its beginning, whose pairs are counted."""
    monkeypatch.setattr(start_models, "COUNTED", 2_000)
    return open_corpus(text="".join(np.random.default_rng(1).choice(list("abcd"), 2_000)) + "a" * 20_000)


def test_model_helps_where_it_predicts_the_text_better_than_its_pairs(models: dict[str, Path], corpus: Corpus) -> None:
    found = {name: try_model(name, models[name], corpus, whole(corpus)) for name in ("good", "fair", "blank")}
    assert {name: each.helps for name, each in found.items()} == {"good": True, "fair": True, "blank": False}
    assert found["good"].loss < found["fair"].loss < found["blank"].loss
    assert (found["good"].pairs, found["good"].config) == (pytest.approx(np.log(4), abs=0.01), ModelConfig(4, 3, 1))


def test_far_text_is_read_often_and_near_one_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ModelConfig(90, 384, 2)
    near = StartModel("demo", Path("demo.safetensors"), shape, loss=1.2, pairs=2.4, read=0.0, symbols=90)
    between, far = replace(near, loss=1.7), replace(near, loss=2.0)
    few, own = preset("quick", 300_000, 90, shape), preset("quick", 300_000, 90).with_changes(hidden_size=384)
    assert preset_from(near, "quick", 300_000, 90) == few
    assert preset_from(between, "quick", 300_000, 90) == few.with_changes(lr=2 * few.lr)
    assert preset_from(far, "quick", 300_000, 90) == own
    assert (few.epochs, own.epochs) == (2, None)
    config = tmp_path / "config.toml"
    config.write_text("[presets.mine]\nlr = 0.0007\n", encoding="utf-8")
    monkeypatch.setenv("CHARLSTM_CONFIG", str(config))
    assert preset_from(between, "mine", 300_000, 90).lr == 0.0007


def test_best_start_is_the_model_with_lowest_loss_that_can_be_read(models: dict[str, Path], corpus: Corpus) -> None:
    done: list[tuple[int, int]] = []
    assert best_start(list(models.items()), corpus, whole(corpus), lambda *found: done.append(found)).name == "good"
    assert done == [(number + 1, len(models)) for number in range(len(models))]
    assert best_start([(name, models[name]) for name in ("blank", "damaged")], corpus, whole(corpus)) is None
    with pytest.raises(ModelError):
        try_model("damaged", models["damaged"], corpus, whole(corpus))


def test_best_start_leaves_out_a_model_that_read_the_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(2)
    monkeypatch.setattr(start_models, "COUNTED", 2_000)
    text = "".join(numbers.choice(list("abcd"), 2_000)) + "a" * 20_000 + "".join(numbers.choice(list("abc "), 9_000))
    corpus = open_corpus(text=text)
    split = corpus.split(0.2)
    held_out, read = text[split.held_out[0].start :], text[: split.held_out[0].start]
    models = []
    for name, likelier, passages in (("other", 1.0, None), ("reader", 2.8, held_out), ("earlier", 1.5, read)):
        known = None if passages is None else passages_of([passages])
        path = tmp_path / f"{name}.safetensors"
        save_model(path, replace(model_of("abcd ", {"a": likelier}), passages=known))
        models.append((name, path))
    left_out: list[StartModel] = []
    best = best_start(models, corpus, split, left_out=left_out.append)
    assert (best.name, best.read) == ("earlier", 0.0), "it has read the training part alone"
    assert [(each.name, each.read) for each in left_out] == [("reader", 1.0)]
    assert best_start(models, corpus, split).name == "reader"
    assert try_model("other", models[0][1], corpus, split).read is None


@pytest.mark.parametrize("text", ["a", "ab", "abc", "ab" * 40])
def test_short_texts_are_measured_too(text: str, tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", model_of("ab"))
    corpus = open_corpus(text=text)
    assert np.isfinite(loss_before_training(model_of("ab"), corpus, everything(corpus))) == (len(text) > 1)
    assert not try_model("m", tmp_path / "m.safetensors", corpus, corpus.split()).helps


def test_loss_before_training_is_that_of_all_parts_of_the_text() -> None:
    corpus = open_corpus(text="a" * 6_000 + "b" * 2_000 + "a" * 100)
    likely_a = model_of("ab", {"a": np.log(3)})  # a has 3 of 4
    parts = (Span(0, 2_000), Span(4_000, 5_000), Span(6_000, 8_000), Span(8_000, 8_010))
    expected = -3 / 5 * np.log(0.75) - 2 / 5 * np.log(0.25)
    assert loss_before_training(likely_a, corpus, parts) == pytest.approx(expected, abs=0.03)
    assert loss_before_training(likely_a, corpus, parts[-1:]) == pytest.approx(-np.log(0.75), abs=1e-4)
