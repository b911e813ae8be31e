"""Ask the terminal for the colour of its background (OSC 11), before the app starts.

The question is followed by one that every terminal answers (DA1), so that one which does not know the first is not
waited for. Answers come as input. Late answers are removed from the app's input, and keys typed meanwhile are handed
on.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import time
from collections.abc import Mapping

LIMIT = 0.1
"""Seconds from the question in which an answer counts."""
QUESTIONS = b"\x1b]11;?\x1b\\\x1b[c"
_COLOUR = re.compile(r"\x1b\]11;([^\x07\x1b]{0,64})(?:\x07|\x1b\\)")
_DEVICE = re.compile(r"\x1b\[\?[\d;]{0,64}c")
_BEGUN = re.compile(r"(?:\x1b\](?:1(?:1(?:;[^\x07\x1b]{0,64}\x1b?)?)?)?|\x1b\[(?:\?[\d;]{0,64})?)$")
_RGB = re.compile(r"rgba?:([0-9a-f]{1,4})/([0-9a-f]{1,4})/([0-9a-f]{1,4})", re.IGNORECASE)


class BackgroundQuestion:
    """A question that was sent. Call :meth:`answer` once, whatever happens: it gives the terminal back."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)
        self._until = time.monotonic() + LIMIT
        self._colour = ""
        self._open = True  # an answer may still come
        self._rest = ""  # the begin of an answer
        self.typed = ""
        """What came besides the answers: keys that were pressed meanwhile."""
        mode = termios.tcgetattr(descriptor)
        mode[3] &= ~(termios.ICANON | termios.ECHO)  # the answer must neither wait for a newline nor be shown
        termios.tcsetattr(descriptor, termios.TCSANOW, mode)
        os.write(descriptor, QUESTIONS)

    def answer(self) -> tuple[int, int, int] | None:
        """The background as red, green and blue (0 to 255); ``None`` without an answer that makes sense in time."""
        try:
            while self._open:
                left = max(0.0, self._until - time.monotonic())
                if not select.select([self._descriptor], [], [], left)[0]:
                    break
                data = os.read(self._descriptor, 4096)
                if not data:  # the terminal is gone
                    break
                self.typed += self.without_answers(data.decode("utf-8", "replace"))
        except OSError:
            return None
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
            os.close(self._descriptor)
        found = _RGB.match(self._colour)
        if found is None:
            return None
        red, green, blue = (round(255 * int(digits, 16) / (16 ** len(digits) - 1)) for digits in found.groups())
        return red, green, blue

    def without_answers(self, data: str) -> str:
        """``data`` from the terminal without answers to the questions; the begin of one is kept for the next call."""
        if not self._open:
            return data
        data, self._rest = self._rest + data, ""
        if colour := _COLOUR.search(data):
            self._colour = self._colour or colour[1]
            data = _COLOUR.sub("", data)
        if device := _DEVICE.search(data):  # the last one
            self._open = False
            return data[: device.start()] + data[device.end() :]
        if begun := _BEGUN.search(data):
            data, self._rest = data[: begun.start()], begun[0]
        return data


def ask_background(environment: Mapping[str, str] = os.environ) -> BackgroundQuestion | None:
    """Ask the terminal; ``None`` without a terminal that could answer."""
    if environment.get("TEXTUAL_DRIVER") or environment.get("TERM", "dumb") in ("dumb", "linux"):
        return None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    try:
        return BackgroundQuestion(descriptor)
    except (OSError, termios.error):
        os.close(descriptor)
        return None
