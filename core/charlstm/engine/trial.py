"""Try the kernels of this machine: fifty steps beside plain torch."""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from torch import Tensor, nn

from charlstm.engine.devices import choose_device
from charlstm.engine.kernels import make_kernel, runs_well
from charlstm.engine.network import CharLSTM
from charlstm.errors import CharLSTMError
from charlstm.training.settings import KERNELS

STEPS = 50


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the gradients, on the processor."""
    return {name: each.grad.clone().cpu() for name, each in network.named_parameters() if each.grad is not None}


def distance(ours: Tensor, theirs: Tensor) -> float:
    """The norm of the difference, relative to that of ``theirs``."""
    return float(((ours - theirs).norm() / theirs.norm().clamp(min=1e-12)).item())


def furthest(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The largest distance of the gradients of a parameter; NaN if one is NaN."""
    return float(np.max([distance(ours[name], theirs[name]) for name in theirs]))


def try_kernels(device: str) -> str:
    """Train a network of the size of `quick` with ``nn.LSTM`` on the processor, for :data:`STEPS` steps or 10 seconds,
    and take each step with every other kernel that runs well on ``device`` too. Return the speeds, and how far
    gradients are from those of ``nn.LSTM``. Raises :class:`CharLSTMError` for wrong gradients or no such device."""
    chosen = choose_device(device)
    generator = torch.Generator().manual_seed(0)
    plain = CharLSTM(64, 256, 2, generator=generator)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
    names = [name for name in KERNELS if runs_well(name, chosen) and (name, chosen.type) != ("nn", "cpu")]
    networks = [plain, *(copy.deepcopy(plain).to(chosen) for _ in names)]
    kernels = [make_kernel(name, network) for name, network in zip(("nn", *names), networks, strict=True)]
    seconds, far = np.full(len(kernels), np.inf), np.zeros(len(kernels))
    steps, end = 0, time.perf_counter() + 10
    while steps < STEPS and time.perf_counter() < end:
        inputs, targets = torch.randint(64, (2, 50, 16), generator=generator)
        for number, (kernel, network) in enumerate(zip(kernels, networks, strict=True)):
            network.load_state_dict(plain.state_dict())
            before = time.perf_counter()
            kernel.step(inputs, targets, network.zero_state(16))
            seconds[number] = min(seconds[number], time.perf_counter() - before)
            far[number] = np.maximum(far[number], furthest(gradients(network), gradients(plain)))
        optimizer.step()
        steps += 1
    words = [f"{steps} steps of {1000 * seconds[0]:.0f} ms with plain torch"]
    for name, times, error in zip(names, seconds[0] / seconds[1:], far[1:], strict=True):
        words.append(f"{name} {times:.1f} times as fast, gradients ±{error:.0e}")
        exact = chosen.type == "cpu" and KERNELS[name].precision == "float32"  # else factors may be rounded
        if not error < (1e-3 if exact else 0.05):
            raise CharLSTMError(f"wrong gradients: {'; '.join(words)}")
    return "; ".join(words)
