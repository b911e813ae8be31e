"""Dropout masks and the result of a training step, as every kernel takes and returns them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from charlstm.engine.network import CharLSTM, LSTMState


@dataclass(frozen=True, slots=True)
class Masks:
    """The dropout masks of one step; true means kept.

    They are drawn before the step, so that a resume is exact and several processes can share a batch.

    ``layers``: for each layer's output, bool (B, H), the same for all characters of a row, or (T, B, H).
    ``recurrent``: for each layer's recurrent weights, bool (4H, H). Either may be empty. What is kept is multiplied by
    ``layer_scale`` and ``recurrent_scale``, so that expected values do not change.
    """

    layers: tuple[Tensor, ...] = ()
    recurrent: tuple[Tensor, ...] = ()
    layer_scale: float = 1.0
    recurrent_scale: float = 1.0

    def rows(self, start: int, stop: int) -> Masks:
        """The masks for rows ``start`` to ``stop`` of the batch; recurrent masks are the same for all rows."""
        return replace(self, layers=tuple(mask[..., start:stop, :] for mask in self.layers))

    def to(self, device: torch.device) -> Masks:
        """The same masks on another device."""
        layers, recurrent = (tuple(mask.to(device) for mask in masks) for masks in (self.layers, self.recurrent))
        return replace(self, layers=layers, recurrent=recurrent)


NO_MASKS = Masks()


def draw_masks(
    network: CharLSTM,
    batch_size: int,
    seq_length: int,
    *,
    dropout: float,
    shared: bool,
    weight_drop: float,
    generator: torch.Generator,
    device: torch.device | None = None,
) -> Masks:
    """Draw one step's masks for ``batch_size`` rows (of all processes together) of ``seq_length`` characters.

    ``dropout`` is the fraction of every layer's output to set to zero: the same units for all characters of a row if
    ``shared`` (variational dropout, Gal and Ghahramani 2016), else drawn for each character. ``weight_drop`` is the
    fraction of the recurrent weights to set to zero (DropConnect, as in AWD-LSTM, Merity et al. 2018). Both are rounded
    to 1/256. They are drawn on ``device``, by default the CPU, by a ``generator`` of that device. It advances only when
    something is drawn.
    """
    hidden, layers = network.config.hidden_size, network.config.num_layers
    cut, recurrent_cut = round(256 * dropout), round(256 * weight_drop)
    shape = (batch_size, hidden) if shared else (seq_length, batch_size, hidden)
    return Masks(
        tuple(_keep(shape, cut, generator, device) for _ in range(layers)) if cut else (),
        tuple(_keep((4 * hidden, hidden), recurrent_cut, generator, device) for _ in range(layers))
        if recurrent_cut
        else (),
        256 / (256 - cut),
        256 / (256 - recurrent_cut),
    )


def _keep(shape: tuple[int, ...], cut: int, generator: torch.Generator, device: torch.device | None) -> Tensor:
    """A mask that is true with probability 1 − cut/256.

    Eight random bytes per draw: ``bernoulli_`` would take 17 % of a training step. The comparison is in place, which is
    twenty times as fast in torch as one into a new bool tensor.
    """
    elements = math.prod(shape)
    words = torch.empty((elements + 7) // 8, dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[:elements].ge_(cut).view(torch.bool).view(shape)


def multiplier(mask: Tensor, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    """``scale`` where ``mask`` is true, else 0. Torch converts bytes eight times as fast as bool."""
    return mask.view(torch.uint8).to(dtype).mul_(scale)


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step's loss in nats, summed over its ``count`` targets, and the state after its last character."""

    nats: float
    count: int
    state: LSTMState
