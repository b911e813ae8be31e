"""Runs: the table in every state and width, details, comparing, and every key of the mode."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from textual.strip import Strip
from textual.widgets import Input

from charlstm import storage
from charlstm.errors import CharLSTMError
from charlstm.model.file import save_model
from charlstm.runs import index, liveness
from charlstm.runs.folder import Run, Snapshot, list_runs
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.notes import Notes, read_notes
from charlstm.runs.status import RunState, RunStatus
from charlstm.training.commands import Command
from charlstm.training.events import Finished
from charlstm_tui.choices import ModelChoice
from charlstm_tui.dialogs import ChoiceDialog, PromptDialog
from charlstm_tui.formatting import best_loss, learning_rate
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.run_watcher import RunsReader, RunView
from charlstm_tui.runs.compare import _lines, compared_at_once, differences
from charlstm_tui.runs.details import run_lines
from charlstm_tui.runs.run_details import DetailsCache, RunDetails, read_details
from charlstm_tui.runs.screen import RunsScreen
from charlstm_tui.runs.table import COLUMNS, Longest, fitting, line, longest_entries
from charlstm_tui.runs.table_view import TableView
from charlstm_tui.train.run_plan import losses_to_beat, unit_words
from charlstm_tui.widgets.message_line import MessageLine
from charlstm_tui.widgets.row_list import RowList
from driven_app import Driven, driven
from recorded_run import Recorded, record, tiny_model, with_settings

STATES = ("starting", "running", "paused", "waiting", "stopped", "finished", "failed", "crashed")


@pytest.fixture
def three(places: Path) -> Iterator[list[Recorded]]:
    """A running, a finished and a stopped run, the running one made last."""
    with ExitStack() as runs:
        yield [
            runs.enter_context(record(places, "stopped", text="anna.txt", preset="standard", steps=100)),
            runs.enter_context(record(places, "finished", text="novel.txt")),
            runs.enter_context(record(places, "running", text="tunes.abc")),
        ]


def screen(app: Driven) -> RunsScreen:
    mode = app.mode
    assert isinstance(mode, RunsScreen)
    return mode


async def onto(app: Driven, name: str) -> None:
    """Show Runs with the cursor on the run called ``name``."""
    app.app.go("runs")
    await app.in_mode("runs")
    await app.until(lambda: any(run.name == name for run in app.app.runs_state.runs))
    path = next(str(run.path) for run in app.app.runs_state.runs if run.name == name)
    rows = app.mode.query_one(RowList)
    await app.until(lambda: rows.cursor is not None)
    rows.move_to(path)
    await app.until(lambda: screen(app).table.run is not None and screen(app).table.run.name == name)  # type: ignore[union-attr]


# ---- the table
@pytest.mark.parametrize(
    ("state", "words"),
    [
        *(("starting", "▹ starting"), ("running", "▶ running 40%"), ("paused", "‖ paused 40%")),
        *(("waiting", "… waiting 40%"), ("stopped", "□ stopped "), ("finished", "■ finished ")),
        *(("failed", "✗ failed "), ("crashed", "✗ crashed ")),
    ],
)
def test_every_state_has_its_word_and_mark(places: Path, state: RunState, words: str) -> None:
    with record(places, state) as recorded:
        assert words in line(RunView(recorded.run, recorded.run.status()), False, 120, False).plain


def test_columns_go_one_by_one_as_it_gets_narrow_and_the_name_keeps_its_room() -> None:
    kept = [{column.title for column in fitting(width)[1]} for width in range(20, 200)]
    assert kept[0] == set()
    assert kept[-1] == {column.title for column in COLUMNS}
    assert all(narrow <= wide for narrow, wide in pairwise(kept))
    assert {"STATE", "TEXT", "BEST", "STEP", "CREATED"} <= kept[80 - 20]
    for width in range(40, 200):
        width_of_name, columns = fitting(width)
        assert 4 + width_of_name + sum(len(column.gap) + column.width for column in columns) < width


def test_text_and_preset_have_the_columns_that_they_need_and_names_leave() -> None:
    for width in range(40, 200):
        width_of_name, columns = fitting(width, Longest(10, 100, 100))
        assert width_of_name >= 10
        assert 4 + width_of_name + sum(len(column.gap) + column.width for column in columns) < width


@pytest.mark.parametrize(
    ("width", "longest", "text", "preset"),
    [
        (120, Longest(10, 100, 12), 28, 12),  # the text comes first
        (112, Longest(13, 9, 12), 12, 12),  # what one does not need is the other's
        (96, Longest(32, 100, 100), 17, None),
    ],
)
def test_widths_of_text_and_preset(width: int, longest: Longest, text: int, preset: int | None) -> None:
    widths = {column.title: column.width for column in fitting(width, longest)[1]}
    assert (widths["TEXT"], widths.get("PRESET")) == (text, preset)


@pytest.mark.parametrize("size", [(120, 36), (140, 45)])
async def test_a_wider_terminal_cuts_no_name_that_a_narrower_one_shows(places: Path, size: tuple[int, int]) -> None:
    name = "the-collected-letters-standard-1"  # 32 characters
    record(places, "finished", name=name, steps=100)
    async with driven(places, size) as app:
        await app.press("4")
        await app.in_mode("runs")
        text = await app.shows(name, "BEST", "CREATED")
        row = next(each for each in text.splitlines() if "■ finished" in each)
        assert name in row.partition("■")[0]  # not only in the details beside the table


def test_wide_names_leave_the_columns_where_they_are() -> None:
    status = RunStatus(state="finished", alive=False, step=950, best_val=1.5)
    lines = [
        line(RunView(Run(Path("r")), status, text=text, preset="quick"), False, 100, False)
        for text in ("novel.txt", "红楼梦第一回第二回第三回.txt")
    ]
    assert len({each.cell_length for each in lines}) == 1


def test_a_run_that_started_from_a_model_is_listed_with_it() -> None:
    status = RunStatus(state="finished", alive=False, step=950, best_val=1.5)
    run = RunView(Run(Path("r")), status, text="novel.txt", preset="quick", started_from="demo")
    assert " quick (demo) " in line(run, False, 160, False, longest_entries([run])).plain


def test_best_of_unfinished_runs_is_marked_as_estimate() -> None:
    lines = {}
    for state in ("running", "stopped", "finished"):
        status = RunStatus(state=state, alive=False, best_val=1.5, best_whole=state == "finished")
        lines[state] = line(RunView(Run(Path("r")), status, text="novel.txt"), False, 100, False).plain
    assert " ~1.50 " in lines["running"]
    assert " ~1.50 " in lines["stopped"]
    assert " 1.50 " in lines["finished"]


async def test_no_log_is_read_of_a_run_that_the_cursor_only_passes(
    three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TableView, "READ_AFTER", 3600.0)
    read: list[str] = []
    original = DetailsCache.read

    async def counted(cache: DetailsCache, view: RunView) -> RunDetails:
        read.append(view.name)
        return await original(cache, view)

    monkeypatch.setattr(DetailsCache, "read", counted)
    async with driven(places, (160, 45)) as app:
        await onto(app, "novel-quick-1")
        await app.shows("novel.txt · quick · 2 × 256", "best 1.44 nats", "Reading the log …")
        await app.press("down", "up")
        assert read == []
        monkeypatch.setattr(TableView, "READ_AFTER", 0.0)
        await app.press("down", "up")
        await app.shows("SAMPLE")
        await app.lacks("Reading the log")


def test_a_run_that_ended_is_read_again_when_its_worker_writes(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = record(places, "stopped", steps=100)
    long_ago = time.time() - 3600
    os.utime(recorded.run.heartbeat_path, (long_ago, long_ago))
    monkeypatch.setattr(storage, "CLOCK_GRAIN_NS", 0)
    reader, parsed = RunsReader(places), 0
    original = liveness.read_heartbeat

    def counted(path: Path) -> HeartbeatRecord | None:
        nonlocal parsed
        parsed += 1
        return original(path)

    monkeypatch.setattr(liveness, "read_heartbeat", counted)
    for _ in range(3):
        assert reader.read(None, True).runs[0].status.state == "stopped"
    assert parsed == 1
    failed = HeartbeatRecord(state="failed", message="The disk is full", step=120)
    recorded.run.heartbeat_path.write_bytes(failed.to_bytes())
    status = reader.read(None, True).runs[0].status
    assert (status.state, status.step) == ("failed", 120)


@pytest.mark.parametrize("state", ["stopped", "finished"])
def test_details_say_what_the_mark_of_an_estimate_means(places: Path, state: RunState) -> None:
    run = record(places, state).run
    shown = run_lines(RunView(run, run.status()), read_details(run), 120, bits=False).plain
    assert ("best ~" in shown) == (state == "stopped")
    reads_all = f"~ estimated from slices of the held-out text; charlstm eval {run.name} reads all of it"
    assert (reads_all in shown) == (state == "stopped")


def test_losses_on_text_that_was_read_are_marked_and_explained(places: Path) -> None:
    for name, read in (("new", (0.0, "")), ("reader", (0.94, "parent"))):
        run = record(places, "stopped", name=name, read=read).run
        view = RunView(run, run.status())
        shown = run_lines(view, read_details(run), 120, bits=False).plain
        assert ("best †" in shown) == (name == "reader")
        assert ("† parent, from which training starts, has read 94 % of the held-out" in shown) == (name == "reader")
        assert ("†" in best_loss(view.status, False)) == (name == "reader")
        (loss,) = [each for each in losses_to_beat((), (view,), view.text) if each.is_run]
        assert ("† read" in unit_words("nats", [loss])) == (name == "reader")


async def test_details_are_read_again_when_the_run_went_on_unseen(three: list[Recorded], places: Path) -> None:
    async with driven(places, (160, 45)) as app:
        await onto(app, "tunes-quick-1")
        await app.shows("SAMPLE at step 400")
        app.app.go("corpus")
        await app.in_mode("corpus")
        three[2].advance(200)
        three[2].end("finished")
        await app.until(lambda: not any(run.live for run in app.app.runs_state.runs))
        await onto(app, "tunes-quick-1")
        await app.shows("SAMPLE at step 600")


async def test_the_table_follows_a_running_run(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "tunes-quick-1")
        await app.shows("▶ running 40%")
        three[2].advance(100)
        await app.shows("▶ running 50%", "500")
        three[2].end("crashed")
        await app.shows("✗ crashed")


async def test_sorting_goes_round_and_filtering_narrows(three: list[Recorded], places: Path) -> None:
    def order() -> list[str]:
        lines = app.text().splitlines()[3:]
        found = {name: next((y for y, line in enumerate(lines) if name in line), 0) for name in names}
        return sorted(names, key=lambda name: found[name])

    names = ["anna-standard-1", "novel-quick-1", "tunes-quick-1"]
    async with driven(places, (100, 40)) as app:
        app.app.go("runs")
        await app.shows("sort: newest", *names)
        assert order() == ["tunes-quick-1", "novel-quick-1", "anna-standard-1"]
        await app.press("s")
        await app.shows("sort: best")
        await app.until(lambda: order()[0] == "novel-quick-1")
        await app.press("s")
        await app.until(lambda: order() == names)
        await app.press("slash", *"tunes")
        await app.lacks("anna-standard-1", "novel-quick-1")
        await app.press("enter")
        await app.shows("1 of 3 runs")
        await app.press("slash", *"zzz")
        await app.shows("No run has")
        await app.press("escape")
        await app.shows(*names)


async def test_titles_of_columns_sort_when_they_are_clicked(three: list[Recorded], places: Path) -> None:
    """Each click is at the place where the title stands on the screen."""

    async def click(app: Driven, title: str) -> None:
        y, line = next((y, line) for y, line in enumerate(app.text().splitlines()) if "RUN" in line and "STATE" in line)
        await app.pilot.click(offset=(line.index(title), y))

    def names(app: Driven) -> list[str]:
        return [Path(row.key or "").name for row in app.mode.query_one(RowList).rows]

    async with driven(places, (120, 36)) as app:
        await onto(app, "novel-quick-1")
        await app.shows("CREATED▾")
        await click(app, "RUN")
        await app.shows("RUN▴", "sort: name")
        assert names(app) == ["anna-standard-1", "novel-quick-1", "tunes-quick-1"]
        await click(app, "RUN")
        await app.shows("RUN▾", "sort: name, reversed")
        assert names(app) == ["tunes-quick-1", "novel-quick-1", "anna-standard-1"]
        await click(app, "STEP")
        await app.shows("STEP▾", "sort: most steps")
        assert names(app) == ["novel-quick-1", "tunes-quick-1", "anna-standard-1"]
        await click(app, "TEXT")
        await app.shows("TEXT▴", "sort: text")
        assert screen(app).table.run is not None
        assert screen(app).table.run.name == "novel-quick-1"  # type: ignore[union-attr]
        await app.press("s")
        await app.shows("sort: newest")


async def test_a_click_moves_to_the_run_that_stands_there_and_another_opens_it(places: Path) -> None:
    """Also in a table that was scrolled, at the terminal's smallest size."""
    for _ in range(30):
        record(places, "finished", steps=50, planned=50)
    async with driven(places) as app:
        app.app.go("runs")
        await app.in_mode("runs")
        await app.until(lambda: len(app.app.runs_state.runs) == 30)
        for key, run in (("home", "novel-quick-30"), ("end", "novel-quick-1")):
            await app.press(key)
            await app.until(lambda run=run: any("▸" in line and f" {run} " in line for line in app.text().splitlines()))  # type: ignore[misc]
            lines = [(y, line) for y, line in enumerate(app.text().splitlines()) if "■ finished" in line]
            y, line = lines[len(lines) // 2]
            name = line.replace("▸", " ").split()[0]
            await app.pilot.click(offset=(20, y))
            await app.until(lambda name=name: screen(app).table.run.name == name)  # type: ignore[misc,union-attr]
        await app.pilot.click(offset=(20, y))
        await app.in_mode("train")
        assert app.app.run_path == places / name


async def test_the_cursor_stays_in_view_when_the_order_changes(places: Path) -> None:
    for number in range(30):
        record(places, "finished", name=f"run {number:02}", steps=50, planned=50)
    async with driven(places) as app:
        await onto(app, "run 29")
        for _ in range(2):
            for words in ("best first", "name", "state", "largest", "newest"):
                await app.press("s")
                await app.shows(f"sort: {words} ")
                await app.until(lambda: any("▸" in line and " run 29 " in line for line in app.text().splitlines()))
            await app.press("end")
            await onto(app, "run 29")


async def test_the_age_of_a_run_is_brought_up_to_date(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(places, "finished")
    monkeypatch.setattr(TableView, "AGES_INTERVAL", 0.02)
    later = [0.0]
    clock = time.time
    async with driven(places, (120, 36)) as app:
        app.app.go("runs")
        await app.shows("just now")
        monkeypatch.setattr(time, "time", lambda: clock() + later[0])
        for seconds, words in ((300, "5 min ago"), (7200, "2 h ago"), (50.3 * 3600, "2 days ago")):
            later[0] = seconds
            await app.shows(words)


async def test_a_live_run_draws_its_own_line_again_and_no_other(
    three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driven(places, (120, 36)) as app:
        await onto(app, "novel-quick-1")
        await app.shows("▶ running 40%")
        await app.pilot.pause()
        await app.shows("▶ running 40%")
        drawn: list[int] = []
        render = RowList.render_line

        def counted(rows: RowList, y: int) -> Strip:
            drawn.append(y)
            return render(rows, y)

        monkeypatch.setattr(RowList, "render_line", counted)
        three[2].advance(100)
        await app.shows("▶ running 50%")
        assert set(drawn) == {0}


async def test_another_theme_colours_the_rows_anew(three: list[Recorded], places: Path) -> None:
    def colours(app: Driven) -> set[str]:
        strip = app.mode.query_one(RowList).render_line(1)
        return {str(segment.style.color) for segment in strip if segment.text.strip() and segment.style}

    async with driven(places) as app:
        await onto(app, "tunes-quick-1")
        dark = colours(app)
        app.app.theme = "charlstm-light"
        await app.until(lambda: not colours(app) & dark)


async def test_zoomed_table_keeps_the_titles_of_its_columns(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "novel-quick-1")
        await app.press("z")
        await app.lacks("SAMPLE")
        await app.shows("RUN", "STATE", "novel-quick-1")
        await app.press("z")
        await app.shows("871,231 parameters")


async def test_a_table_with_runs_of_other_folders_says_so(three: list[Recorded], places: Path, tmp_path: Path) -> None:
    record(tmp_path / "other", "finished", name="away")
    index.remember_run(tmp_path / "other" / "away")
    async with driven(places, (120, 36)) as app:
        app.app.go("runs")
        await app.shows("4 runs, 1 of them in other folders")


# ---- what there is to say of one, and of several
async def test_details_say_what_was_asked_how_it_went_and_what_it_writes(three: list[Recorded], places: Path) -> None:
    async with driven(places, (176, 45)) as app:
        await onto(app, "novel-quick-1")
        await app.shows("2 × 256", "871,231 parameters", "best 1.44 nats", "7 snapshots", "SAMPLE at step 1,000")
        await app.press("u")
        await app.shows("best 2.08 bits")


async def test_a_folder_that_cannot_be_read_is_said_in_the_details(
    three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of one is not a file, and the disk fails at another; the app goes on, and reads again when it can."""
    (places / "novel-quick-1" / "events.jsonl").unlink()
    (places / "novel-quick-1" / "events.jsonl").mkdir()

    snapshots = Run.snapshots

    def failing(run: Run) -> list[Snapshot]:
        if run.name == "anna-standard-1":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return snapshots(run)

    monkeypatch.setattr(Run, "snapshots", failing)
    async with driven(places, (120, 36)) as app:
        await onto(app, "novel-quick-1")
        await app.shows("The event log", "events.jsonl is a folder, not a file")
        await onto(app, "anna-standard-1")
        await app.shows("The run anna-standard-1 cannot be read: Input/output error")
        monkeypatch.setattr(Run, "snapshots", snapshots)
        await onto(app, "tunes-quick-1")
        await onto(app, "anna-standard-1")
        await app.shows("SAMPLE at step 100")


async def test_only_the_details_that_were_read_last_are_kept(places: Path) -> None:
    runs = [record(places, "finished", steps=50, planned=50).run for _ in range(DetailsCache.KEPT + 3)]
    views = [RunView(run, run.status()) for run in runs]
    cache = DetailsCache()
    first = await cache.read(views[0])
    for view in views[1:-3]:
        await cache.read(view)
    assert await cache.read(views[0]) is first
    for view in views[-3:]:
        await cache.read(view)
    assert len(cache) == DetailsCache.KEPT
    assert cache.known(views[0].path) is first  # it was used after the others
    assert cache.known(views[1].path) is None


async def test_details_of_a_deleted_run_are_not_those_of_the_next_one_of_its_name(places: Path) -> None:
    """A new run gets the number of the newest one that was deleted; Runs showed the sample of that."""
    cache = DetailsCache()
    with record(places, "finished", name="sea-quick-1", sample="old words") as old:
        view = RunView(old.run, old.run.status(), created=1.0)
        await cache.read(view)
    shutil.rmtree(old.run.path)
    with record(places, "finished", name="sea-quick-1", sample="new words") as new:
        details = await cache.read(RunView(new.run, new.run.status(), created=2.0))
    assert {sample.text for sample in details.series.samples} == {"new words"}


async def test_marked_runs_are_compared_by_what_differs(three: list[Recorded], places: Path) -> None:
    with_settings(three[1].run, lr=0.001)
    async with driven(places, (120, 40)) as app:
        await onto(app, "novel-quick-1")
        await app.press("c")
        assert not screen(app).table.comparing  # nothing is marked
        await app.press("space")
        await onto(app, "anna-standard-1")
        await app.press("c")
        text = await app.shows("2 MARKED: what differs", "0.001", "standard", "stopped")
        assert text.count("✓") == 2
        assert "batch_size" not in text  # that is the same
        await app.press("escape")
        await app.lacks("what differs")
        await app.press("escape")
        await app.lacks("✓")


def test_comparison_ignores_what_cannot_be_read(three: list[Recorded]) -> None:
    """A run without its run.json has no settings; those of the others are still compared."""
    with_settings(three[1].run, lr=0.001)
    three[0].run.spec_path.write_text("{")
    runs = [(RunView(each.run, each.run.status()), read_details(each.run)) for each in three]
    text = differences(runs, 3, 100, False).plain
    assert "0.001" in text
    assert "hidden_size" not in text
    assert "damaged run.json" in text


@pytest.mark.parametrize("width", [40, 77, 200])
def test_comparison_fits_its_width(three: list[Recorded], width: int) -> None:
    runs = [(RunView(each.run, each.run.status()), read_details(each.run)) for each in three]
    shown = runs[: compared_at_once(width)]
    table = differences(shown, 3, width, False)
    for row in table.split("\n"):
        assert row.cell_length <= width or row.plain.startswith("The same"), row.plain
    assert "…" not in table.plain
    assert _lines("novel-standard-12 as left", 12) == ["novel-", "standard-12", "as left"]


def test_long_names_leave_room_for_what_differs(three: list[Recorded]) -> None:
    """One of 42 characters took seven lines of the eleven that a terminal of 24 rows has for them."""
    named = [Run(Path("/runs/a-long-name-of-a-run-that-was-given-by-hand")), *(each.run for each in three)]
    details = read_details(three[0].run)
    runs = [(RunView(run, three[0].run.status()), details) for run in named]
    lines = differences(runs, 4, 60, False).plain.splitlines()
    assert next(at for at, line in enumerate(lines) if line.startswith("validation loss")) <= 5
    assert lines[3].lstrip().startswith("hand")  # the end, in which names differ, stays


async def test_refusals_stay_until_the_next_key_and_remarks_for_some_seconds(
    three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driven(places) as app:
        await onto(app, "tunes-quick-1")
        await app.press("D")
        await app.shows("stop it first with x")
        await app.press("up")
        await app.lacks("stop it first")
        monkeypatch.setattr(MessageLine, "SECONDS", 0.5)
        await app.press("c")
        await app.lacks("Mark two runs")


async def test_importing_from_a_path_that_is_too_long_is_refused(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "tunes-quick-1")
        await app.press("i")
        await app.until(lambda: isinstance(app.screen, PromptDialog))
        app.screen.query_one(Input).value = "long " * 1000
        await app.press("enter")
        await app.shows("There is no file long")


# ---- keys
async def test_enter_opens_the_run_in_train(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "anna-standard-1")
        await app.press("enter")
        await app.in_mode("train")
        assert app.app.run_path == places / "anna-standard-1"


async def test_p_plays_the_run_or_says_why_not(three: list[Recorded], places: Path) -> None:
    record(places, "stopped", name="young", steps=0)
    async with driven(places) as app:
        await onto(app, "young")
        await app.press("p")
        await app.shows("young has no model that has learnt anything")
        await onto(app, "novel-quick-1")
        await app.press("p")
        await app.in_mode("generate")
        assert app.app.model is not None
        assert app.app.model.model == str(places / "novel-quick-1")


async def test_x_stops_a_live_run_and_nothing_else(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "novel-quick-1")
        await app.press("x")
        await onto(app, "tunes-quick-1")
        await app.press("x")
        await app.shows("continue training")
        await app.press("s")
        await app.shows("asked to stop")
        assert [command.command for command in three[2].obey()] == ["stop"]
        await app.shows("□ stopped")


async def test_folders_are_read_and_changed_off_the_event_loop(
    three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may take seconds on a slow disk or a server."""
    threads: dict[str, str] = {}

    def record_thread(name: str, result: object = None) -> Callable[..., object]:
        def called(*args: object, **options: object) -> object:
            threads[name] = threading.current_thread().name
            return result

        return called

    monkeypatch.setattr("charlstm_tui.run_actions.playable", record_thread("play"))
    monkeypatch.setattr("charlstm.runs.launch.resume_run", record_thread("resume"))
    monkeypatch.setattr("charlstm_tui.run_actions.send_command", record_thread("stop", Command("id", "stop")))
    monkeypatch.setattr("charlstm.runs.folder.delete_run", record_thread("delete", []))
    monkeypatch.setattr("charlstm.runs.folder.rename_run", record_thread("rename", three[0].run))
    monkeypatch.setattr("charlstm_tui.widgets.path_input.complete", record_thread("complete"))
    async with driven(places) as app:
        await onto(app, "tunes-quick-1")
        await app.press("x")
        await app.shows("continue training")
        await app.press("s")
        await app.shows("asked to stop")
        await onto(app, "anna-standard-1")
        await app.press("r")
        await app.shows("continues from")
        await app.press("p")
        await app.shows("no model that has learnt")
        await app.press("D", "y")
        await app.shows("is deleted")
        await app.press("n", "z", "enter")
        await app.until(lambda: "rename" in threads)
        await app.press("i", "a")
        await app.until(lambda: "complete" in threads)
    assert set(threads.values()) == {"charlstm-job"}
    assert threads.keys() == {"play", "resume", "stop", "delete", "rename", "complete"}


async def test_r_resumes_what_was_stopped(three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed: list[str] = []

    def resume(run: Run, changes: dict[str, object]) -> Run:
        resumed.append(run.name)
        assert not changes
        if len(resumed) > 1:
            raise CharLSTMError("The disk is full: make room.")
        return run

    monkeypatch.setattr("charlstm.runs.launch.resume_run", resume)
    async with driven(places) as app:
        await onto(app, "novel-quick-1")
        await app.press("r")  # finished: nothing to go on with
        await onto(app, "anna-standard-1")
        await app.press("r")
        await app.shows("continues from its last checkpoint")
        await app.press("r")
        await app.shows("The disk is full: make room.")
        assert resumed == ["anna-standard-1", "anna-standard-1"]


async def test_r_asks_for_a_lower_rate_before_it_resumes_a_run_that_diverged(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was resumed exactly as it was, and so diverged again."""
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: asked.append((run.name, dict(changes))))
    with record(places, "running", name="risky", steps=100) as recorded:
        recorded.append(
            Finished(step=100, reason="diverged", best_val=1.8, best_step=50, train_seconds=5.0, best_whole=True)
        )
        recorded.beat("failed", "the loss was no longer a number")
    async with driven(places) as app:
        await onto(app, "risky")
        await app.press("r")
        await app.shows("Resume with a lower rate")
        assert not asked
        rate = learning_rate(recorded.run.spec().settings.lr / 10)
        assert app.screen.query_one(Input).value == rate
        await app.press("enter")
        await app.shows("risky continues from its last checkpoint")
        assert asked == [("risky", {"lr": float(rate)})]


async def test_n_renames_and_refuses_names_that_leave_the_folder(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "anna-standard-1")
        await app.press("n")
        await app.until(lambda: isinstance(app.screen, PromptDialog))
        app.screen.query_one(Input).value = "../out"
        await app.press("enter")
        await app.shows("cannot be a run's name")
        app.screen.query_one(Input).value = "second try"
        await app.press("enter")
        await app.until(lambda: (places / "second try").exists())
        table = screen(app).table
        await app.until(lambda: table.run is not None and table.run.name == "second try")


async def rename(app: Driven, old: str, new: str) -> None:
    """Rename a run in Runs."""
    await onto(app, old)
    await app.press("n")
    await app.until(lambda: isinstance(app.screen, PromptDialog))
    app.screen.query_one(Input).value = new
    await app.press("enter")
    await app.until(lambda: screen(app).table.run is not None and screen(app).table.run.name == new)  # type: ignore[union-attr]


async def paused_text(app: Driven) -> tuple[GenerateScreen, str]:
    """Generate with what it has played until now."""
    await app.in_mode("generate")
    generate = app.mode
    assert isinstance(generate, GenerateScreen)
    await app.until(lambda: generate.play.running and generate.play.state.length > 3)  # type: ignore[union-attr]
    await app.press("space")
    await app.until(lambda: not generate.play.running)
    return generate, generate.play.text_view.text()


async def test_renaming_the_run_that_train_shows_leaves_what_generate_plays(
    three: list[Recorded], places: Path
) -> None:
    save_model(places.parent / "other.safetensors", tiny_model(prime="The morning"))
    async with driven(places, run="novel-quick-1") as app:
        await app.in_mode("train")
        app.app.play(str(places.parent / "other.safetensors"))
        generate, text = await paused_text(app)
        await rename(app, "novel-quick-1", "second try")
        assert app.app.run_path == places / "second try"
        await app.press("3")
        await app.in_mode("generate")
        await app.until(lambda: not generate._choosing)
        assert app.app.model == ModelChoice(str(places.parent / "other.safetensors"))
        assert generate.play.text_view.text() == text
        await app.press("2")
        await app.in_mode("train")
        await app.shows("second try")


async def test_renaming_the_run_that_generate_plays_leaves_its_text(three: list[Recorded], places: Path) -> None:
    async with driven(places, (120, 36)) as app:
        app.app.play("novel-quick-1")  # by its name, as ``--model`` does
        generate, text = await paused_text(app)
        await rename(app, "novel-quick-1", "second try")
        await app.press("3")
        await app.shows("second try @ step")
        await app.until(lambda: not generate._choosing)
        assert generate.play.text_view.text() == text
        await app.press("e", *"And", "enter")  # the model is found under the run's new name
        await app.until(lambda: generate.play.running and generate.play.prime.startswith("And"))
        assert (generate.play.state.request.model_name, generate.play.state.failure) == (str(places / "second try"), "")  # type: ignore[union-attr]


async def test_run_that_is_to_be_played_next_is_so_under_its_new_name(three: list[Recorded], places: Path) -> None:
    async with driven(places, (120, 36), run="novel-quick-1") as app:
        await app.in_mode("train")
        await rename(app, "novel-quick-1", "second try")
        await app.press("3")
        await app.shows("second try @ step")


async def test_deleting_asks_and_a_live_run_is_not_deleted(three: list[Recorded], places: Path) -> None:
    async with driven(places) as app:
        await onto(app, "tunes-quick-1")
        await app.press("D")
        await app.shows("stop it first with x")
        await onto(app, "novel-quick-1")
        sessions = places / "novel-quick-1" / "sessions"
        sessions.mkdir()
        (sessions / "story.json").write_text("{}")
        await app.press("D")
        await app.until(lambda: isinstance(app.screen, ChoiceDialog))
        await app.shows("for good, and 1 session of", "text that you played or wrote")
        await app.press("enter")  # the first answer keeps it
        await app.until(lambda: app.screen is app.mode)
        assert (places / "novel-quick-1").exists()
        await app.press("D")
        await app.until(lambda: isinstance(app.screen, ChoiceDialog))
        await app.press("D")  # the same key twice is no answer
        assert (places / "novel-quick-1").exists()
        await app.press("y")
        await app.shows("novel-quick-1 is deleted")
        assert not (places / "novel-quick-1").exists()
        await app.shows("2 runs")


async def test_deleting_says_what_was_left(three: list[Recorded], places: Path) -> None:
    (places / "novel-quick-1" / "mine.txt").write_text("precious")
    async with driven(places) as app:
        await onto(app, "novel-quick-1")
        await app.press("D")
        await app.until(lambda: isinstance(app.screen, ChoiceDialog))
        await app.press("y")
        await app.shows("novel-quick-1 is deleted. These files do not")
        await app.until(lambda: "novel-quick-1" not in [run.name for run in list_runs(places)])
    assert [path.name for path in (places / "novel-quick-1").iterdir()] == ["mine.txt"]


async def test_i_imports_a_model_through_the_command_line(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("old.net").write_bytes(b"x")
    answers: list[object] = [CharLSTMError("old.net is no model of the reference script."), {"out": "/models/old"}]
    asked: list[tuple[str, ...]] = []

    async def run_command(*argv: str) -> object:
        asked.append(argv)
        answer = answers.pop(0)
        if isinstance(answer, CharLSTMError):
            raise answer
        return answer

    monkeypatch.setattr("charlstm_tui.runs.table_view.run_command", run_command)
    async with driven(places) as app:
        app.app.go("runs")
        await app.in_mode("runs")
        for _ in range(2):
            await app.press("i")
            await app.until(lambda: isinstance(app.screen, PromptDialog))
            await app.press(*"nothing.net", "enter")
            await app.shows("There is no file nothing.net")
            app.screen.query_one(Input).value = "old.net"
            await app.press("enter")
            await app.until(lambda: not isinstance(app.screen, PromptDialog))
            if answers:
                await app.shows("no model of the reference script")
        await app.in_mode("generate")
        assert asked == [("import", str(Path("old.net").absolute()))] * 2


async def test_what_was_deleted_by_another_hand_is_gone_from_the_table(three: list[Recorded], places: Path) -> None:
    import shutil

    async with driven(places) as app:
        await onto(app, "novel-quick-1")
        shutil.rmtree(places / "novel-quick-1")
        await app.shows("2 runs")
        assert screen(app).table.run is not None


async def test_the_filter_knows_settings_and_says_what_it_does_not_know(three: list[Recorded], places: Path) -> None:
    with_settings(three[1].run, lr=0.5)
    async with driven(places, (100, 40)) as app:
        await onto(app, "novel-quick-1")
        await app.press("slash", *"state=finished", "space", *"lr>0.1")
        await app.lacks("anna-standard-1", "tunes.abc")
        await app.shows("1 of 3 runs", "novel-quick-1")
        await app.press("space", *"lrr=1")
        await app.shows("There is nothing called lrr to filter by; did you mean lr?")
        await app.shows("1 of 3 runs")
        await app.press("escape")
        await app.shows("anna-standard-1", "tunes-quick-1")
        await app.lacks("nothing called")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_filter_is_in_the_unit_of_the_list_and_names_it(places: Path, size: tuple[int, int]) -> None:
    recorded = record(places, "finished", name="novel-quick-1", steps=200)
    best = recorded.run.status().best_val
    assert best is not None
    between = best * 1.2  # above the loss in nats, below the one in bits
    async with driven(places, size, run=None) as app:
        app.app.go("runs")
        await app.shows("novel-quick-1", "best in nats")
        await app.press("slash", *f"best<{between:.2f}")
        await app.shows("best in nats ", "novel-quick-1")
        app.app.bits = True
        await app.shows("No run passes the filter", "best in bits")
        app.app.bits = False
        await app.shows("best in nats", "novel-quick-1")


async def test_a_second_escape_after_filtering_keeps_the_marks(three: list[Recorded], places: Path) -> None:
    async with driven(places, (100, 40)) as app:
        await onto(app, "novel-quick-1")
        await app.press("slash", *"quick", "enter", "a")
        await app.until(lambda: app.text().count("✓") == 2)
        await app.press("escape")
        await app.shows("anna-standard-1")
        await app.press("escape")
        await app.shows("2 runs marked as before; Esc again unmarks.")
        assert app.text().count("✓") == 2
        await app.press("escape")
        await app.lacks("✓")
        await app.press("a", "slash", *"quick", "escape", "s", "escape")  # something else came between
        await app.lacks("✓")


async def test_after_a_filter_the_cursor_is_on_the_run_that_it_was_on(three: list[Recorded], places: Path) -> None:
    async with driven(places, (100, 40)) as app:
        await onto(app, "anna-standard-1")
        table = screen(app).table
        await app.press("slash", *"zzz")
        await app.shows("No run has")
        await app.press("escape")
        await app.until(lambda: table.run is not None and table.run.name == "anna-standard-1")
        await app.press("slash", *"novel")
        await app.until(lambda: table.run is not None and table.run.name == "novel-quick-1")
        app.burst("escape", "space")  # before the line has told that it is empty
        await app.until(lambda: table.marked == (three[0].run.path,))
        await app.press("slash", *"novel", "enter")  # which goes to that run
        await app.shows("1 of 3 runs")
        await app.press("escape")
        await app.shows("anna-standard-1")
        assert table.run is not None
        assert table.run.name == "novel-quick-1"


async def test_tags_and_notes_are_edited_shown_and_found(three: list[Recorded], places: Path) -> None:
    async with driven(places, (100, 40)) as app:
        await onto(app, "novel-quick-1")
        await app.press("t")
        await app.until(lambda: isinstance(app.screen, PromptDialog))
        await app.press(*"good", "space", *"paper", "enter")
        await app.shows("#good #paper")
        await app.press("e")
        await app.until(lambda: isinstance(app.screen, PromptDialog))
        await app.press(*"rerun", "enter")
        await app.shows("rerun")
        await app.press("slash", *"tag=paper", "space", *"note=rerun")
        await app.lacks("anna-standard-1")
        await app.shows("1 of 3 runs")
    assert read_notes(three[1].run) == Notes(("good", "paper"), "rerun")


async def test_no_row_of_the_list_moves_when_the_filter_is_opened(three: list[Recorded], places: Path) -> None:
    async with driven(places, (80, 24)) as app:
        await onto(app, "novel-quick-1")
        rows = app.mode.query_one(RowList)
        top = rows.region.y
        await app.press("slash")
        await app.until(lambda: isinstance(app.mode.focused, Input) and app.mode.focused.region)
        await app.press(*"lrr<1")
        await app.shows("There is nothing called lrr")
        assert rows.region.y == top
        assert app.mode.query_one("#runs-filter-row").outer_size.height == 1


async def test_a_marks_all_runs_that_the_filter_lets_through(three: list[Recorded], places: Path) -> None:
    async with driven(places, (100, 40)) as app:
        await onto(app, "novel-quick-1")
        await app.press("slash", *"quick", "enter")
        await app.shows("2 of 3 runs")
        await app.press("a")
        await app.until(lambda: app.text().count("✓") == 2)
        await app.press("a")
        await app.lacks("✓")
