"""Describe in one sentence why a run failed, and what to do."""

from __future__ import annotations

from charlstm import storage
from charlstm.errors import CharLSTMError, is_out_of_memory
from charlstm.training.settings import Settings


def describe_failure(error: BaseException, settings: Settings) -> str:
    """A sentence on ``error``: the problem, and how to solve it."""
    if isinstance(error, CharLSTMError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"Memory ran out: reduce batch_size (it is {settings.batch_size}), seq_length ({settings.seq_length}) "
            f"or hidden_size ({settings.hidden_size}), then start a new run"
        )
    if isinstance(error, OSError) and storage.is_disk_trouble(error):
        where = f" ({error.filename})" if error.filename else ""
        return f"The disk could not be used: {error.strerror}{where}; free some space or repair it, then resume the run"
    words = " ".join(str(error).split())[:200]
    return f"The program has a bug ({type(error).__name__}: {words}): worker.log in the run's folder has the details"
