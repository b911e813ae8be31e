"""Runs: the table in every state and width, details, comparing, and every key of the mode."""

import errno
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from textual.content import Content

from charlstm import storage
from charlstm.runs import index
from charlstm.runs.folder import RunFolder, list_runs
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.notes import Notes, change_notes, read_notes
from charlstm.runs.status import RunState, RunStatus
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.run_watcher import RunsReader, RunView
from charlstm_tui.runs.compare import _lines, compared_at_once, differences
from charlstm_tui.runs.details import run_lines
from charlstm_tui.runs.run_details import DetailsCache, read_details
from charlstm_tui.runs.table import COLUMNS, Longest, Sort, fitting, line, longest_entries, passes
from charlstm_tui.runs.table_view import TableView
from charlstm_tui.train.screen import _choice
from charlstm_tui.widgets.message_line import MessageLine
from charlstm_tui.widgets.row_list import RowList
from driven_app import Driven, driven, seen
from recorded_run import Recorded, record, with_settings


def names(app: Driven) -> list[str]:
    """The runs of the table."""
    return [Path(row.key or "").name for row in app.mode.query_one(RowList).rows]


def current(app: Driven) -> str:
    """The run that the cursor is on."""
    return getattr(app.mode.table.run, "name", "")


@pytest.fixture
def three(places: Path) -> Iterator[list[Recorded]]:
    """A running, a finished and a stopped run, the running one made last."""
    with ExitStack() as runs:
        yield [
            runs.enter_context(record(places, "stopped", text="anna.txt", preset="standard", steps=100)),
            runs.enter_context(record(places, "finished", text="novel.txt")),
            runs.enter_context(record(places, "running", text="tunes.abc")),
        ]


async def onto(app: Driven, name: str) -> None:
    """Show Runs with the cursor on the run called ``name``."""
    await app.go("runs")
    rows = app.mode.query_one(RowList)
    await app.until(lambda: name in names(app) and rows.cursor is not None)
    rows.move_to(next(row.key or "" for row in rows.rows if Path(row.key or "").name == name))
    await app.until(lambda: current(app) == name)


@asynccontextmanager
async def listed(places: Path, name: str, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    """The app on Runs with the cursor on the run called ``name``."""
    async with driven(places, size) as app:
        await onto(app, name)
        yield app


def details_of(run: RunFolder, **status: object) -> str:
    """What the details say of ``run``, if its status had these values."""
    view = seen(run)
    view = replace(view, status=replace(view.status, **status))
    return run_lines(view, read_details(run), 120, bits=False).plain


def test_columns_go_one_by_one_as_it_gets_narrow_and_the_name_keeps_its_room() -> None:
    kept = [{column.title for column in fitting(width)[1]} for width in range(20, 200)]
    assert kept[0] == set()
    assert kept[-1] == {column.title for column in COLUMNS}
    assert all(narrow <= wide for narrow, wide in pairwise(kept))
    assert {"STATE", "TEXT", "BEST", "STEP", "CREATED"} <= kept[80 - 20]
    assert all(fitting(width, Longest(32, 100, 100))[0] == 32 for width in range(85, 200)), "no name is cut again"
    for longest in (None, Longest(10, 100, 100)):
        for width in range(40, 200):
            width_of_name, columns = fitting(width, longest) if longest else fitting(width)
            assert width_of_name >= 10
            assert 4 + width_of_name + sum(len(column.gap) + column.width for column in columns) < width


def test_widths_of_text_and_preset() -> None:
    for width, longest, expected in (
        (121, Longest(10, 100, 12), (28, 12)),  # the text comes first
        (113, Longest(13, 9, 12), (12, 12)),  # what one does not need is the other's
        (97, Longest(32, 100, 100), (17, None)),
    ):
        widths = {column.title: column.width for column in fitting(width, longest)[1]}
        assert (widths["TEXT"], widths.get("PRESET")) == expected, width


def test_line_of_a_run_keeps_its_columns_marks_an_estimate_and_names_the_model_that_it_started_from() -> None:
    def of(state: RunState, text: str = "novel.txt", started_from: str = "", width: int = 100) -> Content:
        status = RunStatus(state=state, alive=False, step=950, loss=1.5, best_whole=state == "finished")
        run = RunView(RunFolder(Path("r")), status, text=text, preset="quick", started_from=started_from)
        return line(run, False, width, False, longest_entries([run]) if started_from else Longest())

    assert of("finished").cell_length == of("finished", "红楼梦第一回第二回第三回.txt").cell_length
    assert " ~1.500 " in of("running").plain
    assert " 1.500 " in of("finished").plain
    assert " quick (demo) " in of("finished", started_from="demo", width=160).plain


def test_filter_finds_words_of_name_text_tags_and_state() -> None:
    folder, status = RunFolder(Path("/runs/anna-quick-1")), RunStatus(state="finished", alive=False)
    run = RunView(folder, status, text="Tale.txt", notes=Notes(("good", "paper"), "rerun"))
    found, missed = ("", "anna quick", "QUICK tale", "good finish"), ("novel", "anna rerun")
    assert tuple(typed for typed in (*found, *missed) if passes(run, typed)) == found


async def test_table_and_details_follow_the_runs_and_the_theme(three: list[Recorded], places: Path) -> None:
    def colours() -> set[str]:
        strip = app.mode.query_one(RowList).render_line(1)
        return {str(segment.style.color) for segment in strip if segment.text.strip() and segment.style}

    index.remember_run(record(places.parent / "other", "finished", name="away").run.path)
    async with listed(places, "tunes-quick-1", (160, 45)) as app:
        await app.shows("SAMPLE at step 400", "▶ running 40%", "4 runs, 1 of them in other folders")
        three[2].advance(100)
        await app.shows("▶ running 50%", "SAMPLE at step 500")
        await app.go("corpus")
        three[2].advance(100)
        three[2].end("crashed")
        await app.until(lambda: not any(run.live for run in app.app.runs_state.runs))
        await app.go("runs")  # it went on unseen
        await app.shows("SAMPLE at step 600", "✗ crashed")
        await app.press("z", lacks="SAMPLE", shows=("RUN", "STATE", "tunes-quick-1"))
        await app.press("z", shows="SAMPLE at step 600")
        shutil.rmtree(places / "tunes-quick-1")  # by another hand
        await app.shows("3 runs")
        assert current(app)
        dark = colours()
        app.app.theme = "charlstm-light"
        await app.until(lambda: not colours() & dark)


def test_a_key_goes_round_the_orders_and_a_click_sorts_by_a_column_and_reverses(three: list[Recorded]) -> None:
    runs = [RunView(each.run, each.run.status(), created=at, text="") for at, each in enumerate(three)]

    def order(sort: Sort) -> str:
        return f"{sort.words}: {' '.join(run.name.partition('-')[0] for run in sort.sorted(runs))}"

    by_key, turn = Sort(), []
    for _ in range(6):
        turn.append(order(by_key))
        by_key = by_key.next()
    assert turn[:3] == ["newest: tunes novel anna", "best first: novel tunes anna", "name: anna novel tunes"]
    assert [each.partition(":")[0] for each in turn[3:]] == ["state", "largest", "newest"]
    assert order(Sort("RUN").after_click("RUN")) == "name, reversed: tunes novel anna"
    assert order(Sort("RUN").after_click("STEP")) == "most steps: novel tunes anna"
    assert Sort("TEXT").next() == Sort()


def test_a_run_that_ended_is_read_again_when_its_worker_writes(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = record(places, "stopped", steps=100)
    long_ago = time.time() - 3600
    os.utime(recorded.run.heartbeat_path, (long_ago, long_ago))
    monkeypatch.setattr(storage, "CLOCK_GRAIN_NS", 0)
    reader = RunsReader(places)
    assert reader.read(None, True).runs[0].status.state == "stopped"
    failed = HeartbeatRecord(state="failed", message="The disk is full", step=120)
    recorded.run.heartbeat_path.write_bytes(failed.to_bytes())
    status = reader.read(None, True).runs[0].status
    assert (status.state, status.step) == ("failed", 120)


@pytest.mark.parametrize(
    ("status", "loss", "why"),
    [
        ({"best_step": None}, "best 1.500 nats per character ·", ""),  # as of a copy without the events
        ({"best_step": 0}, "1.500 nats per character, the model from before training", ""),
        ({"best_step": 50}, "best 1.500 nats per character at step 50", ""),
        ({"best_whole": False}, "best ~1.50", "~ estimated from slices of the held-out text; charlstm eval sea reads"),
        ({"read_share": 0.94, "read_by": "older"}, "best †1.50", "† older, from which training starts, has read 94 %"),
    ],
)
def test_details_explain_the_best_loss_and_its_mark(places: Path, status: dict[str, Any], loss: str, why: str) -> None:
    shown = details_of(record(places, "finished", name="sea").run, loss=1.5, **status)
    assert loss in shown
    assert why in shown
    assert why or not set("~†") & set(shown)
    assert ("before training" in shown) == (loss[0] != "b")


def test_details_of_a_run_that_finished_without_having_learnt_anything_say_so(places: Path) -> None:
    assert "no better than guessing all characters alike" in details_of(record(places, planned=1).run)
    assert "no better than" not in details_of(record(places, name="longer").run)


def test_separate_validation_text_of_a_run(places: Path) -> None:
    """Its details name it, and a new run of the same text is validated on it again."""
    run = record(places, "finished").run
    spec = run.spec()
    assert "validated on" not in details_of(run)
    assert _choice(spec).validation == ()

    def validated_on(source: str) -> CorpusChoice | None:
        validation = {"name": "sequel.txt", "sources": [source], "chars": 9}
        run.write_spec(replace(spec, corpus=spec.corpus | {"validation": validation}))
        return _choice(run.spec())

    assert validated_on("/texts/sequel.txt").validation == ("/texts/sequel.txt",)
    assert "validated on sequel.txt" in details_of(run)
    assert validated_on("-") is None


async def test_a_key_and_clicks_on_the_titles_sort(three: list[Recorded], places: Path) -> None:
    """Each click is at the place where the title stands on the screen."""

    async def click(title: str) -> None:
        lines = app.text().splitlines()
        [y] = [y for y, line in enumerate(lines) if "RUN" in line and "STATE" in line]
        await app.pilot.click(offset=(lines[y].index(title), y))

    async with listed(places, "novel-quick-1", (120, 40)) as app:
        await app.shows("sort: newest", "CREATED▾")
        await app.press("s", shows="sort: best", until=lambda: names(app)[0] == "novel-quick-1")
        await click("RUN")
        await click("RUN")
        await app.shows("RUN▾", "sort: name, reversed")
        assert names(app) == ["tunes-quick-1", "novel-quick-1", "anna-standard-1"]
        assert current(app) == "novel-quick-1"


async def test_in_a_long_table_the_cursor_stays_in_view_and_a_click_hits_its_run(places: Path) -> None:
    """At the terminal's smallest size. A second click opens it."""

    def shown() -> bool:
        return any("▸" in line and f" {current(app)} " in line for line in app.text().splitlines())

    for number in range(20):
        record(places, "finished", name=f"run{number:02}", steps=50, planned=50)
    async with listed(places, "run19") as app:
        for words in ("best first", "name", "state", "largest", "newest"):
            await app.press("s", shows=f"sort: {words} ", until=lambda: current(app) == "run19" and shown())
        for key in ("home", "end"):
            await app.press(key, until=shown)
            lines = [(y, line) for y, line in enumerate(app.text().splitlines()) if "■ finished" in line]
            y, line = lines[len(lines) // 2]
            name = line.replace("▸", " ").split()[0]
            await app.pilot.click(offset=(20, y))
            await app.until(lambda name=name: current(app) == name)
        await app.pilot.click(offset=(20, y))
        await app.until(lambda: app.mode.MODE == "train" and app.app.run_path == places / name)


async def test_the_age_of_a_run_is_brought_up_to_date(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(places, "finished")
    monkeypatch.setattr(TableView, "AGES_INTERVAL", 0.02)
    clock = time.time
    async with driven(places, (120, 36)) as app:
        app.app.go("runs")
        await app.shows("just now")
        monkeypatch.setattr(time, "time", lambda: clock() + 300)
        await app.shows("5 min ago")


async def test_unreadable_folder_is_said_and_read_when_it_can_be(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(places, "finished", name="sea").run

    def failing(run: RunFolder) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    cache = DetailsCache()
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "snapshots", failing)
        await cache.read(seen(run))
        assert "The run sea cannot be read: Input/output error" in details_of(run)
    assert (await cache.read(seen(run))).problem == ""
    run.events_path.unlink()
    run.events_path.mkdir()
    assert "events.jsonl is a folder, not a file" in details_of(run)


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


async def test_marked_runs_are_compared(three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(three[1].run, lr=0.001)
    async with listed(places, "novel-quick-1", (120, 40)) as app:
        await app.press("c", "space", "c", shows="Mark two runs")  # there is nothing yet to compare
        assert not app.mode.table.comparing
        monkeypatch.setattr(MessageLine, "SECONDS", 0.5)
        await app.press("c", lacks="Mark two runs")  # a remark goes by itself
        await onto(app, "anna-standard-1")
        await app.press("c")
        text = await app.shows("2 MARKED: what differs", "0.001", "standard", "stopped")
        assert text.count("✓") == 2
        assert "batch_size" not in text  # that is the same
        await app.press("escape", lacks="what differs")
        await app.press("escape", lacks="✓")


def test_comparison_ignores_what_cannot_be_read(three: list[Recorded]) -> None:
    """A run without its run.json has no settings; those of the others are still compared."""
    with_settings(three[1].run, lr=0.001)
    three[0].run.spec_path.write_text("{")
    runs = [(seen(each.run), read_details(each.run)) for each in three]
    text = differences(runs, 3, 100, False).plain
    assert "0.001" in text
    assert "hidden_size" not in text
    assert "damaged run.json" in text
    assert "the same" not in differences(runs[:2], 2, 100, False).plain.lower()


@pytest.mark.parametrize("width", [40, 77, 200])
def test_comparison_fits_its_width(three: list[Recorded], width: int) -> None:
    runs = [(seen(each.run), read_details(each.run)) for each in three]
    table = differences(runs[: compared_at_once(width)], 3, width, False)
    for row in table.split("\n"):
        assert row.cell_length <= width or row.plain.startswith("The same"), row.plain
    assert "…" not in table.plain
    assert _lines("novel-standard-12 as left", 12) == ["novel-", "standard-12", "as left"]


def test_long_names_leave_room_for_what_differs(three: list[Recorded]) -> None:
    """One of 42 characters took seven lines of the eleven that a terminal of 24 rows has for them."""
    runs = [(seen(each.run), read_details(each.run)) for each in three]
    long = replace(runs[0][0], run=RunFolder(Path("/runs/a-long-name-of-a-run-that-was-given-by-hand")))
    lines = differences([(long, runs[0][1]), *runs], 4, 60, False).plain.splitlines()
    assert next(at for at, line in enumerate(lines) if line.startswith("validation loss")) <= 5
    assert lines[3].lstrip().startswith("hand")  # the end, in which names differ, stays


async def test_disk_is_used_in_threads(three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read and change folders may take seconds on a slow disk or a server."""
    threads: dict[str, str] = {}
    functions = ["charlstm_tui.run_actions.playable", "charlstm.runs.launch.resume_run"]
    functions.append("charlstm_tui.widgets.path_input.complete")
    for name in functions:
        monkeypatch.setattr(name, lambda *_, name=name, **__: threads.update({name: threading.current_thread().name}))
    async with listed(places, "anna-standard-1") as app:
        await app.press("p", shows="anna-standard-1 has no model that has learnt anything")
        await app.press("r", shows="continues from its last checkpoint")
        await app.press("i", "a", until=lambda: len(threads) == 3)
    assert threads == dict.fromkeys(functions, "charlstm-job")


async def test_keys_resume_stop_open_play(three: list[Recorded], places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: resumed.append((run.name, changes)))
    async with listed(places, "novel-quick-1") as app:
        await app.press("r", "x")  # finished: nothing to go on with or to stop
        await onto(app, "anna-standard-1")
        await app.press("r", shows="continues from its last checkpoint")
        assert resumed == [("anna-standard-1", {})]
        await onto(app, "tunes-quick-1")
        await app.press("x", shows="leave it as it is")
        await app.press("s", shows="asked to stop")
        assert [command.command for command in three[2].obey()] == ["stop"]
        await app.shows("□ stopped")
        await app.press("enter", mode="train")
        assert app.app.run_path == places / "tunes-quick-1"
        await onto(app, "novel-quick-1")
        await app.press("p", mode="generate")
        assert app.app.to_play.chosen.model == str(places / "novel-quick-1")


async def test_deleting_asks_first_and_a_live_run_is_not_deleted(three: list[Recorded], places: Path) -> None:
    async with listed(places, "tunes-quick-1") as app:
        await app.press("D", shows="stop it first with x")  # which stays until the next key
        await app.press("up", lacks="stop it first")
        await onto(app, "novel-quick-1")
        (places / "novel-quick-1" / "sessions").mkdir()
        (places / "novel-quick-1" / "sessions" / "story.json").write_text("{}")
        await app.press("D", shows=("for good, and 1 session of", "text that you played or wrote"))
        await app.press("enter", until=lambda: app.screen is app.mode)  # the first answer keeps it
        await app.press("D", shows="for good")
        await app.press("D")  # the same key twice is no answer
        assert (places / "novel-quick-1").exists()
        await app.press("y", shows="novel-quick-1 is deleted")
        assert not (places / "novel-quick-1").exists()
        await app.shows("2 runs")
        mine = places / "anna-standard-1" / "mine.txt"
        mine.write_text("precious")
        await onto(app, "anna-standard-1")
        await app.press("D", shows="for good")
        await app.press("y", shows="anna-standard-1 is deleted. These files do not")
        await app.until(lambda: "anna-standard-1" not in [run.name for run in list_runs(places)])
    assert list(mine.parent.iterdir()) == [mine]


async def test_renaming_the_run_that_generate_plays_leaves_its_text(three: list[Recorded], places: Path) -> None:
    async with driven(places, (120, 36), run="novel-quick-1") as app:
        await app.in_mode("train")
        app.app.play("novel-quick-1")  # by its name, as ``--model`` does
        await app.in_mode("generate")
        generate = app.mode
        await app.until(lambda: generate.play.running and generate.play.state.length > 3)
        await app.press("space", until=lambda: not generate.play.running)
        text = generate.play.text_view.text()
        await onto(app, "novel-quick-1")
        await app.enter("n", "../out", shows="cannot be a run's name")
        await app.answer("second try", until=lambda: current(app) == "second try")
        assert (app.app.run_path, app.app.to_play.chosen.model) == (places / "second try", str(places / "second try"))
        await app.press("3", shows="second try @ step", until=lambda: not generate._choosing)
        assert generate.play.text_view.text() == text
        await app.press("e", *"And", "enter")  # the model is found under the run's new name
        await app.until(lambda: generate.play.running and generate.play.prime.startswith("And"))
        assert (generate.play.state.request.model_name, generate.play.state.failure) == (str(places / "second try"), "")


async def test_i_imports_a_model_through_the_command_line(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("old.net").write_bytes(b"x")
    asked: list[tuple[str, ...]] = []

    async def run_command(*argv: str) -> object:
        asked.append(argv)
        return {"out": "/models/old"}

    monkeypatch.setattr("charlstm_tui.runs.table_view.run_command", run_command)
    async with driven(places) as app:
        await app.go("runs")
        await app.enter("i", "long " * 1000, shows="There is no file long")
        await app.answer("nothing.net", shows="There is no file nothing.net")
        await app.answer("old.net", mode="generate")
        assert asked == [("import", str(Path("old.net").absolute()))]


async def test_tags_and_notes_are_saved_and_found_by_the_filter(three: list[Recorded], places: Path) -> None:
    async with listed(places, "novel-quick-1", (100, 40)) as app:
        await app.enter("t", "good paper", shows="#good #paper")
        await app.enter("e", "rerun", shows="rerun")
        assert read_notes(three[1].run) == Notes(("good", "paper"), "rerun")
        change_notes(three[1].run, lambda now: replace(now, note="rerun\nwith a lower rate"))
        await app.shows("with a lower rate")
        await app.press("e", "end", "exclamation_mark", "enter")
        await app.until(lambda: read_notes(three[1].run).note == "rerun\nwith a lower rate!")
        top = app.mode.query_one(RowList).region.y
        await app.press("slash", *"Paper", "space", *"finish", shows="1 of 3 runs")
        assert names(app) == ["novel-quick-1"]
        assert app.mode.query_one(RowList).region.y == top, "no row of the list moves"
        await app.press("space", *"stopped", shows="No run passes the filter")


async def test_a_filter_keeps_the_marks_of_all_its_runs_and_the_cursor(three: list[Recorded], places: Path) -> None:
    async with listed(places, "anna-standard-1", (100, 40)) as app:
        await app.press("slash", *"novel", until=lambda: current(app) == "novel-quick-1")
        app.burst("escape", "space")  # before the line has told that it is empty
        await app.until(lambda: app.mode.table.marked == (three[0].run.path,))
        await app.press("slash", *"novel", "enter")  # which goes to that run
        await app.shows("1 of 3 runs")
        await app.press("escape", shows="anna-standard-1")
        assert current(app) == "novel-quick-1"
        await app.press("slash", *"quick", "enter", shows="2 of 3 runs")
        for marks in (2, 0, 2):
            await app.press("a", until=lambda marks=marks: app.text().count("✓") == marks)
        await app.enter("ctrl+s", "marked.csv", until=lambda: Path("marked.csv").exists())
        await app.press("escape", shows="anna-standard-1")
        assert app.text().count("✓") == 3  # the mark from before the filter too
        await app.press("escape", lacks="✓")
