"""Fixtures for tests that train: one thread and one small run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from charlstm.text.corpus import Corpus
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings
from small_training import make_corpus, make_plan, words


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """In the block operations of torch use so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """So small networks are not faster with more threads, and much slower on a busy machine."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return make_corpus(words(1200))


@pytest.fixture(scope="session")
def settings() -> Settings:
    """A second of training that uses everything that an exact resume has to restore."""
    return Settings(
        hidden_size=12,
        num_layers=2,
        batch_size=4,
        seq_length=16,
        max_steps=60,
        dropout=0.2,
        weight_drop=0.1,
        ema_decay=0.9,
        calibrate=True,
        state_reset=0.05,
        val_every=7,
        val_chars=200,
        threads=1,
        kernel="nn",
        seed=5,
    )


@pytest.fixture(scope="session")
def plan() -> Plan:
    """A fixed plan, so that the run is the same on every machine."""
    return make_plan()
