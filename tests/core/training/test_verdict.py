"""The words of each kind of verdict; which kind a run has is tested in ``tests/core/runs/test_judge.py``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import charlstm
from charlstm.training.settings import Settings
from charlstm.training.verdict import (
    END_REASONS,
    Beaten,
    Best,
    Crashed,
    Diverged,
    Diverging,
    Failed,
    Finished,
    Flattening,
    FromModel,
    Losses,
    NextStep,
    NotFalling,
    Paused,
    Recovering,
    Stopped,
    Verdict,
    Worsening,
    lower_rate,
)

BEST = Best(1.5, step=80)


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (Diverging(), "Diverging: the training loss is not a number any more."),
        (Diverging(Losses(2.0, 3.0)), "Diverging: the training loss rose from 2.00 to 3.00 nats."),
        (
            Diverging(Losses(9.0, 9.0), 4.6),
            "Diverging: the training loss is 9.00 nats, worse than guessing all characters alike (4.60).",
        ),
        (
            Diverged(best=None, step=9),
            "Diverged at step 9: the loss is not a number any more. No model was kept.",
        ),
        (
            Finished(best=BEST, reason="done", seconds=60.0, risen=Losses(2.0, 3.0)),
            "Finished after 1:00. Best ~1.50 nats (2.16 bits) at step 80, kept. "
            "It diverged: the training loss rose from 2.00 to 3.00 nats.",
        ),
        (
            Finished(best=BEST, reason="done", seconds=60.0, useless=Beaten("guessing", 1.51), busy="Others ran."),
            "Finished after 1:00. Best ~1.50 nats (2.16 bits) at step 80, kept. That is no better than guessing "
            "(1.51 nats): it has learnt nothing of use yet. Others ran.",
        ),
        (
            Finished(best=BEST, reason="done", seconds=60.0, overfitted_since=80, busy="Others ran."),
            "Finished after 1:00. Best ~1.50 nats (2.16 bits) at step 80, kept. It overfitted after step 80; "
            "more text or dropout would help. Others ran.",
        ),
        (
            Finished(best=BEST, reason="done", seconds=60.0, from_model=FromModel(Losses(1.108, 1.094), 0.004)),
            "Finished after 1:00. Best ~1.50 nats (2.16 bits) at step 80, kept. ~1.108 → ~1.094 nats on the same "
            "slices after reading 0.4 % of your text: it still writes like the model it began with.",
        ),
        (
            Finished(best=BEST, reason="done", seconds=60.0, from_model=FromModel(Losses(1.108, 1.02), 2.31)),
            "Finished after 1:00. Best ~1.50 nats (2.16 bits) at step 80, kept. ~1.108 → ~1.020 nats on the same "
            "slices after reading your text 2.3 times.",
        ),
        (
            Finished(best=Best(1.1, step=0), reason="done", seconds=60.0, from_model=FromModel(Losses(1.1, 1.1), 0.1)),
            "Finished after 1:00. The model that is kept is the one from before training: ~1.10 nats (1.59 bits). "
            "No step has improved the model that training began with, after reading 10 % of your text.",
        ),
        (Paused(120, 0.002), "Paused at step 120. The learning rate is 0.002 from the next step on."),
        (Flattening(-0.0004, 30.0), "Flattening: validation fell only <0.1 % in the last 30 s. No overfitting."),
        (NotFalling(Losses(2.0, 2.5)), "Not learning: the training loss went from 2.00 to 2.50 nats."),
        (
            Recovering(-0.1, 30.0, Losses(2.0, 3.0)),
            "Recovering: validation fell 10 % in the last 30 s. At 3.00 nats it is still above its best, 2.00.",
        ),
        (Failed(best=BEST, message="no disk"), "Failed: No disk. Best ~1.50 nats (2.16 bits) at step 80, kept."),
        (Crashed(best=None, message=""), "Crashed: The reason is unknown."),
        (Stopped(best=None, step=1200), "Stopped at step 1,200."),
    ],
)
def test_verdict_in_words(judged: Verdict, words: str) -> None:
    assert judged.text == words


def test_rate_is_to_be_lowered_after_a_rise_or_a_useless_model_that_stalled() -> None:
    useless = Beaten("guessing all characters alike", 4.6)
    assert Diverging().needs_lower_rate
    assert Finished(best=BEST, reason="done", seconds=1.0, risen=Losses(2.0, 3.0)).needs_lower_rate
    assert Finished(best=BEST, reason="done", seconds=1.0, useless=useless, stalled=True).needs_lower_rate
    assert not Finished(best=BEST, reason="done", seconds=1.0, useless=useless).needs_lower_rate
    assert not Finished(best=BEST, reason="done", seconds=1.0, stalled=True).needs_lower_rate


def test_lower_rate_is_a_tenth_and_at_most_the_default() -> None:
    assert lower_rate(0.01) == pytest.approx(0.001)
    assert lower_rate(0.9) == Settings().lr


def test_next_steps_after_too_high_a_rate_are_with_a_lower_one() -> None:
    useless = Beaten("guessing all characters alike", 4.6)
    finished = Finished(best=BEST, reason="done", seconds=1.0, useless=useless)
    assert finished.next_steps == (NextStep.PLAY, NextStep.MORE)
    assert replace(finished, stalled=True).next_steps == (NextStep.PLAY, NextStep.NEW_LOWER)
    worsening = Worsening(0.1, 60.0, Losses(2.0, 3.0), train_falls=True)
    assert worsening.next_steps == (NextStep.STOP,)
    assert replace(worsening, train_falls=False).next_steps == (NextStep.LOWER_RATE, NextStep.STOP)


def test_flaw_names_the_simplest_model_that_is_better() -> None:
    ended = Finished(best=BEST, reason=next(iter(END_REASONS)), seconds=1.0)
    assert ended.flaw({"order 1": 3.0, "xz": 2.0}, risky_rate=False, bits=False) is None
    flaw = ended.flaw({"order 2": 1.4, "xz": 1.3}, risky_rate=False, bits=False)
    assert flaw is not None
    assert flaw.words.endswith(
        "no better than a model of the last two letters alone (1.40 nats), so that it writes few real words"
    )
    assert (flaw.lower_rate, flaw.more_minutes) == (False, True)
    risky = ended.flaw({"xz": 1.3}, risky_rate=True, bits=False)
    assert risky is not None
    assert (risky.lower_rate, risky.more_minutes) == (True, False)


@pytest.mark.parametrize(
    ("before", "after", "epochs", "more_minutes"),
    [(1.108, 1.094, 0.0, True), (1.108, 1.02, 0.3, None), (1.108, 1.1, 3.0, None), (1.1, 1.1, 0.1, True)],
)
def test_run_from_a_model_is_judged_by_its_own_first_loss(
    before: float, after: float, epochs: float, more_minutes: bool | None
) -> None:
    """It was praised for being better than a compressor, as the model was that it began with."""
    from_model = FromModel(Losses(before, after), epochs)
    ended = Finished(best=Best(after, step=3), reason="time", seconds=60.0, from_model=from_model)
    flaw = ended.flaw({"xz": 2.0}, risky_rate=False, bits=False)
    assert (None if flaw is None else flaw.more_minutes) == more_minutes
    assert flaw is None or (flaw.words == from_model.describe(bits=False) and flaw.reads_well)


def test_words_about_divergence_stand_in_one_module() -> None:
    core = Path(charlstm.__file__).parent
    said = re.compile(
        r"""["'].*(diverges\b|diverging:|diverged:|diverged at|ran away|no longer a number|not a number any"""
        r"|lower rate|lower lr)",
        re.I,
    )
    found = {
        path.name
        for folder in (core, core.parents[1] / "tui" / "charlstm_tui")
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if said.search(line) and '"""' not in line
    }
    assert found == {"verdict.py"}
