"""The two single lines of Generate: views and model at the top; legend and figures at the foot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from charlstm.display import percent, quoted
from charlstm.generation.clamp import Clamp
from charlstm.generation.rows import surprise
from charlstm_tui.actions import BY_ID, key_of
from charlstm_tui.formatting import from_bits, unit
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.marks import DIVERGING_MARKS, MARKS, OFF, Scale


class GenerateBar(Widget):
    """`` [Play] w Write  I Look inside     novel-quick-2 @ step 400   [ ──●─── ] 3 of 6 models``.

    The last part is a slider through the models of the run: its ends are the keys, and a click goes to a model.
    """

    DEFAULT_CSS = "GenerateBar { height: 1; padding: 0 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view = "play"
        self._views: tuple[str, ...] = ("play",)
        self._names: tuple[str, ...] = ("",)
        self._number, self._count = 0, 0
        self._escape = ""

    def show(
        self, view: str, views: Sequence[str], names: Sequence[str], number: int = 0, count: int = 0, escape: str = ""
    ) -> None:
        """``names`` are names of the model, the longest first: the first that fits is shown. ``number`` is its number
        among the ``count`` models of its run, from 0; without any there is no slider. ``escape`` is what Esc does,
        if it does not lead back to the other view."""
        state = (view, tuple(views), tuple(names), number, count, escape)
        if state != (self._view, self._views, self._names, self._number, self._count, self._escape):
            self._view, self._views, self._names, self._number, self._count, self._escape = state
            self.refresh()

    def render(self) -> Content:
        here, key, other = map(Style.parse, ("bold", "bold $primary", "$quiet"))
        width = self.content_size.width
        tabs = []
        for view in self._views:
            if view == self._view:
                tabs.append(Content.styled(f"[{view.capitalize()}]", here))
            else:
                back = self._view != "play" and view != "look_inside"
                click = _click(f"screen.show_view({view!r})" if back else f"screen.do('generate.{view}')")
                name = key_of("app.back" if back else f"generate.{view}")
                word = view.replace("_", " ").capitalize()
                if back and self._escape:
                    tabs.append(Content.assemble((name, key), (f" {self._escape}", other)))
                    tabs.append(Content.styled(word, other + click))
                else:
                    tabs.append(Content.assemble((name, key + click), (f" {word}", other + click)))
        left = Content("  ").join(tabs) if len(tabs) > 1 else Content("")
        slider = self._slider(here, key, other) if self._count > 1 else Content("")
        what = Content.styled(" models", other) if self._count > 1 else Content("")
        # The slider gives way before the step of the model.
        *longer, shortest = self._names
        choices = [(name, keys) for name in longer for keys in (slider + what, slider)]
        choices += [(name, Content("")) for name in longer[-1:]]
        for name, keys in (*choices, (shortest, slider), (shortest, Content("")), ("", Content(""))):
            right = Content.assemble((name, here), keys)
            if left.cell_length + right.cell_length + 2 <= width:
                break
        if not len(left):
            return right
        return Content.assemble(left, " " * max(1, width - left.cell_length - right.cell_length), right)

    def _slider(self, here: Style, key: Style, other: Style) -> Content:
        earlier, later = (
            (key_of(f"generate.{name}"), key + _click(f"screen.do('generate.{name}')")) for name in ("earlier", "later")
        )
        track = slider_track(self._number, self._count)
        now = self._number
        cells = [
            (char, (here if number == now else other) + _click(f"screen.move_checkpoint({number - now})"))
            for char, number in track
        ]
        return Content.assemble("   ", earlier, " ", *cells, " ", later, (f" {now + 1} of {self._count}", other))


SLIDER = 12
"""Cells of the slider, at most."""


def slider_track(number: int, count: int) -> list[tuple[str, int]]:
    """The cells of a slider: each with a number of a model, and a mark at ``number``."""
    cells = min(count, SLIDER)
    here = round(number * (cells - 1) / (count - 1))
    return [("●", number) if cell == here else ("─", round(cell * (count - 1) / (cells - 1))) for cell in range(cells)]


def _click(action: str) -> Style:
    return Style.from_meta({"@click": action})


@dataclass(frozen=True, slots=True)
class Legend:
    """What the colouring of ``text`` by ``scale`` means. ``copied`` is the share of it that stands in the training
    text, ``None`` where that is not known; with ``own`` it says how the user's own characters look, with ``unread``
    that some have no figures yet, with ``key`` which key shows colours. How levels look is asked of the text when the
    legend is drawn, since they look different with another theme."""

    scale: Scale
    text: StreamView
    copied: float | None = None
    own: bool = False
    unread: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A figure, or what else can be changed, after the ``keys`` that change it."""

    keys: str
    words: str


class StatusLine(Widget):
    """``expected <1 1–3 3–6 >6 bits surprising    ▶ 60 ch/s   mean 1.9 bits``; a note takes the legend's place."""

    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._legend: Legend | None = None
        self._note = ""
        self._figures: tuple[str | KeyFigure, ...] = ()

    def show(self, legend: Legend | None, figures: Sequence[str | KeyFigure], note: str = "") -> None:
        """``figures`` in falling importance: what does not fit is left out from the end."""
        state = (legend, tuple(figures), note)
        if state != (self._legend, self._figures, self._note):
            self._legend, self._figures, self._note = state
            self.refresh()

    def _forms(self) -> list[tuple[Content, int]]:
        """The legend from its longest form to its shortest, each with the number of figures that must still fit
        beside it: a legend in words is worth more than the last figures, but not than the first."""
        every, first = len(self._figures), min(1, len(self._figures))
        legend, quiet = self._legend, Style.parse("$quiet")
        if legend is None:
            return [(Content(""), 0)]
        scale, title = legend.scale, quiet + Style(bold=True)
        styles = [legend.text.level_style(level) for level in range(1, len(scale.labels) + 1)]
        as_background = legend.text.shows_backgrounds
        own = Content.assemble("  ", ("your own", legend.text.own_style)) if legend.own else Content("")
        if legend.unread:
            own += Content.styled("  not read yet", quiet)
        copied, copied_words = self._copied(legend, False), self._copied(legend, True)
        if scale is OFF:
            none = Content.styled("no colours", quiet)
            if legend.key:
                none = Content.assemble((legend.key, "bold $primary"), (" shows colours", quiet))
            return [(none + own + copied_words, every), (none + own + copied, every), (none + copied, 0)]
        # The level that looks plain has no background of its own, so its label needs no space around it.
        labels = [
            (f" {label} " if as_background and level != scale.plain_level else label, style)
            for level, (label, style) in enumerate(zip(scale.labels, styles, strict=True), 1)
        ]
        unit = (f" {scale.unit}" if scale.unit else "", quiet)
        low, high = scale.ends
        if not as_background:
            heading = (f"{scale.title}{', ' + scale.unit if scale.unit else ''}  ", title)
            marks = DIVERGING_MARKS if scale.diverging else MARKS
            explained = [
                Content.assemble(label, (f" {mark}", quiet)) for label, mark in zip(labels, marks, strict=False)
            ]
            plain = [Content.assemble(label) for label in labels]
            forms = [Content.assemble(heading, Content("  ").join(parts)) for parts in (explained, plain)]
            if scale.diverging:  # five labels with their marks are longer than 80 columns
                forms[1] = Content.assemble(heading, (f"{low} ", quiet), Content("  ").join(plain), (f" {high}", quiet))
            return [(forms[0] + copied_words, every), (forms[0] + copied, every), (forms[1] + copied, 0)]
        ramp = (
            Content(" ").join(map(Content.assemble, labels))
            if scale.diverging
            else Content.assemble(labels[0], " ", *labels[1:])
        )
        words = Content.assemble((f"{low} ", quiet), ramp, unit, (f" {high}", quiet))
        short = Content.assemble((f"{scale.title} ", title), ramp, unit)
        # What is coloured by its surprise needs no name for that; a cell or another figure of the view does.
        background = Content.assemble((f"{scale.title}: ", title) if scale.diverging else ("background: ", quiet))
        return [
            (background + words + own + copied_words, every),
            (background + words + own + copied, every),
            (words + own + copied, every),
            *([(short + own + copied, every), (short + own + copied, first)] if own else []),
            (words + copied, first),
            (short + copied, 0),
        ]

    def _copied(self, legend: Legend, explained: bool) -> Content:
        """How much is copied, with the key that leads to the next copied stretch and so to its source."""
        if legend.copied is None:
            return Content("")
        action = BY_ID["generate.next_copied"]
        quiet, click = Style.parse("$quiet"), Style.from_meta({"@click": f"screen.do({action.id!r})"})
        share = (f"{percent(legend.copied)} copied", legend.text.copied_style + click)
        if not legend.copied:
            return Content.assemble("  ", (f"{share[0]}", quiet))
        key = (action.key_label, Style.parse("bold $primary") + click)
        return Content.assemble("  ", key, " ", share, (": go to it and see where from" if explained else "", quiet))

    def _figure(self, figure: str | KeyFigure) -> Content:
        look = Style.parse("$foreground")
        if isinstance(figure, str):
            return Content.styled(figure, look)
        key = Style.parse("bold $primary")
        return Content.assemble((figure.keys, key), (f" {figure.words}", look))

    def render(self) -> Content:
        width = self.content_size.width
        forms = self._forms()
        if self._note:
            forms = [(Content.styled(self._note, "bold $foreground"), 0)]
        for form, least in forms:
            for count in range(len(self._figures), least - 1, -1):
                right = Content("  ").join(map(self._figure, self._figures[:count]))
                gap = width - form.cell_length - right.cell_length
                if gap >= (2 if count else 0):
                    return Content.assemble(form, " " * gap, right)
        return forms[-1][0].truncate(width, ellipsis=True)


def held_words(clamps: Sequence[Clamp]) -> str:
    """Which cells are held: ``held: 2:187=1``."""
    return f"held: {', '.join(map(str, clamps))}"


def char_figures(char: str, probability: float, rank: int, bits: bool) -> str:
    """What the model thought of a character: ``“e” 3.1 bits, 12 %, rank 2``, or with its surprise in nats."""
    surprised = from_bits(max(0.0, surprise(probability)), bits)
    return f"{quoted(char)} {surprised:.1f} {unit(bits)}, {percent(probability)}, rank {rank:,}"
