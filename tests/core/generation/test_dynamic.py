"""A model that learns from what it reads: equal to torch with autograd, and back again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from charlstm.errors import CharLSTMError
from charlstm.generation.dynamic import (
    Adaptation,
    AdaptiveModel,
    evaluate_dynamic,
    own_texts,
    score_dynamic,
    score_with,
)
from charlstm.generation.scoring import score
from charlstm.model.file import Model

pytestmark = pytest.mark.numeric

TEXT = "abc jihg\nbad cab a fig\n" * 14
FAST = Adaptation(segment=7, rate=0.3, decay=0.01, clip=0.5)
"""With so high a rate that the losses change by much."""


class TorchModel:
    """Dynamic evaluation as torch computes it, with all weights and no trick."""

    def __init__(self, model: Model, how: Adaptation) -> None:
        config, self.how = model.config, how
        self.lstm = nn.LSTM(config.vocab_size, config.hidden_size, config.num_layers)
        self.fc = nn.Linear(config.hidden_size, config.vocab_size)
        self.named = {f"lstm.{name}": each for name, each in self.lstm.named_parameters()}
        self.named |= {f"fc.{name}": each for name, each in self.fc.named_parameters()}
        self.size = config.vocab_size
        with torch.no_grad():
            for name, each in self.named.items():
                each.copy_(torch.from_numpy(model.weights[name]))
        self.original = {name: each.detach().clone() for name, each in self.named.items()}
        self.scale = self.scales(own_texts(model))

    def scales(self, texts: list[np.ndarray]) -> dict[str, torch.Tensor]:
        squares = {name: torch.zeros_like(each) for name, each in self.named.items()}
        segments = 0
        for ids in texts:
            for _, whole in self.losses(ids):
                if whole:
                    segments += 1
                    for name, each in self.named.items():
                        squares[name] += each.grad**2
        roots = {name: (each / segments).sqrt() for name, each in squares.items()}
        mean = torch.cat([each.flatten() for each in roots.values()]).mean()
        return {name: mean / (each + self.how.epsilon * mean) for name, each in roots.items()}

    def losses(self, ids: np.ndarray):
        """The losses of each segment and whether it is whole; then the parameters have its gradients."""
        state, length = None, self.how.segment
        for start in range(0, len(ids) - 1, length):
            inputs = torch.from_numpy(ids[start : min(start + length, len(ids) - 1)])
            targets = torch.from_numpy(ids[start + 1 : start + 1 + len(inputs)])
            outputs, state = self.lstm(functional.one_hot(inputs, self.size).float()[:, None], state)
            state = (state[0].detach(), state[1].detach())
            losses = functional.cross_entropy(self.fc(outputs[:, 0]), targets, reduction="none")
            for each in self.named.values():
                each.grad = None
            losses.mean().backward()
            yield losses.detach().numpy(), len(inputs) == length

    def read(self, ids: np.ndarray, strength: float) -> np.ndarray:
        found = []
        for losses, whole in self.losses(ids):
            found.append(losses)
            if whole:
                with torch.no_grad():
                    norm = nn.utils.get_total_norm([each.grad for each in self.named.values()])
                    rate = self.how.rate * strength * min(1.0, self.how.clip / norm.item())
                    for name, each in self.named.items():
                        back = self.how.decay * (self.original[name] - each)
                        each += back - rate * each.grad * self.scale[name]
        return np.concatenate(found)


def losses_of(model: Model, ids: np.ndarray, how: Adaptation, strength: float = 1.0, pieces: int = 10**6) -> np.ndarray:
    adaptive = AdaptiveModel(model, strength, how)
    logits = np.concatenate([adaptive.read(ids[at : at + pieces]) for at in range(0, len(ids) - 1, pieces)])
    return functional.cross_entropy(
        torch.from_numpy(logits[: len(ids) - 1]), torch.from_numpy(ids[1:]), reduction="none"
    ).numpy()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_adaptive_model_equals_torch_with_autograd(make_model, layers):
    model, how = make_model(layers=layers), FAST
    ids = model.vocabulary.encode(TEXT)[0]
    expected = TorchModel(model, how).read(ids, strength=1.5)
    assert losses_of(model, ids, how, strength=1.5) == pytest.approx(expected, abs=1e-4)
    static = score(model, TEXT).nats[1:]
    assert expected.mean() < static.mean() - 0.05, "otherwise the test compares nothing"


def test_strength_0_gives_the_scores_of_fixed_weights(model):
    fixed, dynamic = score(model, TEXT), score_dynamic(model, TEXT, strength=0)
    assert dynamic.nats[1:] == pytest.approx(fixed.nats[1:], abs=1e-5)
    assert dynamic.entropy[1:] == pytest.approx(fixed.entropy[1:], abs=1e-4)
    assert (dynamic.text, dynamic.unknown, dynamic.ranks[0]) == (fixed.text, fixed.unknown, 0)
    assert math.isnan(dynamic.nats[0])


def test_score_dynamic_learns_a_text_that_repeats_itself(model):
    reported = []
    found = score_dynamic(model, TEXT + "X", progress=lambda done, total: reported.append((done, total)))
    assert found.loss < score(model, TEXT).loss
    assert found.unknown == {"X": 1}
    assert reported[-1] == (len(TEXT) + 1, len(TEXT) + 1)
    assert score_dynamic(model, TEXT, segment=5).loss != found.loss


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
    logits = torch.from_numpy(adaptive.read(ids[:-1]))
    losses = functional.cross_entropy(logits, torch.from_numpy(ids[1:]), reduction="none").numpy()
    assert losses == pytest.approx(fixed, abs=1e-4)


def test_adaptive_model_leaves_the_weights_of_the_model(make_model):
    model = make_model()
    before = {name: array.copy() for name, array in model.weights.items()}
    for array in model.weights.values():
        array.flags.writeable = False
    score_dynamic(model, TEXT, strength=2)
    assert all(np.array_equal(array, before[name]) for name, array in model.weights.items())


def test_score_with_a_copy_that_has_learnt_starts_from_the_own_weights_and_keeps_what_was_measured(model, monkeypatch):
    adaptive = AdaptiveModel(model, 2.0)
    first, strong = score_with(adaptive, TEXT), score_dynamic(model, TEXT, strength=2.0)
    assert np.array_equal(first.nats[1:], strong.nats[1:])
    monkeypatch.setattr("charlstm.generation.dynamic.own_texts", lambda model: pytest.fail("measured again"))
    adaptive.strength = 0.5
    weak = score_with(adaptive, TEXT)
    monkeypatch.undo()
    assert np.array_equal(weak.nats[1:], score_dynamic(model, TEXT, strength=0.5).nats[1:])
    assert not np.array_equal(weak.nats[1:], strong.nats[1:])


def test_score_dynamic_can_be_ended_while_gradients_are_measured(model):
    def stop(done: int, total: int) -> None:
        assert done == 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_dynamic(model, TEXT, progress=stop)


def test_model_that_is_sure_of_one_character_is_scored(make_model):
    scores = score_dynamic(make_model(symbols="a"), "a" * 50)
    assert scores.nats[1:].tolist() == [0.0] * 49


def test_evaluate_dynamic_is_the_mean_over_all_spans(model):
    ids = model.vocabulary.encode(TEXT)[0]
    whole = evaluate_dynamic(model, ids, [(0, len(ids))])
    assert whole == pytest.approx(score_dynamic(model, TEXT).loss, abs=1e-4)
    reported = []
    half = len(ids) // 2
    parts = evaluate_dynamic(
        model, ids, [(0, half), (half, len(ids))], progress=lambda done, total: reported.append((done, total))
    )
    assert reported[-1] == (len(ids) - 2, len(ids) - 2)
    fixed = evaluate_dynamic(model, ids, [(0, half), (half, len(ids))], strength=0)
    second = score_dynamic(model, TEXT[half:])
    first = score_dynamic(model, TEXT[:half])
    apart = (first.nats[1:].sum() + second.nats[1:].sum()) / (len(ids) - 2)
    assert parts < apart < fixed, "what is learnt in a span helps in the next one"


@pytest.mark.parametrize("text", ["", "a", "XYZ"])
def test_score_dynamic_refuses_fewer_than_two_known_characters(model, text):
    with pytest.raises(CharLSTMError, match="two characters"):
        score_dynamic(model, text)


@pytest.mark.parametrize("wrong", [{"strength": -1}, {"strength": 11}, {"strength": math.nan}, {"segment": 0}])
def test_score_dynamic_refuses_numbers_out_of_range(model, wrong):
    with pytest.raises(CharLSTMError, match="takes a"):
        score_dynamic(model, TEXT, **wrong)
