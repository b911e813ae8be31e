"""Runs: all of them, with state and best, to open, compare, resume and tidy. It reads folders, and trains nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from charlstm.display import visible
from charlstm.errors import CharLSTMError, RunError
from charlstm.runs import folder
from charlstm.runs.folder import Run
from charlstm.runs.names import check_name
from charlstm_tui.actions import Action, bindings
from charlstm_tui.background import in_thread, run_command
from charlstm_tui.base import ModeScreen
from charlstm_tui.choices import playable
from charlstm_tui.formatting import home, shorten, size, typed_path
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.runs import table as run_table
from charlstm_tui.runs.compare import differences
from charlstm_tui.runs.details import details
from charlstm_tui.runs.run_details import DetailsCache
from charlstm_tui.widgets.row_list import Row, RowList
from charlstm_tui.widgets.text_input import TextInput

EMPTY = "No run yet. 1 chooses a text to train on; i imports a model of the reference script."


class RunsScreen(ModeScreen):
    """One line a run, and beside or below it what there is to say of the one under the cursor."""

    MODE = "runs"
    MAIN_PANE = "#runs"
    CSS_PATH = "screen.tcss"
    BINDINGS = bindings("runs")

    def __init__(self) -> None:
        super().__init__()
        self._runs: tuple[RunView, ...] = ()
        self._marked: tuple[Path, ...] = ()
        self._bits = False
        self._sort = "newest"
        self._comparing = False
        self._details = DetailsCache()

    def compose_body(self) -> ComposeResult:
        yield Static(id="runs-head")
        yield TextInput(placeholder="part of a run's or text's name", id="runs-filter", compact=True)
        with Vertical(id="runs-split"):
            with Vertical(id="runs-table"):
                yield Static(id="runs-captions", classes="caption")
                yield RowList(id="runs")
                yield Static(Content(EMPTY), id="runs-empty")
            with VerticalScroll(id="runs-details", can_focus=True):
                yield Static(id="runs-about")
        yield Static(id="runs-note")

    def on_mount(self) -> None:
        if self.leaving:
            return
        self.query_one("#runs-filter").display = False
        self.query_one("#runs-note").display = False

    # ---- what is there
    def show_runs_state(self, state: RunsState) -> None:
        self._marked = tuple(path for path in self._marked if state.find(path))
        seen = (state.runs, self.charlstm.bits)
        changed = seen != (self._runs, self._bits)
        self._runs, self._bits = seen
        self._fill()
        if changed:
            self._show_about()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)
        self.call_after_refresh(self._show_about)

    def _fill(self) -> None:
        if self.leaving:
            return
        typed = self.query_one("#runs-filter", Input).value.casefold()
        shown = [run for run in self._runs if typed in run.name.casefold() or typed in run.text.casefold()]
        shown.sort(key=run_table.SORTS[self._sort])  # type: ignore[arg-type]
        table = self.query_one(RowList)
        width = self.query_one("#runs-table").size.width - 1  # the scrollbar's
        bits = self.charlstm.bits
        table.show([Row(str(run.path), run_table.line(run, run.path in self._marked, width, bits)) for run in shown])
        self.query_one("#runs-captions", Static).update(run_table.captions(width))
        table.display = bool(shown)
        self.query_one("#runs-captions").display = bool(shown)
        empty = self.query_one("#runs-empty", Static)
        empty.display = not shown
        empty.update(Content(f"No run has “{typed}” in its name or text. Esc shows all." if self._runs else EMPTY))
        self._show_head(len(shown))

    def _show_head(self, shown: int) -> None:
        total = len(self._runs)
        number = f"{shown} of {total} runs" if shown != total else f"{total} run{'s' * (total != 1)}"
        place = visible(home(folder.runs_dir(self.charlstm.start_options.runs_dir)), keep="")
        facts = f" · {number} · {size(sum(run.size for run in self._runs))}"
        right = f"sort: {self._sort} "
        room = self.size.width - len(facts) - len(right) - 3
        left = Content(f" {shorten(place, room) if room > 8 else ''}{facts}")
        gap = " " * max(1, self.size.width - left.cell_length - len(right))
        self.query_one("#runs-head", Static).update(Content.assemble(left, gap, right))

    @property
    def current(self) -> RunView | None:
        """The run under the cursor."""
        key = self.query_one(RowList).cursor
        return next((run for run in self._runs if str(run.path) == key), None)

    # ---- what there is to say of it
    @on(RowList.Moved)
    def _moved(self) -> None:
        self._comparing = self._comparing and len(self._marked) > 1
        self._show_about()
        self.refresh_keys()

    @work(exclusive=True, group="about")
    async def _show_about(self) -> None:
        """Show the details at once with what is known, and again when the folder was read."""
        if self.leaving:
            return
        about = self.query_one("#runs-about", Static)
        pane = self.query_one("#runs-details")
        width, bits = max(20, pane.size.width - 3), self.charlstm.bits
        if self._comparing:
            views = [run for path in self._marked for run in self._runs if run.path == path]
            each = [await self._details.read(run) for run in views]
            about.update(differences(views, each, width, bits))
            return
        run = self.current
        pane.display = run is not None
        if run is None:
            return
        known = self._details.known(run.path)
        place = folder.runs_dir(self.charlstm.start_options.runs_dir)
        about.update(details(run, known, width, bits, place))
        if (found := await self._details.read(run)) is not known:
            about.update(details(run, found, width, bits, place))

    # ---- the table of actions
    def can(self, action: Action) -> bool:
        run = self.current
        match action.handler:
            case "find" | "sort" | "import_model":
                return True
            case "stop":
                return run is not None and run.live
            case "resume":
                return run is not None and not run.status.alive and run.status.state != "finished"
            case "compare":
                return self._comparing or len(self._marked) > 0
            case _ if action.mode == self.MODE:
                return run is not None
        return True

    def labels(self) -> dict[str, str]:
        return {"runs.compare": "details" if self._comparing else "compare"}

    def do_open(self) -> None:
        if run := self.current:
            self.charlstm.attach(run.path)

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self.do_open()

    def do_play(self) -> None:
        run = self.current
        if run is None:
            return
        if (choice := playable(run.run)) is not None:
            self.charlstm.play(choice.model, choice.step)
        else:
            self.note(f"{run.name} has no model yet: it comes with the first validation.", bad=True)

    def do_mark(self) -> None:
        if run := self.current:
            marked = self._marked
            self._marked = tuple(p for p in marked if p != run.path) if run.path in marked else (*marked, run.path)
            self._comparing = self._comparing and len(self._marked) > 1
            self._fill()
            self._show_about()
            self.refresh_keys()

    def do_compare(self) -> None:
        """Compare what is marked; with one mark alone, that one and the run under the cursor."""
        run = self.current
        if not self._comparing and len(self._marked) == 1 and run is not None and run.path not in self._marked:
            self._marked = (*self._marked, run.path)
        if not self._comparing and len(self._marked) < 2:
            self.note("Mark two runs or more with Space to compare them.")
            return
        self._comparing = not self._comparing
        self._fill()
        self._show_about()
        self.refresh_keys()

    def do_resume(self) -> None:
        from charlstm.runs.launch import resume_run

        if run := self.current:
            self._attempt(lambda: resume_run(run.run), f"{run.name} goes on from its last checkpoint.")

    def do_stop(self) -> None:
        from charlstm.runs.control import send_command

        if run := self.current:
            self._attempt(lambda: send_command(run.run, "stop"), f"{run.name} is asked to stop at a checkpoint.")

    def do_rename(self) -> None:
        from charlstm_tui.dialogs import PromptDialog

        run = self.current
        if run is None:
            return

        def check(name: str) -> str | None:
            try:
                check_name(name.strip())
            except RunError as error:
                return str(error)
            return None

        def named(name: str | None) -> None:
            if name is not None and name.strip() != run.name:
                new = name.strip()
                self._attempt(lambda: folder.rename_run(run.run, new), "", lambda renamed: self._renamed(run, renamed))

        self.app.push_screen(PromptDialog("A new name", f"for {run.name}", run.name, check=check), named)

    def _renamed(self, run: RunView, renamed: Run) -> None:
        self._marked = tuple(renamed.path if path == run.path else path for path in self._marked)
        if self.charlstm.run_path == run.path:
            self.charlstm.attach(renamed.path, show=False)
        playing = self.charlstm.model
        if playing is not None and playing.model == str(run.path):
            self.charlstm.model = replace(playing, model=str(renamed.path))
        self.app.call_later(self._after_rename, str(renamed.path))

    def _after_rename(self, key: str) -> None:
        self.query_one(RowList).cursor = key

    def do_delete(self) -> None:
        from charlstm_tui.dialogs import Choice, ChoiceDialog

        run = self.current
        if run is None:
            return
        if run.live:
            self.note(f"{run.name} is {run.status.state}: stop it first with x.", bad=True)
            return

        def answered(answer: bool | None) -> None:
            if answer:
                self._attempt(lambda: folder.delete_run(run.run), deleted, lambda _: self._deleted(run))

        def deleted(left: list[str]) -> str:
            return f"{run.name} is deleted. {folder.left_over(run.run, left)}".strip()

        name, place = visible(run.name, keep=""), visible(home(run.path), keep="")
        self.app.push_screen(
            ChoiceDialog(
                f"Delete {name}?",
                f"Its model, snapshots, sessions and log go for good: {size(run.size)} in {place}.",
                [Choice("c", "keep it", False), Choice("D", "delete it for good", True)],
            ),
            answered,
        )

    def _deleted(self, run: RunView) -> None:
        if self.charlstm.run_path == run.path:
            self.charlstm.attach(None, show=False)

    def do_import_model(self) -> None:
        from charlstm_tui.dialogs import PromptDialog
        from charlstm_tui.widgets.path_input import PathSuggester

        def check(typed: str) -> str | None:
            return None if typed_path(typed).is_file() else f"There is no file {typed.strip() or 'of that name'}."

        def typed(path: str | None) -> None:
            if path is not None:
                self._import(typed_path(path))

        about = "A checkpoint of the reference script (.net, .pth, .pt). Nothing in it is executed."
        self.app.push_screen(
            PromptDialog("Import a model", about, placeholder="path", check=check, suggester=PathSuggester()), typed
        )

    @work(group="import")
    async def _import(self, path: Path) -> None:
        self.note(f"Reading {path.name} …")
        try:
            answer = await run_command("import", str(path.absolute()))
        except CharLSTMError as error:
            self.note(str(error), bad=True)
            return
        out = str(answer.get("out") or answer.get("path") or "") if isinstance(answer, dict) else ""
        self.note(f"Imported {path.name} as {home(out) or 'a model'}.")
        if out and self.is_current:  # else the user is at something else by now
            self.charlstm.play(out)

    def do_sort(self) -> None:
        order = list(run_table.SORTS)
        self._sort = order[(order.index(self._sort) + 1) % len(order)]
        self._fill()

    def do_find(self) -> None:
        line = self.query_one("#runs-filter", Input)
        line.display = True
        line.focus()

    @on(Input.Changed, "#runs-filter")
    def _filter_changed(self) -> None:
        self._fill()

    @on(Input.Submitted, "#runs-filter")
    def _filter_done(self) -> None:
        self.focus_main()

    def step_out(self) -> bool:
        line = self.query_one("#runs-filter", Input)
        if line.display:
            line.value, line.display = "", False
            self.focus_main()
        elif self._comparing:
            self.do_compare()
        elif self._marked:
            self._marked = ()
            self._fill()
            self.refresh_keys()
        elif self.query_one("#runs-note").display:
            self.query_one("#runs-note").display = False
        else:
            return False
        return True

    # ---- words
    def show_error(self, sentence: str) -> None:
        self.note(sentence, bad=True)

    def note(self, sentence: str, bad: bool = False) -> None:
        """Say something at the foot of the pane, until the next action says something else."""
        line = self.query_one("#runs-note", Static)
        line.update(Content(" " + visible(sentence, keep="")))
        line.set_class(bad, "bad")
        line.display = bool(sentence)

    @work(group="attempt")
    async def _attempt(
        self,
        act: Callable[[], Any],
        done: str | Callable[[Any], str],
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Do what may take a while or be refused, off the screen's thread, and say how it went."""
        try:
            result = await in_thread(lambda check: act())
        except CharLSTMError as error:
            self.note(str(error), bad=True)
        else:
            if then is not None:
                then(result)
            self.note(done if isinstance(done, str) else done(result))
        self.charlstm.watcher.read_soon()
