"""CharLSTM: the equations of an LSTM, initial weights, and conversion to a model and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charlstm.engine.network import INPUT_STD, CharLSTM, extend_vocabulary
from charlstm.text.vocabulary import Vocabulary
from plain_numpy import PlainLSTM

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("layers", [1, 3])
def test_forward_computes_the_equations_of_an_lstm(layers: int) -> None:
    torch.manual_seed(0)
    network = CharLSTM(5, 6, layers).eval()
    ids = torch.randint(5, (7, 2))
    state = (torch.randn(layers, 2, 6), torch.randn(layers, 2, 6))
    logits, (h, c) = network(ids, state)
    plain = PlainLSTM({name: tensor.numpy() for name, tensor in network.state_dict().items()})
    outputs, cells = (part.double().numpy() for part in state)
    expected = np.array([plain.step(np.eye(5)[row], outputs, cells) for row in ids.numpy()])
    for ours, theirs in ((logits, expected), (h, outputs), (c, cells)):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-5)


def test_parameter_names_and_shapes_are_those_of_the_model_file() -> None:
    network = CharLSTM(5, 6, 2)
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == network.config.shapes


def test_orthogonal_init_is_orthogonal_with_open_forget_gates() -> None:
    torch.manual_seed(0)
    network = CharLSTM(50, 32, 2, init="orthogonal")
    for index in range(2):
        weight_ih, weight_hh, bias_ih, bias_hh = network.layer(index)
        for block in weight_hh.chunk(4):
            torch.testing.assert_close(block @ block.T, torch.eye(32), atol=1e-5, rtol=0)
        assert (bias_ih + bias_hh).reshape(4, 32)[1].eq(1).all()
        assert (bias_ih + bias_hh).reshape(4, 32)[[0, 2, 3]].eq(0).all()
        if index == 0:
            assert weight_ih.std().item() == pytest.approx(INPUT_STD, rel=0.05)


def test_extend_vocabulary_keeps_the_weights_of_known_characters() -> None:
    network = CharLSTM(3, 6, 2).eval()
    old, new = Vocabulary("abc"), Vocabulary("cxa")
    model = network.to_model(old)
    wider = extend_vocabulary(model, new)
    again = CharLSTM.from_model(wider).eval()
    text = "acca"
    before = network(torch.from_numpy(old.encode(text)[0])[:, None])[0][:, 0]
    after = again(torch.from_numpy(new.encode(text)[0])[:, None])[0][:, 0]
    for char in "ac":
        torch.testing.assert_close(after[:, new.index(char)], before[:, old.index(char)])
    assert wider.weights["fc.bias"][new.index("x")] == model.weights["fc.bias"].min()
    assert wider.config.vocab_size == 3
    assert model.weights["fc.weight"].shape == (3, 6)


def test_torch_init_draws_the_weights_of_torch() -> None:
    torch.manual_seed(3)
    lstm, fc = torch.nn.LSTM(5, 6, 2), torch.nn.Linear(6, 5)
    theirs = [*lstm.parameters(), *fc.parameters()]
    torch.manual_seed(3)
    after = torch.get_rng_state()
    own = CharLSTM(5, 6, 2, init="torch", generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), after)
    for network in (own, CharLSTM(5, 6, 2, init="torch")):
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), theirs, strict=True))
