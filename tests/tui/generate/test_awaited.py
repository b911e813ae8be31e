"""A run that is to be played before it has learnt anything: Generate waits, says so, and never plays noise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.model.file import save_model
from charlstm.runs.status import RunStatus
from charlstm.training.events import Finished, Paused
from charlstm_tui.choices import ModelChoice
from charlstm_tui.generate.awaited import Awaited, BetterModel
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.generate.view_bar import GenerateBar
from driven_app import Driven, driven, training
from recorded_run import Recorded, record, stepped, tiny_model

WAITS = "takes over as soon as"


@pytest.fixture
def runs(home: Path) -> Path:
    return home / "runs"


def step_played(app: Driven) -> int | None:
    """Of the model that is played, if that is not the one in the box."""
    state = generate(app).play.state
    return None if state is None or state.facts is None or state.facts.name == "demo" else state.facts.step


def generate(app: Driven) -> GenerateScreen:
    assert isinstance(app.mode, GenerateScreen)
    return app.mode


async def reads(app: Driven, *words: str) -> str:
    """Wait until all ``words`` are on the screen, wherever its lines are broken."""
    await app.until(lambda: all(each in " ".join(app.text().split()) for each in words))
    return app.text()


async def plays(app: Driven, step: int) -> None:
    """Wait until text of the model of this step is on the screen, and that no other step was played before."""

    def shown() -> bool:
        state = generate(app).play.state
        assert step_played(app) in (None, step)
        return state is not None and step_played(app) == step and generate(app).play.playing and state.length > 0

    await app.in_mode("generate")
    await app.until(shown)
    await app.lacks(WAITS)


@asynccontextmanager
async def waiting(
    runs: Path, steps: int = 0, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[Recorded, Driven]]:
    """A run that trains and has learnt nothing, and the app that waits for it in Generate."""
    async with training(runs, size=size, steps=steps) as (worker, app):
        await app.press("enter")
        await reads(app, WAITS)
        yield worker, app


async def test_enter_or_3_waits_and_says_what_is_awaited_and_who_goes_back_is_not_called_away(runs: Path) -> None:
    async with waiting(runs, size=(80, 24)) as (worker, app):
        await reads(app, "its first steps are still to come", "Esc stops waiting")
        await app.until(lambda: generate(app).play.playing)  # the model in the box
        worker.advance(150)  # the best model is of step 150, and its loss still that of letters
        for size in ((60, 20), (160, 50), (80, 24)):
            await app.resize(*size)
            text = await reads(app, WAITS, "step 150 of about ", "stops waiting")
            assert "step 0" not in text
        assert "demo" in generate(app).query_one(GenerateBar).render().plain
        await app.press("escape", mode="train")
        assert app.app.model is None
        await app.press("3", shows=WAITS)
        await app.press("2", mode="train")
        worker.advance(250)
        await app.shows("Still learning")
        assert app.mode.MODE == "train"
        await app.press("3")
        await plays(app, 400)


async def test_enter_while_the_run_starts_waits_too(runs: Path) -> None:
    async with training(runs, "starting", message="measuring the speed") as (worker, app):
        await app.press("enter")
        await reads(app, WAITS, "measuring the speed")
        worker.start()
        worker.advance(400)
        await plays(app, 400)


async def test_text_that_is_worked_on_meanwhile_stays(runs: Path) -> None:
    async with waiting(runs, size=(80, 24)) as (worker, app):
        await app.press("space", "w", *"my words", shows=("is waited for; your text stays", "my words"))
        worker.advance(400)
        await reads(app, "novel-quick-1 has learnt something. Your text stays; in Play o lists the run.")
        assert "my words" in generate(app).play.text_view.text()
        assert step_played(app) is None
        await app.press("escape", "escape", "o")
        await app.press(*"novel-quick-1", "enter", "n")
        await plays(app, 400)


@pytest.mark.parametrize("again", [False, True])
async def test_text_that_was_touched_stays_after_another_mode_unless_the_run_is_played_again(
    runs: Path, again: bool
) -> None:
    async with waiting(runs) as (worker, app):
        await app.press("space", shows="is waited for; your text stays")
        await app.press("2", mode="train")
        worker.advance(400)
        await app.shows("Still learning")
        await app.press("enter" if again else "3")
        if again:
            await plays(app, 400)
        else:
            await reads(app, "novel-quick-1 has learnt something. Your text stays")
            assert step_played(app) is None


async def test_what_stands_in_for_a_run_is_the_played_text_once_it_stays(runs: Path, home: Path) -> None:
    async with waiting(runs) as (worker, app):
        await app.until(lambda: generate(app).play.playing)
        generate(app).desk.save_as(home / "mine.json", None)
        await app.until(lambda: generate(app).desk.file == home / "mine.json")
        await app.press("e", *"Else", "enter")
        await app.until(lambda: generate(app).play.playing and "Else" in generate(app).play.prime)
        await app.enter("O", str(home / "mine.json"))
        await app.until(lambda: generate(app).desk.file == home / "mine.json")
        worker.advance(400)
        await app.press("2", mode="train", shows="Still learning")
        await app.press("3", mode="generate")
        await app.until(lambda: generate(app).play.playing)
        assert generate(app).desk.file == home / "mine.json"


async def test_esc_ends_the_wait_for_another_run_where_the_text_that_stood_in_stays(runs: Path) -> None:
    with record(runs, "running", name="early", steps=0):
        async with waiting(runs) as (worker, app):
            await app.press("space", shows="is waited for; your text stays")
            worker.advance(400)
            await reads(app, "novel-quick-1 has learnt something. Your text stays")
            await app.enter("o", "early", shows=WAITS)
            await app.press("escape")
            await app.lacks(WAITS)
            assert app.mode.MODE == "generate"
            assert generate(app).play.playing


async def test_run_that_is_named_is_awaited_and_what_is_opened_meanwhile_stays(runs: Path, home: Path) -> None:
    old = home / "old.safetensors"
    save_model(old, tiny_model(prime="The morning", step=77))
    with record(runs, "running", steps=0) as worker:
        async with driven(runs) as app:
            app.app.play(str(old))
            await plays(app, 77)
            before = app.app.model
            await app.press("d")
            await app.until(lambda: generate(app).view_name == "duel" and len(generate(app).duel.sides) == 2)
            await app.enter("o", worker.run.name, shows="has not learnt anything yet")
            await app.press("escape", "escape")
            await app.enter("o", worker.run.name)
            await app.shows(WAITS)
            await app.press("escape")
            await app.lacks(WAITS)
            assert generate(app).play.playing
            assert app.app.model == before
            await app.until(lambda: "old" in generate(app).query_one(GenerateBar).render().plain)
            app.app.play(worker.run.name)  # as ``--model NAME`` does
            await reads(app, WAITS)
            await app.enter("o", str(old))
            await plays(app, 77)
            worker.advance(400)
            await app.press("2", "3")
            await plays(app, 77)


async def test_run_that_ends_without_a_model_says_so_and_what_can_be_done(runs: Path) -> None:
    says = "no model that has learnt anything, so there is nothing to play. Failed: Out of memory."
    async with waiting(runs) as (worker, app):
        worker.end("failed", "Out of memory")
        await app.lacks(WAITS)
        await reads(app, says, "shows what can be done", "opens another model", "Esc goes back")
        await app.press("2", mode="train", shows="resume")


async def test_esc_goes_back_from_a_named_run_that_has_no_model(runs: Path) -> None:
    run = record(runs, "stopped", steps=0).run
    async with driven(runs) as app:
        app.app.play(run.name)  # as ``--model NAME`` does
        await reads(app, "nothing to play", "Esc goes back")
        await app.press("escape", mode="train")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("diverged", "has diverged, and"),
        ("stopped", ""),
    ],
)
async def test_model_that_a_run_leaves_is_played_when_it_ends_early(runs: Path, state: str, says: str) -> None:
    async with waiting(runs, steps=60) as (worker, app):
        if state == "diverged":
            end = Finished(step=60, reason="diverged", best_val=1.8, best_step=50, train_seconds=3.0, best_whole=True)
            worker.append(end)
            worker.end("failed", "the loss was not a number any more")
        else:
            worker.end(state)
        await plays(app, 50)
        await app.shows(says)


async def test_wait_tells_that_the_loss_rises_or_that_training_is_paused(runs: Path) -> None:
    async with waiting(runs, steps=10) as (worker, app):
        worker.append(Paused(step=10))
        worker.beat("paused")
        await reads(app, WAITS, "Paused at step 10.")
        worker.beat("running")
        worker.append(*(stepped(step, step * 1.5) for step in range(11, 40)))
        await reads(app, WAITS, "Diverging: the training loss rose")
        end = Finished(step=39, reason="diverged", best_val=4.1, best_step=0, train_seconds=1.0, best_whole=True)
        worker.append(end)
        worker.end("failed", "the loss was not a number any more")
        await reads(app, "nothing to play", "Diverged at step 39")


async def test_folder_that_is_gone_while_it_is_awaited_is_said(runs: Path) -> None:
    async with waiting(runs) as (worker, app):
        worker.run.path.rename(runs.parent / "elsewhere")
        await app.shows("Its folder is gone.")


def test_sentence_says_about_how_many_steps_are_needed_and_never_step_0(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1").run
    status = RunStatus(state="running", alive=True, step=40, planned_steps=1400)
    begins = "novel-quick-1 takes over as soon as it has learnt something: "
    awaited = Awaited(run, status, 50)
    assert awaited.sentence(shown=True) == f"{begins}step 40 of about 50."
    assert awaited.sentence(shown=True, stays=True) == (
        "novel-quick-1 is waited for; your text stays: step 40 of about 50."
    )
    assert replace(awaited, status=replace(status, step=60)).sentence(shown=True) == f"{begins}step 60 of about 60."
    diverging = replace(awaited, expected=None, trouble="Diverging: the training loss is 9.00 nats.")
    assert diverging.sentence(shown=True) == f"{begins}step 40. Diverging: the training loss is 9.00 nats."
    slowed = replace(awaited, status=replace(status, slowdown=4.0))
    assert "4, Enter on it, then m, gives it more minutes." in slowed.sentence(shown=False)
    assert slowed.sentence(shown=True) == (
        f"{begins}step 40 of about 50. The processor has other work too: training is about 4 times slower."
        " A pause here (Space) and closing other programs help; 2, then m, gives it more minutes."
    )
    early = replace(awaited, status=replace(status, step=0))
    assert early.sentence(shown=True) == f"{begins}its first steps are still to come."


async def test_run_that_other_programs_make_slow_is_told_where_it_is_played(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.runs.contention.ContentionMeter.read", lambda self: 4.0)
    async with training(runs, steps=600) as (_, app):
        await app.press("enter")
        words = "training is about 4 times slower. A pause here (Space) and closing other programs help"
        await app.until(lambda: any(words in each.message for each in app.app._notifications))
        await plays(app, 600)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text begins again with a better model as soon as that is found."""
    monkeypatch.setattr("charlstm_tui.generate.screen.LEAST_PLAYED", 0.0)
    monkeypatch.setattr("charlstm_tui.generate.screen.FOLLOW_EVERY", 0.05)


@asynccontextmanager
async def played(runs: Path) -> AsyncIterator[tuple[Recorded, Driven]]:
    """A run that trains and has learnt something, and the app that plays it."""
    async with training(runs, size=(120, 36), steps=400) as (worker, app):
        await app.press("enter")
        await plays(app, 400)
        yield worker, app


@pytest.mark.usefixtures("patient")
async def test_text_begins_again_with_each_clearly_better_model_until_a_key_is_pressed(runs: Path) -> None:
    async with played(runs) as (worker, app):
        worker.advance(200)
        await reads(app, "Begins again with a better model: step 600, loss")
        assert step_played(app) == 600
        text = generate(app).play.text_view.text()
        await app.press("left")
        worker.advance(200)
        generate(app).show_message("")  # as after some seconds
        await reads(app, "A better model: step 800, loss", "] begins again with it")
        assert step_played(app) == 600
        await app.press("u")
        await reads(app, "A better model: step 800, loss", "bits. ] begins again with it")
        worker.advance(100)  # this model is hardly better, but the key goes on with the best one
        assert generate(app).play.text_view.text().startswith(text)
        await app.press("right_square_bracket")
        await app.until(lambda: step_played(app) == 900)
        await app.lacks("begins again with it")


@pytest.mark.usefixtures("patient")
async def test_page_with_own_words_stays_and_the_better_model_reads_it(runs: Path) -> None:
    async with played(runs) as (worker, app):
        await app.press("space", "w", *"and so")
        play = generate(app).play
        await app.until(lambda: play.text_view.text().endswith("and so"))
        text = play.text_view.text()
        worker.advance(500)
        await reads(app, "A better model: step 900, loss", "in Play ] plays it")
        await app.press("escape", "escape", "right_square_bracket")
        await app.until(lambda: step_played(app) == 900 and play.state is not None and not play.state.busy)
        assert play.text_view.text() == text
        await app.until(lambda: play.state is not None and play.state.read_to == len(text))
        await app.press("left_square_bracket")
        await app.until(lambda: step_played(app) not in (900, None))
        assert play.text_view.text() == text
        await app.press("ctrl+z")
        await app.until(lambda: play.text_view.text() != text)


@pytest.mark.usefixtures("patient")
async def test_better_model_is_not_offered_to_a_text_that_goes_on_in_a_model_elsewhere(runs: Path, home: Path) -> None:
    old = home / "old.safetensors"
    save_model(old, tiny_model(prime="The morning", step=77))
    async with played(runs) as (worker, app):
        await app.press("space", "w", *"and so", "escape", "escape")
        worker.advance(500)
        await app.until(lambda: generate(app).play._offered is not None)
        await app.enter("o", str(old), shows="go on with this text")
        await app.press("g")
        await app.until(lambda: step_played(app) == 77)
        assert generate(app).play._offered is None


async def test_text_that_did_not_begin_again_does_not_say_so_of_the_next_model(runs: Path) -> None:
    async with played(runs) as (_, app):
        generate(app).play._begins_again = BetterModel(ModelChoice(""), 600, 1.0)  # Esc was pressed while it was opened
        await app.press("left_square_bracket")
        await reads(app, "model 4 of 5")


@pytest.mark.usefixtures("patient")
async def test_run_that_ends_gives_its_best_model(runs: Path) -> None:
    async with played(runs) as (worker, app):
        worker.advance(500)
        await app.until(lambda: step_played(app) == 900)
        worker.advance(100)  # this model is hardly better
        worker.end("finished")
        await app.until(lambda: step_played(app) == 1000)
