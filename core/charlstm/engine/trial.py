"""Try the kernels of this machine: fifty steps beside plain torch."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from charlstm.engine.devices import choose_device
from charlstm.engine.kernels import make_kernel, runs_well
from charlstm.engine.network import CharLSTM
from charlstm.errors import CharLSTMError
from charlstm.training.settings import KERNELS

Gradients = dict[str, Tensor]

STEPS = 50
LONGEST = 3.0
"""Seconds after which a kernel takes no further step."""

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
    assert ours.keys() == theirs.keys()
    return float(np.max([distance(ours[name], theirs[name]) for name in theirs]))


def try_kernels(device: str) -> str:
    """Take up to :data:`STEPS` steps with ``nn.LSTM`` and autograd on the processor, then with each kernel that runs
    well on ``device``. Return how fast each kernel is, and how far its gradients are from the first ones.

    Raises :class:`~charlstm.errors.CharLSTMError` where gradients are wrong, or where there is no such device.
    """
    place = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CharLSTM(64, 128, 2)
        batches = torch.randint(64, (STEPS, 2, 50, 16))
    plain_seconds, wanted = _take_steps("nn", copy.deepcopy(network), batches)
    words = [f"{len(wanted)} steps"]
    for name in (name for name in KERNELS if runs_well(name, place)):
        seconds, found = _take_steps(name, copy.deepcopy(network).to(place), batches[: len(wanted)], wanted)
        far = np.max([furthest(*pair) for pair in zip(found, wanted, strict=False)])
        words.append(f"{name} {plain_seconds / seconds:.1f} times as fast as plain torch, gradients ±{far:.0e}")
        rounds = place.type != "cpu" or KERNELS[name].precision == "bfloat16"
        if not far < (ROUNDED if rounds else EXACT):
            raise CharLSTMError(f"wrong gradients: {'; '.join(words)}")
    return "; ".join(words)


def _take_steps(
    name: str, network: CharLSTM, batches: Tensor, wanted: Sequence[Gradients] = ()
) -> tuple[float, list[Gradients]]:
    """The median of the seconds of a step with the kernel ``name``, and each step's gradients. The weights change by
    those in ``wanted``, else by their own."""
    kernel = make_kernel(name, network)
    seconds: list[float] = []
    found: list[Gradients] = []
    for inputs, targets in batches:
        before = time.perf_counter()
        kernel.step(inputs, targets, network.zero_state(inputs.shape[1]))
        found.append(gradients(network))  # which waits for a card
        seconds.append(time.perf_counter() - before)
        with torch.no_grad():
            for key, parameter in network.named_parameters():
                parameter.sub_((wanted or found)[len(found) - 1][key].to(parameter.device), alpha=0.5)
        if sum(seconds) > LONGEST:
            break
    return statistics.median(seconds), found
