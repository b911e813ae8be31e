"""One training step of a network: forward, backward, clip, update, average.

All randomness of a step comes from the seed and the number of the step. So an exact resume needs no generator state,
and nothing that happens between two steps can change it.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from charlstm.engine.distributed import SINGLE_PROCESS, Ranks
from charlstm.engine.kernels import make_kernel
from charlstm.engine.masks import draw_masks
from charlstm.engine.network import CharLSTM
from charlstm.errors import ModelError
from charlstm.text.batches import Batch, Batches
from charlstm.training.settings import Settings

Tensors = dict[str, npt.NDArray[Any]]
AnOptimizer = TypeVar("AnOptimizer", bound=torch.optim.Optimizer)


OF_ALL_RANKS = ("network.", "optimizer.", "state.")
"""Which tensors of a state every rank has. The moving average and the best model are on rank 0 alone."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The loss of a step, summed over its ``count`` targets in nats, and the norm of the gradient before clipping. If
    either is not finite, the step did not change the weights."""

    nats: float
    count: int
    grad_norm: float

    @property
    def finite(self) -> bool:
        """Whether loss and gradient are finite."""
        return math.isfinite(self.nats) and math.isfinite(self.grad_norm)


FUSED_DEVICES = ("cpu", "cuda")
"""On these the optimiser updates all weights in one pass."""


class TrainStep:
    """The network with what changes at each step: weights, optimiser, moving average and the carried LSTM state.

    ``network`` is on its device. With several ``ranks`` each has a training step for its own rows of every batch.
    """

    def __init__(
        self, network: CharLSTM, batches: Batches, settings: Settings, kernel: str, ranks: Ranks = SINGLE_PROCESS
    ) -> None:
        ranks.start_training(network, batches.batch_size, batches.seq_length, settings, kernel)
        self._ranks = ranks
        self._rows = ranks.rows(batches.batch_size)
        self.network = network
        self.average = copy.deepcopy(network) if settings.ema_decay is not None else None
        """A network with the moving average of the weights, if the settings want one."""
        self._batches = batches
        self._settings = settings
        if self.average is not None:
            self.average.lstm.flatten_parameters()  # cuDNN needs that of a copy; it does nothing on a processor
        self.kernel = make_kernel(kernel, network)
        self._parameters = list(network.parameters())
        self._optimizer = _optimizer(network, settings)
        device = network.fc.weight.device
        self._generator = torch.Generator()
        # Masks for a card are drawn there: drawing and copying them would take longer than the step.
        self._mask_device = device if device.type == "cuda" else None
        self._mask_generator = self._generator if self._mask_device is None else torch.Generator(device)
        self._state = network.zero_state(self._rows.stop - self._rows.start)

    @property
    def network_to_save(self) -> CharLSTM:
        """The network to validate and save: the average, if there is one."""
        return self.network if self.average is None else self.average

    def step(self, step: int, rate: float) -> StepOutcome:
        """Take step ``step`` (from 0) at learning rate ``rate``: forward and backward, clip, update, average."""
        batch = self._batches.batch(step)
        self._ranks.call("step_on_batch", step, rate, batch)
        return self.step_on_batch(step, rate, batch)

    def step_on_batch(self, step: int, rate: float, batch: Batch) -> StepOutcome:
        """Take step ``step`` on this rank's rows of ``batch``. Random numbers are drawn for all rows of the batch, so
        that they do not depend on the number of ranks."""
        settings, rows = self._settings, self._rows
        seed = np.random.SeedSequence((settings.seed, step)).generate_state(1, np.uint64)[0]
        for generator in {self._generator, self._mask_generator}:
            generator.manual_seed(int(seed >> 1))
        resets = torch.from_numpy(batch.resets)
        if settings.state_reset:
            resets |= torch.rand(len(resets), generator=self._generator) < settings.state_reset
        resets = resets[rows]
        if resets.any():
            zeroed = resets.to(self._state[0].device)[:, None]
            for part in self._state:
                part.masked_fill_(zeroed, 0.0)
        masks = draw_masks(
            self.network,
            self._batches.batch_size,
            self._batches.seq_length,
            dropout=settings.dropout,
            shared=settings.shared_masks,
            weight_drop=settings.weight_drop,
            generator=self._mask_generator,
            device=self._mask_device,
        ).rows(rows.start, rows.stop)
        inputs, targets = (torch.from_numpy(each[:, rows]) for each in (batch.inputs, batch.targets))
        inner_resets = None if batch.inner_resets is None else torch.from_numpy(batch.inner_resets[:, rows])
        result = self.kernel.step(inputs, targets, self._state, masks, inner_resets)
        self._state = result.state
        count = batch.chars
        nats = self._ranks.all_reduce_gradients(self._parameters, result.nats, result.count, count)
        norm = nn.utils.clip_grad_norm_(self._parameters, settings.clip or math.inf)
        outcome = StepOutcome(nats, count, norm.item())
        if outcome.finite:
            self._update(step, rate)
        return outcome

    def _update(self, step: int, rate: float) -> None:
        # The rate is a number, not a tensor: a fused optimiser passes it to the card with the call. Only a CUDA graph,
        # which repeats its calls as they were, would need a tensor.
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self._optimizer.step()
        self._update_average(step)

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        if self.average is not None and self._settings.ema_decay is not None:
            # The average forgets faster in the first steps, so that the random first weights soon lose their part.
            decay = min(self._settings.ema_decay, (1 + step) / (10 + step))
            averages: list[Tensor] = list(self.average.parameters())
            torch._foreach_lerp_(averages, [*self._parameters], 1 - decay)

    def tensors(self) -> Tensors:
        """Copies of all that changes from step to step. The LSTM state has the rows of all ranks."""
        self._ranks.call("tensors")
        named = dict(self._named())
        named["state.h"], named["state.c"] = self._ranks.gather_state(self._state, self._batches.batch_size)
        return {name: np.array(tensor.detach().cpu().numpy(), order="C") for name, tensor in named.items()}

    @torch.no_grad()
    def load(self, tensors: Tensors) -> None:
        """Restore what :meth:`tensors` returned. Raises :class:`ModelError` when it is of another network."""
        self._ranks.call("load", {name: array for name, array in tensors.items() if name.startswith(OF_ALL_RANKS)})
        self._optimizer_state(create=any(name.startswith("optimizer.") for name in tensors))
        whole = self.network.zero_state(self._batches.batch_size)
        self._state = whole
        for name, tensor in self._named():
            if name not in tensors or tensors[name].shape != tuple(tensor.shape):
                raise ModelError(f"The training state does not fit this run: {name} is missing or of another shape")
            tensor.copy_(torch.from_numpy(tensors[name]))
        self._state = whole[0][:, self._rows].contiguous(), whole[1][:, self._rows].contiguous()

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        names = [name for name, _ in self.network.named_parameters()]
        for name, parameter in zip(names, self._parameters, strict=True):
            yield f"network.{name}", parameter
        if self.average is not None:
            for name, parameter in self.average.named_parameters():
                yield f"average.{name}", parameter
        for name, moments in zip(names, self._optimizer_state(create=False), strict=False):
            for kind in ("step", "exp_avg", "exp_avg_sq"):
                yield f"optimizer.{kind}.{name}", moments[kind]
        yield "state.h", self._state[0]
        yield "state.c", self._state[1]

    def _optimizer_state(self, *, create: bool) -> list[dict[str, Tensor]]:
        """Adam's moments of every parameter, in order. Before the first step there are none, unless ``create``d."""
        state = self._optimizer.state
        for parameter in self._parameters if create else ():
            if not state[parameter]:
                zeros = torch.zeros_like(parameter)
                # as Adam itself creates it: on the parameter's device when fused, else on the processor
                device = parameter.device if parameter.device.type in FUSED_DEVICES else None
                counter = torch.zeros((), dtype=torch.float32, device=device)
                state[parameter] = {"step": counter, "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
        return [state[parameter] for parameter in self._parameters if state[parameter]]


def _without_compiler(kind: type[AnOptimizer]) -> type[AnOptimizer]:
    """``kind`` without the decorators of two methods, for torch.compile: calling one imports the whole compiler, which
    takes 1.4 s at the start of every run."""
    methods = {
        "add_param_group": inspect.unwrap(kind.add_param_group),
        "step": torch.no_grad()(inspect.unwrap(kind.step)),
    }
    return type(kind.__name__, (kind,), methods)


_ADAM, _ADAMW = _without_compiler(torch.optim.Adam), _without_compiler(torch.optim.AdamW)


def _optimizer(network: CharLSTM, settings: Settings) -> torch.optim.Optimizer:
    """Adam, or AdamW whose decay spares the biases. Fused: one pass over the weights instead of a dozen.

    Each group has a ``factor``, by which it learns faster than the rest.
    """
    decay = settings.weight_decay if settings.optimizer == "adamw" else 0.0
    groups = [
        {
            "params": [each for each in part.parameters() if (each.dim() > 1) == decays],
            "weight_decay": decay if decays else 0.0,
            "factor": factor,
        }
        for part, factor in ((network.lstm, 1.0), (network.fc, settings.head_lr))
        for decays in (True, False)
    ]
    kind: type[torch.optim.Adam | torch.optim.AdamW] = _ADAM if settings.optimizer == "adam" else _ADAMW
    fused = network.fc.weight.device.type in FUSED_DEVICES
    return kind(groups, lr=settings.lr, betas=(0.9, settings.beta2), fused=fused)
