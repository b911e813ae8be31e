"""Training kernels: one step's loss and gradients, by whichever path is fastest on this machine.

A kernel takes a batch and the carried state and leaves the gradients of the mean loss in the network's parameters;
clipping, the optimiser and the schedule are the trainer's. ``nn`` is torch's own LSTM with autograd, on any device;
the fused kernel for CPUs is in ``fused``. Here are what they share and the measurement that chooses between them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from charlstm.errors import SettingsError
from charlstm.model.kernel.fused import FusedKernel
from charlstm.model.kernel.step import NO_MASKS, Masks, StepResult, draw_masks, multiplier
from charlstm.model.network import CharLSTM, State
from charlstm.text.batches import NO_TARGET

__all__ = [
    "NO_MASKS",
    "Kernel",
    "KernelChoice",
    "Masks",
    "NNKernel",
    "StepResult",
    "candidates",
    "choose_kernel",
    "draw_masks",
    "kernel_names",
    "make_kernel",
    "measure",
]


class Kernel(Protocol):
    """Computes the loss and gradients of one truncated stretch of back-propagation through time."""

    name: str

    def step(self, inputs: Tensor, targets: Tensor, state: State, masks: Masks = NO_MASKS) -> StepResult:
        """Run forward and backward over ``inputs`` and ``targets`` (T, B) int64, some of which may be none.

        ``state`` is ``network.zero_state(B)`` or an earlier step's (rows to start afresh are zeroed by the caller);
        the new state is detached. On return every parameter's
        ``grad`` is the gradient of the MEAN loss over the ``count`` targets: replaced, not added to.
        """
        ...


class NNKernel:
    """``nn.LSTM`` with autograd: in float32 on CPUs and MPS, under bfloat16 autocast where CUDA has it."""

    def __init__(self, network: CharLSTM, name: str = "nn") -> None:
        self.name = name
        self._network = network
        self._autocast = torch.bfloat16 if name == "nn-bf16" else None

    def step(self, inputs: Tensor, targets: Tensor, state: State, masks: Masks = NO_MASKS) -> StepResult:
        """See :class:`Kernel`."""
        network = self._network
        device = network.fc.weight.device
        masks = masks.to(device)
        network.zero_grad(set_to_none=True)
        count = int((targets != NO_TARGET).sum())
        with torch.autocast(device.type, dtype=self._autocast, enabled=self._autocast is not None):
            hidden, new_state = self._layers(inputs, state, masks)
            logits = network.fc(hidden)
        flat = logits.float().flatten(0, 1)
        loss = functional.cross_entropy(flat, targets.flatten(), ignore_index=NO_TARGET, reduction="sum")
        (loss / max(count, 1)).backward()  # type: ignore[no-untyped-call]
        return StepResult(loss.item(), count, (new_state[0].detach().float(), new_state[1].detach().float()))

    def _layers(self, inputs: Tensor, state: State, masks: Masks) -> tuple[Tensor, State]:
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


MEASURED_CHARS = 2048
"""Characters of a step by which kernels are compared."""

_FUSED = {"fused-bf16": torch.bfloat16, "fused-f32": torch.float32}


def make_kernel(name: str, network: CharLSTM) -> Kernel:
    """The kernel that :func:`choose_kernel` called ``name``, for ``network`` where it lies.

    Raises :class:`SettingsError` for a name that this program or this device does not have.
    """
    if name in ("nn", "nn-bf16"):
        return NNKernel(network, name)
    if name in _FUSED and network.fc.weight.device.type == "cpu":
        return FusedKernel(network, name, _FUSED[name])
    raise SettingsError(f"There is no training kernel {name!r} here: the kernels are {', '.join(kernel_names())}")


def kernel_names() -> tuple[str, ...]:
    """Every kernel's recorded name."""
    return ("nn", "nn-bf16", *_FUSED)


def candidates(asked: str, network: CharLSTM) -> Sequence[str]:
    """The kernels among which ``asked`` (``auto``, ``fused``, ``nn`` or a recorded name) leaves a choice."""
    device = network.fc.weight.device
    plain = "nn-bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "nn"
    if asked in ("auto", "fused") and device.type == "cpu":
        fused = list(_FUSED) if fast_bfloat16() else ["fused-f32"]
        return [*fused, plain] if asked == "auto" else fused
    return [asked] if asked in kernel_names() and asked != "nn" else [plain]


def fast_bfloat16() -> bool:
    """Whether this CPU computes bfloat16 in its instructions; emulated, one step could outlast the measurement."""
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return check is not None and bool(check())


def choose_kernel(
    asked: str, network: CharLSTM, batch_size: int, seq_length: int, *, budget: float = 2.5
) -> KernelChoice:
    """Measure what ``asked`` leaves open, on ``network``'s device and shape, and name the fastest.

    Takes about ``budget`` seconds, or three steps of each; the weights and torch's global generator are as before,
    gradients are dropped.
    """
    names = candidates(asked, network)
    measured = measure(names, network, batch_size, seq_length, budget=budget)
    return KernelChoice(max(measured, key=measured.__getitem__), measured)


def measure(
    names: Sequence[str], network: CharLSTM, batch_size: int, seq_length: int, *, budget: float = 2.5
) -> dict[str, float]:
    """Characters a second of each kernel in ``names``: the best of steps taken in turn, for ``budget`` seconds.

    Long stretches are measured on a shorter one of at least :data:`MEASURED_CHARS` characters: the rate hardly
    depends on it, and on a slow machine one full step of ``nn`` alone could outlast the budget.
    """
    device = network.fc.weight.device
    generator = torch.Generator().manual_seed(0)
    shape = (min(seq_length, max(16, MEASURED_CHARS // batch_size)), batch_size)
    inputs, targets = (
        torch.randint(network.config.vocab_size, shape, generator=generator).to(device) for _ in range(2)
    )
    kernels = {name: make_kernel(name, network) for name in names}
    best = dict.fromkeys(names, float("inf"))
    start = time.perf_counter()
    rounds = 0
    # The first round warms up: memory is touched and libraries prepare their code.
    while rounds < 3 or time.perf_counter() - start < budget:
        for name, kernel in kernels.items():
            before = time.perf_counter()
            kernel.step(inputs, targets, network.zero_state(batch_size))
            seconds = time.perf_counter() - before
            if rounds:
                best[name] = min(best[name], seconds)
        rounds += 1
    network.zero_grad(set_to_none=True)
    return {name: shape[0] * shape[1] / seconds for name, seconds in best.items()}
