"""A run that is to be played before it has learnt anything: Generate waits, says so, and never plays noise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from charlstm.model.file import save_model
from charlstm.runs.status import RunState, RunStatus
from charlstm.training.events import Finished, Paused
from charlstm_tui.choices import ModelChoice
from charlstm_tui.generate.awaited import Awaited, BetterModel, RunToPlay
from driven_app import driven, training
from playing_app import PlayingApp
from recorded_run import Recorded, record, stepped, tiny_model

WAITS = "takes over as soon as"


@pytest.fixture
def runs(home: Path) -> Path:
    return home / "runs"


def step_played(app: PlayingApp) -> int | None:
    """Of the model that is played, if that is not the one in the box."""
    return None if app.screen.play.state is None or app.model_name == "demo" else app.step


async def plays(app: PlayingApp, step: int) -> None:
    """Wait until text of the model of this step is on the screen, and that no other step was played before."""

    def shown() -> bool:
        assert step_played(app) in (None, step)
        return step_played(app) == step and app.screen.play.playing and app.state.length > 0

    await app.in_mode("generate")
    await app.until(shown)
    await app.lacks(WAITS)


def diverged(step: int, best_step: int) -> Finished:
    return Finished(step=step, reason="diverged", loss=1.8, best_step=best_step, train_seconds=3.0, best_whole=True)


@asynccontextmanager
async def waiting(
    runs: Path, state: RunState = "running", size: tuple[int, int] = (120, 36), **options: Any
) -> AsyncIterator[tuple[Recorded, PlayingApp]]:
    """A run that trains and has learnt nothing, and the app that waits for it in Generate."""
    async with training(runs, state, size, **options) as (worker, driven):
        app = PlayingApp(driven.app, driven.pilot)
        await app.press("enter", shows=WAITS)
        yield worker, app


async def test_enter_or_3_waits_and_says_what_is_awaited_and_who_goes_back_is_not_called_away(runs: Path) -> None:
    async with waiting(runs, "starting", size=(80, 24), message="measuring the speed") as (worker, app):
        await app.shows("measuring the speed", "Esc stops waiting")
        await app.until(lambda: app.screen.play.playing)  # the model in the box
        worker.start()
        worker.advance(150)  # the best model is of step 150, and its loss still that of letters
        for size in ((60, 20), (160, 50), (80, 24)):
            await app.resize(*size)
            await app.shows(WAITS, ": step 150.", "stops waiting")
            assert "step 0" not in app.screen_text()
        assert "demo" in app.bar()
        await app.press("escape", mode="train")
        assert app.app.to_play.chosen is None
        await app.press("3", shows=WAITS)
        await app.press("2", mode="train")
        worker.advance(250)
        await app.shows("Still learning")
        assert app.mode.MODE == "train"
        await app.press("3")
        await plays(app, 400)


async def test_text_that_is_worked_on_meanwhile_stays(runs: Path) -> None:
    async with waiting(runs, size=(80, 24), steps=0) as (worker, app):
        await app.press("space", "w", *"my words", shows=("is waited for; your text stays", "my words"))
        worker.advance(400)
        await app.shows("novel-quick-1 has learnt something. Your text stays; in Play o lists the run.")
        assert "my words" in app.text
        assert step_played(app) is None
        await app.press("escape", "escape", "o", *"novel-quick-1", "enter", "n")
        await plays(app, 400)


async def test_text_that_was_touched_stays_until_the_run_is_played_again(runs: Path) -> None:
    with record(runs, "running", name="early", steps=0):
        async with waiting(runs, steps=0) as (worker, app):
            await app.press("space", shows="is waited for; your text stays")
            await app.press("2", mode="train")
            worker.advance(400)
            await app.shows("Still learning")
            await app.press("3", shows="novel-quick-1 has learnt something. Your text stays")
            assert step_played(app) is None
            await app.enter("o", "early", shows=WAITS)
            await app.press("escape", lacks=WAITS)
            assert app.mode.MODE == "generate"
            assert app.screen.play.playing
            await app.press("2", mode="train")
            await app.press("enter")
            await plays(app, 400)


async def test_what_stands_in_for_a_run_is_the_played_text_once_it_stays(runs: Path, home: Path) -> None:
    async with waiting(runs, steps=0) as (worker, app):
        await app.until(lambda: app.screen.play.playing)
        app.screen.player.save_as(home / "mine.json", None)
        await app.until(lambda: app.screen.player.file == home / "mine.json")
        await app.press("e", *"Else", "enter")
        await app.until(lambda: app.screen.play.playing and "Else" in app.screen.play.prime)
        await app.enter("O", str(home / "mine.json"), until=lambda: app.screen.player.file == home / "mine.json")
        worker.advance(400)
        await app.press("2", mode="train", shows="Still learning")
        await app.press("3", mode="generate", until=lambda: app.screen.play.playing)
        assert app.screen.player.file == home / "mine.json"


async def test_run_that_is_named_is_awaited_and_what_is_opened_meanwhile_stays(runs: Path, home: Path) -> None:
    old = home / "old.safetensors"
    save_model(old, tiny_model(prime="The morning", step=77))
    with record(runs, "running", steps=0) as worker:
        async with driven(runs) as driver:
            app = PlayingApp(driver.app, driver.pilot)
            app.app.play(str(old))
            await plays(app, 77)
            before = app.app.to_play.chosen
            await app.press("d", until=lambda: app.screen.view_name == "duel" and len(app.screen.duel.sides) == 2)
            await app.enter("o", worker.run.name, shows="has not learnt anything yet")
            await app.press("escape", "escape")
            await app.enter("o", worker.run.name, shows=WAITS)
            await app.press("escape", lacks=WAITS)
            assert app.screen.play.playing
            assert app.app.to_play.chosen == before
            await app.until(lambda: "old" in app.bar())
            app.app.play(worker.run.name)  # as ``--model NAME`` does
            await app.shows(WAITS)
            await app.enter("o", str(old))
            await plays(app, 77)
            worker.advance(400)
            await app.press("2", "3")
            await plays(app, 77)


async def test_run_that_ends_without_a_model_says_so_and_what_can_be_done(runs: Path) -> None:
    says = "no model that has learnt anything, so there is nothing to play. Failed: Out of memory."
    async with waiting(runs, steps=0) as (worker, app):
        worker.end("failed", "Out of memory")
        await app.shows(says, "shows what can be done", "opens another model", "Esc goes back")
        assert "$error" in [each.style for each in app.screen.query_one("#awaited", Static).render().spans]
        await app.press("escape", mode="train", shows="resume")


async def test_model_that_a_diverged_run_leaves_is_played(runs: Path) -> None:
    async with waiting(runs, steps=60) as (worker, app):
        worker.append(diverged(60, best_step=50))
        worker.end("failed", "the loss was not a number any more")
        await plays(app, 50)
        await app.shows("has diverged, and")


def test_what_is_awaited_is_said_with_what_keeps_it_from_coming(runs: Path) -> None:
    with record(runs, "running", steps=0) as worker:
        to_play = RunToPlay(ModelChoice(""), worker.run)

        def says(words: str) -> bool:
            return words in to_play.look().sentence(shown=True)

        assert says(f"{WAITS} it has learnt something: its first steps are still to come.")
        worker.advance(10)
        worker.append(Paused(step=10))
        worker.beat("paused")
        assert says(": step 10. ")
        assert says("Paused at step 10.")
        worker.beat("running")
        worker.append(*(stepped(step, step * 1.5) for step in range(11, 40)))
        assert says("Diverging: the training loss rose")
        worker.append(diverged(39, best_step=0))
        worker.end("failed", "the loss was not a number any more")
        assert says("nothing to play. Diverged at step 39")
        worker.run.path.rename(runs.parent / "elsewhere")
        assert says("Its folder is gone.")


def test_sentence_says_at_which_step_the_run_is_and_what_slows_it(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1").run
    status = RunStatus(state="running", alive=True, step=40, planned_steps=1400)
    begins = "novel-quick-1 takes over as soon as it has learnt something: "
    awaited = Awaited(run, status)
    assert awaited.sentence(shown=True) == f"{begins}step 40."
    assert awaited.sentence(shown=True, stays=True) == "novel-quick-1 is waited for; your text stays: step 40."
    slowed = replace(awaited, status=replace(status, slowdown=4.0))
    assert "4, Enter on it, then m, gives it more minutes." in slowed.sentence(shown=False)
    assert slowed.sentence(shown=True) == (
        f"{begins}step 40. The processor has other work too: training is about 4 times slower."
        " A pause here (Space) and closing other programs help; 2, then m, gives it more minutes."
    )


async def test_run_that_others_slow_is_told_where_it_is_played(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.runs.contention.ContentionMeter.read", lambda self: 4.0)
    async with played(runs, steps=600) as (_, app):
        words = "training is about 4 times slower. A pause here (Space) and closing other programs help"
        await app.until(lambda: any(words in each.message for each in app.app._notifications))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text begins again with a better model as soon as that is found."""
    monkeypatch.setattr("charlstm_tui.to_play.LEAST_PLAYED", 0.0)
    monkeypatch.setattr("charlstm_tui.generate.screen.FOLLOW_EVERY", 0.05)


@asynccontextmanager
async def played(runs: Path, steps: int = 400) -> AsyncIterator[tuple[Recorded, PlayingApp]]:
    """A run that trains and has learnt something, and the app that plays it."""
    async with training(runs, size=(120, 36), steps=steps) as (worker, driven):
        app = PlayingApp(driven.app, driven.pilot)
        await app.press("enter")
        await plays(app, steps)
        yield worker, app


@pytest.mark.usefixtures("patient")
async def test_text_begins_again_with_each_better_model_which_is_offered_once_a_key_was_pressed(runs: Path) -> None:
    async with played(runs) as (worker, app):
        worker.advance(200)
        await app.shows("Begins again with a better model: step 600, loss")
        assert step_played(app) == 600
        text = app.text
        await app.press("left")
        worker.advance(200)
        app.screen.show_message("")  # as after some seconds
        await app.shows("A better model: step 800, loss", "] begins again with it")
        assert step_played(app) == 600
        await app.press("u", shows=("A better model: step 800, loss", "bits. ] begins again with it"))
        worker.advance(100)  # this model is hardly better, but the key goes on with the best one
        assert app.text.startswith(text)
        await app.press("right_square_bracket", until=lambda: step_played(app) == 900)
        worker.advance(100)  # hardly better, but the best one when the run has ended
        worker.end("finished")
        app.screen.show_message("")
        await app.shows("A better model: step 1,000, loss")
        app.screen.play._begins_again = BetterModel(ModelChoice(""), 600, 1.0)  # Esc was pressed while it was opened
        await app.press("left_square_bracket", shows="6 of 7: step 700")


@pytest.mark.usefixtures("patient")
async def test_page_with_own_words_stays_and_a_better_model_of_its_run_reads_it(runs: Path, home: Path) -> None:
    old = home / "old.safetensors"
    save_model(old, tiny_model(prime="The morning", step=77))
    async with played(runs) as (worker, app):
        await app.press("space", "w", *"and so", until=lambda: app.text.endswith("and so"))
        text, play = app.text, app.screen.play
        worker.advance(200)
        await app.shows("A better model: step 600, loss", "in Play ] plays it")
        await app.press("escape", "escape", "right_square_bracket")
        await app.until(lambda: step_played(app) == 600 and not app.state.busy)
        assert app.text == text
        await app.until(lambda: app.state.read_to == len(text))
        await app.press("left_square_bracket", until=lambda: step_played(app) not in (600, None))
        assert app.text == text
        worker.advance(300)
        await app.until(lambda: play._offered is not None)
        await app.enter("o", str(old), shows="go on with this text")
        await app.press("g", until=lambda: step_played(app) == 77)
        assert play._offered is None, "it is of another run"
        await app.press("ctrl+z", until=lambda: app.text != text)
