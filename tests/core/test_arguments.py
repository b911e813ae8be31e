"""Values that the public library refuses, what is easily confused, and numbers of numpy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import charlstm
from small_training import make_corpus, words

TEXT = words(200)
CORPUS = make_corpus(TEXT)
SETTINGS = charlstm.Settings(hidden_size=4, num_layers=1, batch_size=2, seq_length=8, max_steps=1, val_chars=50)
MODEL = charlstm.CharLSTM(len(CORPUS.vocabulary), 6, 2).to_model(CORPUS.vocabulary)


def session() -> charlstm.Session:
    made = charlstm.Session(MODEL, "the quick")
    list(made.stream(20))
    return made


@pytest.mark.parametrize(
    "call",
    [
        lambda: charlstm.influence(MODEL, TEXT, 30, back=-3), lambda: charlstm.name_cells(MODEL, TEXT, per_feature=0),
        lambda: charlstm.next_words(MODEL, "the", count=0), lambda: charlstm.context(MODEL, TEXT, places=0),
        lambda: charlstm.Clamp(1, 1, value=math.nan), lambda: charlstm.CharLSTM(3, 0, 1),
        lambda: charlstm.TextOptions.from_dict(None), lambda: charlstm.preset("quick", -1, 3),
        lambda: CORPUS.split(0.1, "random"), lambda: charlstm.novelty("the", CORPUS, spans=[(5, 2)]),
        lambda: charlstm.generate(MODEL, "the", -5), lambda: charlstm.generate(MODEL, "the", 5, stop=["x", ""]),
        lambda: session().stream(-1), lambda: session().at(20), lambda: session().rewind(-1),
        lambda: session().rewind(21), lambda: session().choose(""), lambda: session().choose("ab"),
        lambda: session().switch(0, 30), lambda: charlstm.save_model("/dev/null/x", MODEL),
        lambda: charlstm.Model(MODEL.config, MODEL.vocabulary, {}).check_computable(),
    ],
)  # fmt: skip
def test_values_out_of_their_limits_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(charlstm.CharLSTMError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: charlstm.evaluate("demo", "text"), lambda: charlstm.novelty("text", "file.txt"),
        lambda: charlstm.describe("file.txt"), lambda: charlstm.Trainer("file.txt", SETTINGS),
        lambda: charlstm.Trainer(CORPUS, "quick"), lambda: charlstm.start_run(CORPUS, "quick"),
        lambda: charlstm.start_run(MODEL, SETTINGS), lambda: charlstm.open_corpus(CORPUS),
        lambda: charlstm.Session(CORPUS), lambda: charlstm.load_model(MODEL),
        lambda: charlstm.save_model(MODEL, "file"), lambda: charlstm.resume_run(MODEL),
    ],
)  # fmt: skip
def test_a_text_a_model_or_a_path_in_place_of_another_is_said(call: Callable[[], object]) -> None:
    with pytest.raises(charlstm.CharLSTMError, match=" takes "):
        call()


@pytest.mark.parametrize(
    ("function", "usual"),
    [
        (charlstm.Settings, SETTINGS.to_dict()),
        (charlstm.SamplerSettings, charlstm.SamplerSettings().to_dict()),
        (charlstm.TextOptions, {"fold_rare": 2, "max_chars": 30}),
        (charlstm.Clamp, {"layer": 1, "cell": 1, "value": 1.0}),
        (charlstm.Session, {"model": MODEL, "seed": 1, "sample": 2}),
        (charlstm.preset, {"name": "quick", "chars": 1000, "vocab_size": 30}),
        (charlstm.generate, {"model": MODEL, "length": 3, "seed": 1}),
        (charlstm.next_words, {"model": MODEL, "count": 2}),
    ],
)
def test_numbers_of_numpy_are_taken_where_python_s_are(function: Callable[..., Any], usual: dict[str, Any]) -> None:
    for name, value in usual.items():
        for kind in {int: (np.int64, np.uint16), float: (np.float64, np.float32)}.get(type(value), ()):
            found, expected = function(**usual | {name: kind(value)}), function(**usual)
            assert type(getattr(found, name, None)) is type(getattr(expected, name, None)), (name, kind)
            if kind(value).item() == value and function is not charlstm.Session:  # float32 rounds; sessions differ
                assert found == expected, (name, kind)
