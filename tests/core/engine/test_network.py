"""CharLSTM: the equations of an LSTM, initial weights, conversion to a model and back; and a training step."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from charlstm.engine.network import INPUT_STD, CharLSTM, extend_vocabulary
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.settings import Settings
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
            assert torch.allclose(block @ block.T, torch.eye(32), atol=1e-5, rtol=0)
        assert (bias_ih + bias_hh).reshape(4, 32)[1].eq(1).all()
        assert (bias_ih + bias_hh).reshape(4, 32)[[0, 2, 3]].eq(0).all()
        if index == 0:
            assert weight_ih.std().item() == pytest.approx(INPUT_STD, rel=0.05)


def test_extend_vocabulary_keeps_the_weights_of_known_characters() -> None:
    network = CharLSTM(3, 6, 2).eval()
    old, new = Vocabulary("abc"), Vocabulary("cxa")
    model = network.to_model(old)
    wider, text = extend_vocabulary(model, new), "acca"
    again = CharLSTM.from_model(wider).eval()
    before = network(torch.from_numpy(old.encode(text)[0])[:, None])[0][:, 0]
    after = again(torch.from_numpy(new.encode(text)[0])[:, None])[0][:, 0]
    for char in "ac":
        assert torch.allclose(after[:, new.index(char)], before[:, old.index(char)], rtol=1e-5, atol=1e-6)
    assert wider.weights["fc.bias"][new.index("x")] == model.weights["fc.bias"].min()
    assert (wider.config.vocab_size, model.weights["fc.weight"].shape) == (3, (3, 6))


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


# ---- a training step


BATCHES = Batches(np.arange(300) % 5, [(0, 300)], 4, 10)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_train_step_multiplies_the_rate_of_the_output_layer_by_head_lr(optimizer: str) -> None:
    """Adam's first step moves every weight that has a gradient by the learning rate."""
    torch.manual_seed(0)
    network = CharLSTM(5, 8, 1)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    settings = Settings(optimizer=optimizer, head_lr=10.0, weight_decay=0.0, max_steps=1)
    TrainStep(network, BATCHES, settings, "nn").step(0, 1e-3)
    moved = {name: (parameter - before[name]).abs().max().item() for name, parameter in network.named_parameters()}
    found = [moved[name] for name in ("fc.weight", "fc.bias", "lstm.weight_hh_l0")]
    assert found == pytest.approx([1e-2, 1e-2, 1e-3], rel=1e-3)


@pytest.mark.parametrize(("optimizer", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_steps_are_those_of_the_optimizer_of_torch(optimizer: str, kind: Callable[..., torch.optim.Optimizer]) -> None:
    settings = Settings(optimizer=optimizer, weight_decay=0.1, beta2=0.99, head_lr=1.0, max_steps=3)
    torch.manual_seed(0)
    network, same = CharLSTM(5, 8, 1), CharLSTM(5, 8, 1)
    same.load_state_dict(network.state_dict())
    step = TrainStep(network, BATCHES, settings, "nn")
    groups = [
        {"params": [weight], "weight_decay": 0.1 if optimizer == "adamw" and weight.dim() > 1 else 0.0}
        for weight in same.parameters()
    ]
    torchs = kind(groups, lr=1e-2, betas=(0.9, 0.99), fused=True)
    for number in range(3):
        step.step(number, 1e-2)
        for weight, its in zip(same.parameters(), network.parameters(), strict=True):
            weight.grad = its.grad
        torchs.step()
        for name, weight in same.state_dict().items():
            assert torch.equal(weight, network.state_dict()[name]), name


def test_optimizer_that_is_not_fused_counts_steps_on_the_processor_after_a_resume() -> None:
    """Adam creates them there itself, and reads them each step, which on a Mac's card waits for the card."""
    step = TrainStep(CharLSTM(5, 8, 1).to("meta"), BATCHES, Settings(max_steps=1), "nn")
    assert {each["step"].device.type for each in step._optimizer_state(create=True)} == {"cpu"}


def test_average_of_the_weights_forgets_the_first_ones_soon() -> None:
    network = CharLSTM(5, 8, 1)
    first = network.fc.weight.detach().clone()
    step = TrainStep(network, BATCHES, Settings(ema_decay=0.999, max_steps=1), "nn")
    step.step(0, 1e-2)
    assert torch.allclose(step.average.fc.weight, first + 0.9 * (network.fc.weight - first), rtol=1e-5)
