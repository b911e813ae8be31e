from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from charlstm.model.network import CharLSTM
from charlstm.training import evaluation
from charlstm.training.evaluation import PRIMING, Evaluation, evaluate, plan_rows

SYMBOLS = 11


@pytest.fixture(scope="module")
def network() -> CharLSTM:
    """Weights large enough that what was read long ago still matters."""
    torch.manual_seed(0)
    network = CharLSTM(SYMBOLS, 16, 2)
    with torch.no_grad():
        network.fc.weight.mul_(8)
    return network


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, SYMBOLS, 6000).astype(np.uint8)


def sequentially(network: CharLSTM, ids: np.ndarray, spans: list[tuple[int, int]]) -> Evaluation:
    """From the beginning of each span to its end, one row."""
    total, chars = 0.0, 0
    with torch.inference_mode():
        for start, stop in spans:
            text = torch.from_numpy(ids[start:stop].astype(np.int64))
            if len(text) > 1:
                logits, _ = network(text[:-1, None])
                total += functional.cross_entropy(logits[:, 0], text[1:], reduction="sum").item()
                chars += len(text) - 1
    return Evaluation(total / chars, chars)


@pytest.mark.parametrize(
    "spans", [[(0, 6000)], [(100, 5000)], [(0, 2)], [(0, 150), (150, 151), (300, 1200), (5000, 6000)], [(3, 290)]]
)
def test_as_reading_from_beginning_to_end(network: CharLSTM, ids: np.ndarray, spans: list[tuple[int, int]]) -> None:
    expected, found = sequentially(network, ids, spans), evaluate(network, ids, spans)
    assert found.chars == expected.chars
    assert found.nats == pytest.approx(expected.nats, rel=1e-4)
    assert found.bits == pytest.approx(found.nats / math.log(2))
    assert found.perplexity == pytest.approx(math.exp(found.nats))


def test_looked_up_rows_are_the_same(network: CharLSTM, ids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = evaluate(network, ids, [(0, 3000)])
    monkeypatch.setattr(evaluation, "LOOKUP_ABOVE", 2)
    assert evaluate(network, ids, [(0, 3000)]).nats == pytest.approx(plain.nats, rel=1e-5)
    one_layer = CharLSTM(SYMBOLS, 8, 1)
    looked_up = evaluate(one_layer, ids, [(0, 3000)])
    monkeypatch.undo()
    assert looked_up.nats == pytest.approx(evaluate(one_layer, ids, [(0, 3000)]).nats, rel=1e-5)


def test_nothing_else_changes(network: CharLSTM, ids: np.ndarray) -> None:
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    assert evaluate(network, ids, [(0, 900)]) == evaluate(network, ids, [(0, 900)])
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_no_targets_is_not_a_number(network: CharLSTM, ids: np.ndarray) -> None:
    for spans in ([], [(5, 6)], [(5, 5)]):
        assert math.isnan(evaluate(network, ids, spans).nats)


spans_of_a_text = st.lists(st.integers(0, 9000), max_size=8, unique=True).map(
    lambda cuts: list(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
)


@settings(max_examples=60)
@given(spans_of_a_text, st.none() | st.integers(1, 9000))
def test_rows_cover_each_target_once_and_are_primed(spans: list[tuple[int, int]], limit: int | None) -> None:
    rows = plan_rows(spans, limit)
    targets = [target for row in rows for target in range(row.first, row.last)]
    every = [target for start, stop in spans for target in range(start + 1, stop)]
    assert len(set(targets)) == len(targets)
    if limit is None or limit >= len(every):
        assert sorted(targets) == every
    else:
        assert set(targets) <= set(every)
        assert targets
        assert len(targets) <= max(limit, PRIMING) + max(row.last - row.first for row in rows)
    for row in rows:
        start = next(start for start, stop in spans if start < row.first < stop)
        assert row.begin in (start, row.first - 1 - PRIMING)
        assert row.begin >= start
