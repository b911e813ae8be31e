"""Write: what a writer's keys do in the text that is played, and the suggestions of how it could continue."""

from __future__ import annotations

import re
import time

from textual.events import Key

from charlstm_tui.actions import key_of
from charlstm_tui.generate.played_text import PlayedText
from charlstm_tui.generate.view import GenerateView
from charlstm_tui.player.played import Played

HELD_FOR = 0.4
"""Seconds after which a key is not held any more: Ctrl+→ that goes on by words passes suggestions meanwhile."""


class Writing:
    """The keys of Write and its suggestions."""

    def __init__(self, view: GenerateView, text: PlayedText) -> None:
        self._view, self._text = view, text
        self._is_hidden = False  # whether the suggestion is left out until the next key
        self._walked_at = 0.0  # when Ctrl+→ went on by a word

    @property
    def suggested(self) -> str:
        """The suggestion, while it is shown."""
        return "" if self._is_hidden else self._text.player.suggestion

    def follow(self, state: Played) -> None:
        """Show the suggestion of this state in the text."""
        self._text.view.show_suggestion(self.suggested, state.position)

    def hide_suggestion(self) -> None:
        """Leave out the suggestion until the next key."""
        self._is_hidden = True
        self._text.view.show_suggestion("")
        self._view.post_message(self._view.Changed())

    def expect_suggestion(self) -> None:
        """Show the next suggestion that comes."""
        if self._is_hidden:
            self._is_hidden = False
            self._view.post_message(self._view.Changed())

    # ---- typing

    def handle(self, event: Key, times: int) -> int:
        """What a key that came ``times`` times does in every text editor. Returns how many of these were handled: 0 if
        it does nothing."""
        if not self._text.handles(event):
            return 0
        if event.key == "ctrl+right":
            self._walked_at = time.monotonic()
        self._begin()
        return self._text.handle(event, times)

    def paste(self, text: str) -> None:
        self._begin()
        self._text.type(text)

    def _begin(self) -> None:
        self._view.charlstm.before_draw(self._say_nothing)
        self.expect_suggestion()

    def _say_nothing(self) -> None:
        self._view.say("")

    def do_cut(self) -> None:
        if not self._text.cut_selected():
            self._view.say("Nothing is selected: the mouse selects, and so does Shift with the arrows.")

    def do_cut_rest(self) -> None:
        self._text.cut_rest()

    def do_undo(self) -> None:
        self.expect_suggestion()
        self._text.player.undo()

    def do_redo(self) -> None:
        self.expect_suggestion()
        self._text.player.redo()

    # ---- suggestions

    def do_accept_suggestion(self) -> None:
        self._text.player.accept(self.suggested)

    def do_accept_word(self) -> None:
        if time.monotonic() - self._walked_at < HELD_FOR:
            self._walked_at = time.monotonic()
            self._text.player.move_by_word(1)
            return
        word = re.match(r"\s*\S+", self.suggested)
        if word is not None:
            self._text.player.accept(word.group())

    def do_another_suggestion(self, direction: int) -> None:
        if not self._text.player.suggests:
            key = key_of("generate.continuations_written")
            self._view.say(f"Suggestions come at the end of a line; {key} reads ways on from here.")
            return
        self.expect_suggestion()
        self._text.player.another_suggestion(direction)
