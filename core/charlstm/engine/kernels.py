"""Training kernels: compute the loss and gradients of one step, and choose the kernel that is fastest here.

A kernel takes a batch and the carried state and leaves the gradients of the mean loss in the network's parameters.
Clipping and the update are in ``train_step``. ``nn`` is torch's own LSTM with autograd, on any device; the fused kernel
for CPUs is in ``fused``.
"""

from __future__ import annotations

import math
import platform
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from charlstm.engine import fused, recurrence
from charlstm.engine.fused import FusedKernel
from charlstm.engine.masks import NO_MASKS, Masks, StepResult, multiplier
from charlstm.engine.network import CharLSTM, LSTMState
from charlstm.errors import SettingsError
from charlstm.text.batches import NO_TARGET
from charlstm.training.settings import KERNELS, Settings


class Kernel(Protocol):
    """Computes loss and gradients of one step of truncated back-propagation through time."""

    name: str

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: LSTMState,
        masks: Masks = NO_MASKS,
        resets: Tensor | None = None,
    ) -> StepResult:
        """Run forward and backward over ``inputs`` and ``targets`` (T, B) int64; NO_TARGET marks missing targets.

        Both are on the CPU: the kernel counts the targets there, which on a card would mean to wait for it, and then
        copies both to the network's device. ``state`` and ``masks`` are on that device.

        ``state`` is ``network.zero_state(B)`` or the state of an earlier step (the caller has reset rows); ``resets``
        bool (T, B), on the CPU, marks inputs after the first before which the state of a row is reset. The new state is
        detached. On return every parameter's ``grad`` is the gradient of the MEAN loss over the ``count`` targets: it
        is replaced, not added to.
        """
        ...


class NNKernel:
    """``nn.LSTM`` with autograd in float32, on any device.

    On CUDA, cuDNN rounds the factors of products to TF32 where the card has it, which is torch's default for recurrent
    networks. Autocast is not used: it would run cuDNN's LSTM in float16, whatever type is requested
    (``aten/src/ATen/cudnn/AutocastRNN.cpp`` in torch), and most gradients of a mean over thousands of characters are
    too small for float16. A copy of the weights in bfloat16 is not used either: whether torch gives it to cuDNN or
    computes it step by step, which is slow, depends on the version of torch, and nobody has measured it on a card.
    """

    name = "nn"

    def __init__(self, network: CharLSTM) -> None:
        self._network = network
        if network.fc.weight.device.type == "cuda":
            # cuDNN reads all weights of a call from one piece of memory, in its own order. ``network.to`` has put those
            # of the whole network into such a piece (``nn.LSTM.flatten_parameters``), for calls with all layers: steps
            # without masks, and validation. With masks, torch copies the weights of each call into a new piece, and
            # warns at each step. Those of a masked matrix are new in each step anyway, and weights that lie together
            # for a single layer do not lie together for the whole network. The copies are small beside the products of
            # a step: 14 MB at 2 × 512.
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk of memory")

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: LSTMState,
        masks: Masks = NO_MASKS,
        resets: Tensor | None = None,
    ) -> StepResult:
        """See :class:`Kernel`."""
        network = self._network
        device = network.fc.weight.device
        masks = masks.to(device)
        network.zero_grad(set_to_none=True)
        count = int((targets != NO_TARGET).sum())
        inputs, targets = inputs.to(device), targets.to(device)
        pieces = None if resets is None else _Pieces.of(resets, device)
        hidden, new_state = self._layers(inputs, state, masks, pieces)
        flat = network.fc(hidden).flatten(0, 1)
        loss = functional.cross_entropy(flat, targets.flatten(), ignore_index=NO_TARGET, reduction="sum")
        (loss / max(count, 1)).backward()  # type: ignore[no-untyped-call]
        nats = loss.item()
        return StepResult(nats, count, (new_state[0].detach(), new_state[1].detach()))

    def _layers(
        self, inputs: Tensor, state: LSTMState, masks: Masks, pieces: _Pieces | None
    ) -> tuple[Tensor, LSTMState]:
        """All layers over all time steps: (T, B) ids → (T, B, H). A single call where no mask comes between layers."""
        network = self._network
        layers = network.config.num_layers
        hidden = functional.one_hot(inputs, network.config.vocab_size).to(network.fc.weight.dtype)
        weights: list[list[Tensor]] = [list(network.layer(index)) for index in range(layers)]
        for index, mask in enumerate(masks.recurrent):
            weight = weights[index][1]
            weights[index][1] = weight * multiplier(mask, weight.dtype, masks.recurrent_scale)
        if not masks.layers:
            flat = [weight for layer in weights for weight in layer]
            return _lstm(hidden, state, flat, layers, pieces)
        states = []
        for index, mask in enumerate(masks.layers):
            own = (state[0][index : index + 1], state[1][index : index + 1])
            hidden, new = _lstm(hidden, own, weights[index], 1, pieces)
            hidden = hidden * multiplier(mask, hidden.dtype, masks.layer_scale)
            states.append(new)
        return hidden, (torch.cat([h for h, _ in states]), torch.cat([c for _, c in states]))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The P parts into which resets cut the rows of a step, the longest first, as sequences of their own.

    ``order``: (T·B,) the indices into (T, B) in the order of a packed sequence; ``back`` undoes it. ``sizes``: how many
    parts have a first, a second, … character. ``first``: (P,) the row that a part begins, or -1. ``last``: (B,) the
    part with which each row ends.
    """

    order: Tensor
    back: Tensor
    sizes: Tensor
    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, resets: Tensor, device: torch.device) -> _Pieces:
        steps, rows = resets.shape
        cuts = resets.clone()
        cuts[0] = True
        row, start = cuts.t().nonzero(as_tuple=True)
        stop = torch.cat([start[1:], start.new_full((1,), steps)])
        stop[stop == 0] = steps
        by_length = torch.argsort(stop - start, descending=True, stable=True)
        row, start, length = row[by_length], start[by_length], (stop - start)[by_length]
        has = torch.arange(int(length.max()))[:, None] < length
        at, part = has.nonzero(as_tuple=True)
        order = (start[part] + at) * rows + row[part]
        first = torch.where(start == 0, row, -1)
        last = torch.empty(rows, dtype=torch.long)
        ends = start + length == steps
        last[row[ends]] = ends.nonzero()[:, 0]
        order, back, first, last = (each.to(device) for each in (order, torch.argsort(order), first, last))
        return cls(order, back, has.sum(1), first, last)


def _lstm(
    inputs: Tensor, state: LSTMState, weights: list[Tensor], layers: int, pieces: _Pieces | None
) -> tuple[Tensor, LSTMState]:
    """``torch.lstm`` over (T, B, D), with each of ``pieces`` as a sequence of its own."""
    if pieces is None:
        hidden, h, c = torch.lstm(inputs, state, weights, True, layers, 0.0, True, False, False)
        return hidden, (h, c)
    follows = (pieces.first >= 0).unsqueeze(1)
    own = tuple(part[:, pieces.first.clamp(min=0)] * follows for part in state)
    packed = inputs.flatten(0, 1)[pieces.order]
    hidden, h, c = torch.lstm(packed, pieces.sizes, own, weights, True, layers, 0.0, True, False)
    return hidden[pieces.back].view(*inputs.shape[:2], -1), (h[:, pieces.last], c[:, pieces.last])


MEASURED_CHARS = 256
"""Characters of the steps by which kernels are compared. Steps are short, so that each kernel takes many of them, and
on a busy machine at least one is undisturbed; and a person waits for them."""

LEAST_NOISE = 1.05
"""Kernels whose times differ by less than this factor count as equally fast."""

TOO_SLOW = 5.0
"""A kernel this many times slower than another is not measured further. Where other programs kept both cores busy,
``nn`` was five times slower, because its threads wait for one another."""


def make_kernel(name: str, network: CharLSTM) -> Kernel:
    """The kernel called ``name`` for ``network``, on the device where it is.

    Raises :class:`SettingsError` for a name that this program or this device does not have.
    """
    kind = KERNELS.get(name)
    if kind is not None and kind.family == "nn":
        return NNKernel(network)
    if kind is not None and kind.family == "fused" and network.fc.weight.device.type == "cpu":
        return FusedKernel(network, name, getattr(torch, kind.precision))
    raise SettingsError(f"There is no training kernel {name!r} here: the kernels are {', '.join(KERNELS)}")


def kernel_path(name: str) -> str:
    """Which implementation the kernel ``name`` uses on this machine; the last digits of a result may depend on it."""
    kind = KERNELS[name]
    return fused.path(getattr(torch, kind.precision)) if kind.family == "fused" else "torch.lstm"


def runs_well(name: str, device: torch.device) -> bool:
    """Whether ``device`` of this machine has the instructions that the kernel ``name`` uses."""
    kind = KERNELS.get(name)
    if kind is None or kind.family == "nn":
        return kind is not None
    return device.type == "cpu" and (kind.precision != "bfloat16" or fast_bfloat16())


def candidates(settings: Settings, device: torch.device) -> Sequence[str]:
    """The names of the kernels that ``settings`` allow on ``device``, usually the fastest first.

    ``kernel=fused`` falls back to ``nn`` on a device that the fused kernel does not support. Raises
    :class:`SettingsError` for ``precision=bfloat16`` where that is not available.
    """
    names = [
        name
        for name, kind in KERNELS.items()
        if settings.kernel in ("auto", kind.family)
        and settings.precision in ("auto", kind.precision)
        and runs_well(name, device)
    ]
    if names or settings.precision != "bfloat16":
        return names or ["nn"]
    where = (
        "this CPU, which has no fast instructions for it" if device.type == "cpu" else f"{device.type}, only on CPUs"
    )
    raise SettingsError(f"precision=bfloat16 is not available on {where}: use precision=auto or precision=float32")


def fast_bfloat16() -> bool:
    """Whether oneDNN computes bfloat16 with this CPU's vector instructions. Where it is emulated, a single step can
    take longer than the whole measurement.

    On Arm processors with bfloat16 torch says that it is supported too, but there oneDNN has only a reference
    implementation of products with packed weights, over 100 times slower (pytorch issue 180447).
    """
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return platform.machine().lower() in ("x86_64", "amd64") and check is not None and bool(check())


def fast_path_problem(settings: Settings, device: torch.device) -> str | None:
    """A sentence that says why the fused kernel is slower here than this machine allows; ``None`` when it is not, or
    when ``settings`` or ``device`` exclude it.
    """
    if settings.kernel not in ("auto", "fused") or device.type != "cpu":
        return None
    problem = recurrence.loops().problem
    if problem is None:
        return None
    return (
        f"Training with the fused kernel is slower than it could be with torch {torch.__version__}: its loops are not "
        f"compiled ({problem}). Another version of torch or of Python may be faster"
    )


def choose_kernel(
    names: Sequence[str],
    network: CharLSTM,
    batch_size: int,
    seq_length: int,
    *,
    budget: float,
    deadline: float = math.inf,
) -> str:
    """Measure the kernels ``names`` (see :func:`candidates`) on ``network``'s device and shape, and choose one.

    Takes about ``budget`` seconds, or three steps of each, but no step is begun after ``deadline`` (by
    ``time.perf_counter``). A kernel that was not timed by then is not chosen, unless none was: then it is the first, as
    beside other programs, where a step of bfloat16 took half the time of one in float32. Weights and torch's global
    generator are not changed, gradients are cleared.

    Long sequences are measured on shorter ones of at least :data:`MEASURED_CHARS` characters in all: the speed hardly
    depends on the length, and on a slow machine one full step of ``nn`` alone could use up the budget. For the same
    reason a kernel that is :data:`TOO_SLOW` times slower than one before it gets no more turns.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (min(seq_length, max(16, MEASURED_CHARS // batch_size)), batch_size)
    inputs, targets = (torch.randint(network.config.vocab_size, shape, generator=generator) for _ in range(2))
    kernels = {name: make_kernel(name, network) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    start = time.perf_counter()
    rounds = 0
    # The first round is a warm-up: memory is allocated and libraries generate their code.
    while time.perf_counter() < deadline and (rounds < 3 or time.perf_counter() - start < budget):
        best = math.inf
        for name, kernel in kernels.items():
            before = time.perf_counter()
            if before >= deadline or (rounds > 1 and min(times[name]) > TOO_SLOW * best):
                continue
            kernel.step(inputs, targets, network.zero_state(batch_size))
            seconds = time.perf_counter() - before
            if rounds:
                times[name].append(seconds)
                best = min(best, *times[name])
        rounds += 1
    network.zero_grad(set_to_none=True)
    timed = {name: seconds for name, seconds in times.items() if seconds}
    return preferred(timed) if timed else names[0]


def preferred(times: Mapping[str, Sequence[float]]) -> str:
    """The first kernel in ``times`` that is not clearly slower than another.

    ``times`` has the seconds that each kernel took for the same work, usually the fastest kernel first. Other programs
    can only make a step slower, so the shortest time of each kernel counts. How far its median is above that tells how
    noisy the machine is: by some 5 % on a quiet one, by several times on a busy one, and then the usual order decides.
    """
    best = {name: min(seconds) for name, seconds in times.items()}
    noise = max(LEAST_NOISE, *(statistics.median(seconds) / min(seconds) for seconds in times.values()))
    fastest = min(best.values())
    return next(name for name, seconds in best.items() if seconds <= noise * fastest)
