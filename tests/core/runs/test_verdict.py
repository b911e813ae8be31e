import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunStatus
from charlstm.runs.verdict import FromModel, Losses, NextStep, Verdict, judge, overfitting_since
from charlstm.training.ending import lower_rate
from charlstm.training.events import Controlled, Event, Failed, Finished, Paused, Resumed
from charlstm.training.settings import Settings
from recorded_run import LIVE, started, stepped, validated

ORDER0 = {"order 0": 3.1}
OVERFITS = [4.5, 3.0, 2.2, 1.9, 1.74, 1.76, 1.79, 1.83], [4.5, 3.0, 2.1, 1.7, 1.5, 1.3, 1.2, 1.1]
"""Losses of the held-out part, and of training."""
STUCK = [4.5, 3.13, 3.12, 3.11, 3.11]
RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "diverging_runs.json").read_text())
"""The losses of two runs that diverged."""
LETTERS = {"order 0": 3.28}
"""Entropy of the letter frequencies of the text of both."""


def run(valid: list[float], train: list[float] | None = None, every: int = 50) -> RunSeries:
    """A run that was validated every so many steps, with these losses."""
    train = valid if train is None else train
    events: list[Event] = [started(planned_steps=10_000)]
    best = math.inf
    for number, (held_out, own) in enumerate(zip(valid, train, strict=True)):
        events += [stepped(max(0, number * every - back), own) for back in (20, 10, 0)] if number else []
        events.append(validated(number * every, held_out, best=held_out < best))
        best = min(best, held_out)
    return RunSeries.of(events)


@pytest.mark.parametrize(
    ("kind", "text", "valid", "train"),
    [
        ("learning", "Still learning: validation fell 7 % in the last 50 s. No overfitting.",
         [4.5, 3.2, 2.8, 2.5, 2.3, 2.2, 2.1, 2.04], None),
        ("learning", "", [4.5, 3.2, 2.9, 2.7, 2.5], None),
        ("stuck", "(3.100 nats)", STUCK, None),
        ("flattening", "fell only 0.3 %", [4.5, 3.0, 2.5, 2.2, 2.0, 1.9, 1.897, 1.896, 1.895], None),
        ("flattening", "Flattening: validation rose 0.5 % in the last 25 s.", [2.0, 1.9, 1.9, 1.91], None),
        ("overfitting", "Overfitting since step 200: validation rose 5 % while training fell.", *OVERFITS),
        # after the loss had blown up, a fall from there was called learning without overfitting
        ("recovering",
         "Recovering: validation fell 52 % in the last 25 s. At 4.600 nats it is still above its best, 3.470.",
         [4.5, 3.9, 3.47, 9.5, 4.6], [4.5, 3.9, 3.47, 3.9, 3.9]),
        ("worsening", "", [4.5, 3.9, 3.47, 3.47, 4.6], [4.5, 3.9, 3.47, 3.9, 3.9]),
        # a rise of 126 % was called flattening
        ("worsening", "Getting worse: validation rose 126 % in the last 25 s, to 4.300 nats; the best is 1.900. "
         "The learning rate may be too high: a lower one would help.", [2.0, 1.9, 1.9, 4.3], [2.0, 1.9, 1.9, 2.0]),
        ("worsening", "Training fell: it learns the text by heart", [2.0, 1.9, 1.85, 2.3], [2.0, 1.9, 1.8, 1.7]),
        ("starting", "", [4.5], None),
    ],
)  # fmt: skip
def test_verdict_of_losses(kind: str, text: str, valid: list[float], train: list[float] | None) -> None:
    found = judge(run(valid, train), references={} if kind in ("recovering", "worsening") else ORDER0)
    assert found.kind == kind
    assert text in found.text
    assert kind != "worsening" or "No overfitting" not in found.text


def test_resume_with_settings_that_leave_the_loss_alone_keeps_the_verdict() -> None:
    series = run(*OVERFITS)
    series.feed([Resumed(step=350, planned_steps=10_000, changed=("niceness", "threads", "val_every"))])
    assert judge(series, references=ORDER0).kind == "overfitting"
    series.feed([Resumed(step=350, planned_steps=10_000, changed=("niceness", "dropout"))])
    assert judge(series, references=ORDER0).kind != "overfitting"


def test_one_bad_validation_is_not_overfitting() -> None:
    assert overfitting_since(run([3.0, 2.0, 1.8, 1.9])) is None
    assert overfitting_since(run([3.0, 2.0, 1.8, 1.9, 1.9], [3.0, 2.0, 1.8, 1.7, 1.6])).step == 100  # two are
    assert overfitting_since(run([3.0, 2.0, 1.8, 1.803, 1.804])) is None
    assert overfitting_since(run([3.0, 2.0, 1.8, 2.0, 2.4], [3.0, 2.0, 1.8, 2.1, 2.6])) is None  # both rise


def test_run_that_reads_the_text_for_the_first_time_does_not_overfit() -> None:
    valid, train = [1.03, 1.04, 1.045, 1.05], [1.4, 1.3, 1.25, 1.2]
    series = run(valid, train)
    assert judge(series).kind == "overfitting"
    first_time = replace(stepped(150), epoch=0.3)
    series.last_step = first_time
    assert judge(series).kind == "flattening"
    worse = run([1.03, 1.1, 1.2, 1.3], train)
    worse.last_step = first_time
    assert "The learning rate may be too high" in judge(worse).text


def test_loss_that_is_not_a_number_is_diverging_then_diverged() -> None:
    series = run([4.5, 3.0, 2.5])
    series.feed([stepped(120, math.nan)])
    assert judge(series).text == "Diverging: the training loss is not a number any more."
    series.feed([Finished(step=120, reason="diverged", loss=2.5, best_step=100, train_seconds=60.0, best_whole=True)])
    found = judge(series)
    assert found.kind == "diverged"
    assert "Diverged at step 120" in found.text
    assert "Best 2.500 nats" in found.text


def test_finished_has_the_best_loss_and_the_time() -> None:
    series = run([4.5, 3.0, 2.2, 1.9, 1.74])
    series.feed([Finished(step=200, reason="done", loss=1.74, best_step=200, train_seconds=125.0, best_whole=True)])
    assert judge(series).text == "Finished after 3:20. Best 1.740 nats (2.510 bits) at step 200, kept."
    assert judge(series, bits=True).text == "Finished after 3:20. Best 2.510 bits (1.740 nats) at step 200, kept."


def test_run_is_stuck_only_where_the_letter_frequencies_are_known() -> None:
    assert judge(run(STUCK)).kind != "stuck"
    assert "(4.472 bits)" in judge(run(STUCK), references=ORDER0, bits=True).text


def test_the_model_from_before_training_is_not_called_the_best() -> None:
    series = run([4.2, 4.3, 4.4, 4.5])
    found = judge(series)
    assert found.kind != "overfitting" or "best model" not in found.text
    series.feed([Finished(step=150, reason="done", loss=4.2, best_step=0, train_seconds=75.0, best_whole=True)])
    text = judge(series).text
    assert "The model that is kept is the one from before training: 4.200 nats (6.059 bits)." in text.replace("~", "")
    assert "Best" not in text


BEGUN = [started(), validated(0, 4.5), stepped(100, 3.0)]
DONE = Finished(step=100, reason="done", loss=2.2, best_step=100, train_seconds=50.0, best_whole=True)
DIVERGED = Finished(step=9, reason="diverged", loss=None, best_step=0, train_seconds=1.0)
FROM_MODEL = [started(symbols=98), validated(0, 1.023), stepped(1, 1.34)]


@pytest.mark.parametrize(
    ("events", "state", "figures", "text"),
    [
        ([], "running", {}, "Starting."),
        ([started()], "running", {}, "Starting: the first step comes next."),
        ([replace(started(), val_chars=9)], "running", {}, "Starting: measuring the loss before training."),
        ([replace(started(), val_chars=9), validated(0, 4.5)], "running", {}, "Starting: the first step comes next."),
        ([started()], "crashed", {}, "Crashed: The reason is unknown."),
        ([started()], "stopped", {}, "Stopped at step 0."),
        ([started(), DIVERGED], None, {}, "Diverged at step 9: the loss is not a number any more. No model was kept."),
        ([*BEGUN, Failed(step=100, message="memory ran out")], None, {}, "Failed: Memory ran out."),
        ([*BEGUN, DONE], "finished", {}, "Finished after "),
        (BEGUN, "paused", {}, "Paused at step 100."),
        (BEGUN, "waiting", {"message": "the disk is full"}, "The disk is full."),
        (BEGUN, "stopped", {}, "Stopped at step 100. The model that is kept is the one from before training: ~4.50"),
        (BEGUN, "failed", {"message": "it broke"}, "Failed: It broke. The model that is kept"),
        (BEGUN, "crashed", {"message": "it was killed"}, "Crashed: It was killed. The model that is kept"),
        # a run that is resumed is not judged by its earlier end
        ([*BEGUN, DONE], "starting", {"message": "loading torch"}, "Starting: loading torch."),
        # why training ended the log does not say yet: patience may have ended the run
        (BEGUN, "running", {"validated": 0.4}, "Training has ended. Now the best model is validated"),
        # a run from another model may begin above the loss of guessing, because of characters that the model lacks
        ([started(symbols=98), validated(0, 9.0), *(stepped(n, 9.0 - n * 0.5) for n in range(1, 5))], None, {},
         "Learning: training loss 8.500 → 7.000 nats, still above guessing (4.585)."),
        # after a single step the loss was 0.7 % above that of the model, and a lower rate was advised
        ([*FROM_MODEL, validated(1, 1.03, best=False)], None, {}, "Learning: these are the first steps."),
        ([*FROM_MODEL, validated(1, 1.1, best=False)], None, {}, "Getting worse: "),
    ],
)  # fmt: skip
def test_verdict_of_a_log_and_a_status(events: list[Event], state: Any, figures: dict[str, Any], text: str) -> None:
    status = None if state is None else RunStatus(state=state, alive=state in LIVE, **figures)
    assert judge(RunSeries.of(events), status).text.startswith(text)


def ended(train: list[float], best: float) -> RunSeries:
    """A run that took ten steps for each of these training losses."""
    series = RunSeries.of([started(symbols=98), validated(0, 4.6)])
    series.feed([stepped(10 * number, loss) for number, loss in enumerate(train, 1)])
    series.feed([Finished(step=10 * len(train), reason="done", loss=best, best_step=5, train_seconds=60.0)])
    series.feed([validated(10 * len(train), best, whole=True)])
    return series


@pytest.mark.parametrize(
    ("train", "best", "too_high"),
    [
        ([3.3, *[3.15] * 19], 3.12, True),  # it came to rest at the letter frequencies
        ([4.5, 8.0, 7.0, 6.0, 5.0, 4.5, 4.0, 3.6, 3.5, 3.4], 3.4, True),  # it was worse than guessing once
        ([4.5, 8.0, 7.0, 6.0, 5.0, 4.5, 4.0, 3.6, 3.0, 2.4], 2.4, False),  # and learnt all the same
        ([2.0] * 5 + [9.0] * 10, 2.0, True),
        ([4.5 - 0.06 * number for number in range(20)], 3.3, False),  # it fell to the end: it was too short
        ([4.2, 4.0, 3.7], 3.6, False),
        ([5.5, 5.4, 5.2, 4.4, 3.8], 3.4, False),  # a busy machine gave it no more than its first steps
        ([4.5, 3.0, 2.5, 2.2, *[2.0] * 10], 2.0, False),
    ],
)
def test_end_of_a_run_says_whether_its_rate_was_too_high(train: list[float], best: float, too_high: bool) -> None:
    assert judge(ended(train, best), references=ORDER0).needs_lower_rate == too_high


def from_model(after: float, epochs: float, whole: float | None = None) -> RunSeries:
    """A run that began with a model with a loss of 1.108 and came to this loss; ``whole`` is that of the whole part."""
    events = [started(symbols=98, steps_per_epoch=1000), validated(0, 1.108), stepped(round(1000 * epochs), 1.3)]
    series = RunSeries.of([*events, validated(round(1000 * epochs), after, best=after < 1.108)])
    step = round(1000 * epochs) if after < 1.108 else 0
    best = min(after, 1.108) if whole is None else whole
    series.feed([Finished(step=step, reason="time", loss=best, best_step=step, train_seconds=60.0)])
    return series


def test_run_that_began_with_a_model_has_both_losses_and_how_much_it_has_read() -> None:
    judged = judge(from_model(1.094, 0.004, whole=1.12))
    assert judged.from_model == FromModel(Losses(1.108, 1.094), 0.004)  # not that of the whole part
    assert judged.text.endswith(
        "~0.014 nats lower than before training, after reading 0.4 % of your text: it still writes like the model it "
        "began with."
    )
    for after, epochs, says in (
        (1.02, 2.31, "~0.088 nats lower than before training, after reading your text 2.3 times."),
        (1.2, 0.1, "No step has improved the model that training began with, after reading 10 % of your text."),
    ):
        assert judge(from_model(after, epochs)).text.endswith(says)
    assert judge(ended([4.5, 4.0, 3.0], 2.5)).from_model is None


@pytest.mark.parametrize(
    ("after", "epochs", "more_minutes"), [(1.094, 0.004, True), (1.02, 0.3, None), (1.1, 3.0, None), (1.2, 0.1, True)]
)
def test_run_from_a_model_is_judged_by_its_first_loss(after: float, epochs: float, more_minutes: bool | None) -> None:
    """It was praised for being better than a compressor, as the model was that it began with."""
    judged = judge(from_model(after, epochs), references={"xz": 2.0})
    assert (None if judged.flaw is None else judged.flaw.more_minutes) == more_minutes
    assert judged.flaw is None or (judged.flaw.reads_well and judged.flaw.words == judged.from_model.describe(False))


def test_training_loss_of_a_run_from_a_model_that_has_read_the_text_may_rise_to_that_of_new_text() -> None:
    """It was said to diverge, while validation fell from 1.09 to 1.02."""
    series = RunSeries.of([started(symbols=98, steps_per_epoch=200), validated(0, 1.09)])
    series.feed([stepped(4 * number, 0.9 + 0.01 * number) for number in range(1, 18)])
    series.feed([validated(68, 1.02)])
    assert judge(series).kind == "learning"
    series.feed([stepped(68 + 4 * number, 1.4) for number in range(1, 6)])
    assert judge(series).kind == "diverging"


def test_verdict_on_an_end_says_what_went_wrong_and_then_what_others_did() -> None:
    finished = Finished(step=150, reason="done", loss=2.0, best_step=5, train_seconds=60.0, slowdown=3.0)
    rose = ended([2.0] * 5 + [9.0] * 10, 2.0)
    rose.feed([finished])
    assert "It diverged: the training loss rose from 2.000 to 9.000 nats. The processor" in judge(rose).text
    useless = judge(ended([3.3, *[3.15] * 19], 3.12), references=ORDER0)
    assert useless.text.endswith(
        " at step 200, kept. That is no better than the letter frequencies alone (3.100 nats): it has "
        "learnt nothing of use yet. The learning rate was too high: train anew with a lower one."
    )
    overfits = run(*OVERFITS)
    overfits.feed([replace(finished, loss=1.74, best_step=200)])
    assert "It overfitted after step 200; more text or dropout would help. The processor" in judge(overfits).text


def test_next_steps_after_too_high_a_rate_are_with_a_lower_one() -> None:
    assert Verdict("finished", "", needs_lower_rate=True).next_steps == (NextStep.PLAY, NextStep.NEW_LOWER)
    assert Verdict("finished", "").next_steps == (NextStep.PLAY, NextStep.MORE)
    assert judge(run([2.0, 1.9, 1.9, 4.3], [2.0, 1.9, 1.9, 2.0])).next_steps == (NextStep.LOWER_RATE, NextStep.STOP)
    assert judge(run([2.0, 1.9, 1.85, 2.3], [2.0, 1.9, 1.8, 1.7])).next_steps == (NextStep.STOP,)


def test_flaw_names_the_simplest_model_that_is_better() -> None:
    series = ended([4.5, 3.0, 2.5, 2.2, *[2.0] * 10], 1.5)
    assert judge(series, references={"order 1": 3.0, "xz": 2.0}).flaw is None
    flaw = judge(series, references={"order 2": 1.4, "xz": 1.3}).flaw
    says = "no better than a model of the last two letters alone (1.400 nats), so that it writes few real words"
    assert flaw.words.endswith(says)
    assert (flaw.lower_rate, flaw.more_minutes) == (False, True)
    said = judge(series, references={"xz": 1.3}).text
    assert "That is no better than a file compressor (1.300 nats): it writes few" in said
    risky = judge(series, references={"xz": 1.3}, risky_rate=True).flaw
    assert (risky.lower_rate, risky.more_minutes) == (True, False)
    untrained = [judge(from_model(1.2, 3.0), references={"xz": xz}).flaw for xz in (2.0, 1.0)]
    assert [flaw.reads_well for flaw in untrained] == [True, False]


def test_lower_rate_is_a_tenth_and_at_most_the_default() -> None:
    assert lower_rate(0.01) == pytest.approx(0.001)
    assert lower_rate(0.9) == Settings().lr


def test_learning_rate_that_was_set_in_a_pause_is_told_at_once() -> None:
    series = RunSeries.of([started(), validated(0, 4.5), stepped(5, 4.4), Paused(step=7)])
    assert judge(series).text == "Paused at step 7."
    series.feed([Controlled(step=7, id="a", command="set-lr", value=0.001)])
    assert judge(series).text == "Paused at step 7. The learning rate is 0.001 from the next step on."
    series.feed([Resumed(step=7), stepped(10, 4.3)])
    assert series.next_rate is None


def test_loss_of_zero_is_judged() -> None:
    """A text of one character is predicted perfectly from the first step on."""
    series = RunSeries.of([started(), *(event for n in range(1, 8) for event in (stepped(n, 0.0), validated(n, 0.0)))])
    assert judge(series).kind in ("learning", "flattening")


def series_at_start(name: str) -> RunSeries:
    recorded = RECORDED[name]
    return RunSeries.of([started(planned_steps=recorded["planned_steps"], symbols=recorded["symbols"])])


def test_recorded_run_that_never_learnt_is_diverging_within_ten_seconds_of_its_start() -> None:
    recorded = RECORDED["diverging_from_the_start"]
    series = series_at_start("diverging_from_the_start")
    before = [validated(at, loss, best=best) for at, loss, best, whole, _ in recorded["validations"] if not whole]
    said = []
    for step, loss, _, _, worked in recorded["steps"]:
        while before and before[0].step < step:
            series.feed([before.pop(0)])
        series.feed([stepped(step, loss)])
        said.append((worked, judge(series, references=LETTERS)))
    assert next(worked for worked, verdict in said if verdict.kind == "diverging") < 10
    assert not any(verdict.kind in ("learning", "flattening") for _, verdict in said)
    assert "worse than guessing all characters alike (4.635)" in said[-1][1].text


def test_rising_loss_is_never_called_learning() -> None:
    series = RunSeries.of([started(), validated(0, 4.5)])
    for number in range(1, 40):
        series.feed([stepped(number, 4.0 + number * 0.01)])
        assert judge(series).kind != "learning" or number == 1
    assert judge(series).text == "Not learning: the training loss went from 4.010 to 4.390 nats."
    series.feed([validated(40, 4.6)])
    assert judge(series).kind == "worsening"


FALLING = [stepped(step, 4.5 - 0.027 * step) for step in range(1, 101)]


def extended(train: list[float]) -> RunSeries:
    """A run of 100 steps that ended at 1.8 nats and was extended by 100, with these training losses then."""
    series = RunSeries.of([started(symbols=98), validated(0, 4.5), *FALLING, validated(100, 1.8)])
    series.feed([
        validated(100, 1.8, whole=True, best=False),
        Finished(step=100, reason="done", loss=1.8, best_step=100, train_seconds=50.0, best_whole=True),
        Resumed(step=100, planned_steps=200, changes="max_steps 100 → 200", changed=("max_steps",)),
    ])  # fmt: skip
    for step, loss in enumerate(train, 101):
        series.feed([stepped(step, loss), *[validated(step, loss, best=loss < 1.8)] * (step % 10 == 0)])
    return series


def test_verdict_does_not_blame_the_climb_of_an_extended_run() -> None:
    """The rate climbs in the first tenth of the added steps, so that the loss rises first."""
    climb = [1.8 + 0.05 * number for number in range(10)]
    says = "The learning rate climbs again until step 110, because the run was extended: the loss may rise until then."
    assert judge(extended(climb[:5])).text == says
    assert judge(extended([*climb, *(2.2 - 0.003 * number for number in range(60))])).kind == "learning"
    assert judge(extended([*climb, *(2.2 + 0.1 * number for number in range(60))])).kind == "diverging"
    assert judge(extended([9.0, 30.0, 70.0])).kind == "diverging"  # worse than guessing is always said


def test_verdict_does_not_blame_the_climb_of_a_run_that_more_lengthened_at_its_last_step() -> None:
    series = RunSeries.of([started(planned_steps=100), *FALLING])
    more = Controlled(step=100, id="a", command="more", value=100.0, minutes=1.0)
    series.feed([more, *(stepped(step, 1.8 + 0.05 * (step - 100)) for step in range(101, 107))])
    assert judge(series).kind == "climbing"


def test_extension_in_vain_is_said_at_the_end_and_is_not_overfitting() -> None:
    series = extended([2.0] * 10 + [2.2 - 0.004 * number for number in range(90)])
    series.feed([Finished(step=200, reason="done", loss=1.8, best_step=100, train_seconds=100.0, best_whole=True)])
    found = judge(series)
    assert found.overfitted == ""
    assert found.text.endswith("The steps that were added did not improve it.")


@pytest.mark.parametrize("name", list(RECORDED))
def test_end_of_a_recorded_run_says_that_it_diverged(name: str) -> None:
    recorded = RECORDED[name]
    series = series_at_start(name)
    for at, val_loss, best, whole, _ in recorded["validations"][:-1]:
        series.feed([validated(at, val_loss, best=best, whole=whole)])
    series.feed([stepped(step, loss) for step, loss, *_ in recorded["steps"]])
    series.feed([Finished(**recorded["finished"])])
    found = judge(series, references=LETTERS)
    assert found.kind == "finished"
    assert "It diverged: the training loss rose from" in found.text
    assert ("no better than guessing" in found.text) == (name == "diverging_from_the_start")
