"""Duel: one prime, two settings or models, streaming side by side. Two views; what they play is the screen's to say."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from charlstm_tui.generate.sampler_panel import CAPTION, other_settings
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.marks import Origin, Scale, uniform
from charlstm_tui.player.state import PlaybackState

SIDES = (1, 2)
"""The player's voices that are the two sides."""


class DuelView(Horizontal):
    """Two sides; the one in focus is the one whose settings the keys change."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures: dict[int, PlaybackState] = {}

    def compose(self) -> ComposeResult:
        for voice in SIDES:
            with Vertical(classes="duel-side", id=f"side-{voice}"):
                yield Static(classes="duel-head", id=f"head-{voice}")
                yield StreamView(id=f"duel-{voice}")

    def view(self, voice: int) -> StreamView:
        """The text of one side."""
        return self.query_one(f"#duel-{voice}", StreamView)

    @property
    def chosen(self) -> int:
        """The side in focus."""
        return SIDES[1] if self.view(SIDES[1]).has_focus else SIDES[0]

    def picture(self, voice: int) -> PlaybackState | None:
        """What a side was last told."""
        return self._pictures.get(voice)

    @property
    def running(self) -> bool:
        """Whether a side streams."""
        return any(picture.running for picture in self._pictures.values())

    def enter(self, scale: Scale) -> None:
        """Begin anew."""
        self._pictures.clear()
        for voice in SIDES:
            self.view(voice).clear()
            self.view(voice).scale = scale
        self.view(SIDES[0]).focus()

    def show(self, picture: PlaybackState) -> None:
        """What happened on one side."""
        before = self._pictures.get(picture.number)
        self._pictures[picture.number] = picture
        view = self.view(picture.number)
        if before is None or before.session_id != picture.session_id or before.prime != picture.prime:
            view.clear()
            view.append(picture.prime, uniform(picture.prime, Origin.PRIME))
        base = len(picture.prime)
        if picture.text or base + picture.length != view.length:
            view.replace_from(base + picture.start, picture.text, picture.marks)
        self.draw_heads()

    def on_descendant_focus(self) -> None:
        """The other side's settings are under the keys now."""
        self.draw_heads()

    def draw_heads(self) -> None:
        """Say of each side what plays and, of the one in focus, that the keys are its."""
        for voice, picture in self._pictures.items():
            head = self.query_one(f"#head-{voice}", Static)
            head.set_class(voice == self.chosen, "-chosen")
            head.update(self._head(voice, picture))

    def _head(self, voice: int, picture: PlaybackState) -> Content:
        if picture.error or picture.busy or picture.facts is None:
            return Content.styled(picture.error or picture.busy, "$error" if picture.error else "$quiet")
        facts, settings = picture.facts, picture.settings
        step = "" if facts.step is None else f" @ {facts.step:,}"
        on = [f"{CAPTION['temperature']} {settings.temperature:.2f}"]
        on += [
            f"{CAPTION[name]} {value:g}" for name in ("top_k", "top_p", "min_p") if (value := getattr(settings, name))
        ]
        on += other_settings(settings)
        bits = "" if picture.bits_per_char is None else f"  {picture.bits_per_char:.2f} bits"
        mark = ("▸ " if voice == self.chosen else "  ", "$accent")
        return Content.assemble(mark, (facts.name + step, "bold"), (bits, ""), "\n  ", (" · ".join(on), "$quiet"))
