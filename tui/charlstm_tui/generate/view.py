"""What the views of Generate have in common: what the screen asks of the one on screen, and what a view tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.reactive import reactive, var

from charlstm_tui.clipboard import Copyable
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view_bar import KeyFigure, Legend
from charlstm_tui.player.marks import SCALES, SURPRISE, Scale, in_unit
from charlstm_tui.player.played import Played
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.view import View

if TYPE_CHECKING:
    from charlstm_tui.generate.explaining_view import ExplainingView

TELL_EVERY = 0.02
"""Share of a job after which its progress is shown again."""


class GenerateView(View):
    """A view, mostly with a text, and with what the status line says of it."""

    state: var[Played | None] = var(None, init=False)
    """The last state of the text that is played. The screen sets it while the view is shown, and then removes it; Play,
    which shows that text, has every state, and shows it before another view has it."""
    scale: reactive[Scale] = reactive(SURPRISE, init=False)
    """The figure that colours the text."""

    question: ClassVar[str] = ""
    """What a view that explains answers, for the list of these; empty for another view."""

    returns_to: ClassVar[tuple[str, ...]] = ()
    """The ids of the views to which Esc leads back if the view was opened there; else it leads to Play."""

    has_own_scale = False
    """Whether the text is always coloured by the view's own figure, not by the one that is chosen in Play."""

    def __init__(self, player: TextPlayer, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.player = player

    @property
    def view_name(self) -> str:
        """The name of the view, or of a mode of it: the id of the action that opens it, without ``generate.``."""
        return self.id or ""

    @property
    def name_shown(self) -> str:
        return self.view_name.capitalize()

    def enter(self, source: ExplainingView) -> None:
        """Show what the view has to say of the text of ``source``: of Play, or of Score where Esc leads back there."""

    @property
    def text_view(self) -> StreamView | None:
        """The text, or the one in focus; ``None`` for a view without one, which has a ``MAIN_PANE``."""
        return None

    def focus_main(self) -> None:
        """Give the focus to the text, or to what stands in its place."""
        if self.text_view is None:
            super().focus_main()
        else:
            self.text_view.focus()

    def copyable(self) -> Copyable | None:
        """The text; ``None`` for a view without one, or with a part of one: then the screen has all of the text that
        the view is about."""
        return None if self.text_view is None else Copyable("the text", self.text_view.text())

    @property
    def running(self) -> bool:
        """Whether text streams."""
        return self.state is not None and self.state.running

    def figures(self) -> Sequence[str | KeyFigure]:
        """Figures for the status line, the most important first."""
        return []

    def hint(self) -> str:
        """What stands in the legend's place when there is no message."""
        return ""

    def legend(self) -> Legend | None:
        """What the colouring means; ``None`` while there is no text."""
        text = self.text_view
        return None if text is None else Legend(in_unit(text.scale, self.bits), text)

    def progress_teller(self, show: Callable[[float], object]) -> Callable[[float], None]:
        """For a job in a thread, to be called with how much of it is done, 0 to 1; now and then ``show`` is called with
        that on the message loop."""
        told = 0.0

        def tell(share: float) -> None:
            nonlocal told
            if share - told >= TELL_EVERY:
                told = share
                self.call_later(show, share)

        return tell

    def watch_scale(self, scale: Scale) -> None:
        for text in self.query(StreamView):
            text.scale = scale
        self.post_message(self.Changed())

    def watch_bits(self) -> None:
        """Show everything in the other unit."""
        self.post_message(self.Changed())

    def do_colour(self) -> None:
        self.scale = SCALES[(SCALES.index(self.scale) + 1) % len(SCALES)]
        self.say("")
