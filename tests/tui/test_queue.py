"""The queue in the app: the keys that put a run into it and take it out, and a queue that stands and goes on."""

from pathlib import Path

import pytest
from textual.widgets import Input

from charlstm.runs import queue
from charlstm.runs.folder import RunFolder
from charlstm.training.settings import Settings
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.formatting import learning_rate
from charlstm_tui.run_watcher import RunsReader
from charlstm_tui.runs.table import state_words
from charlstm_tui.train.run_plan import busy_words
from charlstm_tui.train.run_summary import ShownRun, progress
from driven_app import driven
from queued_runs import launched, waiting
from recorded_run import ended, record

__all__ = ["launched"]  # a fixture

pytestmark = pytest.mark.usefixtures("launched")

TEXT = "The sea was calm, and the light was on the stairs. He had left it there, she said.\n" * 200


def test_reader_says_of_a_run_that_is_put_into_the_queue_when_it_will_begin(places: Path) -> None:
    record(places, "stopped", name="half", steps=250).close()
    with record(places, "running", name="busy", steps=500):
        reader = RunsReader(places)
        reader.read(None, True)
        queue.add_run(RunFolder(places / "half"))
        state = reader.read(places / "half", True)
        found = state.attached_run
        assert state_words(found).plain == "◌ queued 1st"
        assert found.status.message.startswith("1st in the queue, begins in about ")
        assert found.status.message.endswith(": busy is running")
        verdict = ShownRun(state).verdict
        assert (verdict.kind, verdict.has_ended, progress(found)[1]) == ("queued", False, "-held")
        words = busy_words(None, state.live, Settings(), {"queue": "l"})
        assert words.endswith("l lets it begin when the runs before it have ended.")


async def test_l_in_train_puts_the_run_into_the_queue(places: Path, launched: list[str]) -> None:
    text = Path("sea.txt").absolute()
    text.write_text(TEXT)
    with record(places, "running", name="first", steps=500):
        async with driven(places, (100, 30)) as app:
            await app.go("corpus")
            app.app.use_corpus(CorpusChoice(str(text), text.name))
            await app.shows("l later")
            await app.press("enter", shows="l  begin later, when the runs before it have ended")
            await app.press("l", shows=("sea-quick-1 is 1st in the queue, begins in about", ": first is running."))
            await app.press("l", shows="sea-quick-2 is 2nd in the queue")  # without the dialog
            assert waiting() == ["sea-quick-1", "sea-quick-2"]
            text.unlink()
            assert RunFolder(places / "sea-quick-1").text_path.exists()
            assert launched == []


async def test_l_in_runs_takes_a_run_out_of_the_queue_and_puts_it_in(places: Path, launched: list[str]) -> None:
    record(places, "queued", name="new", steps=0).close()
    with record(places, "running", name="busy"):
        async with driven(places, (100, 30)) as app:
            await app.go("runs")
            await app.press("down", shows=("◌ queued 1st", "busy is running", "l leave queue"))
            await app.press("p", shows="it waits in the queue and has not begun")  # which is not to end too early
            await app.press("l", shows=("new has left the queue.", "□ stopped"))
            assert waiting() == []
            await app.press("l", shows=("new is 1st in the queue", "◌ queued 1st"))
            assert (waiting(), launched) == (["new"], [])


async def test_diverged_run_gets_a_lower_rate_and_is_not_queued(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was resumed exactly as it was, and so diverged again."""
    resumed: list[dict[str, object]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: resumed.append(changes))
    with record(places, "running", name="risky", steps=100) as risky:
        risky.append(ended(100, 1.8, 50, reason="diverged"))
        risky.beat("failed", "the loss was no longer a number")
    with record(places, "running", name="busy"):
        async with driven(places, (100, 30)) as app:
            await app.go("runs")
            await app.press("down", shows="the loss was no longer a number")
            await app.press("l", shows="risky has diverged and would again: resume it with a lower learning rate")
            assert waiting() == []
            await app.press("r", shows="Resume with a lower rate")
            assert not resumed
            rate = learning_rate(risky.run.spec().settings.lr / 10)
            assert app.screen.query_one(Input).value == rate
            await app.press("enter", shows="risky continues from its last checkpoint")
            assert resumed == [{"lr": float(rate)}]


async def test_app_continues_a_queue_that_stands_and_says_so(places: Path, launched: list[str]) -> None:
    record(places, "queued", name="half").close()
    async with driven(places, (100, 30)) as app:
        await app.shows("The queue goes on: half trains now.")
        assert launched == ["half"]  # once, although it still waits


async def test_app_says_which_run_of_the_queue_could_not_be_started(places: Path, launched: list[str]) -> None:
    for name in ("gone", "half"):
        record(places, "queued", name=name).close()
    (places / "gone").rename(places.parent / "elsewhere")
    async with driven(places, (100, 30)) as app:
        await app.shows("gone could not be started and keeps its place in the queue: There is no run in")
        assert launched == ["half"]
