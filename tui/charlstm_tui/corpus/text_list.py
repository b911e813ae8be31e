"""The list of texts and folders in Corpus."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import var

from charlstm.display import count, size, visible
from charlstm_tui.actions import key_of
from charlstm_tui.corpus.sources import BoxModel, Entry, Folder, Lesson, Section, ToFetch, first_entry
from charlstm_tui.formatting import home, shorten, typed_path, working_folder
from charlstm_tui.widgets.row_list import Row, RowList


class TextList(RowList):
    """The entries of ``sections`` whose names contain ``typed``, with captions between them."""

    sections: var[tuple[Section, ...]] = var(())
    typed: var[str] = var("")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._target: str | None = None
        self._placed = False

    def go_to(self, target: str) -> None:
        """Put the cursor on the entry with this key or name, now or once listed."""
        self._target = target
        self._place_cursor()

    @property
    def current(self) -> Entry | None:
        """What the cursor is on."""
        entries = ((section, entry) for section in self.sections for entry in section.entries)
        return next((entry for section, entry in entries if _key(section, entry) == self.cursor), None)

    def watch_sections(self) -> None:
        self._fill()
        if not self._placed and self.sections:
            self._placed = True
            if self._target is None and (entry := first_entry(self.sections)) is not None:
                self._target = entry.key
        self._place_cursor()

    def _fill(self) -> None:
        typed = self.typed.casefold()
        width = max(12, self.size.width - 4)
        rows: list[Row] = []
        for section in self.sections:
            entries = [entry for entry in section.entries if typed in entry.name.casefold()]
            if not entries and not section.problem:
                continue
            about = shorten(visible(home(section.about), keep=""), max(4, width - len(section.title) - 2))
            rows.append(Row(None, Content.assemble((section.title, "bold $quiet"), (f"  {about}", "$quiet"))))
            rows += [Row(_key(section, entry), _line(entry, width)) for entry in entries]
            if section.problem:
                rows.append(Row(None, Content.styled(f"  {section.problem}", "$error")))
        if not rows and self.sections:
            lines = (f"Nothing is called “{visible(self.typed, keep='')}”.", f"{key_of('app.back')} shows all.")
            rows += [Row(None, Content.styled(line, "$quiet")) for line in lines]  # the list is too narrow for one row
        self.show(rows)

    watch_typed = on_resize = _fill

    def _place_cursor(self) -> None:
        targets = {self._target}
        if self._target is not None:
            targets.add(str(working_folder() / typed_path(self._target)))
        for section in self.sections:
            for entry in section.entries:
                if targets & {entry.key, entry.name}:
                    self._target = None
                    self.move_to(_key(section, entry))
                    return


def _key(section: Section, entry: Entry) -> str:
    return f"{section.title}:{entry.key}"


def _line(entry: Entry, width: int) -> Content:
    """An entry of the list: its name, and on the right its length or size."""
    if isinstance(entry, Folder):
        return Content.styled(visible(entry.name, keep=""), "$secondary")
    if isinstance(entry, (BoxModel, Lesson)):
        return Content.styled(shorten(entry.name, width), "$accent")
    chars, octets = (None, entry.text.bytes) if isinstance(entry, ToFetch) else (entry.chars, entry.octets)
    figure = count(chars) if chars is not None else size(octets) if octets is not None else ""
    cells = max(4, width - len(figure) - 1)
    name = Content(shorten(visible(entry.name, keep=""), cells)).truncate(cells, ellipsis=True)
    return Content.assemble(name, " " * max(1, width - name.cell_length - len(figure)), (figure, "$quiet"))
