"""Train with recorded runs: what is shown in every state and size, and that every key of the table does its work."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from charlstm.errors import RunError
from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunStatus
from charlstm.runs.verdict import NextStep
from charlstm.training.events import Controlled, Event, Finished, Paused, Resumed, Sampled, Warned
from charlstm.training.presets import preset
from charlstm.training.settings import Settings
from charlstm_tui import run_actions
from charlstm_tui.actions import BY_ID
from charlstm_tui.choices import CorpusChoice, ModelChoice
from charlstm_tui.formatting import learning_rate
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train import run_summary
from charlstm_tui.train.result_card import RunResult
from charlstm_tui.train.run_pane import RunPane
from charlstm_tui.train.samples import Samples
from charlstm_tui.train.setup_pane import SetupPane
from charlstm_tui.widgets.loss_chart import SMOOTHING, LossChart
from driven_app import driven, on_run, training
from hosted_widget import hosted
from recorded_run import NASTY, ended, record, started, stepped, validated, with_settings

RUN = RunFolder(Path("/runs/novel-quick-1"))


async def test_a_run_that_starts_says_so_at_once_and_a_pause_that_has_not_begun_is_taken_back(tmp_path: Path) -> None:
    """On a busy machine it takes a while to the next step, and a second Space asked for the pause again."""
    async with training(tmp_path, "starting", (140, 40)) as (recorded, app):
        text = await app.shows("starting", "The first one comes with the first validation", "Space pause")
        assert "\n No sample yet" in text  # in line with what is above it
        await app.press("x", shows=("It ends. It can be resumed later", "s  stop now"))  # there is no state to save
        await app.press("escape", until=lambda: app.screen is app.mode)
        recorded.beat("starting", "measuring how fast a step is")
        await app.shows("starting 0:0", ": measuring how fast a step is")
        await app.press("r", shows="No step is done yet")
        await app.press("escape", "space", shows=("Asked to pause", "Space continue"))
        await app.press("space", shows=("Asked to continue", "Space pause"))
        assert [each.command for each in recorded.commands()] == ["pause", "resume"]


async def test_the_chart_moves_and_samples_grow_and_are_walked_while_it_trains(tmp_path: Path) -> None:
    async with training(tmp_path, steps=600) as (recorded, app):
        samples, chart = app.screen.query_one(Samples), app.screen.query_one(LossChart)
        await app.until(lambda: len(samples.samples) == 13)
        before = chart.painted()
        recorded.advance(100)
        await app.until(lambda: len(samples.samples) == 15)
        await app.shows("70 %")
        assert chart.painted().text() != before.text()
        assert samples.following
        await app.press("tab", "up", "pageup", "pageup", "pageup")
        await app.until(lambda: samples.highlighted == 0 and samples.scroll_offset.y == 0)
        recorded.advance(50)
        await app.until(lambda: len(samples.samples) == 16)
        assert samples.highlighted == 0
        await app.press("down", "pagedown", "pagedown", "pagedown", until=lambda: samples.following)
        for size, words in (((60, 20), ("train ·", "SAMPLES")), ((40, 12), ("train ·",)), ((20, 5), ())):
            await app.resize(*size)
            text = await app.shows("75 %", *words)
            assert size[1] < 20 or any(0x2800 < ord(char) <= 0x28FF for char in text)


async def test_the_chosen_sample_alone_is_shown_in_full() -> None:
    async with hosted(Samples(), (40, 20)) as (samples, pilot):
        samples.samples = tuple(Sampled(step=step, prime="The", text=" sea" * 60) for step in range(3))
        for chosen in (2, 0):
            samples.highlighted = chosen
            await pilot.pause()
            in_full = [len(str(option.prompt).splitlines()) > 1 for option in samples.options]
            assert in_full == [at == chosen for at in range(3)]


async def test_hostile_samples_and_names_are_literal_and_a_deleted_run_is_said_to_be_gone(tmp_path: Path) -> None:
    hostile = {"sample": NASTY + "\x1b[2J\0", "text": "[red]no\x1b[2J.txt", "lineage": {"run": "[/x]\x07"}}
    async with training(tmp_path, "running", (160, 50), **hostile) as (recorded, app):
        text = await app.shows("[/red] [bold]␛[2J", "␀NUL", "[red]no␛[2J.txt", "from [/x]␇")
        assert not any(char in text for char in "\x1b\0\x07\u202e\u200b")
        recorded.end("crashed")
        await app.shows("[/red] [bold]␛[2J", "crashed")
        recorded.run.spec_path.unlink()  # by another program
        await app.shows(f"{recorded.run.name} is not there any more: it was deleted or renamed elsewhere.")
        await app.press("space", "4", mode="runs")


async def test_keys_send_commands_and_play_the_run(tmp_path: Path) -> None:
    async with training(tmp_path) as (recorded, app):
        await app.shows("Space pause")
        await app.press("space")
        await app.obeys(recorded, "pause")
        await app.shows("‖ paused", "Space continue", "Paused at step 400")
        recorded.append(Controlled(step=recorded.step, id="a", command="set-lr", value=0.0005))
        await app.shows("The learning rate is 0.0005 from the next step on")
        await app.press("r", shows="The rate now is 5.0e-4")
        assert app.screen.query_one(Input).value == "5.0e-4"
        await app.press("escape", "space")
        await app.obeys(recorded, "resume")
        await app.shows("Space pause", "left ")
        await app.press("ctrl+s", "F")
        await app.obeys(recorded, "checkpoint", "finish")
        await app.shows("Finished")
        await app.press("enter", mode="generate")
        assert app.app.to_play.chosen == ModelChoice(str(recorded.run.path))


async def test_r_takes_a_rate_refuses_what_is_none_and_asks_about_one_far_above_that_of_the_run(tmp_path: Path) -> None:
    async with training(tmp_path) as (recorded, app):
        await app.press("r", shows="The rate now is")
        assert app.screen.query_one(Input).value == "1.8e-3"
        await app.answer("fast", shows="A learning rate is a number above zero")
        await app.answer("5e-4", shows="Asked to set the rate to 0.0005")
        assert await app.obeys(recorded, "set-lr") == [5e-4]
        await app.lacks("Asked to")  # the worker said that it did
        for answer in ("n", "y"):
            await app.enter("r", "1.8", shows=("Set a rate of 1.8?", "the loss may run away"))
            assert recorded.obey() == []
            await app.press(answer)
        assert await app.obeys(recorded, "set-lr") == [1.8]


async def test_3_plays_the_run_that_was_turned_to_last_and_o_shows_all_on_the_same_text(tmp_path: Path) -> None:
    one, two = (record(tmp_path, "finished", name=name).run for name in ("one", "two"))
    record(tmp_path, "finished", name="anna-1", text="anna.txt")
    async with on_run(tmp_path, "one") as app:
        await app.press("3", until=lambda: app.app.to_play.chosen == ModelChoice(str(one.path)))
        app.app.attach(two.path)
        await app.in_mode("train")
        await app.press("3", until=lambda: app.app.to_play.chosen == ModelChoice(str(two.path)))
        app.app.to_play = app.app.to_play.choose(ModelChoice("demo"))  # as if it had been chosen since
        await app.go("train")
        await app.press("3", mode="generate")
        assert app.app.to_play.chosen == ModelChoice("demo")
        await app.go("train")
        await app.press("o", shows=("2 runs over steps", "a two", "b one"))
        assert "anna-1" not in app.text()


async def test_keys_change_the_chart_which_is_named_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float]] = []
    monkeypatch.setattr(run_actions, "write_chart_of", lambda path, runs, *how: written.append(how))
    async with training(tmp_path) as (_, app):
        chart = app.screen.query_one(LossChart)
        await app.shows("smoothing: light")
        seen = [chart.painted().text()]
        for key, words in (
            *(("u", "bits"), ("s", "smoothing: medium"), ("g", "log scale: loss · smoothing: medium")),
            *(("g", "log scale: loss and steps"), ("t", "log scale: loss and time"), ("plus", "last 1/2 · log scale")),
            *(("minus", "log scale: loss and time"), ("minus", "log scale: loss and time")),
        ):
            await app.press(key, shows=words)
            assert key == "s" or chart.painted().text() != seen[-1], key
            seen.append(chart.painted().text())
        assert chart.view.zoom == -1
        assert chart.data.planned == pytest.approx(chart.data.train.x[-1] * 1000 / 400)  # seconds, too
        await app.press("w", shows="novel-quick-1.svg")
        await app.press("enter", until=lambda: app.screen is app.mode and bool(written))
        assert written == [("seconds", SMOOTHING[app.mode.query_one(RunPane).smoothing][1])]
        await app.press("z", until=lambda: app.screen.maximized is chart)
        await app.shows("z back")
        await app.press("escape", until=lambda: app.screen.maximized is None)


def card_of(run: RunFolder, events: Iterable[Event] = (), references: tuple[Any, ...] = (), **shown: Any) -> RunResult:
    """The card of ``run``, if these were its events."""
    series = RunSeries.of(events or read_events(run.events_path))
    state = RunsState(runs=(RunView(run, run.status()),), attached=run.path, series=series)
    return run_summary.run_result(run_summary.ShownRun(state, references=references, **{"spec": run.spec(), **shown}))


@pytest.fixture
def short(tmp_path: Path) -> RunFolder:
    """A run that ended at 3.5 nats."""
    return record(tmp_path, "finished", steps=50).run


def test_each_step_that_a_verdict_names_has_a_key() -> None:
    assert set(run_summary.STEP_ACTIONS) == set(NextStep)
    assert {BY_ID[action].mode for action in run_summary.STEP_ACTIONS.values()} == {"train"}


def test_card_of_a_run_from_a_model_praises_only_what_the_run_has_reached(short: RunFolder) -> None:
    """Three steps from a model, from 1.108 to 1.094, had a green card: "better than … compressor"."""

    def card(last: float, steps: int) -> RunResult:
        improved = last < 2.2
        events = [
            started(symbols=98, steps_per_epoch=500), validated(0, 2.2),
            Sampled(step=0, prime="Anna", text=" of the box"), stepped(steps, 2.3),
            validated(steps, last, best=improved), Sampled(step=steps, prime="Anna", text=" and the sea"),
            Sampled(step=steps + 1, prime="Anna", text=" from after the best model"),
            ended(steps, min(last, 2.2), steps * improved),
        ]  # fmt: skip
        return card_of(short, events, (("order 2", 2.9), ("xz", 2.25)))

    poor, good, unimproved = card(2.19, 3), card(1.8, 600), card(2.4, 3)
    assert (poor.state, good.state) == ("poor", "good")
    assert poor.words.endswith(": it still writes like the model it began with. m trains it for more minutes.")
    assert not any(fact.startswith("better than") for fact in poor.facts)
    assert "~0.400 nats lower than before training, after reading your text 1.2 times" in good.facts
    assert "better than compressor (xz)" in good.facts  # the model in the box was better than two letters alone
    assert (good.prime, good.before, good.sample) == ("Anna", " of the box", " and the sea")
    assert (unimproved.before, unimproved.sample) == ("", "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"step": 0}, "before the first step"),
        ({"step": 9, "planned_steps": 20, "seconds_left": 8.0}, ""),
        ({"step": 20, "planned_steps": 20, "seconds_left": 3.0}, "after the last step"),
        ({"step": 9, "validated": 0.42}, "final validation 42 %"),
    ],
)
def test_phase_without_steps_is_named_beside_the_progress(status: dict[str, Any], words: str) -> None:
    shown, _ = run_summary.progress(RunView(RUN, RunStatus(state="running", alive=True, **status)))
    assert (shown.words, shown.left is None) == (words, bool(words))


def test_chart_before_the_first_loss_says_what_is_done_and_what_is_known() -> None:
    spec = RunSpec(preset="quick", corpus={"name": "novel"}, settings=preset("quick", 500_000, 80))
    status = RunStatus(state="starting", alive=True, message="loading torch")
    shown = run_summary.ShownRun(RunsState(runs=(RunView(RUN, status),), attached=RUN.path), spec)
    lines = run_summary.beginning(shown).splitlines()
    assert lines[:4] == ["Starting: loading torch.", "", "text     novel", "preset   quick, from nothing"]
    assert lines[-1] == "ends     after 1:00"
    stopped = replace(shown.state, runs=(RunView(RUN, replace(status, state="stopped")),))
    assert run_summary.beginning(replace(shown, state=stopped)) == "no step was taken"


def test_learning_rate_that_is_set_in_a_pause_stands_among_the_figures_at_once(tmp_path: Path) -> None:
    series = RunSeries.of([started(), validated(0, 4.5), stepped(5, 4.4), Paused(step=7)])
    series.feed([Controlled(step=7, id="a", command="set-lr", value=0.001)])
    [rate] = [figure.value for figure in run_summary.figures(series, bits=False) if figure.name == "rate"]
    assert rate == learning_rate(0.001)


def test_training_loss_beside_validation_is_said_to_be_with_dropout(tmp_path: Path) -> None:
    spec = record(tmp_path, "finished", steps=50, settings=Settings(dropout=0.2)).run.spec()
    plain = replace(spec, settings=Settings(dropout=0.0, weight_drop=0.0))
    series, words = RunSeries.of([started(), stepped(5, 4.4)]), run_summary.train_curve_words
    assert words(series, spec, smoothed=True) == ""
    series.feed([validated(5, 4.0)])
    assert words(series, spec, smoothed=True) == "train, with dropout and smoothed, may lie above valid"
    assert words(series, plain, smoothed=False) == ""


@pytest.mark.parametrize("share", [0.94, 0.04])
def test_card_says_that_the_held_out_part_had_been_read(tmp_path: Path, share: float) -> None:
    run = record(tmp_path, "finished", read=(share, "novel-1")).run
    words = "novel-1, from which training starts, has read 94 % of the held-out part"
    facts = card_of(run, references=(("order 0", 9.0),)).facts
    assert (words in " ".join(facts)) == (share > 0.9)
    assert any(fact.startswith("better than") for fact in facts) == (share < 0.9)
    found = run_summary.figures(RunSeries.of(read_events(run.events_path)), bits=False)
    assert next(figure.value for figure in found if figure.name == "best").startswith("†") == (share > 0.9)


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ({"order 0": 3.3, "order 1": 2.9}, "the letter frequencies alone (3.300 nats), so that it writes gibberish. m"),
        ({"order 0": 3.55, "order 1": 2.9}, "hardly better than the letter frequencies alone"),
        ({"order 1": 4.0, "order 2": 3.9, "xz": 3.3}, "a file compressor (3.300 nats), so that it writes few real"),
    ],
)
def test_model_that_learnt_little_has_no_green_card(short: RunFolder, references: dict[str, float], words: str) -> None:
    """A first run on a busy machine wrote gibberish beside a green card."""
    known = tuple(references.items())
    card = card_of(short, references=known)
    assert card.state == "poor"
    assert words in card.words
    assert card.words.endswith("m trains it for more minutes; 3, then o, opens a model that reads well.")
    assert "better than letter" not in " ".join(card.facts), "which its words deny"
    assert card_of(short, references=known, bits=True).words.count("bits)") == 1
    assert card_of(short, references=(("order 0", 4.1), ("order 1", 4.0))).state == "good"


def test_card_of_a_run_that_improved_nothing_or_beside_other_work_says_why(short: RunFolder) -> None:
    references = (("order 0", 3.3),)
    untrained = [started(val_chars=100), validated(0, 3.5), *(stepped(step, 4.0) for step in (1, 2, 3))]
    untrained += [validated(3, 3.9, best=False), ended(3, 3.5, 0)]
    card = card_of(short, untrained, references)
    assert card.state == "poor"
    assert card.words.startswith("Its model, still the one from before training, is no better than the letter freq")
    assert "best" not in card.measures
    # of a trained model that training began with
    assert card_of(short, untrained).words.startswith("No step has improved the model that training began with.")
    events = read_events(short.events_path)
    busy = [replace(event, slowdown=3.0) if isinstance(event, Finished) else event for event in events]
    words = "The processor had other work too: training was about 3 times slower"
    assert f"gibberish. {words}. m trains it for more minutes" in card_of(short, busy, references).words
    assert card_of(short, busy).facts[0] == f"{words}."


def test_card_after_too_high_a_rate_advises_a_lower_one_and_no_more_minutes(short: RunFolder) -> None:
    spec = short.spec()
    spec = replace(spec, settings=spec.settings.with_changes(lr=10 * preset(spec.preset).lr))
    card = card_of(short, references=(("order 0", 3.3),), spec=spec)
    assert f"The learning rate, {learning_rate(spec.settings.lr)}, was too high: n opens the settings" in card.words
    assert "n new run with a lower rate" in card.keys
    assert "more minutes" not in card.words + card.keys


@pytest.mark.parametrize("stateless", [False, True])
def test_card_of_a_run_that_cannot_be_resumed_offers_no_more_minutes(short: RunFolder, stateless: bool) -> None:
    """It was refused after the question for the minutes."""
    card = card_of(short, references=(("order 0", 3.3),), stateless=stateless)
    assert ("m more minutes" in card.keys, "m trains it" in card.words) == (not stateless, not stateless)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_run_that_trains_on_another_host_is_offered_no_keys(elsewhere: bool) -> None:
    view = RunView(RUN, RunStatus(state="running", alive=True, elsewhere=elsewhere))
    state = RunsState(runs=(view,), attached=RUN.path, series=RunSeries.of([started(), stepped(5)]))
    keys = run_summary.keys_for(run_summary.ShownRun(state))
    assert (bool(keys), view.live) == (not elsewhere, not elsewhere)


async def test_comma_and_full_stop_walk_through_the_runs_which_offer_what_can_be_done(tmp_path: Path) -> None:
    record(tmp_path, "stopped", name="early", steps=0)
    one, two = (record(tmp_path, "finished", name=name, steps=200, planned=200).run.name for name in ("one", "two"))
    async with on_run(tmp_path, two) as app:
        await app.shows(two)
        for key, name in (("comma", one), ("comma", "early")):
            await app.press(key, until=lambda name=name: app.app.run_path == tmp_path / name)
            assert ("previous run" in await app.shows(f" · {name}")) == (name == one)
        await app.lacks(" play", "more minutes")  # it ended before its first step
        assert app.text().splitlines()[-1].startswith(" Space resume  n new run ")
        await app.press("enter", "full_stop", shows=f"Finished · {one}")
        await app.lacks("more minutes")  # there is no state to continue from
        # the app ended with IndexError where the list was emptied before it had told which sample was chosen
        samples = app.screen.query_one(Samples)
        samples.highlighted = 0
        samples.samples = ()
        await app.pilot.pause()
        assert samples.highlighted is None


async def test_refusal_stays_until_escape_takes_it_alone_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RunError("The worker cannot be started: no memory in [/red]")

    monkeypatch.setattr("charlstm.runs.launch.resume_run", refuse)
    async with training(tmp_path, "crashed") as (_, app):
        await app.shows("Crashed · ")
        await app.press("space", shows=("Crashed · ", "✗ The worker cannot be started: no memory in [/red]"))
        await app.press("escape", lacks="cannot be started", shows="Crashed · ")
        await app.press("escape", lacks="Crashed · ", shows=("SAMPLES", "Crashed:"))


async def test_m_lengthens_the_run_that_it_was_asked_of_without_a_stop(tmp_path: Path) -> None:
    """It was stopped and resumed, and stayed stopped when the app was left meanwhile. The run is the one that was
    shown, even if another is before the answer. During its final validation a run takes no commands but stop."""
    other = record(tmp_path, "finished", name="other").run
    async with training(tmp_path, name="live") as (recorded, app):
        await app.press("m", shows="Train live further")
        app.app.attach(other.path)
        await app.answer("1")
        assert await app.obeys(recorded, "more") == [1.0]
        app.app.attach(recorded.run.path)
        await app.until(lambda: app.app.runs_state.series.planned_steps == 2_200)

        await app.press("x", shows=("rate to zero", "stop at a checkpoint now", "It saves its exact state and ends."))
        await app.press("escape", "m", shows="Train live further")
        recorded.beat("running", validated=0.2)
        await app.until(lambda: app.app.runs_state.live[0].status.validated)
        await app.answer("2")
        await app.shows("Training has ended. Now the best model is validated", "press m when that is over")
        available = {action.id for action in app.mode.available()}
        assert not available.intersection(f"train.{name}" for name in ("pause", "rate", "finish", "more"))
        assert not recorded.commands()
        await app.press("x", shows="stop at a checkpoint now")
        assert "rate to zero" not in app.text()


async def test_m_resumes_a_run_if_it_diverged_at_a_lower_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diverged run was resumed with the rate with which it had diverged."""
    resumed: list[dict[str, object]] = []
    monkeypatch.setattr("charlstm.runs.launch.resume_run", lambda run, changes: resumed.append(dict(changes)))
    async with training(tmp_path, steps=1000) as (recorded, app):
        recorded.run.state_path.touch()
        recorded.end("finished")
        await app.shows("m more minutes   Esc")
        await app.enter("m", "2", until=lambda: bool(resumed))
        # 1,000 steps took 50 s, so two minutes are 2,400 steps
        assert resumed.pop() == {"epochs": None, "max_minutes": 2.83}
        recorded.append(ended(1000, 1.8, 400, reason="diverged"))
        await app.shows("the loss ran away")
        await app.enter("m", "2", shows="Resume with a lower rate")
        assert not resumed
        await app.press("enter", until=lambda: bool(resumed))
        assert resumed[0]["lr"] < recorded.run.spec().settings.lr


def test_what_the_worker_warned_of_is_said() -> None:
    series = RunSeries.of([started(), Warned(step=400, message="Nothing is held out [/red]")])
    series.feed([Resumed(step=400, inexact="torch 2.6 → 2.7")])
    assert run_summary.remarks(series) == ["Nothing is held out [/red].", "Continues from step 400: torch 2.6 → 2.7."]


@pytest.mark.parametrize("whole", [False, True])
def test_best_loss_is_marked_as_estimate_until_all_is_read(short: RunFolder, whole: bool) -> None:
    events = [started(), validated(0, 4.5), stepped(3, 3.0), validated(3, 2.0)]
    events += [validated(3, 2.0, best=False, whole=True)] * whole
    events.append(ended(3, 2.0, 3, whole=whole))
    shown = {figure.name: figure.value for figure in run_summary.figures(RunSeries.of(events), bits=False)}
    assert shown["best"].startswith("~") == shown["valid"].startswith("~") == (not whole)
    card = card_of(short, events)
    where = "held-out text" if whole else "slices of the held-out text, an estimate"
    assert f"best on {where} (" in card.measures
    assert (f"an estimate: charlstm eval {short.name} reads all of the held-out text" in card.facts) is not whole


async def test_a_damaged_run_and_the_log_of_a_newer_version_are_said_beside_the_card(tmp_path: Path) -> None:
    newer, broken = (record(tmp_path, "finished", name=name, steps=50) for name in ("newer", "broken"))
    newer.append(replace(started(), format=99))
    broken.run.spec_path.write_text("{}")
    async with on_run(tmp_path, "newer", (60, 16)) as app:
        await app.shows("Finished · newer", "written by a newer charlstm (format 99)")
        app.app.attach(broken.run.path)
        await app.shows("Finished · broken", "cannot be read")


async def test_without_a_text_the_last_run_is_shown_and_what_plays_stays(tmp_path: Path) -> None:
    for name, state in (("older", "stopped"), ("newer", "finished")):
        record(tmp_path, state, name=name, steps=100).close()
    async with driven(tmp_path, (100, 30)) as app:
        await app.until(lambda: len(app.app.runs_state.runs) == 2)
        last = app.app.runs_state.runs[0].path
        await app.press("2", mode="train", until=lambda: app.app.run_path == last)
        await app.shows(last.name, ", previous run")
        await app.resize(60, 20)
        await app.shows("2×256    ")  # no part of the headline is cut
        await app.press("n")  # its text, with the settings
        await app.until(lambda: app.app.run_path is None and app.app.corpus is not None)


async def test_after_a_rise_a_tenth_of_the_rate_is_offered_and_a_new_run_instead_of_more(tmp_path: Path) -> None:
    """With a rate of 0.1 the pane said "Learning: training loss 11.37 → 78.83". After a resume with a lower rate ``n``
    offered just the rate that had failed, or opened the settings for the text that was chosen in Corpus."""
    text = tmp_path / "other.txt"
    text.write_text("The sea was calm, and the light was on the stairs.\n" * 300)
    async with training(tmp_path, steps=400) as (recorded, app):
        await app.shows("Still learning")
        recorded.append(*(stepped(step, 9.0) for step in range(401, 450)))
        assert "earning:" not in await app.shows("✗ Diverging: the training loss rose", "r lower the rate", "x stop")
        rate = app.app.runs_state.series.last_step.lr
        await app.press("r", shows="The rate now is")
        assert float(app.screen.query_one(Input).value) == pytest.approx(rate / 10, rel=0.05)
        await app.press("escape")
        with_settings(recorded.run, lr=0.001)  # as a resume with a lower rate does
        recorded.append(ended(449, 1.8, 400))
        recorded.beat("finished")
        await app.shows("The learning rate, 1.0e-3, was too high", "n new run with a lower rate")
        assert "more minutes   Esc" not in app.text()
        app.app.corpus = CorpusChoice(str(text), text.name)
        await app.press("n")
        setup = app.screen.query_one(SetupPane)
        await app.until(lambda: "lr" in setup.state.differences)
        assert setup.state.differences["lr"] == pytest.approx(1e-4)
        assert app.app.corpus.name == "novel.txt"


async def test_dialogs_have_no_figures_of_the_run_shown_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``r`` right after ``.`` offered the rate of the other run, and Enter set it."""
    with record(tmp_path, "running", name="one") as one:
        async with training(tmp_path, name="two") as (_, app):
            await app.shows("Still learning")
            monkeypatch.setattr(app.app.watcher, "read", lambda all_runs=True: None)
            await app.press("comma", until=lambda: app.app.run_path == one.run.path)
            await app.press("r")
            assert "The rate now is" not in await app.shows("The log of the run is not read yet. What you type acts")
            assert app.screen.query_one(Input).value == ""
            await app.press("escape", "m", shows="Train one further")
            assert app.screen.query_one(Input).value == "10"
