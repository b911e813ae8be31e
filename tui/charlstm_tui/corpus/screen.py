"""Corpus: choose what to learn from, and see what it is made of. Reading and counting is ``charlstm.text``'s."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.runs.models import demo_path
from charlstm.storage import FileStamp
from charlstm_tui.actions import Action, bindings
from charlstm_tui.background import in_thread
from charlstm_tui.base import ModeScreen
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.corpus.sources import Folder, Section, Text, noted, remember, sections
from charlstm_tui.formatting import clock, count, home, shorten, size, typed_path
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.widgets.bars import bar
from charlstm_tui.widgets.row_list import Row, RowList
from charlstm_tui.widgets.text_input import TextInput

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus, Preview, ReadProgress
    from charlstm.text.statistics import Statistics

WELCOME = " Welcome. Enter takes this text"
READY = "; 3 plays a ready model"
KEPT = 24  # studies that are kept in memory
PAUSE = 0.25  # seconds that the cursor rests on a text before it is read as a whole
PREVIEW_CHARS = 12_000


@dataclass(slots=True)
class Study:
    """What is known of a text so far, read with these options."""

    choice: CorpusChoice
    preview: Preview | None = None
    corpus: Corpus | None = None
    stats: Statistics | None = None
    progress: ReadProgress | None = None
    seconds_left: float | None = None
    problem: str = ""
    stamp: FileStamp | None = None
    """When the file was written, and its size."""


class CorpusScreen(ModeScreen):
    """The texts there are, and the one under the cursor."""

    MODE = "corpus"
    MAIN_PANE = "#texts"
    CSS_PATH = "screen.tcss"
    BINDINGS = bindings("corpus")

    def __init__(self) -> None:
        super().__init__()
        self._browsed = Path.cwd()
        self._sections: tuple[Section, ...] = ()
        self._recent: tuple[tuple[float, str], ...] = ()
        self._given: str | None = None
        self._options = CorpusChoice("", "")
        self._studies: dict[CorpusChoice, Study] = {}
        self._wanted: str | None = None
        self._turned: Path | None = None  # the folder to put the cursor on; itself stands for its first entry

    def compose_body(self) -> ComposeResult:
        yield Static(id="welcome")
        yield TextInput(placeholder="part of a name", id="texts-filter", compact=True)
        with Horizontal(id="corpus-split"):
            yield RowList(id="texts")
            with Vertical(id="text"):
                yield Static(id="text-head")
                with VerticalScroll(id="text-preview", can_focus=True):
                    yield Static(id="text-start")
                with Horizontal(id="text-made-of"):
                    yield Static(id="text-bits")
                    yield Static(id="text-frequent")
        yield Static(id="text-hints")

    def on_mount(self) -> None:
        if self.leaving:
            return
        self.query_one("#texts-filter").display = False
        given = self.charlstm.start_options.text
        if given is not None:
            self._given = self._wanted = given
        first = given is None and not self.charlstm.runs_state.runs
        welcome = self.query_one("#welcome", Static)
        welcome.display = first
        words = f"{WELCOME}{READY if demo_path() is not None else ''}."
        gap = max(1, self.app.size.width - len(words) - 10)
        welcome.update(Content.assemble((words, "$accent"), " " * gap, ("Esc hide", "$quiet")))
        self.call_after_refresh(self.reload)

    def show_runs_state(self, state: RunsState) -> None:
        recent = tuple((run.created, run.sources[0]) for run in state.runs if len(run.sources) == 1)
        if recent != self._recent:
            self._recent = recent
            self.reload()

    def entered(self) -> None:
        if self._sections:  # files come and go while one is elsewhere
            self.reload()
            if not any(each.group == "look" and each.is_running for each in self.workers if each.node is self):
                self.look()

    # ---- the list
    @work(exclusive=True, group="list")
    async def reload(self) -> None:
        """List again what there is to choose from."""
        browsed, recent, given = self._browsed, self._recent, self._given
        try:
            recent += await in_thread(lambda check: noted())
        except CharLSTMError as error:
            self.charlstm.notify_error_once(str(error))
        self._sections = await in_thread(lambda check: sections(browsed, recent, given))
        self._fill()

    def _fill(self) -> None:
        if self.leaving:
            return
        typed = self.query_one("#texts-filter", Input).value.casefold()
        texts = self.query_one(RowList)
        width = max(12, texts.size.width - 4)
        rows: list[Row] = []
        for section in self._sections:
            entries = [entry for entry in section.entries if typed in entry.name.casefold()]
            if not entries and not section.problem:
                continue
            about = shorten(visible(home(section.about), keep=""), max(4, width - len(section.title) - 2))
            rows.append(Row(None, Content.assemble((section.title, "bold $quiet"), (f"  {about}", "$quiet"))))
            rows += [Row(_key(section, entry), _line(entry, width)) for entry in entries]
            if section.problem:
                rows.append(Row(None, Content.styled(f"  {section.problem}", "$error")))
        if not rows:
            rows.append(
                Row(None, Content.styled(f"Nothing is called “{visible(typed, keep='')}”. Esc shows all.", "$quiet"))
            )
        texts.show(rows)
        if self._turned is not None and self._sections:
            *_, listed = self._sections
            inside = [entry for entry in listed.entries if not (isinstance(entry, Folder) and entry.up)]
            found = [entry for entry in inside if isinstance(entry, Folder) and entry.path == self._turned] or inside
            if listed.about == str(self._browsed):
                self._turned = None
                if found:
                    texts.move_to(_key(listed, found[0]))
        if self._wanted is not None:
            for section in self._sections:
                for entry in section.entries:
                    if isinstance(entry, Text) and entry.source in (self._wanted, str(Path(self._wanted).absolute())):
                        self._wanted = None
                        texts.move_to(_key(section, entry))
                        return

    @property
    def current(self) -> Text | Folder | None:
        """What the cursor is on."""
        key = self.query_one(RowList).cursor
        return next((e for section in self._sections for e in section.entries if _key(section, e) == key), None)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    @on(RowList.Resized)
    def _list_resized(self) -> None:
        self._fill()

    # ---- the text under the cursor
    def _choice(self) -> CorpusChoice | None:
        entry = self.current
        return replace(self._options, source=entry.source, name=entry.name) if isinstance(entry, Text) else None

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.query_one("#text-preview").scroll_home(animate=False)
        self.look()
        self.refresh_keys()

    def look(self) -> None:
        """Look at the text under the cursor: its beginning at once, what it is made of as soon as it is read."""
        self._show()
        self._look()

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        from charlstm.text.corpus import preview

        choice = self._choice()
        if choice is None:
            return
        stamp = await in_thread(lambda check: _stamp(choice.source))
        study = self._study(choice)
        if study.problem or study.stamp not in (None, stamp):  # perhaps mended, or written anew
            study = self._studies[choice] = Study(choice)
            self._show()
        study.stamp = stamp
        if (study.stats is not None and study.stats.bits is not None) or study.problem:
            return
        options = choice.options()
        try:
            if study.preview is None:
                study.preview = await in_thread(lambda check: preview(choice.source, PREVIEW_CHARS, options))
                self._show()
            await asyncio.sleep(PAUSE)
            await self._read(study)
        except CharLSTMError as error:
            study.problem = str(error)
        except OSError as error:  # the disk of the cache, say
            study.problem = f"{visible(study.choice.name, keep='')} cannot be prepared: {error.strerror or error}."
        study.progress = None
        self._show()
        self.refresh_keys()

    async def _read(self, study: Study) -> None:
        from charlstm.text.corpus import open_corpus
        from charlstm.text.statistics import describe

        choice = study.choice
        options = choice.options()
        if study.corpus is None:
            report = self._reporter(study)

            def read(check: Callable[[], None]) -> Corpus:
                def passed(progress: ReadProgress) -> None:
                    check()
                    report(progress)

                return open_corpus(choice.source, options, progress=passed)

            study.corpus = await in_thread(read)
        corpus = study.corpus
        split = corpus.split(mode=choice.split)
        study.stats = describe(corpus, split, bits=False)
        self._show()
        study.stats = await in_thread(lambda check: describe(corpus, split))

    def _reporter(self, study: Study) -> Callable[[ReadProgress], None]:
        """Shows progress, ten times a second at most, from the thread that reads."""
        loop = asyncio.get_running_loop()
        shown = 0.0
        began: dict[str, tuple[int, float]] = {}  # a folder's files come to the same stages one after another

        def report(progress: ReadProgress) -> None:
            nonlocal shown
            now = monotonic()
            first, since = began.setdefault(progress.stage, (progress.done, now))
            if now - shown > 0.1:
                shown = now
                study.progress = progress
                study.seconds_left = _left(progress.total - progress.done, progress.done - first, now - since)
                loop.call_soon_threadsafe(self._show)

        return report

    def _study(self, choice: CorpusChoice) -> Study:
        if choice not in self._studies:
            while len(self._studies) >= KEPT:
                del self._studies[next(iter(self._studies))]
            self._studies[choice] = Study(choice)
        return self._studies[choice]

    def _show(self) -> None:
        """Draw the right half anew from what is known."""
        from charlstm_tui.corpus import summary

        if self.leaving:
            return
        choice = self._choice()
        study = self._study(choice) if choice is not None else None
        head, start, hints = (self.query_one(f"#text-{part}", Static) for part in ("head", "start", "hints"))
        made_of = self.query_one("#text-made-of")
        stats = study.stats if study is not None else None
        made_of.set_class(stats is None, "-unknown")
        width = max(20, head.size.width - 1)
        if study is None or choice is None:
            entry = self.current
            where = f"Enter opens {visible(entry.name, keep='')}" if isinstance(entry, Folder) else ""
            head.update(Content(""))
            start.update(Content.styled(where or "No text here. o opens one by its path.", "$quiet"))
            hints.update(Content(""))
            return
        head.update(Content("\n").join(self._head(study, width)))
        if study.problem:
            problem = study.problem if study.problem.endswith((".", "?", "!")) else f"{study.problem}."
            start.update(Content.assemble((problem, "$error"), "\n\n", ("o", "bold $primary"), " opens another text."))
            hints.update(Content(""))
            return
        start.update(_preview(study))
        if stats is None or study.corpus is None:
            hints.update(self._progress(study))
            return
        wide = self.has_class("-wide")
        self.query_one("#text-bits", Static).update(
            Content("\n").join(
                [
                    summary.bits(stats, self.query_one("#text-bits").size.width or width),
                    *([] if wide else [summary.frequent_line(stats, width)]),
                ]
            )
        )
        frequent = self.query_one("#text-frequent", Static)
        frequent.display = wide
        if wide:
            frequent.update(summary.frequent_bars(stats, frequent.size.width or 40, 8))
        hints.update(summary.hints(study.corpus, stats, choice.strip_boilerplate, choice.clean))

    def _head(self, study: Study, width: int) -> list[Content]:
        from charlstm_tui.corpus import summary

        seen = study.preview
        builtin = "/" not in study.choice.source
        about = " · ".join(filter(None, ["built in" if builtin else "", _encoding(seen) if seen is not None else ""]))
        name = visible(seen.name if seen is not None else study.choice.name, keep="")
        name = shorten(name, max(8, width - len(about) - 2))
        title = Content.assemble(
            (name, "bold $accent"), " " * max(2, width - Content(name).cell_length - len(about)), (about, "$quiet")
        )
        if study.stats is not None:
            return [title, summary.figures(study.stats, width)]
        if seen is not None and not builtin:
            files = f" in {seen.files:,} files" if seen.files > 1 else ""
            return [title, Content(f"{size(seen.bytes)}{files}")]
        return [title, Content("")]

    def _progress(self, study: Study) -> Content:
        if study.preview is None:
            return Content.styled("Reading …", "$quiet")
        progress = study.progress
        if progress is None or not progress.total:
            return Content.styled("Reading it all, to say what it is made of …", "$quiet")
        share = min(1.0, progress.done / progress.total)
        drawn = bar(share, 24).ljust(24, "░")
        left = f"left {clock(study.seconds_left)}  " if study.seconds_left is not None else ""
        words = f" {100 * share:.0f}%  {left}{progress.stage} {size(progress.total)}"
        return Content.assemble((drawn, "$primary"), words)

    # ---- the table of actions
    def can(self, action: Action) -> bool:
        entry = self.current
        match action.handler:
            case "licence" | "clean" | "held_out":
                return isinstance(entry, Text)
            case "use":
                choice = self._choice()
                return entry is not None and (choice is None or not self._study(choice).problem)
        return True

    def labels(self) -> dict[str, str]:
        options = self._options
        return {
            "corpus.use": "open folder" if isinstance(self.current, Folder) else "use",
            "corpus.licence": f"licence: {'left out' if options.strip_boilerplate else 'kept'}",
            "corpus.held_out": f"held out: {options.split}",
            "corpus.clean": f"clean: {'yes' if options.clean else 'no'}",
        }

    def do_use(self) -> None:
        entry = self.current
        if isinstance(entry, Folder):
            self.browse(entry.path)
        elif (choice := self._choice()) is not None and not self._study(choice).problem:
            self.query_one("#welcome").display = False
            self._remember(choice)
            self.charlstm.use_corpus(choice)

    @work(group="remember")
    async def _remember(self, choice: CorpusChoice) -> None:
        corpus = self._study(choice).corpus
        await in_thread(lambda check: remember(choice.source, choice.name, corpus.chars if corpus is not None else 0))

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self.do_use()

    def browse(self, folder: Path) -> None:
        """Show another folder in the list, with the cursor on the one that was left, or on the first entry."""
        came_from, self._browsed = self._browsed, folder
        self._turned = came_from if came_from.parent == folder else folder
        self.reload()

    def do_open_path(self) -> None:
        from charlstm_tui.dialogs import PromptDialog
        from charlstm_tui.widgets.path_input import PathSuggester

        def check(typed: str) -> str | None:
            from charlstm.text.reading import TextOptions
            from charlstm.text.sources import resolve

            if typed_path(typed).is_dir():
                return None
            try:
                resolve(typed.strip(), TextOptions())
            except CharLSTMError as error:
                return str(error)
            return None

        about = "A text file, or a folder whose *.txt are read as one text."
        self.app.push_screen(
            PromptDialog("Open a text", about, placeholder="path", check=check, suggester=PathSuggester()), self._opened
        )

    def _opened(self, typed: str | None) -> None:
        if typed is None or not typed.strip():
            return
        path = typed_path(typed)
        self._given = self._wanted = str(path.absolute()) if path.exists() else typed.strip()
        if path.is_dir():
            self._browsed = path.absolute()
        self.reload()
        self.focus_main()

    def do_licence(self) -> None:
        self._set(strip_boilerplate=not self._options.strip_boilerplate)

    def do_clean(self) -> None:
        self._set(clean=not self._options.clean)

    def do_held_out(self) -> None:
        self._set(split="blocks" if self._options.split == "tail" else "tail")

    def _set(self, **changes: bool | str) -> None:
        self._options = replace(self._options, **changes)  # type: ignore[arg-type]
        self.look()
        self.refresh_keys()

    def do_find(self) -> None:
        line = self.query_one("#texts-filter", Input)
        line.display = True
        line.focus()

    @on(Input.Changed, "#texts-filter")
    def _filter_changed(self) -> None:
        self._fill()

    @on(Input.Submitted, "#texts-filter")
    def _filter_done(self) -> None:
        self.focus_main()

    def step_out(self) -> bool:
        line = self.query_one("#texts-filter", Input)
        welcome = self.query_one("#welcome")
        if line.display:
            line.value, line.display = "", False
            self.focus_main()
        elif welcome.display:
            welcome.display = False
        else:
            return False
        return True


def _left(todo: int, done: int, seconds: float) -> float | None:
    """Seconds for what is still to do, once those for what is done are enough to tell."""
    return seconds * max(0, todo) / done if done > 0 and seconds > 1 else None


def _stamp(source: str) -> FileStamp | None:
    """What shows that a file has changed; ``None`` for what is no file."""
    try:
        info = os.stat(source)
    except (OSError, ValueError):
        return None
    return FileStamp.of(info) if stat.S_ISREG(info.st_mode) else None


def _key(section: Section, entry: Text | Folder) -> str:
    return f"{section.title}:{entry.source if isinstance(entry, Text) else entry.path}"


def _line(entry: Text | Folder, width: int) -> Content:
    """An entry of the list: its name, and on the right how big it is."""
    if isinstance(entry, Folder):
        return Content.styled(visible(entry.name, keep=""), "$secondary")
    big = count(entry.chars) if entry.chars is not None else size(entry.octets) if entry.octets is not None else ""
    room = max(4, width - len(big) - 1)
    name = Content(shorten(visible(entry.name, keep=""), room)).truncate(room, ellipsis=True)
    return Content.assemble(name, " " * max(1, width - name.cell_length - len(big)), (big, "$quiet"))


def _encoding(seen: Preview) -> str:
    return {"utf-8": "UTF-8", "ascii": "ASCII", "none": ""}.get(seen.encoding, seen.encoding)


def _preview(study: Study) -> Content:
    if study.preview is None:
        return Content("")
    text = visible(study.preview.text, keep="\n")
    return Content.assemble(text, ("" if study.preview.complete else "\n…", "$quiet"))
