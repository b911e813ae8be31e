"""The branches of a session as a small tree: where each parts, the words there, and which one is the current text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm.generation.document import BranchInfo
from charlstm_tui.actions import key_of
from charlstm_tui.dialogs import PromptDialog, ask
from charlstm_tui.player.played import Played
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.widgets.option_list import SideList

INDENT_WIDTH = 14
"""Cells of the list for each level of indentation: deeper branches stand below one another."""
SPAN_WIDTH = 40
"""Cells from which on the end of a branch is named as well as its start."""


class BranchTree(SideList):
    """Enter or a click on a branch makes it the current text."""

    state: var[Played | None] = var(None, init=False)

    class Chosen(Message):
        """A branch is to become the current text."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, player: TextPlayer, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._player = player
        self._branches: tuple[BranchInfo, ...] | None = None

    def on_mount(self) -> None:
        if self._branches is None:
            self.show(())

    def watch_state(self, state: Played | None) -> None:
        if state is not None:
            self.show(state.branches)

    def show(self, branches: Sequence[BranchInfo]) -> None:
        """Show these, the root first."""
        if tuple(branches) == self._branches:
            return
        self._branches = branches = tuple(branches)
        highlighted = 0 if self.highlighted is None else self.highlighted
        self.clear_options()
        if len(branches) < 2:
            self.add_option(
                Option(
                    Content.styled(
                        f"No branches yet: {key_of('generate.choices')} in the text shows the choices.", "$quiet"
                    ),
                    disabled=True,
                )
            )
            return
        depths: dict[int, int] = {}
        tip = max(index for index, branch in enumerate(branches) if branch.current or not index)
        for branch in branches:
            depths[branch.number] = 0 if branch.parent is None else depths[branch.parent] + 1
        self.add_options(
            Option(self._line(branch, depths[branch.number], branch is branches[tip]), id=str(branch.number))
            for branch in branches
        )
        self.highlighted = min(highlighted, len(branches) - 1) if self.has_focus else tip

    @property
    def highlighted_branch(self) -> BranchInfo | None:
        """The branch under the cursor of the list."""
        index = self.highlighted
        return self._branches[index] if self._branches and index is not None and index < len(self._branches) else None

    # ---- actions

    def do_prune_branch(self) -> None:
        branch = self.highlighted_branch
        if branch is not None:
            self._player.prune(branch.number)

    def do_name_branch(self) -> None:
        branch = self.highlighted_branch
        if branch is not None:
            dialog = PromptDialog("Name this branch", value=branch.name)
            ask(self, dialog, lambda name: self._player.rename(branch.number, name))

    # ---- drawing

    def _line(self, branch: BranchInfo, depth: int, tip: bool) -> Content:
        """A branch as a line of the list: bold if the current text runs through it, with a mark where the text ends."""
        width = self.scrollable_content_region.width or 28
        stem = "  " * min(width // INDENT_WIDTH, max(0, depth - 1)) + "└ " * (depth > 0)
        number = f"{branch.number} "
        span = f"  {branch.start:,}" + (f"–{branch.stop:,}" if width >= SPAN_WIDTH else "")
        name, space = visible(branch.name, keep=""), width - 2 - len(stem) - len(number)
        if name and cell_len(name) + len(span) > space:
            span = ""  # the name says more
        free = max(6, space - len(span))
        words = Content(name).truncate(free, ellipsis=True) if name else words_at(branch, free)
        return Content.assemble(
            ("● " if tip else "  ", "$accent"),
            (stem + number, "$quiet"),
            words.stylize("bold") if branch.current else words,
            (" " * (free - words.cell_length) + span, "$quiet"),
        )

    def on_resize(self) -> None:
        branches, self._branches = self._branches, None
        self.show(branches or ())
        self.call_after_refresh(self.scroll_to_highlight)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Chosen(int(event.option_id)))


def words_at(branch: BranchInfo, width: int) -> Content:
    """The words where a branch parts, in at most ``width`` cells: from the beginning of the word that is another one
    there, with as many of those before it, quiet, as a third of the space holds."""
    begun = re.search(r"\S*\Z", branch.before)
    assert begun is not None
    length = len(branch.before) if branch.text[:1].isspace() else begun.start()  # a word that is whole is the same one
    words = _shown(branch.before[length:] + branch.text).strip("↵ ")
    lead = _shown(branch.before[:length]).rstrip("↵ ").split(" ")
    start = ""
    while lead and lead[-1] and len(lead[-1]) + len(start) + 2 <= width // 3:
        start = f"{lead.pop()} {start}"
    if start and lead:
        start = f"…{start.lstrip('↵ ')}"
    shown = Content(words or "…")
    free = width - Content(start).cell_length
    if shown.cell_length > free:
        shown = shown.truncate(free, ellipsis=True)
        whole = shown.plain.rstrip("…").rpartition(" ")[0]
        if len(whole) > free // 2:
            shown = Content(f"{whole} …")
    return Content.assemble((start, "$quiet"), shown)


def _shown(text: str) -> str:
    """``text`` in one line."""
    return visible(re.sub(r" +", " ", re.sub(r"\s*\n\s*", " ↵ ", text)), keep="")
