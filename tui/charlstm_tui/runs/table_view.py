"""The table of runs: all of them, with state and best, to open, compare, resume and tidy.

What is done to a run is in `run_actions` and in `charlstm.runs`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Input, Static

from charlstm.display import plural, size, visible
from charlstm.runs import folder
from charlstm.runs.names import check_name
from charlstm.runs.notes import change_notes, edit_tags, parse_tags
from charlstm.runs.queue_file import remove_from_queue
from charlstm_tui.actions import Action, key_of
from charlstm_tui.background import run_command
from charlstm_tui.dialogs import Choice, ChoiceDialog, PathDialog, PromptDialog, ask
from charlstm_tui.formatting import home, shorten, typed_path, unit
from charlstm_tui.run_actions import RunActions
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.runs import table
from charlstm_tui.runs.details import DetailsPane
from charlstm_tui.runs.run_details import DetailsCache
from charlstm_tui.view import View, is_detached
from charlstm_tui.widgets.changing_text import ChangingText
from charlstm_tui.widgets.row_list import Row, RowList
from charlstm_tui.widgets.text_input import FILTER_KEYS, TextInput

if TYPE_CHECKING:
    from charlstm.runs.queue import QueuedRun

FILTER_HINT = "words of name, text, tag or state, such as anna finished"


class TablePane(Vertical):
    """The table with the titles of its columns, which fills the screen as a whole."""

    ALLOW_MAXIMIZE = True


class TableView(RunActions):
    """A table of the runs, and beside or below it the details of the one under the cursor, or a comparison."""

    MAIN_PANE = "#runs"

    AGES_INTERVAL = 10.0
    """Seconds until the ages in the table are brought up to date, while nothing else changes."""
    READ_AFTER = 0.1
    """Seconds until the log of a run that the cursor came to is read: of those that it only passes none is."""

    # Without ``init=False`` the first reading of a variable calls its watcher, even before the view has its parts.
    marked: var[tuple[Path, ...]] = var((), init=False)
    """The runs to compare, in the order in which they were marked."""
    sort: var[table.Sort] = var(table.Sort(), init=False)
    typed: var[str] = var("", init=False)
    """What is typed in the filter."""
    comparing: var[bool] = var(False, init=False)

    def __init__(self, details: DetailsCache, *, id: str) -> None:
        super().__init__(id=id)
        self._runs_dir = folder.runs_dir(self.charlstm.start_options.runs_dir)
        remembered = self.charlstm.remembered
        if remembered.runs_sort in table.BY_TITLE:
            self.set_reactive(TableView.sort, table.Sort(remembered.runs_sort, remembered.runs_sort_reverse))
        self._rows = RowList(id="runs")
        self._head = ChangingText(id="runs-head")
        self._header = table.RunsHeader(id="runs-header")
        self._empty = Static(id="runs-empty")
        self._filter_line = TextInput(placeholder=FILTER_HINT, id="runs-filter", compact=True, typing_keys=FILTER_KEYS)
        self._pane = DetailsPane(self._runs_dir, id="runs-details")
        self._details = details
        self._detailed: list[Path] = []  # the runs whose details are shown
        self._by_key: dict[str, RunView] = {}
        self._renamed_to: Path | None = None  # the run that was renamed here, until it is listed under its new name

    def compose(self) -> ComposeResult:
        yield self._head
        with Horizontal(id="runs-panes"):
            with TablePane(id="runs-table"):
                yield self._header.data_bind(TableView.sort)
                yield self._rows
                yield self._empty
            yield self._pane.data_bind(View.bits)
        yield self._filter_line

    def on_mount(self) -> None:
        if is_detached(self):
            return
        self._filter_line.display = False
        self.set_interval(self.AGES_INTERVAL, self._update_table)
        self.call_after_refresh(self._update_table)  # without runs, the table says how to begin

    # ---- what is shown
    @property
    def runs(self) -> tuple[RunView, ...]:
        return self.runs_state.runs

    def watch_bits(self) -> None:
        self._update_table()
        self._update_details()

    def watch_runs_state(self, before: RunsState, state: RunsState) -> None:
        if state.runs != before.runs:
            self._by_key = {str(run.path): run for run in state.runs}
            self._update_table()
            self.marked = tuple(path for path in self.marked if state.find(path) or path == self._renamed_to)
            self._follow_rename()
            self._update_details()

    def watch_sort(self) -> None:
        self._update_table()

    def watch_typed(self) -> None:
        self._update_table()

    def watch_marked(self, marked: tuple[Path, ...]) -> None:
        self.comparing = self.comparing and len(marked) > 1
        self._update_table()
        self._update_details()
        self.post_message(self.Changed())

    def watch_comparing(self, comparing: bool) -> None:
        self._pane.set_class(comparing, "-comparing")
        self._update_details()
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        self._update_head()

    @on(RowList.Resized)
    def _update_table(self) -> None:
        rows, bits = self._rows, self.bits
        width = rows.size.width - 1  # without the scrollbar
        shown = [run for run in self.runs if table.passes(run, self.typed)]
        longest = table.longest_entries(self.runs)
        self._header.longest = longest
        rows.show(
            [
                Row(str(run.path), table.line(run, run.path in self.marked, width, bits, longest))
                for run in self.sort.sorted(shown)
            ]
        )
        rows.display = self._header.display = bool(shown)
        self._empty.display = not shown
        if not shown:
            self._empty.update(Content(self._nothing_shown()))
        self._update_head()

    def _nothing_shown(self) -> str:
        if self.runs:
            return f"No run passes the filter “{self.typed}”. {key_of('app.back')} shows all."
        choose, import_model = key_of("app.mode_corpus"), key_of("runs.import_model")
        return (
            f"No run yet. {choose} chooses a text to train on; {import_model} imports a model of the reference script."
        )

    def _update_head(self) -> None:
        total, shown = len(self.runs), len(self._rows.rows)
        number = f"{shown} of {plural(total, 'run')}" if shown != total else plural(total, "run")
        elsewhere = sum(not run.path.is_relative_to(self._runs_dir) for run in self.runs)
        facts = f"{number}{f', {elsewhere:,} of them in other folders' if elsewhere else ''}"
        facts += f" · {size(sum(run.size for run in self.runs))}"
        folder = visible(home(self._runs_dir), keep="")
        head = self._head
        if not total:
            head.update(Content(f" {folder}"))
            return
        order = f"sort: {self.sort.words} "
        of_best = f"best in {unit(self.bits)}"
        if len(folder) + len(facts) + len(long := f"{of_best} per character · {order}") + 6 <= self.size.width:
            order = long
        elif len(facts) + len(of_best) + len(order) + 6 <= self.size.width:
            order = f"{of_best} · {order}"
        folder_width = self.size.width - len(facts) - len(order) - 6
        left = Content(f" {shorten(folder, folder_width)} · {facts}" if folder_width > 8 else f" {facts}")
        gap = " " * max(1, self.size.width - left.cell_length - len(order))
        head.update(Content.assemble(left, gap, order))

    @property
    def run(self) -> RunView | None:
        """The run under the cursor."""
        return self._by_key.get(self._rows.cursor or "")

    @on(RowList.Moved)
    def _cursor_moved(self) -> None:
        self.charlstm.before_draw(self._show_other_run)

    def _show_other_run(self) -> None:
        if not self.comparing:
            self._update_details()
        self.post_message(self.Changed())

    @on(DetailsPane.Resized)
    def _details_resized(self) -> None:
        if self.comparing:
            self._update_details()

    @work(exclusive=True, group="details")
    async def _update_details(self) -> None:
        """Show what is known of the run at the cursor, or of those that are compared, and again once they are read."""
        if self.comparing:
            shown = [run for path in self.marked for run in self.runs if run.path == path]
        else:
            shown = [run] if (run := self.run) else []
        self._pane.runs = known = tuple((run, self._details.known(run.path)) for run in shown)
        paths = [run.path for run in shown]
        if not self.comparing and paths != self._detailed:
            self._detailed = paths  # at once: what is new of the same runs meanwhile begins no wait anew
            await asyncio.sleep(self.READ_AFTER)
        at_once = self._pane.compared_at_once
        read = [(run, await self._details.read(run)) for run in shown[:at_once]]
        if any(now is not before for (_, now), (_, before) in zip(read, known, strict=False)):
            self._pane.runs = (*read, *known[at_once:])

    # ---- the table of actions
    def has(self) -> dict[str, bool]:
        run = self.run
        resumable = run is not None and not run.status.alive and run.status.state != "finished"
        return super().has() | {
            "runs": bool(self.runs),
            "resumable": resumable,
            "runs ahead": resumable and self.runs_state.any_ahead,
            "marked": self.comparing or bool(self.marked),
        }

    def labels(self) -> dict[str, str]:
        waits = self.run is not None and self.run.status.place is not None
        queue = "leave queue" if waits else "later"
        return {"runs.compare": "details" if self.comparing else "compare", "runs.queue": queue}

    def do_open(self) -> None:
        if run := self.run:
            self.charlstm.attach(run.path)

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self.do_open()

    def do_mark(self) -> None:
        if run := self.run:
            marked = self.marked
            self.marked = tuple(p for p in marked if p != run.path) if run.path in marked else (*marked, run.path)

    def do_compare(self) -> None:
        """Compare the marked runs; with a single mark, that run and the run under the cursor."""
        run = self.run
        if not self.comparing and len(self.marked) == 1 and run is not None and run.path not in self.marked:
            self.marked = (*self.marked, run.path)
        if not self.comparing and len(self.marked) < 2:
            self.say(f"Mark two runs or more with {key_of('runs.mark')} to compare them.")
            return
        self.comparing = not self.comparing

    def compare(self, paths: tuple[Path, ...]) -> None:
        """Mark ``paths`` alone, and compare these runs."""
        self.marked, self.comparing = paths, False
        self.do_compare()

    def do_mark_all(self) -> None:
        """Mark all runs in the table, or none of them when all are marked already."""
        shown = tuple(Path(row.key) for row in self._rows.rows if row.key is not None)
        others = tuple(path for path in self.marked if path not in shown)
        self.marked = others if set(shown) <= set(self.marked) else (*others, *shown)

    @work(group="run")
    async def do_queue(self) -> None:
        """Put the run into the queue, or take it out."""
        if (run := self.run) is None:
            return
        if run.status.place is not None:
            left = f"{run.name} has left the queue. Its folder stays."
            await self.attempt(lambda: remove_from_queue(run.path), left)
            return
        placed = await self.attempt(lambda: _add_to_queue(run.run))
        self.say(f"{run.name} is {placed.words}.")

    # ---- the curves
    def to_overlay(self) -> tuple[Path, ...]:
        """The runs whose curves are to be shown: what is marked, with one mark or none that at the cursor too."""
        run = self.run
        if run is not None and len(self.marked) == 1 and run.path not in self.marked:
            self.marked = (*self.marked, run.path)
        self.comparing = False
        return self.marked or (() if run is None else (run.path,))

    def do_save_curves(self) -> None:
        """Save the curves of the marked runs, or of the one at the cursor, on one chart."""
        if paths := self.marked or ((self.run.path,) if self.run else ()):
            self.save_chart_of(paths)

    def do_rename(self) -> None:
        run = self.run
        if run is None:
            return
        dialog = PromptDialog("A new name", f"for {run.name}", run.name, check=_check_name)
        ask(self, dialog, lambda name: self._rename(run, name.strip()))

    async def _rename(self, run: RunView, name: str) -> None:
        if name == run.name:
            return
        renamed = await self.attempt(lambda: folder.rename_run(run.run, name))
        self.marked = tuple(renamed.path if path == run.path else path for path in self.marked)
        self.charlstm.renamed(run.path, renamed.path)
        self._renamed_to = renamed.path
        self._follow_rename()

    def _follow_rename(self) -> None:
        """Put the cursor on the run that was renamed, once it is listed: a reading that began before may come first."""
        if self._renamed_to is not None and self.runs_state.find(self._renamed_to) is not None:
            self._rows.move_to(str(self._renamed_to))
            self._renamed_to = None

    def do_tags(self) -> None:
        if run := self.run:
            shown, done = run.notes.tags, f"The tags of {run.name} are saved."
            about = f"of {run.name}, divided by spaces. The filter finds them."
            dialog = PromptDialog("Tags", about, " ".join(shown), wide=True)
            ask(self, dialog, lambda tags: self.attempt(lambda: edit_tags(run.run, shown, parse_tags(tags)), done))

    def do_note(self) -> None:
        if run := self.run:
            dialog = PromptDialog("A note", f"on {run.name}", run.notes.note, wide=True, lines=True)
            ask(self, dialog, lambda note: self._write_note(run, note))

    async def _write_note(self, run: RunView, note: str) -> None:
        if note != run.notes.note:
            change = partial(change_notes, run.run, lambda now: replace(now, note=note.strip()))
            await self.attempt(change, f"The note on {run.name} is saved.")

    def do_delete(self) -> None:
        run = self.run
        if run is None:
            return
        if run.live:
            self.say(f"{run.name} is {run.status.state}: stop it first with {key_of('runs.stop')}.", error=True)
            return
        name, path = visible(run.name, keep=""), visible(home(run.path), keep="")
        count = len(run.run.sessions())
        sessions = f", and {plural(count, 'session')} of text that you played or wrote" if count else ""
        about = f"Its model, snapshots and log go for good{sessions}: {size(run.size)} in {path}."
        choices = [Choice("n", "no, keep it", None), Choice("y", "yes, delete it for good", run)]
        ask(self, ChoiceDialog(f"Delete {name}?", about, choices), self._delete)

    async def _delete(self, run: RunView) -> None:
        left = await self.attempt(lambda: folder.delete_run(run.run))
        self.say(f"{run.name} is deleted. {folder.left_over(run.run, left)}".strip())
        if self.charlstm.run_path == run.path:
            self.charlstm.attach(None, show=False)

    def do_import_model(self) -> None:
        about = "A checkpoint of the reference script (.net, .pth, .pt). Nothing in it is executed."
        ask(self, PathDialog("Import a model", about), lambda typed: self._import(typed_path(typed)))

    async def _import(self, path: Path) -> None:
        self.say(f"Reading {path.name} …", stays=True)
        answer = await run_command("import", str(path.absolute()))
        out = answer["out"]
        self.say(f"Imported {path.name} as {home(out)}.")
        if self.screen.is_current:  # else the user is at something else by now
            self.charlstm.play(out)

    def do_sort(self) -> None:
        self._sort_by(self.sort.next())

    @on(table.RunsHeader.Clicked)
    def _header_clicked(self, event: table.RunsHeader.Clicked) -> None:
        self._sort_by(self.sort.after_click(event.title))

    def _sort_by(self, sort: table.Sort) -> None:
        self.sort = sort
        self.charlstm.remember(runs_sort=sort.title, runs_sort_reverse=sort.reverse)

    def do_find(self) -> None:
        self._filter_line.display = True
        self.screen.set_focus(self._filter_line)

    @on(Input.Changed, "#runs-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.typed = event.value

    @on(Input.Submitted, "#runs-filter")
    def _filter_done(self) -> None:
        self._rows.stay()
        self.focus_main()

    def handle_escape(self) -> bool:
        line = self._filter_line
        if line.display:
            line.value, line.display = "", False
            self.typed = ""  # at once: the next key acts on the run that the cursor comes back to
            self.focus_main()
        elif self.comparing:
            self.comparing = False
        elif self.marked:
            self.marked = ()
        else:
            return False
        return True

    def begin_action(self, action: Action) -> None:
        if action.handler not in ("back", "find"):  # what is done is done to the run that the cursor is on now
            self._rows.stay()


def _check_name(typed: str) -> None:
    check_name(typed.strip())


def _add_to_queue(run: folder.RunFolder) -> QueuedRun:
    from charlstm.runs import queue  # 0.3 s, with numpy

    queue.add_run(run)
    return queue.begin_or_wait(run)
