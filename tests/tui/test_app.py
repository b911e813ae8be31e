"""The frame: where the app opens, how modes, help, palette and dialogs are reached, how it ends, how narrow it gets."""

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.events import AppBlur, AppFocus
from textual.widgets import Input

from charlstm.config import load_config
from charlstm.errors import CharLSTMError
from charlstm.paths import config_path
from charlstm_tui import process, run_watcher, terminal
from charlstm_tui.actions import key_name
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.background import in_thread, run_command
from charlstm_tui.corpus import texts_view
from charlstm_tui.dialogs import Choice, ChoiceDialog
from charlstm_tui.formatting import status_words
from charlstm_tui.help import HelpScreen
from charlstm_tui.main import run
from charlstm_tui.player.saved_sessions import remember
from charlstm_tui.run_watcher import RunsReader, RunsState, RunView, Watcher
from charlstm_tui.widgets.key_bar import KeyBar
from driven_app import DEADLINE, Held, driven, training
from recorded_run import NASTY, record


@pytest.mark.parametrize(("age", "mode", "beside_run"), [(60, "train", True), (-60, "generate", False)])
async def test_opens_on_what_was_worked_on_last(age: float, mode: str, beside_run: bool, places: Path) -> None:
    """A text or a run."""
    run = record(places, "finished").run
    written = (run.sessions_dir if beside_run else places.parent) / "page.json"
    written.parent.mkdir(exist_ok=True)
    summary = {"length": 3, "begins": "The", "edited": True, "model": str(run.path)}
    written.write_text(json.dumps({"format": 4, "kind": "charlstm session", "summary": summary}))
    remember(written)
    moment = time.time() - age
    os.utime(written, (moment, moment))
    async with driven(places) as app:
        await app.in_mode(mode)
        assert app.app.run_path == (run.path if mode == "train" else None)


async def test_opens_on_train_when_a_run_is_live_which_every_mode_says_with_keys_that_are_bound(places: Path) -> None:
    with record(places, "running"):
        async with driven(places, (120, 30)) as app:
            await app.in_mode("train")
            for key in "1234":
                await app.press(key, shows="▶ novel-quick-1 40%", until=lambda: app.screen is app.mode)
                bound: dict[str, set[str]] = {}
                for each in app.mode.active_bindings.values():
                    bound.setdefault(each.binding.id or "", set()).add(key_name(each.binding.key))
                for action, shown, _ in app.mode.query_one(KeyBar).items():
                    assert shown in bound.get(action, {shown})
                if key == "3":
                    await app.shows("← ")  # a scrolling pane passes the key on
                if key in "14":  # the keys of a line that is typed in
                    await app.press("slash", shows="Enter to the list  Esc show all")
                    await app.press("escape", lacks="Enter to the list")


async def test_modes_and_help_are_reached_by_keys_and_clicks_but_keys_are_typed_into_an_input(places: Path) -> None:
    async with driven(places, (100, 90)) as app:
        await app.shows("python-reference")
        await app.press("4", mode="runs")
        await app.pilot.click(offset=(app.text().splitlines()[-1].index("? help"), 89))
        await app.shows("Runs: keys", "Everywhere", "F1 ?")
        await app.press("escape", until=lambda: app.screen is app.mode)
        await app.press("2", "f1", shows="Train: keys")
        await app.press("f1", until=lambda: not isinstance(app.app.screen, HelpScreen))
        await app.press("1", "slash", until=lambda: isinstance(app.app.focused, Input))
        await app.press("4", "q", "question_mark")
        assert (app.mode.MODE, app.mode.query_one("#texts-filter", Input).value) == ("corpus", "4q?")
        await app.press("escape", until=lambda: not isinstance(app.app.focused, Input))
        assert app.mode.MODE == "corpus"
        await app.pilot.click(offset=(app.text().splitlines()[0].index("4 Runs") + 1, 0))
        await app.in_mode("runs")


async def test_the_palette_waits_for_a_view_that_opens(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lacked the actions of Corpus while the folder was being listed."""
    listing = Held(monkeypatch, texts_view, "sections")
    async with driven(places) as app:
        app.app.go("corpus")
        await app.press("colon", until=listing.called.is_set)
        listing.release()
        await app.shows("What would you like to do?", "Open path")


async def test_the_palette_names_a_command_closes_when_it_should_and_takes_no_dialog_along(places: Path) -> None:
    async with driven(places) as app:
        await app.in_mode("corpus")
        await app.press("ctrl+p", shows="What would you like to do?")
        await app.press(*"sweep", shows=("Sweep over settings", "charlstm sweep TEXT --grid"))
        palette, dialog = app.screen, ChoiceDialog("Stop?", "", [Choice("y", "yes", True)])
        app.app.push_screen(dialog)
        await app.until(lambda: app.screen is dialog)
        palette.dismiss()  # by a late click: Textual would take away the dialog
        await app.pilot.pause()
        assert app.screen is dialog
        await app.press("escape", until=lambda: app.screen is palette)
        await app.press("ctrl+p", until=lambda: app.screen is app.mode)
        await app.press("colon", shows=("Ctrl+F", "Open path", "Type the path of a file or folder"))
        await app.press("escape", until=lambda: app.screen is app.mode)


async def test_escape_never_quits_and_q_asks_only_when_a_session_is_not_saved(places: Path) -> None:
    async with driven(places) as app:
        await app.in_mode("corpus")
        await app.press("escape", "escape", "escape")
        assert app.app.is_running
        await app.press("slash", "ctrl+c")  # in an empty line
        await app.shows("Nothing is selected to copy. Ctrl+Q quits.")
        await app.press("escape")
        app.app.not_saved = "The session cannot be saved: No space left on device."
        await app.press("q", shows=("Quit although a session is not saved?", "No space left on device."))
        await app.press("enter", lacks="Quit although a session is not saved?")
        assert not app.app.exiting
        app.app.not_saved = ""
        await app.press("q", until=lambda: not app.app.is_running)


async def test_opens_on_runs_for_a_run_that_is_not_there(places: Path) -> None:
    async with driven(places, run="nothing-of-the-kind") as app:
        await app.in_mode("runs")
        await app.shows("nothing-of-the-kind")


# ---- leaving


@pytest.mark.parametrize(
    ("state", "key", "asked", "farewell"),
    [
        ("running", "l", [], "novel-quick-1 trains on."),
        ("running", "s", ["stop"], "The next run of the queue begins then."),
        ("paused", "l", [], "novel-quick-1 is paused and stays so."),
    ],
)
async def test_quitting_asks_of_a_live_run(places: Path, state: Any, key: str, asked: list[str], farewell: str) -> None:
    record(places, "queued", name="half").close()
    question = f"Quit while training {'is paused' if state == 'paused' else 'continues'}?"
    async with training(places, state, size=(120, 30)) as (run, app):
        await app.until(lambda: app.app.runs_state.queued)
        await app.press("ctrl+q", shows=question)
        await app.press("escape", until=lambda: app.screen is app.mode)
        await app.press("q", shows=question)
        await app.press(key, until=lambda: not app.app.is_running)
        assert app.app.farewell.endswith(farewell)
        assert ("Stopping novel-quick-1: a checkpoint is on its way" in app.app.farewell) is (key == "s")
        assert [command.command for command in run.commands()] == asked


def test_of_two_runs_of_one_name_the_one_that_is_not_paused_trains_on(places: Path, tmp_path: Path) -> None:
    with record(places, "paused", name="same") as one, record(tmp_path / "other", "running", name="same") as other:
        live = [RunView(each.run, each.run.status()) for each in (one, other)]
        assert CharLSTMApp._still_training(CharLSTMApp(), live).startswith("same trains on. same is paused")


async def test_a_run_that_ends_while_the_app_ends_breaks_nothing(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app ended with a traceback: its screens were gone when it saw that no run trained any more."""
    async with training(places) as (run, app):
        await app.until(lambda: app.app.runs_state.live)
        close_screens = app.app._close_all

        async def end_the_run() -> None:
            await close_screens()
            run.end("finished")
            monkeypatch.setattr(app.app.watcher, "latest", RunsState)
            app.app.on_runs_changed()

        monkeypatch.setattr(app.app, "_close_all", end_the_run)
    assert not app.app.screen_stack


@pytest.mark.parametrize(("seen", "rings"), [((), True), ((AppBlur, AppFocus), False)], ids=["unknown", "here"])
async def test_end_of_a_run_rings(places: Path, seen: Any, rings: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the terminal tells that it has the focus."""
    told: list[str] = []
    async with training(places, steps=1200, planned=1300) as (run, app):
        await app.until(lambda: app.app.runs_state.live)
        monkeypatch.setattr(app.app._driver, "write", told.append)
        for event in seen:
            app.app.post_message(event())
        await app.until(lambda: not seen or (app.app.tells_focus and app.app.app_focus == (seen[-1] is AppFocus)))
        run.end("finished")
        await app.until(lambda: not app.app.runs_state.live)
        words = f"charlstm: {run.run.name} has finished: loss"
        assert any(words in each and each.endswith("\a\a") for each in told) == rings


async def test_run_that_has_ended_before_the_answer_is_not_stopped(places: Path) -> None:
    async with training(places) as (run, app):
        await app.press("q", shows="Quit while training continues?")
        run.end("stopped")
        await app.until(lambda: not app.app.runs_state.live)
        await app.press("s", until=lambda: not app.app.is_running)
        assert app.app.farewell == ""


async def test_ctrl_c_from_outside_says_that_the_run_trains_on(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "exit_at_the_latest", lambda code, finish: None)  # it would end pytest
    async with training(places) as (_, app):
        os.kill(os.getpid(), signal.SIGINT)
        await app.until(lambda: not app.app.is_running)
        assert (app.app.return_code, app.app.farewell) == (128 + signal.SIGINT, "novel-quick-1 trains on.")


async def test_hostile_names_are_shown_literally(places: Path) -> None:
    record(places, "crashed", text=NASTY, last_words=NASTY, sample=NASTY, name="[red] run").close()
    async with driven(places, (120, 40)) as app:
        await app.press("4")
        text = await app.shows("[red] run", "✗ crashed", "[/red]", "SAMPLE")
        assert not set("\x1b\x00\u202e") & set(text)
        app.app.notify_error(NASTY)
        await app.press("1", "question_mark", until=lambda: isinstance(app.screen, HelpScreen))


def test_watcher_reports_a_change_once_until_its_state_is_read(places: Path) -> None:
    with record(places, "running", steps=100) as run:
        reports: list[int] = []
        watcher = Watcher(lambda: reports.append(1), places)
        watcher.attach(run.run.path)
        watcher.read()
        run.advance(10)
        watcher.read()
        assert len(reports) == 1
        first, steps = watcher.latest().series, []
        for _ in range(2):
            steps.append(first.step)  # an earlier state does not change
            run.advance(10)
            watcher.read()
        assert (len(reports), steps, watcher.latest().series.step) == (2, [110, 110], 130)


async def test_run_command_raises_the_message_of_the_command() -> None:
    with pytest.raises(CharLSTMError, match="nothing-here") as refusal:
        await run_command("info", "nothing-here")
    assert "\n" not in str(refusal.value)
    assert not str(refusal.value).startswith("charlstm")


async def test_in_thread_stops_when_it_is_cancelled() -> None:
    stopped = threading.Event()

    def endless(check: Callable[[], None]) -> None:
        try:
            while True:
                check()
        finally:
            stopped.set()

    task = asyncio.create_task(in_thread(endless))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert stopped.wait(DEADLINE)


def test_the_status_gets_shorter_before_it_gets_lost(places: Path) -> None:
    assert status_words(RunsState()) == ("not training",)
    with record(places, "paused", name="a-run-with-quite-a-long-name"):
        words = status_words(RunsReader(places).read(None, all_runs=True))
        assert (words[0], words[-1]) == ("‖ a-run-with-quite-a-long-name 40% paused", "‖ 40%")
        assert [*map(len, words)] == sorted(map(len, words), reverse=True)


@pytest.mark.parametrize(
    ("environment", "rate"),
    [({"SSH_TTY": ""}, "500"), ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "60"), ({"TEXTUAL_FPS": "30"}, "30")],
)
def test_frame_rate_is_set(environment: dict[str, str], rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It suits the connection, unless the user set it."""
    monkeypatch.setattr(os, "environ", environment)
    process.set_frame_rate()
    assert environment["TEXTUAL_FPS"] == rate


async def test_leaving_does_not_wait_for_a_slow_disk(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven(places) as app:
        await app.in_mode("corpus")
        read = Held(monkeypatch, run_watcher.folder, "list_runs")
        await app.until(read.called.is_set)
        app.app.exit()
        await app.until(lambda: not app.app.is_running)
    read.release()


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``run`` has told the app, which ends at once, of the columns of its terminal."""
    columns: list[Any] = []
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    monkeypatch.setattr(CharLSTMApp, "run", lambda self, mouse: columns.append(os.environ.get("COLUMNS")))
    monkeypatch.setattr(terminal, "tolerate_invalid_input", lambda question: None)
    monkeypatch.setattr("charlstm_tui.main.log_uncaught", lambda: None)  # for all tests that follow
    return columns


@pytest.mark.parametrize(("driver", "kept"), [("some.web:Driver", True), ("", False)])
def test_web_driver_keeps_columns(driver: str, kept: bool, columns: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", driver)
    monkeypatch.setenv("COLUMNS", "132")
    assert run([]) == 0
    assert columns == ["132" if kept else None]


@pytest.mark.usefixtures("columns")
def test_processes_that_the_app_starts_have_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "some.web:Driver")
    monkeypatch.setenv("CHARLSTM_CONFIG", "")
    mine = Path("mine.toml").absolute()
    mine.write_text('on_end = ["say", "done"]\n')
    assert run(["--config", "mine.toml"]) == 0
    assert (config_path(), load_config()[0].on_end) == (mine, ("say", "done"))


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        ([], "needs a terminal", 1),
        (["--nonsense"], "see charlstm-tui --help", 2),
        (["demo"], "charlstm-tui --model demo", 1),
        (["--serve=./novel.txt"], "charlstm-tui ./novel.txt --serve", 2),
        (["--serve=localhost:99999"], "write HOST:PORT", 2),
        (["--log=/no/folder/my.log"], "cannot be written: No such file", 1),
    ],
)
def test_a_wrong_argument_or_no_terminal_is_one_sentence(
    arguments: list[str], words: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "none is opened" if arguments else "")
    monkeypatch.setattr(CharLSTMApp, "run", lambda self, mouse: None)
    assert run(arguments) == code
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    assert words in said.err
    assert not said.out
