from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches
from charlstm.training.settings import Settings

pytestmark = pytest.mark.numeric

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
    assert moved["fc.weight"] == pytest.approx(1e-2, rel=1e-3)
    assert moved["fc.bias"] == pytest.approx(1e-2, rel=1e-3)
    assert moved["lstm.weight_hh_l0"] == pytest.approx(1e-3, rel=1e-3)


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
    torch.testing.assert_close(step.average.fc.weight, first + 0.9 * (network.fc.weight - first))
