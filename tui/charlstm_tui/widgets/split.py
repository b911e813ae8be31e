"""A container of two panes whose border can be moved, with the mouse or by keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual import events
from textual.containers import Horizontal
from textual.css.scalar import Scalar, Unit
from textual.layout import Layout
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

LEAST_BESIDE, LEAST_BELOW = 16, 4
"""Least columns and rows of a pane."""
STEP_BESIDE, STEP_BELOW = 4, 2
"""How far a key moves the border."""


class Split(Horizontal):
    """Two panes beside or below one another, as the style sheet says; the one that ``resized`` selects can be resized.

    The border that the second pane has towards the first is what the mouse drags, and a double click on it gives the
    panes their usual sizes, those of the style sheet. A pane whose usual size follows from its content (``auto``), or
    that is alone, keeps it. The share of the space that the pane has, from 0 to 1, is kept by the app in its reactive
    attribute ``pane_shares``, under :attr:`name_of_share`; the split asks for another one with :class:`Moved`.
    """

    DEFAULT_CSS = """
    Split > .-at-left { border-left: solid $accent !important; }
    Split > .-at-top { border-top: solid $accent !important; }
    """

    @dataclass
    class Moved(Message):
        """The pane is to have this share from now on, or with ``None`` its usual size."""

        name: str
        share: float | None

    def __init__(self, resized: str, *, id: str) -> None:
        super().__init__(id=id)
        self._resized = resized
        self._shares: Mapping[str, float] = {}
        self._dragged: float | None = None

    def on_mount(self) -> None:
        self.watch(self.app, "pane_shares", self._use_shares)
        self.watch(self.screen, "maximized", self._set_size, init=False)

    def _use_shares(self, shares: Mapping[str, float]) -> None:
        self._shares = shares
        self._set_size()

    @property
    def beside(self) -> bool:
        """Whether the panes stand side by side, not one below the other."""
        return self.layout.name == "horizontal"

    @property
    def name_of_share(self) -> str:
        """Under which name the share of the pane is kept: it has one for each direction."""
        return f"{self.id}-{'beside' if self.beside else 'below'}"

    @property
    def pane(self) -> Widget | None:
        """The pane that can be resized now."""
        for pane in self.query_children(self._resized):
            usual = pane.styles.base.width if self.beside else pane.styles.base.height
            if len(self.displayed_children) == 2 and pane.display and not pane.is_maximized:
                return None if usual is None or usual.is_auto else pane
        return None

    @property
    def _second(self) -> Widget:
        """The pane with the border."""
        return self.displayed_children[-1]

    def pre_layout(self, layout: Layout) -> None:
        """Give the pane its share, which depends on what is shown and in which direction."""
        self._set_size()

    def _set_size(self) -> None:
        pane = self.pane
        share = self._shares.get(self.name_of_share) if self._dragged is None else self._dragged
        along, across = ("width", "height") if self.beside else ("height", "width")
        usual = (across,) if pane is not None and share is not None else (across, along)
        resized = set(self.query_children(self._resized))
        for child in self.children:
            for rule in (name for each in usual for name in (each, f"max_{each}")):
                if child.styles.inline.has_rule(rule) and (child in resized or rule.startswith("max_")):
                    setattr(child.styles, rule, None)
        if pane is not None and share is not None:
            setattr(pane.styles, along, Scalar(100 * share, Unit.PERCENT, Unit.WIDTH if self.beside else Unit.HEIGHT))
            for child in self.displayed_children:  # the other one must not end before the border
                setattr(child.styles, f"max_{along}", "100%")

    # ---- moving
    def move(self, steps: int) -> None:
        """Move the border to the right or down by so many steps, to the left or up if negative."""
        if (pane := self.pane) is not None:
            steps *= STEP_BESIDE if self.beside else STEP_BELOW
            cells = pane.outer_size.width if self.beside else pane.outer_size.height
            if (share := self._shares.get(self.name_of_share)) is not None:  # also when it is not laid out yet
                cells = int(share * self._total)
            share = self._share_of(cells + (steps if pane is not self._second else -steps))
            self._shares = {**self._shares, self.name_of_share: share}
            self.post_message(self.Moved(self.name_of_share, share))

    @property
    def _total(self) -> int:
        return self.size.width if self.beside else self.size.height

    def _share_of(self, cells: int) -> float:
        """The share of a pane of so many cells, or of as many as there is space for."""
        least = min(LEAST_BESIDE if self.beside else LEAST_BELOW, self._total // 2)
        return (min(max(cells, least), self._total - least) + 0.01) / max(self._total, 1)  # so that none is lost

    def _share_at(self, event: events.MouseEvent) -> float:
        """The share of the pane when the border is where the mouse is."""
        region = self.content_region
        place = event.screen_x - region.x if self.beside else event.screen_y - region.y
        return self._share_of(self._total - place if self.pane is self._second else place)

    # ---- the mouse
    def _at_border(self, event: events.MouseEvent) -> bool:
        if self.pane is None:
            return False
        region = self._second.region
        inside = region.contains(event.screen_x, event.screen_y)
        return inside and (event.screen_x == region.x if self.beside else event.screen_y == region.y)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1 and self._at_border(event):
            self.screen.clear_selection()  # Textual began one with this event
            self.capture_mouse()
            event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self.app.mouse_captured is self:
            self._dragged = self._share_at(event)
            self._set_size()
        else:
            self._highlight(self._at_border(event))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self.app.mouse_captured is self:
            self.release_mouse()

    def on_mouse_release(self) -> None:
        if self._dragged is not None:
            self.post_message(self.Moved(self.name_of_share, self._dragged))
            self._dragged = None

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2 and self._at_border(event):
            self.post_message(self.Moved(self.name_of_share, None))

    def on_leave(self) -> None:
        self._highlight(self.app.mouse_captured is self)

    def _highlight(self, on: bool) -> None:
        """Show, where the border is a line, that it can be dragged."""
        self.styles.pointer = ("ew-resize" if self.beside else "ns-resize") if on else "default"
        for edge, here in (("left", on and self.beside), ("top", on and not self.beside)):
            for child in self.children:
                line, _ = getattr(child.styles.base, f"border_{edge}")
                child.set_class(here and child is self._second and bool(line), f"-at-{edge}")


def split_of(screen: Screen[object]) -> Split | None:
    """The split on a screen that keys act on: the one around the widget in focus, else the first that is shown."""
    shown = [split for split in screen.query(Split) if split.is_on_screen and split.pane is not None]
    around = () if screen.focused is None else screen.focused.ancestors_with_self
    return next((split for split in shown if split in around), shown[0] if shown else None)
