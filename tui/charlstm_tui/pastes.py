"""Pastes from the terminal: their begin and end in the input, and the parts that are no text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

START, END = "\x1b[200~", "\x1b[201~"
ENDS_AFTER = 5.0
"""Seconds without input after which a paste is over although its end has not come."""
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # such as the colours of what another program printed
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # such as the title of a window
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def without_controls(pasted: str) -> tuple[str, int]:
    """What was pasted without control sequences and control characters except tabs, and how many these were. A line
    break, which terminals send as ``\\r``, is ``\\n``."""
    return _CONTROLS.subn("", pasted.replace("\r\n", "\n").replace("\r", "\n"))


class PasteReader:
    """Separates pastes (between the marks of "bracketed paste") from keys in what comes from the terminal."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pasted: str | None = None  # so far, while a paste is under way
        self._before = ""  # the last characters before, which may be a part of the mark
        self._heard_at = 0.0

    def read(self, data: str) -> Iterator[tuple[str, bool]]:
        """The parts of ``data``, each with whether it is a whole paste; parts of one that goes on are kept. Empty keys
        mean that those before were the begin of a paste's mark, and no keys."""
        self._heard_at = self._clock()
        while data:
            if self._pasted is None:
                seen, known = self._before + data, len(self._before)
                found = seen.find(START)
                if found < 0:
                    self._before = seen[-len(START) + 1 :]
                    yield data, False
                    return
                if found != known:
                    yield seen[known:found], False
                data, self._before, self._pasted = seen[found + len(START) :], "", ""
            else:
                known = len(self._pasted)
                self._pasted += data
                found = self._pasted.find(END, max(0, known - len(END) + 1))
                if found < 0:
                    return
                pasted, data, self._pasted = self._pasted[:found], self._pasted[found + len(END) :], None
                yield pasted, True

    def overdue(self) -> str | None:
        """What was pasted, if its end does not come any more."""
        if self._pasted is None or self._clock() - self._heard_at < ENDS_AFTER:
            return None
        pasted, self._pasted = self._pasted, None
        return pasted
