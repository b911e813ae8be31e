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

Gradients = dict[str, Tensor]

STEPS, LONGEST = 50, 10.0
"""How many steps are taken, and the seconds after which no further one is."""

EXACT, ROUNDED = 1e-3, 0.05
"""The largest distance of gradients from those of plain torch: in float32 on a processor, and in bfloat16 or on a card,
whose products may have rounded factors."""


def gradients(network: nn.Module) -> Gradients:
    """Copies of the gradients, on the processor."""
    named = network.named_parameters()
    return {name: parameter.grad.clone().cpu() for name, parameter in named if parameter.grad is not None}


def distance(ours: Tensor, theirs: Tensor) -> float:
    """The norm of the difference, relative to that of ``theirs``."""
    return float(((ours - theirs).norm() / theirs.norm().clamp(min=1e-12)).item())


def furthest(ours: Gradients, theirs: Gradients) -> float:
    """The largest distance of the gradients of a parameter; NaN if one is NaN."""
    return float(np.max([distance(ours[name], theirs[name]) for name in theirs]))


def try_kernels(device: str) -> str:
    """Take up to :data:`STEPS` steps with ``nn.LSTM`` and autograd on the processor, and each of them with every other
    kernel that runs well on ``device`` too, on network and batch of the size that `quick` gives them. Return how fast
    each kernel is, and how far its gradients are from those of the first.

    Raises :class:`~charlstm.errors.CharLSTMError` for wrong gradients and for a missing device.
    """
    chosen = choose_device(device)
    generator = torch.Generator().manual_seed(0)
    plain = CharLSTM(64, 256, 2, generator=generator)
    batches = torch.randint(64, (STEPS, 2, 50, 16), generator=generator)
    names = [name for name in KERNELS if runs_well(name, chosen) and (name, chosen.type) != ("nn", "cpu")]
    networks = [plain, *(copy.deepcopy(plain).to(chosen) for _ in names)]
    kernels = [make_kernel(name, network) for name, network in zip(("nn", *names), networks, strict=True)]
    seconds, far = np.full(len(kernels), np.inf), np.zeros(len(kernels))
    steps, end = 0, time.perf_counter() + LONGEST
    while steps < STEPS and time.perf_counter() < end:
        inputs, targets = batches[steps]
        found: list[Gradients] = []
        for number, (kernel, network) in enumerate(zip(kernels, networks, strict=True)):
            network.load_state_dict(plain.state_dict())
            before = time.perf_counter()
            kernel.step(inputs, targets, network.zero_state(16))
            found.append(gradients(network))  # which waits for a card
            seconds[number] = min(seconds[number], time.perf_counter() - before)
            far[number] = np.maximum(far[number], furthest(found[number], found[0]))
        with torch.no_grad():
            for name, parameter in plain.named_parameters():
                parameter.sub_(found[0][name], alpha=0.5)
        steps += 1
    words = [f"{steps} steps of {1000 * seconds[0]:.0f} ms with plain torch"]
    for name, times, error in zip(names, seconds[0] / seconds[1:], far[1:], strict=True):
        words.append(f"{name} {times:.1f} times as fast, gradients ±{error:.0e}")
        if not error < (ROUNDED if chosen.type != "cpu" or KERNELS[name].precision == "bfloat16" else EXACT):
            raise CharLSTMError(f"wrong gradients: {'; '.join(words)}")
    return "; ".join(words)
