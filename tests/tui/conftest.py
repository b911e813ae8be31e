"""What all tests of the app share: a folder to work in, and no wait is long."""

import asyncio
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import RenderableType
from textual._compositor import Compositor
from textual._context import active_app
from textual.app import App
from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.events import ScreenResume

from charlstm_tui.actions import use_keys
from charlstm_tui.background import CommandError
from charlstm_tui.error_log import RECENT
from charlstm_tui.generate import play_view
from charlstm_tui.generate import screen as generate_screen
from charlstm_tui.player.model_thread import ModelThread
from charlstm_tui.player.session_saver import SessionSaver
from charlstm_tui.run_watcher import Watcher
from driven_app import DEADLINE, LOOK
from recorded_run import PAIRS_LOSS

MOST_LOOKS = 50
"""Looks, 2 ms apart, after which a test goes on although the app waits for a thread, which the test may hold. They are
counted and not timed, as other programs may take the processor."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own; gives the folder for runs."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def pairs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded runs have no text."""
    monkeypatch.setattr("charlstm_tui.generate.awaited.pairs_loss", lambda run: PAIRS_LOSS)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test writes its configuration."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("CHARLSTM_CONFIG", str(path))
    return path


def _waits(app: App[Any]) -> bool:
    """Whether keys or messages wait to be read, or what was changed has yet to be laid out, or something is called
    after that. A timer of Textual does it, up to a frame later; here it is done at once."""
    if not app._screen_stack:  # it ends
        return False
    screen = app.screen
    pending = screen._layout_required or screen._scroll_required or screen._recompose_required or screen._callbacks
    if app._resize_event is not None or (pending and screen.is_current):
        screen._on_timer_update()
        return True
    return bool(getattr(app, "_keys", ())) or any(node.message_queue_size for node in (app, *app._registry))


async def wait_until_read(least: object = 0) -> None:
    """Wait until the app has read every key and every message, and has laid out what they changed. Textual sends each
    widget a message and waits until the process is idle, which on a busy machine may come too early."""
    app, loop, end, quiet, looks = active_app.get(), asyncio.get_running_loop(), time.monotonic() + DEADLINE, 0, 0
    while quiet < 2 and looks < MOST_LOOKS and not app._exit and time.monotonic() < end:
        await asyncio.sleep(0 if loop._ready or quiet else 0.002)
        if loop._ready:
            quiet = 0
        elif getattr(app, "_keys", ()) and not app._waits_since:  # the first of them may open something
            quiet = looks = 0
        elif _waits(app):
            quiet, looks = 0, looks + 1
        else:
            quiet += 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs are looked at often. What takes seconds is left out, and the tests of it have answers of their own: a
    text is not read as a whole for its statistics, no worker is prepared, the model in the box is not tried on a text,
    and what the presets cost is not measured, nor what else this machine does: the processor is free. Garbage is
    searched for as in all tests; a message of Generate stays until another one, however slow this machine is; a test
    waits until a key was read."""

    async def refuse(*argv: str) -> Any:
        raise CommandError("not measured in this test")

    monkeypatch.setattr("charlstm_tui.corpus.texts_view.PAUSE", 3600)
    monkeypatch.setattr("charlstm_tui.train.setup_pane.find_start", lambda word, corpus, settings: None)
    monkeypatch.setattr("charlstm_tui.train.setup_pane.run_command", refuse)
    monkeypatch.setattr("charlstm.runs.launch.prepare_worker", lambda: None)
    monkeypatch.setattr("charlstm.runs.contention.ContentionMeter.read", lambda self: None)
    monkeypatch.setattr(generate_screen, "INFO_SECONDS", 600.0)
    for name, value in (("INTERVAL", 0.15), ("LIST_EVERY", 1), ("FIGURES_EVERY", 1)):
        monkeypatch.setattr(Watcher, name, value)
    monkeypatch.setattr(play_view, "settle_garbage", lambda: None)
    monkeypatch.setattr("charlstm_tui.app.search_garbage_rarely", lambda: None)
    for name in ("app.wait_for_idle", "pilot.wait_for_idle", "pilot.Pilot._wait_for_screen"):
        monkeypatch.setattr(f"textual.{name}", wait_until_read)


@pytest.fixture(autouse=True)
def _late_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``CHARLSTM_LATE_THREADS`` set, what the app's threads do comes late, as on a machine with other work: ``make
    anywhere`` runs the tests of the app so, too."""
    if "CHARLSTM_LATE_THREADS" in os.environ:
        for owner, name, most in LATE:
            monkeypatch.setattr(owner, name, _late(getattr(owner, name), most))


LATE = (
    (threading.Thread, "run", 0.3), (Watcher, "read", 0.1), (SessionSaver, "_attend", 0.4),
    (ModelThread, "_turn", 0.025), (ModelThread, "_post", 0.025),
)  # fmt: skip
"""Methods that threads call, and the seconds that each begins late at most."""


def _late(method: Callable[..., Any], most: float) -> Callable[..., Any]:
    """``method``, begun up to ``most`` seconds late in threads."""

    def begin_late(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(most * random.random())
        return method(*arguments, **options)

    return begin_late


@pytest.fixture(autouse=True)
def _own_keys() -> Iterator[None]:
    """An app with keys of its own sets them for its process, where the next test would still see them."""
    yield
    use_keys({})


class _KeptParses(LRUCache[object, object]):
    """What ``clear`` leaves: a style sheet and the variables that it was parsed with do not change."""

    def clear(self) -> None:
        pass


@cache
def _parses(variables: frozenset[tuple[str, str]]) -> _KeptParses:
    return _KeptParses(1000)


def _kept_parses(sheet: Any) -> _KeptParses:
    """What was parsed with the variables of ``sheet``, which are compared only where it has got others."""
    kept = sheet.__dict__.get("kept_parses")
    if kept is None or kept[0] is not sheet._variables:
        kept = sheet.kept_parses = (sheet._variables, _parses(frozenset(sheet._variables.items())))
    return kept[1]


@pytest.fixture(autouse=True, scope="session")
def _parse_styles_once() -> Iterator[None]:
    """Textual parses all style sheets anew for each app, and again for each of its modes; here once for each theme. It
    asks for the hash of each rule whenever it styles a widget; Python's own is the same and takes a third of the time.
    It styles all widgets of a new screen twice more when that is shown, though what changes is styled anyway.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScreenResume.__init__, "__defaults__", (False,))
        patch.setattr(RuleSet, "__hash__", object.__hash__)
        patch.setattr(Stylesheet, "_parse_cache", property(_kept_parses, lambda sheet, _: None), raising=False)
        yield


@pytest.fixture(autouse=True)
def _draw_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen is drawn when a test looks at it. What is drawn else is drawn by the terminal tests and by the fuzzing:
    nobody sees it here, and it takes a third of the time."""
    render = Compositor.render_update

    def render_full(compositor: Compositor, full: bool = False, **options: Any) -> RenderableType | None:
        if full:
            return render(compositor, full, **options)
        LOOK.drawings += 1
        compositor._dirty_regions.clear()
        return None

    monkeypatch.setattr(Compositor, "render_update", render_full)


@pytest.fixture
def unexpected_errors() -> deque[str]:
    """The tracebacks that the app logged in this test, which without this fixture fails by them."""
    return RECENT.tracebacks


@pytest.fixture(autouse=True)
def _no_unexpected_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """The app shows an unexpected error and goes on; a test must not."""
    RECENT.tracebacks.clear()
    yield
    tracebacks = list(RECENT.tracebacks)
    RECENT.tracebacks.clear()
    assert "unexpected_errors" in request.fixturenames or not tracebacks, "\n".join(tracebacks)
