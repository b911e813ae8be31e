"""Log unexpected errors: the last tracebacks are kept in memory, and all of them in a file.

``charlstm-tui --log FILE`` also writes them to a file of the user's choice, with what the app did before.

An expected error is a :class:`charlstm.errors.CharLSTMError` with a sentence for the user. Any other one is a mistake
in the program or a system error that the code did not expect. Threads, workers and actions catch it
at their top, log it with ``LOG.exception``, show :func:`sentence` in their pane, and go on.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
from collections import deque
from pathlib import Path

from charlstm import storage
from charlstm.errors import CharLSTMError, is_out_of_memory
from charlstm.paths import state_dir

LOG = logging.getLogger("charlstm_tui")

KEPT = 20
"""Tracebacks that are kept in memory."""
LARGEST = 1_000_000
"""Bytes of the file, after which it is begun anew."""


class RecentErrors(logging.Handler):
    """Keeps the last tracebacks in :attr:`tracebacks`, and appends each to a file in the user's state folder."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(asctime)s %(threadName)s: %(message)s"))
        self.tracebacks: deque[str] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry = self.format(record)
        except Exception as error:  # a message whose values do not fit its format
            entry = f"{record.msg}: {error!r}"
        self.tracebacks.append(entry)
        try:
            path = log_path()
            path.parent.mkdir(parents=True, exist_ok=True)
            begin_anew = os.O_TRUNC if path.exists() and path.stat().st_size > LARGEST else 0
            descriptor = storage.disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | begin_anew)
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(entry + "\n")
        except (OSError, CharLSTMError) as error:  # a full disk: it stays in memory
            self.tracebacks.append(f"{log_path()} cannot be written: {error}")


def log_path() -> Path:
    """The file that unexpected errors are written to."""
    return state_dir(make=False) / "app.log"


class LogFile(logging.FileHandler):
    """A log file of the user's choice. When it cannot be written any more, that is said once, in memory."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        LOG.removeHandler(self)
        RECENT.tracebacks.append(f"{self.baseFilename} cannot be written: {error}")


def log_to(path: Path) -> None:
    """From now on, also log to this file: errors, actions, and commands that are run. Raises :class:`OSError`."""
    from importlib.metadata import version  # 16 ms, which a start without a log does not need

    handler = LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s: %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    python, system = platform.python_version(), platform.platform()
    LOG.info("charlstm %s, Textual %s, Python %s, %s", version("charlstm-tui"), version("textual"), python, system)


def log_uncaught() -> None:
    """Log what no code caught: exceptions of threads, and of tasks that nothing awaits."""
    threading.excepthook = _log_thread
    tasks = logging.getLogger("asyncio")
    for handler in LOG.handlers:
        tasks.addHandler(handler)


def _log_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        LOG.error("thread %s", args.thread.name if args.thread else "?", exc_info=args.exc_value)


RECENT = RecentErrors()
LOG.addHandler(RECENT)


def sentence(error: BaseException, doing: str = "") -> str:
    """An unexpected error in one sentence for the screen. ``doing`` is the task, such as ``reading the runs``."""
    if isinstance(error, CharLSTMError):
        return str(error)
    text = str(error).strip().split("\n", 1)[0]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if is_out_of_memory(error):
        reason = "there is not enough memory: close other programs, or use a smaller model or a shorter text"
    elif isinstance(error, OSError) and error.strerror:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    what = f"{doing[0].upper()}{doing[1:]} failed" if doing else "Something unexpected failed"
    return f"{what} ({reason}). “Show errors” in the palette has the details."
