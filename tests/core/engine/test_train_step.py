from __future__ import annotations

import numpy as np
import pytest
import torch

from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.text.batches import Batches
from charlstm.training.settings import Settings


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_train_step_multiplies_the_rate_of_the_output_layer_by_head_lr(optimizer: str) -> None:
    """Adam's first step moves every weight that has a gradient by the learning rate."""
    torch.manual_seed(0)
    network = CharLSTM(5, 8, 1)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    settings = Settings(optimizer=optimizer, head_lr=10.0, weight_decay=0.0, max_steps=1)
    batches = Batches(np.arange(200) % 5, [(0, 200)], 4, 10)
    TrainStep(network, batches, settings, "nn").step(0, 1e-3)
    moved = {name: (parameter - before[name]).abs().max().item() for name, parameter in network.named_parameters()}
    assert moved["fc.weight"] == pytest.approx(1e-2, rel=1e-3)
    assert moved["fc.bias"] == pytest.approx(1e-2, rel=1e-3)
    assert moved["lstm.weight_hh_l0"] == pytest.approx(1e-3, rel=1e-3)
