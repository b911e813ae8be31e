"""Every rank but 0: it does as it is told by ``ranks.Leader`` until it is sent home.

It has no text, no run folder and no say; what it needs comes with the orders. It writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from charlstm.engine.devices import choose_device, cpu_count
from charlstm.engine.distributed import Member, Order, Wire
from charlstm.engine.kernels import candidates, runs_well
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.errors import SettingsError
from charlstm.text.batches import Batch, Batches
from charlstm.training.settings import Settings


def follow(wire: Wire, told: Callable[[], bool]) -> None:
    """Obey until the end; ``told`` says whether this process was asked to end, which rank 0 then decides for all.

    Raises :class:`RunError` when another rank is gone, :class:`SettingsError` when this machine lacks the device.
    """
    member = Member(wire, told)
    learner: TrainStep | None = None
    shape = 0, 0
    try:
        while True:
            order, first, second = wire.hear()
            if order is Order.END:
                return
            if order is Order.IDLE:
                member.report()
            elif order is Order.LEARN:
                values = _received(wire, first)
                shape = values["seq_length"], values["batch_size"]
                learner = _learner(wire, member, values)
            elif learner is None:
                raise AssertionError(f"{order.name} before LEARN")
            elif order is Order.LOAD:
                learner.load(_tensors(wire, _received(wire, first)))
            elif order is Order.STEP:
                learner.take(first, float(np.int64(second).view(np.float64)), _batch(wire, *shape))
            elif order is Order.GATHER:
                learner.tensors()
    finally:
        member.close()


def _learner(wire: Wire, member: Member, values: dict[str, Any]) -> TrainStep:
    """As rank 0's, but for the average, which rank 0 keeps for all."""
    device, here = values["device"], wire.here
    if device == "cuda" and here.local_rank >= torch.cuda.device_count():
        raise SettingsError(
            f"This machine has {torch.cuda.device_count()} CUDA cards for {here.local_size} processes: start one a card"
        )
    settings = Settings.from_dict(values["settings"]).with_changes(ema_decay=None)
    torch.set_num_threads(settings.threads or member.threads(cpu_count()))
    symbols, hidden_size, num_layers = values["network"]
    network = CharLSTM(symbols, hidden_size, num_layers, init="none")
    with torch.no_grad():
        for parameter in network.parameters():
            wire.spread(parameter.data)
    network.to(choose_device(device)).train()
    kernel = values["kernel"]
    if not runs_well(kernel, network.fc.weight.device):  # rank 0's machine has instructions that this one lacks
        kernel = candidates(settings.kernel, network.fc.weight.device)[0]
    no_text = Batches(np.empty(0, np.uint8), [], values["batch_size"], values["seq_length"])
    return TrainStep(network, no_text, settings, kernel, member)


def _received(wire: Wire, length: int) -> Any:
    words = torch.empty(length, dtype=torch.uint8)
    wire.spread(words)
    return json.loads(words.numpy().tobytes())


def _tensors(wire: Wire, shapes: dict[str, list[int]]) -> dict[str, npt.NDArray[Any]]:
    found: dict[str, npt.NDArray[Any]] = {}
    for name, shape in shapes.items():
        tensor = torch.empty(shape)
        wire.spread(tensor)
        found[name] = tensor.numpy()
    return found


def _batch(wire: Wire, seq_length: int, batch_size: int) -> Batch:
    lines = torch.empty(2 * seq_length + 1, batch_size, dtype=torch.int32)
    wire.spread(lines)
    whole = lines.numpy().astype(np.int64)
    return Batch(whole[:seq_length], whole[seq_length:-1], whole[-1].astype(np.bool_))
