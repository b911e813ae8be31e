"""The errors that a user can cause and solve.

Each error has a sentence: the problem, and how to solve it. The command line prints the sentence and exits with a code
of :class:`ExitCode`; the app shows the sentence where the error happened. Any other exception that reaches a user is a
bug.
"""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from charlstm.display import visible

MAX_LENGTH = 600
"""Characters of a sentence. A longer sentence, with a quotation from a file, loses its middle."""


class ExitCode(IntEnum):
    """How the commands ``charlstm`` and ``charlstm-tui``, and workers, end."""

    DONE = 0
    FAILED = 1
    """What was asked for could not be done."""
    WRONG_USAGE = 2
    """Options, arguments or settings that are not accepted."""
    DIVERGED = 3
    """The loss of a training was not a number any more."""
    INTERRUPTED = 130
    """Ctrl-C, as of a program that SIGINT ended: 128 + 2."""
    TERMINATED = 143
    """SIGTERM: 128 + 15."""

    @staticmethod
    def of_signal(name: str) -> int:
        """The exit code of a program that ends because of the signal ``name``, such as ``SIGHUP``."""
        return 128 + signal.Signals[name]


Action = Literal["train", "fetch", "resume", "watch", "stop", "import", "generate", "use_folder", "choose_runs_dir"]


@dataclass(frozen=True, slots=True)
class Advice:
    """An action that solves the problem. The sentence of the error names it in plain words; the command line adds the
    command for it."""

    action: Action
    target: str = ""
    """The name of a run or of a text, or the path of a file or folder."""

    setting: str = ""
    """The setting to change, with ``resume``."""


class CharLSTMError(Exception):
    """A problem that the user can solve.

    ``str(error)`` is one plain sentence: one line of bounded length, also with a quotation, without characters that act
    on a terminal. ``error.advice`` are actions that solve the problem, if any.
    """

    def __init__(self, sentence: str, *advice: Advice) -> None:
        if len(sentence) > MAX_LENGTH:
            sentence = f"{sentence[: MAX_LENGTH * 2 // 3]} … {sentence[-MAX_LENGTH // 3 :]}"
        super().__init__(visible(sentence, keep=""))
        self.advice = advice


class TextError(CharLSTMError):
    """A text cannot be read, or cannot be learnt from."""


class ModelError(CharLSTMError):
    """A model or state file is missing, damaged, of another kind or of another format."""


class UnreadableFileError(ModelError):
    """A model or state file may be intact, but this process cannot read it.

    ``reason``: the ``disk`` failed, there is too little ``memory``, or the file has an ``other_format``.
    """

    def __init__(self, sentence: str, reason: Literal["disk", "memory", "other_format"]) -> None:
        super().__init__(sentence)
        self.reason = reason


class SettingsError(CharLSTMError):
    """A setting has an unknown name or a value that is not accepted."""


class TorchError(CharLSTMError):
    """torch is not installed, or its import raised ``error``."""

    def __init__(self, error: Exception | None = None) -> None:
        if error is None or (isinstance(error, ModuleNotFoundError) and error.name == "torch"):
            sentence = "Training, eval and the formats of torch need torch, which is not installed: pip install torch"
        else:
            sentence = f"torch cannot be loaded ({error}): install it again, or another version of it"
        super().__init__(sentence)


class RunError(CharLSTMError):
    """A run cannot be created, found, controlled, resumed or deleted."""


class DivergedError(RunError):
    """The loss of a training was not a number any more, which ended the run."""


class RunTimeoutError(RunError, TimeoutError):
    """Something that was waited for has not happened within the time that was given."""


class OtherFormatError(RunError):
    """A run was written by another version of the program, in a format that this one does not read."""


class GenerationError(CharLSTMError):
    """A sampler setting is not accepted, or an operation on a session is not possible."""


_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "could not create a memory",
    "alloc failed",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
    "can't start new thread",
    "failed to map segment",
)
"""What messages of torch, its allocators and the system say: they are plain RuntimeErrors or ImportErrors."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy, torch's CPU allocator, the system or a graphics card ran out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, (RuntimeError, ImportError)) and any(
        words in str(error).lower() for words in _OUT_OF_MEMORY
    )
