"""The line above the key bar in which a mode says how an action went."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from charlstm.display import visible


class MessageLine(Static):
    """Shows a sentence for some seconds or, where it ``stays``, until :meth:`clear`; else it is hidden."""

    SECONDS: ClassVar = 6.0
    DEFAULT_CSS = """
    MessageLine { height: auto; max-height: 3; padding: 0 1; color: $accent; display: none; }
    MessageLine.bad { color: $error; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.sentence = ""
        """What is said."""
        self.is_error = False
        self._timer: Timer | None = None

    def show(self, sentence: str, *, error: bool, stays: bool) -> None:
        """Say a sentence instead of the one before."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = None if stays or not sentence else self.set_timer(self.SECONDS, self.clear)
        self.sentence, self.is_error = sentence, error
        self.update(Content(f"{'✗ ' if error else ''}{visible(sentence, keep='')}"))
        self.set_class(error, "bad")
        self.display = bool(sentence)

    def clear(self) -> None:
        """Say nothing any more."""
        if self.sentence:
            self.show("", error=False, stays=True)
