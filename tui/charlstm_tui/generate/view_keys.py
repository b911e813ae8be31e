"""Write, Score and Duel: the keys of the other views of Generate, and the way into and out of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from textual import events, on
from textual.widgets import ContentSwitcher

from charlstm_tui.formatting import typed_path
from charlstm_tui.generate.candidates import Candidates
from charlstm_tui.generate.duel_view import SIDES
from charlstm_tui.generate.score_view import ScoreView
from charlstm_tui.generate.stage import OFFERED, GenerateStage


class ViewKeys(GenerateStage):
    """What the keys do outside Play."""

    # ---- the other views

    def enter_room(self, room: str) -> None:
        """Show a view; Play's text stays as it is meanwhile. Write is Play's own text with the keys for the writer."""
        self._player.pause()
        if self.room == "duel":
            for voice in SIDES:
                self._player.remove(voice)
            self._player.change_speed(lambda _: self._speed)  # which may have been changed there
        if self._writing:
            self._player.cancel()  # a long text that is still coming in
        if self._writing != (room == "write"):
            self._writing = room == "write"
            self._ghost_hidden = False
            self._player.set_writing(self._writing)
        self._choosing = False
        self.remove_class("-choosing")
        self._note = ""
        self.query_one("#rooms", ContentSwitcher).current = "play" if room == "write" else room
        self.query_one("#prime-row").display = room == "play"
        self.set_class(room == "write", "-typing")  # the sampler's and the tree's keys are letters then
        self.query_one(Candidates).set_class(room == "write", "-typing")
        if room in ("play", "write"):
            self.focus_main()
        self._draw_panels()
        self.refresh_keys()

    def action_leave_room(self) -> None:
        self.enter_room("play")

    def in_input(self) -> bool:
        return self.room == "write" or super().in_input()

    def do_write(self) -> None:
        self.enter_room("write")
        self._say("Type; the grey text is the model's. Esc hides it, Esc again goes back to Play.", OFFERED)

    def on_key(self, event: events.Key) -> None:
        """In Write, whatever no binding took is written."""
        if self.room != "write" or self.focused is not self.stream:
            return
        if event.key == "backspace":
            self._player.erase()
        elif event.key == "enter":
            self._player.insert_at_cursor("\n")
        elif event.character is not None and event.is_printable:
            self._player.insert_at_cursor(event.character)
        else:
            return
        event.stop()
        if self._ghost_hidden:
            self._ghost_hidden = False
            self.refresh_keys()

    def on_paste(self, event: events.Paste) -> None:
        if self.room == "write":
            event.stop()
            self._player.insert_at_cursor(event.text)

    def do_take_ghost(self) -> None:
        if self._picture is not None:
            self._player.accept_suggestion(len(self._picture.suggestion))

    def do_take_word(self) -> None:
        word = re.match(r"\s*\S+", self._picture.suggestion if self._picture is not None else "")
        if word is not None and not self._ghost_hidden:
            self._player.accept_suggestion(word.end())

    def do_duel(self) -> None:
        """The same prime and dice on both sides; the second side begins with a higher temperature."""
        picture, wish = self._picture, self._wish
        if picture is None or wish is None:
            return
        self.enter_room("duel")
        self.duel.enter(self._scale)
        hotter = replace(self._settings, temperature=round(min(2.0, self._settings.temperature + 0.4), 2))
        for voice, settings in zip(SIDES, (self._settings, hotter), strict=True):
            self._duel_wishes[voice] = replace(
                wish, prime=picture.prime, settings=settings, speed=self._speed or 60.0, stream=True, session=None
            )
            self._player.load(self._duel_wishes[voice], voice)

    def do_duel_again(self) -> None:
        for voice in SIDES:
            self._load_side(voice, seed=self._duel_wishes[voice].seed + 1)

    def _load_side(self, voice: int, **changes: Any) -> None:
        """One side of Duel from the prime on, with ``changes`` and the settings of now."""
        picture, wish = self.duel.picture(voice), self._duel_wishes[voice]
        settings = wish.settings if picture is None or picture.distribution is None else picture.settings
        wish = replace(wish, settings=settings, speed=self._speed or 60.0, stream=True, **changes)
        self._duel_wishes[voice] = wish
        self._player.load(wish, voice)

    def do_score(self) -> None:
        picture = self._picture
        if picture is None or picture.facts is None:
            return
        self.enter_room("score")
        self.score_room.enter(picture.facts, self._player.model(), self.stream.text(), self._scale)

    def do_score_open(self) -> None:
        from charlstm_tui.dialogs import PromptDialog

        def named(path: str | None) -> None:
            if path:
                self.score_room.open(typed_path(path))

        self.app.push_screen(PromptDialog("Score a text", "The path of a text; or paste a text into the view."), named)

    def do_score_next(self) -> None:
        self.score_room.next_place()

    def do_score_walk(self, characters: int, lines: int) -> None:
        self.score_room.walk(characters, lines)

    @on(ScoreView.Changed)
    def _scored(self) -> None:
        self._draw_status()
