"""A model that learns from what it reads: equal to torch with autograd, and back again."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from charlstm.engine.network import CharLSTM
from charlstm.errors import CharLSTMError
from charlstm.generation import dynamic
from charlstm.generation.dynamic import Adaptation, AdaptiveModel, evaluate_dynamic, score_dynamic, score_with
from charlstm.generation.scoring import score
from charlstm.model.file import Model

pytestmark = pytest.mark.numeric

TEXT = "abc jihg\nbad cab a fig\n" * 14
FAST = Adaptation(segment=7, rate=0.3, decay=0.01, clip=0.5)
"""With so high a rate that the losses change by much."""


@pytest.fixture(autouse=True)
def _short_own_texts(monkeypatch):
    monkeypatch.setattr(dynamic, "OWN_CHARS", 500)


class TorchModel:
    """Dynamic evaluation as torch computes it, with all weights and no trick."""

    def __init__(self, model: Model, how: Adaptation) -> None:
        self.network, self.how = CharLSTM.from_model(model), how
        self.weights = list(self.network.parameters())
        self.original = [each.detach().clone() for each in self.weights]
        squares, segments = [torch.zeros_like(each) for each in self.original], 0
        for ids in dynamic.own_texts(model):
            for _, whole in self.losses(ids):
                if whole:
                    segments += 1
                    squares = [sums + each.grad**2 for sums, each in zip(squares, self.weights, strict=True)]
        roots = [(each / segments).sqrt() for each in squares]
        mean = torch.cat([each.flatten() for each in roots]).mean()
        self.scale = [mean / (each + how.epsilon * mean) for each in roots]

    def losses(self, ids: np.ndarray):
        """The losses of each segment and whether it is whole; then the weights have its gradients."""
        state, length = None, self.how.segment
        for start in range(0, len(ids) - 1, length):
            part = torch.from_numpy(ids[start : start + length + 1])
            logits, (hidden, cells) = self.network(part[:-1, None], state)
            state = hidden.detach(), cells.detach()
            losses = cross_entropy(logits[:, 0], part[1:], reduction="none")
            self.network.zero_grad()
            losses.mean().backward()
            yield losses.detach().numpy(), len(losses) == length

    def read(self, ids: np.ndarray, strength: float) -> np.ndarray:
        found = []
        for losses, whole in self.losses(ids):
            found.append(losses)
            if whole:
                with torch.no_grad():
                    norm = torch.nn.utils.get_total_norm([each.grad for each in self.weights])
                    rate = self.how.rate * strength * min(1.0, self.how.clip / norm.item())
                    for each, original, scale in zip(self.weights, self.original, self.scale, strict=True):
                        each += self.how.decay * (original - each) - rate * each.grad * scale
        return np.concatenate(found)


def losses_of(adaptive: AdaptiveModel, ids: np.ndarray) -> np.ndarray:
    logits = torch.from_numpy(adaptive.read(ids[:-1]))
    return cross_entropy(logits, torch.from_numpy(ids[1:]), reduction="none").numpy()


@pytest.mark.parametrize("layers", [1, 3])
def test_adaptive_model_equals_torch_with_autograd(make_model, layers):
    model = make_model(layers=layers)
    for array in model.weights.values():
        array.flags.writeable = False  # a copy learns
    ids = model.vocabulary.encode(TEXT)[0]
    expected = TorchModel(model, FAST).read(ids, strength=1.5)
    assert losses_of(AdaptiveModel(model, 1.5, FAST), ids) == pytest.approx(expected, abs=1e-4)
    assert expected.mean() < score(model, TEXT).nats[1:].mean() - 0.05, "otherwise the test compares nothing"


def test_strength_0_gives_the_scores_of_fixed_weights(model):
    fixed, dynamic = score(model, TEXT), score_dynamic(model, TEXT, strength=0)
    assert dynamic.nats[1:] == pytest.approx(fixed.nats[1:], abs=1e-5)
    assert dynamic.entropy[1:] == pytest.approx(fixed.entropy[1:], abs=1e-4)
    assert (dynamic.text, dynamic.unknown, dynamic.ranks[0]) == (fixed.text, fixed.unknown, 0)
    assert math.isnan(dynamic.nats[0])


def test_strength_0_keeps_what_was_learnt(model):
    ids = model.vocabulary.encode(TEXT)[0]
    adaptive = AdaptiveModel(model, adaptation=FAST)
    adaptive.read(ids)
    adaptive.strength = 0
    before = adaptive.adapted()
    adaptive.read(ids)
    assert all(np.array_equal(array, before.weights[name]) for name, array in adaptive.adapted().weights.items())
    adaptive.begin_text()
    fixed = score(before, TEXT).nats[1:]
    adaptive.begin_text()
    assert losses_of(adaptive, ids) == pytest.approx(fixed, abs=1e-4)


def test_score_with_a_copy_that_has_learnt_starts_from_the_own_weights_and_keeps_what_was_measured(model, monkeypatch):
    adaptive = AdaptiveModel(model, 2.0)
    first, strong = score_with(adaptive, TEXT), score_dynamic(model, TEXT, strength=2.0)
    assert np.array_equal(first.nats[1:], strong.nats[1:])
    adaptive.strength = 0.5
    with monkeypatch.context() as patch:
        patch.setattr(dynamic, "own_texts", lambda model: pytest.fail("measured again"))
        weak = score_with(adaptive, TEXT)
    assert np.array_equal(weak.nats[1:], score_dynamic(model, TEXT, strength=0.5).nats[1:])
    assert not np.array_equal(weak.nats[1:], strong.nats[1:])


def test_score_dynamic_can_be_ended_while_gradients_are_measured(model):
    def stop(done: int, total: int) -> None:
        assert done == 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_dynamic(model, TEXT, progress=stop)


def test_model_that_is_sure_of_one_character_is_scored(make_model):
    assert score_dynamic(make_model(symbols="a"), "a" * 50).nats[1:].tolist() == [0.0] * 49


def test_evaluate_dynamic_is_the_mean_over_all_spans(model):
    ids = model.vocabulary.encode(TEXT)[0]
    assert evaluate_dynamic(model, ids, [(0, len(ids))]) == pytest.approx(score_dynamic(model, TEXT).loss, abs=1e-4)
    reported, half = [], len(ids) // 2
    spans = [(0, half), (half, len(ids))]
    parts = evaluate_dynamic(model, ids, spans, progress=lambda *done: reported.append(done))
    assert reported[-1] == (len(ids) - 2, len(ids) - 2)
    fixed = evaluate_dynamic(model, ids, spans, strength=0)
    alone, apart = (
        sum(scored(model, text).nats[1:].sum() for text in (TEXT[:half], TEXT[half:])) / (len(ids) - 2)
        for scored in (score, score_dynamic)
    )
    assert fixed == pytest.approx(alone, abs=1e-4)
    assert parts < apart < fixed, "what is learnt in a span helps in the next one"


@pytest.mark.parametrize("wrong", [{"strength": -1}, {"strength": 11}, {"strength": math.nan}, {"segment": 0}])
def test_score_dynamic_refuses_numbers_out_of_range(model, wrong):
    with pytest.raises(CharLSTMError, match="takes a"):
        score_dynamic(model, TEXT, **wrong)
