"""The samples that the model wrote during training, an option for each, all with the same prime and the same seed.

The newest is chosen until the user chooses another. The chosen sample is shown in full where there are enough rows.
Texts are shown literally, control characters made visible.
"""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.reactive import reactive
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm.training.events import Sampled
from charlstm_tui.clipboard import Copyable
from charlstm_tui.widgets.option_list import SideList

FULL_FROM = 7  # rows from which on the chosen sample is shown in full, in at most half of them
ROWS_FOR_A_LINE = 16  # the others get a line for each of these
EXCERPT = 600  # characters of a sample that are ever laid out


class Samples(SideList, inherit_bindings=False):
    """The list of samples. Enter is the mode's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, show=False)
        for key, action in (
            ("up", "cursor_up"), ("down", "cursor_down"), ("pageup", "page_up"), ("pagedown", "page_down"),
            ("home", "first"), ("end", "last"),
        )
    ]  # fmt: skip

    samples: reactive[tuple[Sampled, ...]] = reactive((), init=False)
    empty: reactive[str] = reactive("", init=False)
    """The words to show while there are no samples."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._in_full: int | None = None  # the option that shows all of its sample

    @property
    def following(self) -> bool:
        """Whether the newest sample is chosen; then the next one will be."""
        return self.highlighted is None or self.highlighted >= len(self.samples) - 1

    def copyable(self) -> Copyable | None:
        """The chosen sample, with the prime that it continues."""
        if self.highlighted is None:
            return None
        sample = self.samples[self.highlighted]
        return Copyable(f"the sample of step {sample.step:,}", sample.prime + sample.text)

    def watch_samples(self, before: tuple[Sampled, ...], samples: tuple[Sampled, ...]) -> None:
        chosen = self.highlighted
        followed = chosen is None or chosen >= len(before) - 1 or samples[: len(before)] != before
        newest = len(samples) - 1 if samples else None
        self._fill(newest if followed else chosen)

    def watch_empty(self) -> None:
        if not self.samples:
            self._fill(None)

    def on_resize(self, event: Resize) -> None:
        self._fill(self.highlighted)

    def _fill(self, chosen: int | None) -> None:
        self._in_full = chosen
        options = [Option(self._words(index)) for index in range(len(self.samples))]
        self.set_options(options or [Option(Content.styled(f" {self.empty}", "$quiet"), disabled=True)])
        if options:
            self.highlighted = chosen

    @on(OptionList.OptionHighlighted)
    def _chosen(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        before, self._in_full = self._in_full, self.highlighted
        for index in {before, self._in_full} - {None}:
            if before != self._in_full and index is not None and index < len(self.samples):
                self.replace_option_prompt_at_index(index, self._words(index))

    def _words(self, index: int) -> Content:
        """A sample with its step: all of it in the option that is chosen, else as much as its lines hold."""
        sample, height, chosen = self.samples[index], self.size.height, index == self._in_full
        gutter = max(len(f"{self.samples[-1].step:,}"), 5) + 1
        space = max(self.scrollable_content_region.width - gutter - 3, 4)
        prime = _end(_line(sample.prime), max(space // 5, 4))
        text = Content.assemble((prime, "italic $quiet"), _line(sample.text[:EXCERPT]))
        most = 1 if height < FULL_FROM else height // 2 if chosen else max(1, height // ROWS_FOR_A_LINE)
        lines = [text.truncate(space, ellipsis=True)] if most == 1 else text.wrap(space)[:most]
        step = Content.styled(f"{'▸' if chosen else ' '}{f'{sample.step:,}'.rjust(gutter)}  ", "$quiet")
        blank = Content(" " * (gutter + 3))
        return Content("\n").join((blank if number else step) + line for number, line in enumerate(lines))


def _end(prime: str, most: int) -> str:
    """The end of the prime: it is the same in every sample, so a fifth of the line is enough for it."""
    if len(prime) <= most:
        return prime
    tail = prime[-most:]
    return "…" + (tail[tail.index(" ") + 1 :] if " " in tail.rstrip() else tail)


def _line(text: str) -> str:
    """A text on one line, shown literally."""
    return visible(text).replace("\n", "↵ ")
