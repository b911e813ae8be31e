"""Train with recorded runs: what is shown in every state and size, and that every key of the table does its work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from charlstm.errors import RunError
from charlstm.runs.control import send_command
from charlstm.runs.folder import RunSpec
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunState, RunStatus
from charlstm.runs.verdict import NextStep
from charlstm.training.commands import Command
from charlstm.training.events import Controlled, Finished, Paused, Resumed, Sampled, Validated, Warned
from charlstm.training.presets import preset
from charlstm.training.settings import Settings
from charlstm_tui import run_actions
from charlstm_tui.actions import ACTIONS, BY_ID
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import CorpusChoice, ModelChoice, StartOptions, playable
from charlstm_tui.dialogs import PromptDialog
from charlstm_tui.formatting import learning_rate
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.save_dialog import SaveDialog
from charlstm_tui.train.result_card import RunResult
from charlstm_tui.train.run_pane import RunPane
from charlstm_tui.train.run_summary import (
    STEP_ACTIONS,
    ShownRun,
    figures,
    progress,
    remarks,
    run_result,
    train_curve_words,
)
from charlstm_tui.train.samples import Samples
from charlstm_tui.train.screen import TrainScreen
from charlstm_tui.train.setup_pane import SetupPane
from charlstm_tui.train.watch_view import WatchView
from charlstm_tui.widgets.loss_chart import SMOOTHING, LossChart
from driven_app import driven, screen_text, shows, until
from recorded_run import NASTY, record, started, stepped, validated, with_settings


@asynccontextmanager
async def app_on(
    folder: Path, run: str | None = None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[CharLSTMApp, Pilot[None]]]:
    app = CharLSTMApp(StartOptions(run=run, runs_dir=folder))
    async with app.run_test(size=size) as pilot:
        if run is not None:
            await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.runs_state.series is not None)
        yield app, pilot


async def test_rising_loss_is_shown_as_diverging_with_what_to_do(tmp_path: Path) -> None:
    """With a rate of 0.1 the pane said "Learning: training loss 11.37 → 78.83"."""
    with record(tmp_path, "running", steps=10) as recorded:
        async with app_on(tmp_path, recorded.run.name) as (_app, pilot):
            await shows(pilot, "Learning")
            recorded.append(*(stepped(step, step * 1.5) for step in range(11, 40)))
            text = await shows(pilot, "✗ Diverging: the training loss rose", "r lower the rate", "x stop")
            assert "Learning" not in text


async def test_a_run_that_starts_says_so_at_once(tmp_path: Path) -> None:
    with record(tmp_path, "starting") as recorded:
        async with app_on(tmp_path, recorded.run.name, (140, 40)) as (_app, pilot):
            text = await shows(pilot, "starting", "The first one comes with the first validation")
            assert "\n No sample yet" in text  # in line with what is above it
            recorded.beat("starting", "measuring how fast a step is")
            await shows(pilot, "starting 0:0", ": measuring how fast a step is")
            await pilot.press("r")
            await shows(pilot, "No step is done yet")


@pytest.mark.parametrize("size", [(60, 20), (40, 12), (20, 5)], ids=str)
async def test_small_terminals_keep_what_matters(tmp_path: Path, size: tuple[int, int]) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name, size) as (_app, pilot):
            text = await shows(pilot, "40 %")
            if size[1] >= 12:
                assert "train ·" in text
            if size[1] >= 20:
                assert "SAMPLES" in text
                assert any(0x2800 < ord(char) <= 0x28FF for char in text)


async def test_the_chart_moves_and_samples_grow_while_it_trains(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=100) as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await until(pilot, lambda: len(app.screen.query_one(Samples).samples) == 3)
            chart = app.screen.query_one(LossChart)
            before = chart.painted()
            recorded.advance(100)
            await until(pilot, lambda: len(app.screen.query_one(Samples).samples) == 5)
            await shows(pilot, "20 %")
            assert chart.painted().text() != before.text()
            assert app.screen.query_one(Samples).following


async def test_nothing_is_painted_while_nothing_happens(tmp_path: Path) -> None:
    with record(tmp_path, "finished") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await shows(pilot, "Finished", "m more minutes")
            await pilot.pause()
            chart = app.screen.query_one(LossChart)
            painted = chart.painted()
            app.mode_screen.refresh_state()  # type: ignore[union-attr]
            await pilot.pause()
            assert chart.painted() is painted


async def test_hostile_samples_and_names_are_literal(tmp_path: Path) -> None:
    with record(
        tmp_path, "running", sample=NASTY + "\x1b[2J\0", text="[red]no\x1b[2J.txt", lineage={"run": "[/x]\x07"}
    ) as recorded:
        async with app_on(tmp_path, recorded.run.name, (160, 50)) as (_app, pilot):
            text = await shows(pilot, "[/red] [bold]␛[2J", "␀NUL", "[red]no␛[2J.txt", "from [/x]␇")
            assert not any(char in text for char in "\x1b\0\x07\u202e\u200b")
            recorded.end("crashed")
            await shows(pilot, "[/red] [bold]␛[2J", "crashed")


async def test_space_pauses_and_goes_on(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (_app, pilot):
            await shows(pilot, "Space pause")
            await pilot.press("space")
            await until(pilot, lambda: [each.command for each in recorded.obey()] == ["pause"])
            await shows(pilot, "‖ paused", "Space continue", "Paused at step 400")
            await pilot.press("space")
            await until(pilot, lambda: [each.command for each in recorded.obey()] == ["resume"])
            await shows(pilot, "Space pause", "left ")


async def test_space_takes_a_pause_back_that_has_not_begun(tmp_path: Path) -> None:
    """On a busy machine it takes a while to the next step, and a second Space asked for the pause again."""
    with record(tmp_path, "starting") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (_app, pilot):
            await shows(pilot, "Space pause")
            await pilot.press("space")
            await shows(pilot, "Asked to pause", "Space continue")
            await pilot.press("space")
            await shows(pilot, "Asked to continue", "Space pause")
            assert [each.command for each in recorded.commands()] == ["pause", "resume"]


async def test_r_takes_a_rate_and_refuses_what_is_none(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            field = app.screen.query_one(Input)
            assert field.value == "1.8e-3"
            field.value = "fast"
            await pilot.press("enter")
            await shows(pilot, "A learning rate is a number above zero")
            field.value = "5e-4"
            await pilot.press("enter")
            await shows(pilot, "Asked to set the rate to 0.0005")
            found = []
            await until(pilot, lambda: bool(found.extend(recorded.obey()) or found))
            assert [(each.command, each.value) for each in found] == [("set-lr", 5e-4)]
            await until(pilot, lambda: "Asked to" not in screen_text(app))  # the worker said that it did


async def test_r_asks_before_it_sets_a_rate_far_above_that_of_the_run(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            for answer in ("n", "y"):
                await pilot.press("r")
                await until(pilot, lambda: isinstance(app.screen, PromptDialog))
                app.screen.query_one(Input).value = "1.8"
                await pilot.press("enter")
                await shows(pilot, "Set a rate of 1.8?", "the loss may run away")
                assert recorded.obey() == []
                await pilot.press(answer)
            found = []
            await until(pilot, lambda: bool(found.extend(recorded.obey()) or found))
            assert [(each.command, each.value) for each in found] == [("set-lr", 1.8)]


async def test_o_shows_the_curves_of_all_runs_on_the_same_text(tmp_path: Path) -> None:
    record(tmp_path, "finished", name="novel-long-1").close()
    record(tmp_path, "finished", name="anna-1", text="anna.txt").close()
    with record(tmp_path, "running", name="now"):
        async with app_on(tmp_path, "now") as (_app, pilot):
            await shows(pilot, "Still learning")
            await pilot.press("o")
            text = await shows(pilot, "2 runs over steps", "a now", "b novel-long-1")
            assert "anna-1" not in text


async def test_a_stop_that_was_sent_from_elsewhere_is_shown_until_it_is_handled(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await shows(pilot, "Still learning")
            send_command(recorded.run, "stop")
            await shows(pilot, "Asked to stop at a checkpoint; it acts between two steps.")
            recorded.obey()
            await shows(pilot, "Stopped at step 400")
            assert "Asked to" not in screen_text(app)


@pytest.mark.parametrize(("key", "command"), [("ctrl+s", "checkpoint"), ("F", "finish")])
async def test_other_commands(tmp_path: Path, key: str, command: str) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (_app, pilot):
            await pilot.press(key)
            await until(pilot, lambda: [each.command for each in recorded.commands()] == [command])


async def test_enter_plays_the_run(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await pilot.press("enter")
            await until(pilot, lambda: app.current_mode == "generate")
            assert app.model is not None
            assert app.model.model == str(recorded.run.path)


def test_run_is_playable_while_it_trains_and_then_if_it_has_learnt_something(tmp_path: Path) -> None:
    with record(tmp_path, "starting", name="new") as recorded:
        assert playable(recorded.run) == ModelChoice(str(recorded.run.path))
    assert playable(record(tmp_path, "stopped", name="early", steps=0).run) is None
    run = record(tmp_path, "finished", name="done").run
    assert playable(run) == ModelChoice(str(run.path))


@pytest.mark.parametrize("state", ["crashed", "stopped"])
async def test_what_a_run_that_ended_before_its_first_step_cannot_do_is_not_offered(
    tmp_path: Path, state: RunState
) -> None:
    recorded = record(tmp_path, state, steps=0)
    async with app_on(tmp_path, recorded.run.name) as (app, pilot):
        await until(pilot, lambda: " play" not in screen_text(app))
        footer = screen_text(app).splitlines()[-1]
        assert footer.startswith(" Space resume  n new run ")
        assert "more minutes" not in footer
        await pilot.press("enter")
        assert app.current_mode == "train"


async def test_3_plays_the_run_that_was_turned_to_last_and_then_what_was_chosen(tmp_path: Path) -> None:
    one, two = (record(tmp_path, "finished", name=name).run for name in ("one", "two"))
    async with app_on(tmp_path, "one") as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: app.model == ModelChoice(str(one.path)))
        app.attach(two.path)
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await pilot.press("3")
        await until(pilot, lambda: app.model == ModelChoice(str(two.path)))
        app.model = ModelChoice("demo")
        app.go("train")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await pilot.press("3")
        await until(pilot, lambda: app.current_mode == "generate")
        assert app.model == ModelChoice("demo")


async def test_chart_keys_change_the_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the chart is saved as it is shown."""
    written: list[tuple[str, float]] = []
    monkeypatch.setattr(
        run_actions, "write_chart_of", lambda to, runs, axis, smoothing: written.append((axis, smoothing))
    )
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name, (120, 36)) as (app, pilot):
            chart = app.screen.query_one(LossChart)
            watch = app.screen.query_one(RunPane)
            seen = [chart.painted().text()]
            for key, changed in (
                ("u", lambda: chart.view.bits),
                ("t", lambda: chart.view.seconds),
                ("g", lambda: chart.view.log_y),
                ("plus", lambda: chart.view.zoom == 1),
                ("minus", lambda: chart.view.zoom == 0),
                ("minus", lambda: chart.view.zoom == -1),
            ):
                await pilot.press(key)
                await until(pilot, changed)
                assert chart.painted().text() != seen[-1], key
                seen.append(chart.painted().text())
            await shows(pilot, "bits")
            await pilot.press("s", "w")
            await until(pilot, lambda: isinstance(app.screen, SaveDialog))
            await pilot.press("enter")
            await until(pilot, lambda: written == [("seconds", SMOOTHING[watch.smoothing][1])])
            await until(pilot, lambda: not isinstance(app.screen, SaveDialog))
            await pilot.press("z")
            await until(pilot, lambda: app.screen.maximized is chart)
            await shows(pilot, "z back")
            await pilot.press("escape")
            await until(pilot, lambda: app.screen.maximized is None)


async def test_smoothing_and_axes_are_named(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (_app, pilot):
            await shows(pilot, "smoothing: light")
            for key, words in (
                ("s", "smoothing: medium"),
                ("g", "log scale: loss · smoothing: medium"),
                ("g", "log scale: loss and steps"),
                ("t", "log scale: loss and time"),
                ("plus", "last 1/2 · log scale"),
            ):
                await pilot.press(key)
                await shows(pilot, words)


def card_of(
    view: RunView, series: RunSeries, spec: RunSpec, bits: bool, references: tuple[tuple[str, float], ...]
) -> RunResult:
    state = RunsState(runs=(view,), attached=view.path, series=series)
    card = run_result(ShownRun(state, spec, bits, references))
    assert card is not None
    return card


def test_each_step_that_a_verdict_names_has_a_key() -> None:
    assert set(STEP_ACTIONS) == set(NextStep)
    assert {BY_ID[action].mode for action in STEP_ACTIONS.values()} == {"train"}


def test_card_of_a_run_from_a_model_praises_only_what_the_run_has_reached(tmp_path: Path) -> None:
    """Three steps from a model, from 1.108 to 1.094, had a green card: "better than … compressor"."""
    run = record(tmp_path, "finished", steps=50).run
    view, references = RunView(run, run.status()), (("order 2", 2.9), ("xz", 2.25))

    def card(last: float, steps: int) -> RunResult:
        series = RunSeries.of([started(symbols=98, steps_per_epoch=500), validated(0, 2.2)])
        series.feed([Sampled(step=0, prime="Anna", text=" of the box"), stepped(steps, 2.3), validated(steps, last)])
        series.feed([Sampled(step=steps, prime="Anna", text=" and the sea")])
        series.feed(
            [Finished(step=steps, reason="time", best_val=last, best_step=steps, train_seconds=60.0, best_whole=True)]
        )
        return card_of(view, series, run.spec(), False, references)

    poor, good = card(2.19, 3), card(1.8, 600)
    assert poor.state == "poor"
    losses = "~2.200 → ~2.190 nats on the same slices after reading 0.6 % of your text"
    assert poor.words == f"{losses}: it still writes like the model it began with. m trains it for more minutes."
    assert not any(fact.startswith("better than") for fact in poor.facts)
    assert good.state == "good"
    assert "~2.200 → ~1.800 nats on the same slices after reading your text 1.2 times" in good.facts
    assert "better than compressor (xz)" in good.facts  # the model in the box was better than two letters alone
    assert (good.prime, good.before, good.sample) == ("Anna", " of the box", " and the sea")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"step": 0}, "validation before the first step"),
        ({"step": 9, "planned_steps": 20, "seconds_left": 8.0}, ""),
        ({"step": 20, "planned_steps": 20, "seconds_left": 3.0}, "validation after the last step"),
        ({"step": 9, "validated": 0.42}, "final validation 42 %"),
    ],
)
def test_phase_without_steps_is_named_beside_the_progress(tmp_path: Path, status: dict[str, Any], words: str) -> None:
    run = record(tmp_path, "finished", steps=50).run
    shown, _ = progress(RunView(run, RunStatus(state="running", alive=True, **status)))
    assert shown.words == words
    assert (shown.left is None) == bool(words)


def test_card_of_a_run_whose_model_no_step_improved_repeats_no_sample(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", steps=50).run
    series = RunSeries.of([started(symbols=98), validated(0, 2.2), Sampled(step=0, prime="A", text="b")])
    series.feed([stepped(3, 2.3), validated(3, 2.4, best=False), Sampled(step=3, prime="A", text="c")])
    series.feed([Finished(step=3, reason="time", best_val=2.2, best_step=0, train_seconds=60.0, best_whole=True)])
    card = card_of(RunView(run, run.status()), series, run.spec(), False, ())
    assert (card.before, card.sample) == ("", "")


def test_card_of_an_estimate_says_what_reads_all_of_the_held_out_text(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", steps=50).run
    for whole in (False, True):
        series = RunSeries.of([started(), validated(0, 4.5), stepped(3, 3.0), validated(3, 2.0)])
        ended = Finished(step=3, reason="time", best_val=2.0, best_step=3, train_seconds=6.0, best_whole=whole)
        series.feed([ended])
        card = card_of(RunView(run, run.status()), series, run.spec(), False, ())
        assert (f"an estimate: charlstm eval {run.name} reads all of the held-out text" in card.facts) is not whole


def test_learning_rate_that_is_set_in_a_pause_stands_among_the_figures_at_once(tmp_path: Path) -> None:
    series = RunSeries.of([started(), validated(0, 4.5), stepped(5, 4.4), Paused(step=7)])
    series.feed([Controlled(step=7, id="a", command="set-lr", value=0.001)])
    [rate] = [figure.value for figure in figures(series, bits=False) if figure.name == "rate"]
    assert rate == learning_rate(0.001)


def test_training_loss_beside_validation_is_said_to_be_with_dropout(tmp_path: Path) -> None:
    spec = record(tmp_path, "finished", steps=50, settings=Settings(dropout=0.2)).run.spec()
    series = RunSeries.of([started(), stepped(5, 4.4)])
    assert train_curve_words(series, spec, smoothed=True) == ""
    series.feed([validated(5, 4.0)])
    words = "train, with dropout and smoothed, may lie above valid"
    assert train_curve_words(series, spec, smoothed=True) == words
    plain = replace(spec, settings=Settings(dropout=0.0, weight_drop=0.0))
    assert train_curve_words(series, plain, smoothed=False) == ""


@pytest.mark.parametrize("share", [0.94, 0.04])
def test_card_says_that_the_held_out_part_had_been_read(tmp_path: Path, share: float) -> None:
    run = record(tmp_path, "finished", read=(share, "novel-1")).run
    view, series = RunView(run, run.status()), RunSeries.of(read_events(run.events_path))
    card = card_of(view, series, run.spec(), False, ())
    assert ("novel-1, from which training starts, has read 94 % of the held-out part" in " ".join(card.facts)) == (
        share > 0.9
    )
    best = next(figure for figure in figures(series, False) if figure.name == "best")
    assert best.value.startswith("†") == (share > 0.9)


def test_model_that_learnt_little_has_no_green_card(tmp_path: Path) -> None:
    """A first run on a busy machine wrote gibberish beside a green card."""
    run = record(tmp_path, "finished", steps=50).run  # 3.5 nats
    references = (("order 0", 3.3), ("order 1", 2.9))
    view = RunView(run, run.status())
    series = RunSeries.of(read_events(run.events_path))
    card = card_of(view, series, run.spec(), False, references)
    assert card.state == "poor"
    assert "no better than the letter frequencies alone (3.30 nats), so that it writes gibberish" in card.words
    assert "m trains it for more minutes; 3, then o, opens a model that reads well." in card.words
    near = card_of(view, series, run.spec(), False, (("order 0", 3.55), ("order 1", 2.9)))
    assert "no better than the letter frequencies alone" in near.words
    assert not any(fact.startswith("better than") for fact in near.facts)  # the card said both
    weak = card_of(
        view, RunSeries.of(read_events(run.events_path)), run.spec(), False, (("order 0", 4.1), ("order 1", 3.2))
    )
    assert "a model of the last letter alone (3.20 nats)" in weak.words
    good = card_of(
        view, RunSeries.of(read_events(run.events_path)), run.spec(), False, (("order 0", 4.1), ("order 1", 4.0))
    )
    assert (good.state, good.words) == ("good", "")
    untrained = RunSeries()
    untrained.feed([started(val_chars=100), validated(0, 3.5), *(stepped(step, 4.0) for step in (1, 2, 3))])
    untrained.feed([validated(3, 3.9, best=False)])
    untrained.feed([Finished(step=3, reason="done", best_val=3.5, best_step=0, train_seconds=1.0, best_whole=True)])
    card = card_of(view, untrained, run.spec(), False, (("order 0", 3.3),))
    assert card.state == "poor"
    assert card.words.startswith("Its model, still the one from before training, is no better than the letter freq")
    assert "best" not in card.measures
    card = card_of(view, untrained, run.spec(), False, ())  # of a trained model that training began with
    assert card.words.startswith("No step has improved the model that training began with.")


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ((("order 1", 4.0), ("order 2", 3.4)), "no better than a model of the last two letters alone (3.40 nats)"),
        ((("order 1", 4.0), ("order 2", 3.9), ("xz", 3.3)), "no better than a file compressor (3.30 nats)"),
    ],
)
def test_model_worse_than_two_letters_or_a_compressor_has_no_green_card(
    tmp_path: Path, references: tuple[tuple[str, float], ...], words: str
) -> None:
    run = record(tmp_path, "finished", steps=50).run  # 3.5 nats
    series = RunSeries.of(read_events(run.events_path))
    card = card_of(RunView(run, run.status()), series, run.spec(), False, references)
    assert card.state == "poor"
    assert f"{words}, so that it writes few real words. m trains it for more minutes" in card.words
    in_bits = card_of(RunView(run, run.status()), series, run.spec(), True, references)
    assert "bits), so that" in in_bits.words


def test_card_after_too_high_a_rate_advises_a_lower_one_and_no_more_minutes(tmp_path: Path) -> None:
    recorded = record(tmp_path, "finished", steps=50)
    run, spec = recorded.run, recorded.run.spec()
    series = RunSeries.of(read_events(run.events_path))
    spec = replace(spec, settings=spec.settings.with_changes(lr=10 * preset(spec.preset).lr))
    card = card_of(RunView(run, run.status()), series, spec, False, (("order 0", 3.3),))
    assert f"The learning rate, {learning_rate(spec.settings.lr)}, was too high: n trains anew" in card.words
    assert "n new run with a lower rate" in card.keys
    assert "more minutes" not in card.words + card.keys


def test_card_names_the_busy_machine(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", steps=50).run
    events = [
        replace(event, slowdown=3.0) if isinstance(event, Finished) else event for event in read_events(run.events_path)
    ]
    busy = "The processor had other work too: training was about 3 times slower"
    poor = card_of(RunView(run, run.status()), RunSeries.of(events), run.spec(), False, (("order 0", 3.3),))
    assert f"gibberish. {busy}. m trains it for more minutes" in poor.words
    good = card_of(RunView(run, run.status()), RunSeries.of(events), run.spec(), False, ())
    assert good.facts[0] == f"{busy}."


async def test_equal_notifications_are_shown_once(tmp_path: Path) -> None:
    async with driven(tmp_path) as app:
        for _ in range(10):
            app.app.notify_info("The exact state is saved.")
        app.app.notify_info("Something else.")
        await app.shows("The exact state is saved.", "Something else.")
        assert app.text().count("The exact state is saved.") == 1


async def test_comma_and_full_stop_walk_through_the_runs(tmp_path: Path) -> None:
    names = []
    for number in range(3):
        with record(tmp_path, "finished", steps=100 * (number + 1), planned=300) as recorded:
            names.append(recorded.run.name)
    async with app_on(tmp_path, names[2]) as (app, pilot):
        await shows(pilot, names[2])
        for key, name in (("comma", names[1]), ("comma", names[0]), ("full_stop", names[1])):
            await pilot.press(key)
            await until(pilot, lambda name=name: app.run_path is not None and app.run_path.name == name)
            text = await shows(pilot, f"Finished · {name}")
            assert ("previous run" in text) == (name != names[0])


async def test_samples_are_walked_and_followed(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=600) as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            samples = app.screen.query_one(Samples)
            await until(pilot, lambda: len(samples.samples) == 13)
            await pilot.press("tab")
            await until(pilot, lambda: app.focused is samples)
            await pilot.press("up", "pageup", "pageup", "pageup")
            await until(pilot, lambda: samples.highlighted == 0)
            await until(pilot, lambda: samples.scroll_offset.y == 0)
            recorded.advance(50)
            await until(pilot, lambda: len(samples.samples) == 14)
            assert samples.highlighted == 0
            await pilot.press("down", "pagedown", "pagedown", "pagedown")
            await until(pilot, lambda: samples.following)


async def test_the_end_is_a_card_that_escape_puts_away(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=950) as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await shows(pilot, "95 %")
            recorded.advance(50)
            recorded.end("finished")
            await shows(
                pilot,
                "Finished · ",
                "at step 1,000 of 1,000",
                "took 0:50",
                "The morning",
                "Enter play it",
                "m more minutes",
            )
            await pilot.press("escape")
            await until(pilot, lambda: app.screen.query_one(RunPane).card_closed)
            await shows(pilot, "SAMPLES", "Finished after")


async def test_what_is_refused_stays_until_the_next_key_and_escape_takes_nothing_else_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RunError("The worker cannot be started: no memory in [/red]")

    monkeypatch.setattr("charlstm.runs.launch.resume_run", refuse)
    refused = "✗ The worker cannot be started: no memory in [/red]"
    run = record(tmp_path, "crashed").run
    async with app_on(tmp_path, run.name) as (app, pilot):
        await shows(pilot, "Crashed · ")
        for key in ("g", "escape"):
            await pilot.press("space")
            await shows(pilot, "Crashed · ", refused)
            await pilot.press(key)
            await until(pilot, lambda: "cannot be started" not in screen_text(app))
            await shows(pilot, "Crashed · ")
        await pilot.press("escape")
        await until(pilot, lambda: "Crashed · " not in screen_text(app))


async def test_m_gives_a_finished_run_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: asked.append(dict(changes)))
    with record(tmp_path, "finished") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await pilot.press("m")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            app.screen.query_one(Input).value = "2"
            await pilot.press("enter")
            await until(pilot, lambda: bool(asked))
    # 1,000 steps took 50 s, so two minutes are 2,400 steps
    assert asked == [{"epochs": None, "max_minutes": 2.83}]


async def test_m_lengthens_a_run_that_trains_without_a_stop(tmp_path: Path) -> None:
    """It was stopped and resumed, and stayed stopped when the app was left meanwhile."""
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await pilot.press("m")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            app.screen.query_one(Input).value = "1"
            await pilot.press("enter")
            commands: list[Command] = []
            await until(pilot, lambda: bool(commands.extend(recorded.obey()) or commands))
            await until(pilot, lambda: app.runs_state.series.planned_steps == 2_200)  # type: ignore[union-attr]
    assert [(each.command, each.value) for each in commands] == [("more", 1.0)]


async def test_m_lengthens_the_run_that_it_was_asked_of(tmp_path: Path) -> None:
    """Even if another run is shown before the answer."""
    other = record(tmp_path, "finished", name="other").run
    with record(tmp_path, "running", name="live") as recorded:
        async with app_on(tmp_path, "live") as (app, pilot):
            await pilot.press("m")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            app.attach(other.path)
            await pilot.press("enter")
            await until(pilot, lambda: recorded.run.control_path.exists())
            assert [each.command for each in recorded.commands()] == ["more"]


async def test_more_that_came_too_late_resumes_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run takes no commands but stop during its final validation."""
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: asked.append(dict(changes)))
    with record(tmp_path, "running", steps=1000) as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await pilot.press("m")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            app.screen.query_one(Input).value = "2"
            await pilot.press("enter")
            await until(pilot, lambda: recorded.run.control_path.exists())
            recorded.end("finished")
            await until(pilot, lambda: bool(asked))
    assert asked == [{"epochs": None, "max_minutes": 2.83}]


@pytest.mark.parametrize("validated", [None, 0.2])
async def test_finish_is_offered_until_the_final_validation(tmp_path: Path, validated: float | None) -> None:
    """It was offered during it too, and then refused."""
    with record(tmp_path, "running") as recorded:
        recorded.beat("running", validated=validated)
        async with app_on(tmp_path, recorded.run.name) as (_app, pilot):
            await shows(pilot, "Still learning" if validated is None else "Now the best model is validated")
            await pilot.press("x")
            text = await shows(pilot, "stop at a checkpoint now", "continue training")
            assert ("rate to zero" in text) == (validated is None)


async def test_more_during_the_final_validation_resumes_the_run_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the keys that reach a run only that which stops it is offered then."""
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: asked.append(dict(changes)))
    with record(tmp_path, "running", steps=1000) as recorded:
        recorded.beat("running", validated=0.2)
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await shows(pilot, "Training has ended. Now the best model is validated")
            screen = app.screen
            assert isinstance(screen, ModeScreen)
            offered = {each.id: screen.can(each) for each in ACTIONS if each.id.startswith("train.")}
            assert [name for name in ("train.pause", "train.rate", "train.finish") if offered[name]] == []
            assert offered["train.stop"]
            await pilot.press("m")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            app.screen.query_one(Input).value = "2"
            await pilot.press("enter")
            await shows(pilot, "Asked to train 2 minutes more; it acts after the final validation.")
            assert not recorded.run.control_path.exists()
            recorded.end("finished")
            await until(pilot, lambda: bool(asked))
    assert asked == [{"epochs": None, "max_minutes": 2.83}]


async def test_a_run_of_another_machine_is_not_given_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with record(tmp_path, "running") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            more = next(action for action in ACTIONS if action.id == "train.more")
            await until(pilot, lambda: app.screen.can(more))  # type: ignore[attr-defined]
            view = app.runs_state.runs[0]
            away = replace(view, status=replace(view.status, elsewhere=True))
            monkeypatch.setattr(WatchView, "run", away)
            assert not app.screen.can(more)  # type: ignore[attr-defined]


def test_what_the_worker_warned_of_is_said() -> None:
    series = RunSeries.of([started(), Warned(step=400, message="Nothing is held out [/red]")])
    series.feed([Resumed(step=400, inexact="torch 2.6 → 2.7")])
    assert remarks(series) == ["Nothing is held out [/red].", "Continues from step 400: torch 2.6 → 2.7."]


@pytest.mark.parametrize("state", ["running", "stopped", "finished"])
def test_best_loss_is_marked_as_estimate_until_all_is_read(tmp_path: Path, state: RunState) -> None:
    with record(tmp_path, state) as recorded:
        series = RunSeries.of(read_events(recorded.run.events_path))
        shown = {figure.name: figure.value for figure in figures(series, bits=False)}
        assert shown["best"].startswith("~") == shown["valid"].startswith("~") == (state != "finished")
        if state != "running":
            card = card_of(RunView(recorded.run, recorded.run.status()), series, recorded.run.spec(), False, ())
            where = "slices of the held-out text, an estimate" if state == "stopped" else "held-out text"
            assert f"best on {where} (" in card.measures


def test_what_a_run_will_come_to_stands_beside_its_losses(tmp_path: Path) -> None:
    quick = preset("quick")
    with record(tmp_path, "running", settings=quick) as running, record(tmp_path, "finished", settings=quick) as ended:
        shown = {
            recorded.run.name: ShownRun(RunsState(series=RunSeries.of(recorded.run.events())), recorded.run.spec())
            for recorded in (running, ended)
        }
    run = shown[running.run.name]
    assert run.prediction is not None
    found = figures(run.series, bits=False, prediction=run.prediction)
    [ending] = [figure for figure in found if figure.name == "at end"]
    assert ending.value == f"{run.prediction.low:.2f}–{run.prediction.high:.2f}"
    assert ending.short
    assert shown[ended.run.name].prediction is None


async def test_n_goes_back_to_the_settings_with_the_runs_text(tmp_path: Path) -> None:
    with record(tmp_path, "finished") as recorded:
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await until(pilot, lambda: app.screen.watching.attached.spec is not None)  # type: ignore[attr-defined]
            await pilot.press("n")
            await shows(pilot, "novel.txt", "PRESETS")
            assert app.run_path is None
            assert app.corpus is not None
            assert app.corpus.source == "/texts/novel.txt"
            await shows(pilot, "✗ ")  # which is not there: the pane says so


async def test_a_damaged_run_says_what_is_wrong_beside_its_card(tmp_path: Path) -> None:
    with record(tmp_path, "finished") as recorded:
        recorded.run.spec_path.write_text("{}")
        async with app_on(tmp_path, recorded.run.name, (60, 16)) as (_app, pilot):
            await shows(pilot, "Finished · ", "cannot be read")


async def test_log_of_a_newer_version_is_said_beside_the_card(tmp_path: Path) -> None:
    recorded = record(tmp_path, "stopped", steps=50)
    recorded.append(replace(started(), format=99))
    recorded.close()
    async with app_on(tmp_path, recorded.run.name) as (app, pilot):
        await shows(pilot, "□ stopped", "written by a newer charlstm (format 99); update")
        assert not app.screen.query_one(RunPane).card_closed


async def test_without_a_text_the_last_run_is_shown_and_what_plays_stays(tmp_path: Path) -> None:
    with record(tmp_path, "stopped", name="older", steps=100), record(tmp_path, "finished", name="newer", steps=100):
        async with driven(tmp_path, (100, 30)) as app:
            await app.until(lambda: len(app.app.runs_state.runs) == 2)
            last = app.app.runs_state.runs[0].path
            await app.press("2")
            await app.in_mode("train")
            await app.until(lambda: app.app.run_path == last)
            await app.shows(last.name, ", previous run")
            await app.press("n")  # its text, with the settings
            await app.until(lambda: app.app.run_path is None and app.app.corpus is not None)


def test_the_card_has_a_sample_of_the_best_model(tmp_path: Path) -> None:
    run = record(tmp_path, "finished", steps=400, planned=400).run
    events = list(read_events(run.events_path))
    best = max(event.step for event in events if isinstance(event, Validated) and event.best)
    written = [event.text for event in events if isinstance(event, Sampled) and event.step <= best]
    events.append(Sampled(step=401, prime="The", text="gibberish of the last step"))
    card = card_of(RunView(run, run.status()), RunSeries.of(events), run.spec(), False, ())
    assert card.sample == written[-1][:400]


async def test_after_a_rise_a_tenth_of_the_rate_is_offered_and_a_new_run_instead_of_more(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=400) as recorded:
        recorded.append(*(stepped(step, 9.0) for step in range(401, 450)))
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await shows(pilot, "Diverging: ")
            series = app.runs_state.series
            assert series is not None
            assert series.last_step is not None
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            offered = float(app.screen.query_one(Input).value)
            assert offered == pytest.approx(series.last_step.lr / 10, rel=0.05)
            await pilot.press("escape")
            recorded.append(
                Finished(step=449, reason="done", best_val=1.8, best_step=400, train_seconds=21.0, best_whole=True)
            )
            recorded.beat("finished")
            await shows(pilot, "n new run with a lower rate")
            assert "more minutes   Esc" not in screen_text(app)
            await pilot.press("n")
            setup = app.screen.query_one(SetupPane)
            await until(pilot, lambda: "lr" in setup.state.differences)
            assert setup.state.differences["lr"] == pytest.approx(recorded.run.spec().settings.lr / 10)


async def test_rate_of_a_resume_is_the_one_that_is_judged(tmp_path: Path) -> None:
    """A run was resumed with a lower rate and diverged again: ``n`` offered just the rate that had failed."""
    with record(tmp_path, "running", steps=400, settings=Settings(hidden_size=256, epochs=5, lr=0.02)) as recorded:
        recorded.append(*(stepped(step, 9.0) for step in range(401, 450)))
        async with app_on(tmp_path, recorded.run.name) as (app, pilot):
            await shows(pilot, "Diverging: ")
            await until(pilot, lambda: app.screen.watching.attached.spec is not None)  # type: ignore[attr-defined]
            with_settings(recorded.run, lr=0.002)
            recorded.append(
                Finished(step=449, reason="done", best_val=1.8, best_step=400, train_seconds=21.0, best_whole=True)
            )
            recorded.beat("finished")
            await shows(pilot, "The learning rate, 2.0e-3, was too high", "n new run with a lower rate")
            await pilot.press("n")
            setup = app.screen.query_one(SetupPane)
            await until(pilot, lambda: "lr" in setup.state.differences)
            assert setup.state.differences["lr"] == pytest.approx(2e-4)


async def test_dialogs_offer_no_figures_of_the_run_that_was_shown_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``r`` right after ``.`` offered the rate of the other run, and Enter set it."""
    with record(tmp_path, "running", name="one") as one, record(tmp_path, "running", name="two"):
        async with app_on(tmp_path, "two") as (app, pilot):
            await shows(pilot, "Still learning")
            monkeypatch.setattr(app.watcher, "read", lambda all_runs=True: None)
            await pilot.press("comma")
            await until(pilot, lambda: app.run_path == one.run.path)
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            assert app.screen.query_one(Input).value == ""
            assert "The rate now is" not in await shows(pilot, "The log of the run is not read yet. What you type acts")
            await pilot.press("escape", "m")
            await shows(pilot, "Train one further")
            assert app.screen.query_one(Input).value == "10"


async def test_rate_that_was_too_high_is_lowered_for_the_text_of_the_run_alone(tmp_path: Path) -> None:
    text = tmp_path / "other.txt"
    text.write_text("The sea was calm, and the light was on the stairs.\n" * 300)
    with record(tmp_path, "running", steps=400) as recorded:
        recorded.append(*(stepped(step, 9.0) for step in range(401, 450)))
        recorded.append(
            Finished(step=449, reason="done", best_val=1.8, best_step=400, train_seconds=21.0, best_whole=True)
        )
        recorded.beat("finished")
    async with app_on(tmp_path, recorded.run.name) as (app, pilot):
        await shows(pilot, "n new run with a lower rate")
        app.corpus = CorpusChoice(str(text), text.name)
        await pilot.press("n")
        await until(pilot, lambda: app.screen.setup.state.ready)  # type: ignore[attr-defined]
        await shows(pilot, "other.txt", "PRESETS")
        assert not app.screen.query_one(SetupPane).state.differences
