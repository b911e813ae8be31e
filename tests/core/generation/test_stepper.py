"""The numpy stepper agrees with nn.LSTM: one character at a time, for long texts and for many streams."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from charlstm.engine.network import CharLSTM
from charlstm.generation import stepper as stepper_module
from charlstm.generation.stepper import BLOCK, Stepper
from charlstm.text.reading import TextOptions
from charlstm.text.unit_kinds import separator

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("hidden", "layers"), [(16, 1), (16, 2), (9, 3), (128, 2)])
def test_stepper_agrees_with_nn_lstm(make_model, hidden, layers):
    model = make_model(hidden=hidden, layers=layers, scale=2.4 / hidden**0.5)  # larger weights are chaotic
    ids = np.random.default_rng(1).integers(0, model.config.vocab_size, 3 * BLOCK + 7)
    expected = CharLSTM.from_model(model)(torch.from_numpy(ids)[:, None])[0][:, 0].detach().numpy()
    stepper = Stepper(model)
    state = stepper.zero_state()
    stepped = np.concatenate([stepper.step(ids[at : at + 1], state).copy() for at in range(len(ids))])
    assert np.abs(stepped - expected).max() < 1e-5
    fed = stepper.zero_state()
    blocks = np.concatenate([stepper.head(tops) for _, tops in stepper.outputs(ids, fed)])
    assert np.abs(blocks - expected).max() < 1e-5
    assert np.abs(fed.pack() - state.pack()).max() < 1e-5
    assert np.abs(stepper.consume(ids, stepper.zero_state())[0] - expected[-1]).max() < 1e-5


@pytest.mark.parametrize("forgets", [True, False])
def test_consume_of_long_prime_reads_only_its_end_unless_the_model_does_not_forget(make_model, monkeypatch, forgets):
    monkeypatch.setattr(stepper_module, "LONG", 8 * BLOCK)
    model = make_model(scale=1.0 if forgets else 0.1)
    if not forgets:  # one cell of the upper layer adds up its input
        model.weights["lstm.bias_ih_l1"][model.config.hidden_size] = 40
    stepper = Stepper(model)
    ids = np.random.default_rng(3).integers(0, model.config.vocab_size, 20 * BLOCK + 77)
    (state, whole, again), reported = (stepper.zero_state() for _ in range(3)), []
    logits = stepper.consume(ids, state, lambda *done: reported.append(done)).copy()
    assert reported[-1] == ((8 * BLOCK, 8 * BLOCK) if forgets else (len(ids), len(ids)))
    for _ in stepper.outputs(ids, whole):
        pass
    assert np.allclose(state.pack(), whole.pack(), atol=1e-5)
    assert np.allclose(logits, stepper.logits(whole), atol=1e-4)
    stepper.consume(ids, again)
    assert np.array_equal(again.pack(), state.pack())


@pytest.mark.parametrize(
    ("units", "text"), [("lines", "ab\nabc\n\nb"), ("blank-lines", "a\n\nb\na\n\n\nc"), ("X:", "X:ab\nX:c\n\nXX:\nX:")]
)
def test_model_of_units_reads_each_from_an_empty_state(make_model, units, text):
    plain = make_model("\nX:abc")
    model = replace(plain, text_options=TextOptions(units=units))
    reader, stepper = Stepper(plain), Stepper(model)
    ids, _ = model.vocabulary.encode(text)
    one, two = stepper.zero_state(), stepper.zero_state(2)
    for at in range(len(ids)):
        stepper.step(ids[at : at + 1], one)
        stepper.advance(ids[at], two)
        ends = [end for end in range(1, at + 2) if ("\n" + text[:end]).endswith(separator(units))]
        own = ids[max(ends) - 1 : at + 1] if ends else [model.vocabulary.index(separator(units)[-1]), *ids[: at + 1]]
        expected = reader.zero_state()
        for which in own:
            reader.advance(which, expected)
        for found in (one, two.select([1])):
            np.testing.assert_allclose(found.pack(), expected.pack(), atol=1e-6)
    whole = stepper.zero_state()
    stepper.consume(ids, whole)
    np.testing.assert_allclose(whole.pack(), one.pack(), atol=1e-5)
