"""What went wrong, in one sentence for the person whose run it was; and what the run was made with.

The details go to ``worker.log``; this is what the screen shows.
"""

from __future__ import annotations

import platform
from importlib import metadata

from charlstm import storage
from charlstm.errors import CharLSTMError
from charlstm.training.config import Settings

_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc failed",
)


def explain(error: BaseException, settings: Settings) -> str:
    """One sentence on ``error``: what happened, and what to do."""
    if isinstance(error, CharLSTMError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"Memory ran out: reduce batch_size (it is {settings.batch_size}), seq_length ({settings.seq_length}) "
            f"or hidden_size ({settings.hidden_size}), then start anew"
        )
    if storage.is_disk_trouble(error):
        assert isinstance(error, OSError)
        where = f" ({error.filename})" if error.filename else ""
        return f"The disk could not be used: {error.strerror}{where}; make room or mend it, then resume"
    words = " ".join(str(error).split())[:200]
    return (
        f"The program made a mistake ({type(error).__name__}: {words}); worker.log in the run's folder has the details"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is Python's, numpy's, the CPU allocator's or a graphics card's way to say that."""
    if isinstance(error, MemoryError):
        return True
    named = type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MEMORY_WORDS))


def versions() -> dict[str, str]:
    """What a run is made with: program, Python, libraries, system."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name, package in (("charlstm", "charlstm-tui"), ("torch", "torch"), ("numpy", "numpy")):
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
