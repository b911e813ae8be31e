"""Which of torchrun's processes this is, from its environment variables; free of torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from charlstm.errors import SettingsError


@dataclass(frozen=True, slots=True)
class TorchrunRank:
    """One process among those that torchrun started; ``local_size`` of them share this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int


def torchrun_rank() -> TorchrunRank | None:
    """What torchrun's variables say; ``None`` when there are none, or only one process.

    Raises :class:`SettingsError` when they make no sense.
    """
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if any(name not in os.environ for name in names):
        return None
    try:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if not (0 <= rank < size and 0 <= local[0] < local[1]):
            raise ValueError
    except ValueError:
        raise SettingsError("RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE make no sense: use torchrun") from None
    return TorchrunRank(rank, size, *local) if size > 1 else None
