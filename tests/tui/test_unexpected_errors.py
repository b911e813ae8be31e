"""An exception that no code expected is shown in one sentence and logged, and the app goes on."""

import logging
import threading
from collections import deque
from pathlib import Path

import pytest

from charlstm.errors import CharLSTMError
from charlstm_tui import run_watcher
from charlstm_tui.error_log import LOG, RECENT, LogFile, log_path, log_to, log_uncaught, sentence
from charlstm_tui.run_watcher import Watcher
from driven_app import driven, training
from recorded_run import record
from waiting import wait_until


async def test_failing_work_shows(places: Path, unexpected_errors: deque[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown, and logged and copied, if it is unexpected."""

    async def refused() -> None:
        raise CharLSTMError("The disk is full")

    async def fails() -> None:
        raise OSError(5, "Input/output error", "novel.txt")

    async with driven(places, (120, 30)) as app:
        await app.in_mode("corpus")
        app.mode.run_worker(refused())
        await app.shows("✗ The disk is full")
        await app.press("up", lacks="The disk is full")
        monkeypatch.setattr(app.mode.view, "do_open_path", refused)
        await app.press("o", shows="✗ The disk is full")
        assert not unexpected_errors  # a user can cause it
        await app.press("exclamation_mark", shows=("There are none", "app.log"))
        await app.press("escape", until=lambda: app.screen is app.mode)
        app.mode.run_worker(fails(), name="details")
        await app.shows("novel.txt: Input/output")
        assert "Traceback" in unexpected_errors[0]
        assert "Input/output error" in log_path().read_text(encoding="utf-8")
        monkeypatch.setattr(app.mode.view, "do_open_path", lambda: 1 / 0)
        monkeypatch.setattr(app.app, "do_units", lambda: 1 / 0)
        await app.press("u", shows="Nats/bits failed")
        await app.press("o", shows="Open path failed (ZeroDivisionError")
        await app.press("exclamation_mark", shows=("ZeroDivisionError: division by zero", "Traceback"))
        await app.press("ctrl+c", until=lambda: "open path\nTraceback" in app.app.clipboard)
        await app.press("escape", "4", mode="runs")
    assert len(unexpected_errors) == 3


async def test_failing_reads_show(places: Path, unexpected_errors: deque[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """So are failing displays of the runs, each once, and the app goes on."""
    async with training(places, size=(120, 30), steps=100) as (run, app):
        with monkeypatch.context() as patch:
            patch.setattr(run_watcher.folder, "list_runs", lambda *_, **__: 1 / 0)
            await app.shows("Reading the runs failed", "✗ the runs cannot be read")
        await app.lacks("✗ the runs cannot be read")
        monkeypatch.setattr(app.mode.view, "watch_runs_state", lambda before, state: 1 / 0)
        run.advance(10)
        await app.shows("Showing the runs failed")
        run.advance(10)
        await app.until(lambda: app.app.runs_state.series.step == 120)
        await app.go("runs")
        await app.shows("novel-quick-1")
    assert len(unexpected_errors) == 2


def test_the_watcher_outlives_a_failing_report(places: Path, unexpected_errors: deque[str]) -> None:
    def report() -> None:
        raise RuntimeError("the app has gone")

    watcher = Watcher(report, places)
    watcher.start()
    for count, name in enumerate(("first", "second"), 1):
        record(places, "finished", name=name).close()
        watcher.latest()
        wait_until(lambda count=count: watcher.read_soon() or len(unexpected_errors) >= count)
        assert watcher.is_alive()
    watcher.close()
    watcher.join(60)  # else it reports during the next test


def test_a_report_to_an_app_that_ends_meanwhile_is_no_error(places: Path, unexpected_errors: deque[str]) -> None:
    def report() -> None:
        watcher.close()
        raise RuntimeError("Event loop is closed")

    watcher = Watcher(report, places)
    watcher.start()
    record(places, "finished").close()
    watcher.read_soon()
    watcher.join(60)
    assert not watcher.is_alive()
    assert not unexpected_errors


def test_uncaught_errors_and_actions_are_logged(unexpected_errors: deque[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of choice."""
    tasks, log = logging.getLogger("asyncio"), Path("my.log").absolute()
    for logger in (LOG, tasks):
        monkeypatch.setattr(logger, "handlers", [*logger.handlers])
    monkeypatch.setattr(LOG, "level", LOG.level)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    log_to(log)
    log_uncaught()
    LOG.info("action app.units")
    thread = threading.Thread(target=lambda: 1 / 0, name="reader")
    thread.start()
    thread.join()
    tasks.error("Task exception was never retrieved")
    written = log.read_text(encoding="utf-8")
    assert all(words in written for words in ("Textual", "action app.units", "thread reader", "never retrieved"))
    assert "ZeroDivisionError" in unexpected_errors[0]
    monkeypatch.setattr(LogFile, "flush", lambda self: 1 / 0)
    for _ in range(2):
        LOG.error("no space")
    refusals = [entry for entry in unexpected_errors if "cannot be written" in entry]
    assert refusals == [f"{log} cannot be written: division by zero"]
    for handler in LOG.handlers:
        handler.close()


def test_an_expected_error_is_its_own_sentence_and_another_is_explained() -> None:
    assert sentence(CharLSTMError("The text is empty.")) == "The text is empty."
    assert sentence(ValueError("bad\nmore")).startswith("Something unexpected failed (ValueError: bad). “Show errors”")
    assert "disk: No space left" in sentence(OSError(28, "No space left", "disk"), "saving")


def test_unwritable_log_is_kept(unexpected_errors: deque[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In memory."""
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("CHARLSTM_STATE", str(tmp_path / "a-file" / "below"))
    RECENT.handle(logging.LogRecord("charlstm_tui", 40, "", 0, "broken", None, None))
    assert "broken" in unexpected_errors[0]
    assert "cannot be written" in unexpected_errors[1]
