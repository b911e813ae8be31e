"""A network that learnt a language with known hidden state, and small random models."""

from __future__ import annotations

import numpy as np
import pytest

import charlstm
from charlstm.model.file import Model
from recorded_run import tiny_model
from small_training import make_corpus

OPENING = {"“": "”", "(": ")", "[": "]"}


def nested_text(chars: int, seed: int) -> str:
    """Letters with nested quotes and brackets: only what was opened last can close, quotes do not nest in quotes."""
    random = np.random.default_rng(seed)
    stack: list[str] = []
    text: list[str] = []
    for _ in range(chars):
        openers = [opener for opener in OPENING if not (opener == "“" and "”" in stack)]
        if stack and random.random() < 0.1:
            text.append(stack.pop())
        elif len(stack) < 3 and random.random() < 0.07:
            opener = openers[random.integers(len(openers))]
            stack.append(OPENING[opener])
            text.append(opener)
        else:
            text.append("abcd "[random.integers(5)])
    return "".join(text)


@pytest.fixture(scope="session")
def nested_model() -> Model:
    """Trained on 120,000 characters of :func:`nested_text`, in a few seconds."""
    settings = charlstm.Settings(
        hidden_size=48, num_layers=1, batch_size=32, seq_length=48, lr=0.02, epochs=None, max_steps=350,
        kernel="nn", precision="float32", device="cpu", dropout=0.0, seed=1, threads=1,
    )  # fmt: skip
    trainer = charlstm.Trainer(make_corpus(nested_text(120_000, seed=1)), settings)
    trainer.train()
    return trainer.best


@pytest.fixture(scope="session")
def held_out() -> str:
    """A text of the same language that the model did not see."""
    return nested_text(12_000, seed=2)


@pytest.fixture(scope="session")
def model() -> Model:
    return tiny_model(symbols="\n abcdefghij", hidden_size=16, num_layers=2)


@pytest.fixture(scope="session")
def text() -> str:
    return "".join(np.random.default_rng(1).choice(list(" abcdefghij"), 600))
