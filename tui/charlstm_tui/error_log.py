"""Log unexpected errors: the last tracebacks are kept in memory, and all of them in a file.

An expected error is a :class:`charlstm.errors.CharLSTMError` with a sentence for the user. Any other one is a mistake
in the program or a system error that the code did not expect. Threads, workers and actions catch it
at their top, log it with ``LOG.exception``, show :func:`sentence` in their pane, and go on.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

from charlstm.errors import CharLSTMError
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
            mode = "w" if path.exists() and path.stat().st_size > LARGEST else "a"
            with path.open(mode, encoding="utf-8", errors="backslashreplace") as file:
                file.write(entry + "\n")
        except (OSError, CharLSTMError) as error:  # a full disk: it stays in memory
            self.tracebacks.append(f"{log_path()} cannot be written: {error}")


def log_path() -> Path:
    """The file that unexpected errors are written to."""
    return state_dir(make=False) / "app.log"


RECENT = RecentErrors()
LOG.addHandler(RECENT)


def sentence(error: BaseException, doing: str = "") -> str:
    """An unexpected error in one sentence for the screen. ``doing`` is what failed, such as ``reading the runs``."""
    if isinstance(error, CharLSTMError):
        return str(error)
    text = str(error).strip().split("\n", 1)[0]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    what = f"{doing[0].upper()}{doing[1:]} failed" if doing else "Something unexpected failed"
    return f"{what} ({reason}). The details are in {log_path()}."
