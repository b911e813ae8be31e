"""What the views of Generate have in common: what the screen asks of the one on screen, and what a view tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from charlstm_tui.actions import Action
from charlstm_tui.background import SafeWorkers
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.generate.view_bar import KeyFigure, Legend
from charlstm_tui.player.marks import SCALES, SURPRISE, Scale
from charlstm_tui.player.thread import Player

TELL_EVERY = 0.02
"""Share of a job after which its progress is shown again."""


class GenerateView(SafeWorkers, Widget):
    """A view. Its ``do_*`` methods carry out actions of the table while it is on screen; the screen has the others."""

    scale: reactive[Scale] = reactive(SURPRISE, init=False)
    """The figure that colours the text."""

    bits: reactive[bool] = reactive(False, init=False)
    """Whether losses are shown in bits, as everywhere in the app; else in nats. The screen sets it."""

    has_own_scale = False
    """Whether the text is always coloured by the view's own figure, not by the one that is chosen in Play."""

    class Changed(Message):
        """The figures or the keys of the view have changed."""

    class Said(Message):
        """A sentence for the status line. An empty one removes what is there."""

        def __init__(self, sentence: str, error: bool = False) -> None:
            super().__init__()
            self.sentence, self.error = sentence, error

    class Progress(Message):
        """So much of a job of the view is done, 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, player: Player, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.player = player

    @property
    def name_shown(self) -> str:
        """The name of the view in the bar at the top."""
        return self.id or ""

    @property
    def text_view(self) -> StreamView:
        """The text, or the one in focus."""
        raise NotImplementedError

    def focus_text(self) -> None:
        """Give the focus to the text, or to what stands in its place."""
        self.text_view.focus()

    @property
    def running(self) -> bool:
        """Whether text streams."""
        return False

    @property
    def takes_letters(self) -> bool:
        """Whether letters are typed into the text."""
        return False

    def scopes(self) -> tuple[str, ...]:
        """The scopes of the action table that are active."""
        return ("generate",)

    def can(self, action: Action) -> bool:
        """Whether an action of these scopes can be carried out now."""
        return True

    def labels(self) -> dict[str, str]:
        """Labels of the key bar that differ from the table's, by action id."""
        return {}

    def figures(self) -> Sequence[str | KeyFigure]:
        """Figures for the status line, the most important first."""
        return []

    def hint(self) -> str:
        """What stands in the legend's place when there is no message."""
        return ""

    def legend(self) -> Legend | None:
        """What the colouring means; ``None`` while there is no text."""
        text = self.text_view
        scale = text.scale
        return Legend(scale, tuple(map(text.level_style, range(1, len(scale.labels) + 1))), text.shows_backgrounds)

    @property
    def escape_label(self) -> str:
        """What Esc does as long as it does not leave the view: a label for the bar at the top."""
        return ""

    def handle_escape(self) -> bool:
        """Esc: leave what is open in the view; whether there was anything."""
        return False

    def leave(self) -> None:
        """Another view is shown from now on."""

    def say(self, sentence: str, error: bool = False) -> None:
        """Show a sentence in the status line."""
        self.post_message(self.Said(sentence, error))

    def progress_teller(self) -> Callable[[float], None]:
        """For a job in a thread, to be called with how much of it is done; it posts :class:`Progress` now and then."""
        told = 0.0

        def tell(share: float) -> None:
            nonlocal told
            if share - told >= TELL_EVERY:
                told = share
                self.post_message(self.Progress(share))

        return tell

    def watch_scale(self, scale: Scale) -> None:
        for text in self.query(StreamView):
            text.scale = scale
        self.post_message(self.Changed())

    def do_colour(self) -> None:
        self.scale = SCALES[(SCALES.index(self.scale) + 1) % len(SCALES)]
        self.say("")
