"""What every rank but rank 0 does under torchrun: follow the messages of rank 0, without a text or a run.

Not in ``distributed``, which :class:`TrainStep` uses.
"""

from __future__ import annotations

import numpy as np
import torch

from charlstm.engine.devices import choose_device
from charlstm.engine.distributed import ProcessGroup, Start
from charlstm.engine.kernels import candidates, runs_well
from charlstm.engine.network import CharLSTM
from charlstm.engine.train_step import TrainStep
from charlstm.errors import SettingsError
from charlstm.system import cpu_count, lower_priority
from charlstm.text.batches import Batches


def run_other_rank(group: ProcessGroup) -> None:
    """Follow the messages of rank 0 until training ends.

    Raises :class:`RunError` when another rank is lost, :class:`SettingsError` when this machine lacks the device.
    """
    train_step: TrainStep | None = None
    try:
        while (message := group.receive()) is not None:
            if isinstance(message, Start):
                train_step = _build_train_step(message, group)
            else:
                method, arguments = message
                getattr(train_step, method)(*arguments)
    finally:
        group.close()


def _build_train_step(message: Start, group: ProcessGroup) -> TrainStep:
    """The same as on rank 0, but without the moving average, which rank 0 keeps for all."""
    if message.device == "cuda" and group.torchrun.local_rank >= torch.cuda.device_count():
        raise SettingsError(
            f"This machine has {torch.cuda.device_count()} CUDA cards for {group.torchrun.local_world_size} processes: "
            "start one process per card"
        )
    settings = message.settings.with_changes(ema_decay=None)
    if settings.niceness is not None:
        lower_priority(settings.niceness)
    torch.set_num_threads(settings.threads or group.threads(cpu_count()))
    config = message.config
    network = CharLSTM(config.vocab_size, config.hidden_size, config.num_layers, init="none")
    network.load_state_dict(message.weights)
    network.to(choose_device(message.device))
    device, kernel = network.fc.weight.device, message.kernel
    if not runs_well(kernel, device):  # rank 0's processor has more instructions
        kernel = candidates(settings, device)[0]
    no_text = Batches(np.empty(0, np.uint8), [], message.batch_size, message.seq_length)
    return TrainStep(network, no_text, settings, kernel, group)
