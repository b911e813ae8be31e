"""Which of torchrun's processes this is, read from its environment variables, without importing torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from charlstm.errors import SettingsError


@dataclass(frozen=True, slots=True)
class TorchrunRank:
    """A process of torchrun's ``world_size`` processes, of which ``local_world_size`` are on this machine."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int


def torchrun_rank() -> TorchrunRank | None:
    """This process's rank; ``None`` without torchrun, or with a single process. Raises :class:`SettingsError` when the
    variables are no numbers."""
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if any(name not in os.environ for name in names):
        return None
    try:
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    except ValueError:
        sentence = "RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE are no numbers: start the processes with torchrun"
        raise SettingsError(sentence) from None
    return TorchrunRank(rank, world_size, *local) if world_size > 1 else None
