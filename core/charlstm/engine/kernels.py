"""Training kernels: one step's loss and gradients, by whichever path is fastest on this machine.

A kernel takes a batch and the carried state and leaves the gradients of the mean loss in the network's parameters;
clipping, the optimiser and the schedule are the trainer's. ``nn`` is torch's own LSTM with autograd, on any device;
the fused kernel for CPUs is in ``fused``. Here are what they share and the measurement that chooses between them.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from charlstm.engine import fused, recurrence
from charlstm.engine.fused import FusedKernel
from charlstm.engine.masks import NO_MASKS, Masks, StepResult, draw_masks, multiplier
from charlstm.engine.network import CharLSTM, LSTMState
from charlstm.errors import SettingsError
from charlstm.text.batches import NO_TARGET

__all__ = [
    "KERNELS",
    "NO_MASKS",
    "Kernel",
    "KernelChoice",
    "Masks",
    "NNKernel",
    "StepResult",
    "candidates",
    "choose_kernel",
    "draw_masks",
    "fast_path_problem",
    "kernel_name",
    "kernel_names",
    "kernel_path",
    "make_kernel",
    "preferred",
    "runs_well",
]


class Kernel(Protocol):
    """Computes the loss and gradients of one truncated stretch of back-propagation through time."""

    name: str
    path: str
    """Which of several ways to the same result it takes on this machine; the last digits may depend on it."""

    def step(self, inputs: Tensor, targets: Tensor, state: LSTMState, masks: Masks = NO_MASKS) -> StepResult:
        """Run forward and backward over ``inputs`` and ``targets`` (T, B) int64, some of which may be none.

        ``state`` is ``network.zero_state(B)`` or an earlier step's (rows to start afresh are zeroed by the caller);
        the new state is detached. On return every parameter's
        ``grad`` is the gradient of the MEAN loss over the ``count`` targets: replaced, not added to.
        """
        ...


class NNKernel:
    """``nn.LSTM`` with autograd in float32, on any device.

    On CUDA cuDNN rounds the factors of products to TF32 where the card has that, torch's own setting for recurrent
    networks. Not under autocast: it would run cuDNN's LSTM in float16, whatever type it is given
    (``aten/src/ATen/cudnn/AutocastRNN.cpp`` in torch), and most gradients of a mean over thousands of characters are
    below what float16 can hold.
    """

    name = "nn"
    path = "torch.lstm"

    def __init__(self, network: CharLSTM) -> None:
        self._network = network

    def step(self, inputs: Tensor, targets: Tensor, state: LSTMState, masks: Masks = NO_MASKS) -> StepResult:
        """See :class:`Kernel`."""
        network = self._network
        device = network.fc.weight.device
        masks = masks.to(device)
        network.zero_grad(set_to_none=True)
        count = int((targets != NO_TARGET).sum())
        hidden, new_state = self._layers(inputs, state, masks)
        flat = network.fc(hidden).flatten(0, 1)
        loss = functional.cross_entropy(flat, targets.flatten(), ignore_index=NO_TARGET, reduction="sum")
        (loss / max(count, 1)).backward()  # type: ignore[no-untyped-call]
        return StepResult(loss.item(), count, (new_state[0].detach(), new_state[1].detach()))

    def _layers(self, inputs: Tensor, state: LSTMState, masks: Masks) -> tuple[Tensor, LSTMState]:
        """Every layer over the whole stretch: (T, B) ids → (T, B, H). One call where nothing comes in between."""
        network = self._network
        layers = network.config.num_layers
        hidden = functional.one_hot(inputs, network.config.vocab_size).to(network.fc.weight.dtype)
        weights: list[list[Tensor]] = [list(network.layer(index)) for index in range(layers)]
        for index, mask in enumerate(masks.recurrent):
            weight = weights[index][1]
            weights[index][1] = weight * multiplier(mask, weight.dtype, masks.recurrent_scale)
        if not masks.layers:
            flat = [weight for layer in weights for weight in layer]
            hidden, h, c = torch.lstm(hidden, state, flat, True, layers, 0.0, True, False, False)
            return hidden, (h, c)
        states = []
        for index, mask in enumerate(masks.layers):
            own = (state[0][index : index + 1], state[1][index : index + 1])
            hidden, h, c = torch.lstm(hidden, own, weights[index], True, 1, 0.0, True, False, False)
            hidden = hidden * multiplier(mask, hidden.dtype, masks.layer_scale)
            states.append((h, c))
        return hidden, (torch.cat([h for h, _ in states]), torch.cat([c for _, c in states]))


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """The kernel that a run uses; recorded in it and reused on resume. ``measured`` maps each candidate's name to
    its characters a second (forward and backward), or is empty when there was nothing to choose."""

    name: str
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def chars_per_second(self) -> float | None:
        """What the chosen kernel does here; ``None`` when nothing was measured."""
        return self.measured.get(self.name)


MEASURED_CHARS = 1024
"""Characters of a step by which kernels are compared: short turns, so that each kernel gets many, and on a busy machine
one of them undisturbed."""

LEAST_NOISE = 1.05
"""Kernels whose times differ by less than this factor count as equally fast."""

HOPELESS = 5.0
"""Factor by which ``nn`` was slower where other programs kept both cores busy: its threads wait for each other."""


@dataclass(frozen=True, slots=True)
class KernelKind:
    """What a kernel is: ``family`` is what the setting ``kernel`` calls it, ``precision`` that of its products."""

    family: str
    precision: torch.dtype


KERNELS: Mapping[str, KernelKind] = {
    "fused-bf16": KernelKind("fused", torch.bfloat16),
    "fused-f32": KernelKind("fused", torch.float32),
    "nn": KernelKind("nn", torch.float32),
}
"""The kernels by the names that runs record, in the order in which they usually are fastest."""

_OLD_NAMES = {"nn-bf16": "nn"}
"""Names that runs of version 0.1 recorded, and what computes for them now."""


def kernel_name(recorded: str) -> str:
    """Today's name of the kernel that a run recorded; a name that nobody knows stays as it is."""
    return _OLD_NAMES.get(recorded, recorded)


def make_kernel(name: str, network: CharLSTM) -> Kernel:
    """The kernel that :func:`choose_kernel` called ``name``, for ``network`` where it lies.

    Raises :class:`SettingsError` for a name that this program or this device does not have.
    """
    kind = KERNELS.get(kernel_name(name))
    if kind is not None and kind.family == "nn":
        return NNKernel(network)
    if kind is not None and network.fc.weight.device.type == "cpu":
        return FusedKernel(network, name, kind.precision)
    raise SettingsError(f"There is no training kernel {name!r} here: the kernels are {', '.join(kernel_names())}")


def kernel_names() -> tuple[str, ...]:
    """Every kernel's recorded name."""
    return tuple(KERNELS)


def kernel_path(name: str) -> str:
    """The ``path`` that the kernel ``name`` takes on this machine."""
    kind = KERNELS[name]
    return fused.path(kind.precision) if kind.family == "fused" else NNKernel.path


def runs_well(name: str, device: torch.device) -> bool:
    """Whether ``device`` of this machine has what the kernel ``name`` computes with."""
    kind = KERNELS.get(name)
    if kind is None or kind.family == "nn":
        return kind is not None
    return device.type == "cpu" and (kind.precision != torch.bfloat16 or fast_bfloat16())


def candidates(asked: str, device: torch.device) -> Sequence[str]:
    """The kernels on ``device`` among which ``asked`` leaves a choice, in the order of :data:`KERNELS`. ``asked`` is
    ``auto``, ``fused``, ``nn`` or a recorded name."""
    if asked in KERNELS:
        return [asked]
    names = [name for name, kind in KERNELS.items() if asked in ("auto", kind.family) and runs_well(name, device)]
    return names or ["nn"]


def fast_bfloat16() -> bool:
    """Whether oneDNN computes bfloat16 in this CPU's vector instructions; emulated, one step could outlast the
    measurement."""
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return check is not None and bool(check())


def fast_path_problem(asked: str, device: torch.device) -> str | None:
    """In words, why the fused kernel is slower here than this machine allows, or None. ``asked`` as for
    :func:`candidates`: where that leaves out the fused kernel there is nothing to say.

    A torch without oneDNN (macOS) lacks nothing: its plain products are what is fast there.
    """
    if asked == "nn" or device.type != "cpu":
        return None
    problems = []
    if (problem := recurrence.loops().problem) is not None:
        problems.append(f"its loops are not compiled ({problem})")
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        if not fused.packs(torch.float32):
            problems.append("oneDNN's products with packed weights are missing")
        if not hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported"):
            problems.append("it is not known whether this CPU computes in bfloat16")
    if not problems:
        return None
    return (
        f"Training with the fused kernel is slower than it could be with torch {torch.__version__}: "
        f"{', '.join(problems)}; another version of torch, or of Python, may do better"
    )


def choose_kernel(
    asked: str, network: CharLSTM, batch_size: int, seq_length: int, *, budget: float = 2.5
) -> KernelChoice:
    """Measure what ``asked`` leaves open, on ``network``'s device and shape, and name the one to train with.

    Takes about ``budget`` seconds, or three steps of each; the weights and torch's global generator are as before,
    gradients are dropped.
    """
    names = candidates(asked, network.fc.weight.device)
    turns, chars = _turns(names, network, batch_size, seq_length, budget)
    return KernelChoice(preferred(turns), {name: chars / min(seconds) for name, seconds in turns.items()})


def preferred(turns: Mapping[str, Sequence[float]]) -> str:
    """The first of the kernels ``turns``, which have their order, that is not clearly slower than another.

    ``turns``: what the same work took of each, in seconds. Other programs only ever add to that, so the shortest
    counts. By how much the middle one exceeds it says how far the shortest ones themselves can be wrong: on a quiet
    machine by some 5 %, on a busy one by several times, and then the usual order decides.
    """
    best = {name: min(seconds) for name, seconds in turns.items()}
    noise = max(LEAST_NOISE, *(statistics.median(seconds) / min(seconds) for seconds in turns.values()))
    fastest = min(best.values())
    return next(name for name, seconds in best.items() if seconds <= noise * fastest)


def _turns(
    names: Sequence[str], network: CharLSTM, batch_size: int, seq_length: int, budget: float
) -> tuple[dict[str, list[float]], int]:
    """Seconds of each kernel's short steps, taken in turn for ``budget`` seconds, and the characters of such a step.

    Long stretches are measured on a shorter one of at least :data:`MEASURED_CHARS` characters: the rate hardly
    depends on it, and on a slow machine one full step of ``nn`` alone could outlast the budget. For the same reason
    a kernel that is :data:`HOPELESS` times slower than one before it gets no more turns.
    """
    device = network.fc.weight.device
    generator = torch.Generator().manual_seed(0)
    shape = (min(seq_length, max(16, MEASURED_CHARS // batch_size)), batch_size)
    inputs, targets = (
        torch.randint(network.config.vocab_size, shape, generator=generator).to(device) for _ in range(2)
    )
    kernels = {name: make_kernel(name, network) for name in names}
    turns: dict[str, list[float]] = {name: [] for name in names}
    start = time.perf_counter()
    rounds = 0
    # The first round warms up: memory is touched and libraries prepare their code.
    while rounds < 3 or time.perf_counter() - start < budget:
        best = math.inf
        for name, kernel in kernels.items():
            if rounds > 1 and min(turns[name]) > HOPELESS * best:
                continue
            before = time.perf_counter()
            kernel.step(inputs, targets, network.zero_state(batch_size))
            seconds = time.perf_counter() - before
            if rounds:
                turns[name].append(seconds)
                best = min(best, *turns[name])
        rounds += 1
    network.zero_grad(set_to_none=True)
    return turns, shape[0] * shape[1]
