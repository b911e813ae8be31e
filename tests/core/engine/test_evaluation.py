"""Evaluation: the exact loss against reading in order, and the estimate from slices."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import charlstm
from charlstm.engine import evaluation
from charlstm.engine.evaluation import FACTORS, PRIMING, Evaluation, best_logit_factor, evaluate, plan_rows
from charlstm.engine.network import CharLSTM
from charlstm.text.vocabulary import Vocabulary
from random_examples import examples

pytestmark = pytest.mark.numeric

SYMBOLS = 11
Spans = list[tuple[int, int]]


def network_that_remembers(forget: float | None = None) -> CharLSTM:
    """A network whose output weights are large enough that early characters still matter. ``forget``: the bias of
    forget gates that depend on nothing else."""
    torch.manual_seed(0)
    network = CharLSTM(SYMBOLS, 16, 2)
    with torch.no_grad():
        network.fc.weight.mul_(8)
        for layer in range(2 if forget is not None else 0):
            weight_ih, weight_hh, bias_ih, _ = network.layer(layer)
            for tensor in (weight_ih, weight_hh, bias_ih):
                tensor[16:32] = 0.0
            bias_ih[16:32] = forget
    return network


@pytest.fixture(scope="module")
def network() -> CharLSTM:
    return network_that_remembers()


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, SYMBOLS, 20_000).astype(np.uint8)


def scaled(network: CharLSTM, factor: float) -> CharLSTM:
    """A copy with its logits multiplied by ``factor``."""
    copy = CharLSTM(SYMBOLS, 16, 2)
    copy.load_state_dict(network.state_dict())
    with torch.no_grad():
        copy.fc.weight.mul_(factor)
        copy.fc.bias.mul_(factor)
    return copy


def read_in_order(network: CharLSTM, ids: np.ndarray, spans: Spans) -> Evaluation:
    """The loss of each span, read from start to end as one row."""
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
    ("forget", "spans"),
    [
        *((None, spans) for spans in ([(100, 5000)], [(0, 2)], [(3, 290)])),
        (None, [(0, 150), (150, 151), (300, 1200), (5000, 6000)]),
        *((forget, [(0, 9000), (9500, 9600), (10_000, 20_000)]) for forget in (2.0, 7.0, 12.0)),
    ],
)
def test_exact_loss_equals_that_of_reading_in_order(forget: float | None, spans: Spans, ids: np.ndarray) -> None:
    """Also where the memory lasts for some 10, 1,000 or 200,000 characters, with forget gates near 1."""
    network = network_that_remembers(forget)
    expected, found = read_in_order(network, ids, spans), evaluate(network, ids, spans)
    assert (found.chars, found.loss) == (expected.chars, pytest.approx(expected.loss, abs=1e-5))
    assert found.bits_per_char == pytest.approx(found.loss / math.log(2))
    assert found.perplexity == pytest.approx(math.exp(found.loss))


def test_exact_loss_over_several_batches(network: CharLSTM, ids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ROWS", 3), ("ROW_LEAST", 300), ("ROW_MOST", 400)):
        monkeypatch.setattr(evaluation, name, value)
    calls: list[tuple[int, int]] = []
    spans = [(0, 5000), (5100, 5900)]
    found = evaluate(network, ids, spans, progress=lambda done, total: calls.append((done, total)))
    assert found.loss == pytest.approx(read_in_order(network, ids, spans).loss, abs=1e-5)
    assert calls[-1] == (5798, 5798)
    assert calls == sorted(calls)


def test_exact_loss_terminates_with_losses_that_are_nan(network: CharLSTM, ids: np.ndarray) -> None:
    assert math.isnan(evaluate(scaled(network, math.nan), ids, [(0, 6000)]).loss)


@pytest.mark.parametrize("layers", [1, 2])
def test_looked_up_weights_give_the_same_loss(layers: int, ids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    network = CharLSTM(SYMBOLS, 8, layers)
    plain = evaluate(network, ids, [(0, 3000)])
    monkeypatch.setattr(evaluation, "LOOKUP_ABOVE", 2)
    assert evaluate(network, ids, [(0, 3000)]).loss == pytest.approx(plain.loss, rel=1e-5)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.25])
def test_factor_of_the_logits_undoes_a_wrong_temperature(network: CharLSTM, factor: float) -> None:
    vocabulary = Vocabulary("abcdefghijk")
    text = charlstm.generate(network.to_model(vocabulary), "a", 4000, seed=3, temperature=1.0, min_p=None)
    ids = vocabulary.encode(text)[0].astype(np.uint8)
    found = best_logit_factor(scaled(network, factor), ids, [(0, 4000)], 4000)
    assert found * factor == pytest.approx(1, abs=0.05)


def test_factor_of_the_logits_is_bounded_and_1_where_there_is_no_loss(network: CharLSTM, ids: np.ndarray) -> None:
    assert best_logit_factor(network, ids, [(0, 3000)], 2000) == FACTORS[0]  # nothing in random text is predicted
    assert best_logit_factor(network, ids, [(5, 6)], 100) == 1
    assert best_logit_factor(scaled(network, math.nan), ids, [(0, 3000)], 500) == 1


spans_of_a_text = st.lists(st.integers(0, 9000), max_size=8, unique=True).map(
    lambda cuts: list(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
)


@examples(60)
@given(spans_of_a_text, st.integers(1, 9000))
def test_plan_rows_uses_each_target_at_most_once_after_priming(spans: Spans, limit: int) -> None:
    rows = plan_rows(spans, limit)
    targets = [target for row in rows for target in range(row.first, row.last)]
    every = [target for start, stop in spans for target in range(start + 1, stop)]
    assert len(set(targets)) == len(targets)
    if limit >= len(every):
        assert sorted(targets) == every
    else:
        assert set(targets) <= set(every)
        assert targets
        assert len(targets) <= max(limit, PRIMING) + max(row.last - row.first for row in rows)
    for row in rows:
        start = next(start for start, stop in spans if start < row.first < stop)
        assert row.begin in (start, row.first - 1 - PRIMING)
        assert row.begin >= start
