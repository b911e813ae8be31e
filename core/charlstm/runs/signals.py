"""Being told to end: the first signal asks, a second one insists.

It only keeps note of the first; acting on it is the worker's business.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Signals:
    """Inside the block the first SIGINT, SIGTERM or SIGHUP sets ``asked`` to its name; another SIGINT or SIGTERM raises
    :class:`KeyboardInterrupt`, and a third ends the process as it always does.

    A terminal that closes often sends SIGHUP twice, by the kernel and by the shell: it never counts as the second.
    Outside the main thread, where Python delivers no signals, the block changes nothing.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def ask(self, why: str) -> None:
        """As if a first signal had come."""
        self.asked = self.asked or why

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.asked is None:
            self.asked = name
        elif name != "SIGHUP":
            for each in self._before:
                signal.signal(each, signal.SIG_DFL)
            raise KeyboardInterrupt
