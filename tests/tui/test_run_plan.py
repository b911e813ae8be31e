"""The plan of the next run in words, and what is said of a busy processor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm.model.file import ModelConfig
from charlstm.runs.folder import Run
from charlstm.runs.start_models import StartModel, expected_losses, no_gain
from charlstm.runs.status import RunStatus
from charlstm.training.ending import risk_words
from charlstm.training.plan import fit_batch
from charlstm.training.presets import preset
from charlstm.training.settings import Settings
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train.run_plan import (
    LossToBeat,
    beats_all,
    busy_words,
    checkpoint_words,
    ends_words,
    losses_to_beat,
    plan_lines,
    start_words,
    text_words,
    unit_words,
)
from charlstm_tui.train.setup import RunChoices, Setup, TextFacts, longer_minutes

KEYS = {"more_time": "m", "generate": "3"}


def measured(setup: Setup, **costs: float | None) -> Setup:
    """With these costs of the chosen settings."""
    return replace(setup, measured={setup.costs_key(setup.differences): {setup.choices.preset: costs}})


@pytest.mark.parametrize(
    ("slowdown", "words"),
    [(1.5, "about 1.5 times"), (2.2, "about 2 times"), (4.4, "about 4 times"), (20, "many times")],
)
def test_slowdown_is_told_in_plain_words(slowdown: float, words: str) -> None:
    assert f"training will be {words} slower. m gives" in busy_words(slowdown, (), preset("quick"), KEYS)


@pytest.mark.parametrize("slowdown", [None, 1.0, 1.3])
def test_free_processor_needs_no_words(slowdown: float | None) -> None:
    assert busy_words(slowdown, (), preset("quick"), KEYS) == ""


BOX = StartModel("demo", Path("demo.safetensors"), ModelConfig(90, 512, 2), loss=1.3, pairs=2.4, read=0.0, symbols=95)


def test_a_run_without_a_time_limit_is_offered_no_more_time() -> None:
    words = busy_words(3.0, (), preset("reference"), KEYS)
    assert words.endswith("times slower. 3 plays the model in the box meanwhile.")


def test_more_time_is_a_whole_multiple_and_not_without_end() -> None:
    assert [longer_minutes(10.0, slowdown) for slowdown in (1.5, 2.1, 2.9, 20.0)] == [20.0, 20.0, 30.0, 50.0]


def test_the_end_of_a_run_in_words() -> None:
    assert ends_words(Settings(max_minutes=10, max_steps=300)) == "after 10:00 or 300 steps"
    assert ends_words(Settings(epochs=1)) == "after 1 pass over the text"
    assert ends_words(Settings(max_minutes=120, epochs=5)) == "after 2:00:00 or 5 passes"
    assert ends_words(Settings()).startswith("never")


@pytest.mark.parametrize(
    ("limits", "passes", "words"),
    [
        ({"max_minutes": 1}, 73.8, "73.8 × the text, 66 M"),
        ({"max_minutes": 1}, None, None),  # not measured yet
        ({"max_minutes": 1, "epochs": 5}, 2.1, "2.1 × the text, 1.9 M"),  # the minutes end it
        ({"max_minutes": 1, "epochs": 5}, 5.0, None),  # its end says so already
        ({"epochs": 5}, 5.0, None),
    ],
)
def test_the_plan_says_how_often_the_text_is_read_unless_its_end_does(
    limits: dict[str, float], passes: float | None, words: str | None
) -> None:
    choices = RunChoices(changes={"max_minutes": None, **limits})
    setup = measured(Setup(facts=TextFacts(1_000_000, 90, {}), choices=choices), epochs=passes)
    assert {line.label: line.text for line, _ in plan_lines(setup)}.get("reads") == words


def test_plan_says_how_the_text_is_read() -> None:
    novel = CorpusChoice("/texts/novel.txt", "novel.txt")
    assert text_words(None) == ""
    assert text_words(novel) == "lines auto, no licence"
    assert text_words(novel, "reference") == "as it is"
    assert text_words(replace(novel, strip_boilerplate=False, clean=True)) == "lines auto, licence kept, cleaned"
    assert text_words(replace(novel, strip_boilerplate=False, lines="keep")) == "as it is"


def test_plan_of_a_small_text_has_the_smaller_batches_that_the_run_takes() -> None:
    def batches(chars: int) -> str:
        lines = plan_lines(Setup(facts=TextFacts(chars, 90, {})))
        return next(line.text for line, _ in lines if line.label == "batches")

    assert batches(1_000_000) == f"{preset('quick').batch_size} rows × {preset('quick').seq_length} characters"
    rows, length = fit_batch(preset("quick"), 2_580)
    assert rows < preset("quick").batch_size
    assert batches(2_868) == f"{rows} rows × {length} characters"


def test_every_change_is_marked_in_the_plan_once() -> None:
    usual = preset("quick")
    choices = RunChoices(changes={"max_steps": 300, "seed": 5, "lr": usual.lr})
    lines = plan_lines(Setup(choices=choices))
    assert [(line.label, line.text) for line, changed in lines if changed] == [
        ("ends", "after 1:00 or 300 steps"),
        ("seed", "5"),
    ]
    assert Setup(choices=choices).changes == 2  # a value that is the preset's own is no change


def test_until_the_text_is_read_the_plan_claims_nothing_that_a_model_to_start_from_would_change() -> None:
    def shown(choices: RunChoices, facts: TextFacts | None = None) -> dict[str, str]:
        return {line.label: line.text for line, _ in plan_lines(Setup(facts=facts, choices=choices))}

    assert {shown(RunChoices())[label] for label in ("weights", "network", "rate")} == {"…"}
    assert shown(RunChoices(), TextFacts(2_000, 30, {}))["weights"] == "random"
    for decided in (RunChoices("reference"), RunChoices(from_nothing=True), RunChoices(changes={"hidden_size": 64})):
        assert shown(decided)["weights"] == "random"
        assert "…" not in shown(decided).values()


def test_useless_run_is_no_loss_to_beat_and_a_poor_one_is_not_green() -> None:
    def ended(name: str, best: float) -> RunView:
        return RunView(
            Run(Path("/runs") / name), RunStatus(state="finished", alive=False, best_val=best), text="novel.txt"
        )

    baselines = (("order 0", 3.1), ("order 2", 2.2), ("xz", 2.4))
    runs = [ended("useless", 3.4), ended("poor", 2.3), ended("good", 1.9)]
    losses = losses_to_beat(baselines, runs)
    assert [each.label for each in losses] == ["order 0", "xz", "poor", "order 2", "good"]
    assert [each.label for each in losses if beats_all(each, losses)] == ["good"]


def test_run_that_started_from_a_model_is_told_apart_from_those_that_started_from_nothing() -> None:
    losses = [LossToBeat("anew", 1.3, is_run=True), LossToBeat("on", 1.1, is_run=True, started_from="demo")]
    assert [each.name(30, short=True) for each in losses] == ["anew", "on (demo)"]
    names = [LossToBeat(f"novel-quick-{number}", 1.5, is_run=True, started_from="demo") for number in (1, 2)]
    assert [each.name(16, short=True) for each in names] == ["novel…k-1 (demo)", "novel…k-2 (demo)"]
    assert unit_words("nats", losses[:1]) == "nats per character, less is better"
    assert unit_words("nats", losses).endswith("; (started from)")
    assert all(len(unit_words("nats", losses[:count])) <= 35 for count in range(len(losses) + 1))


def test_simple_models_have_names_in_words() -> None:
    losses = losses_to_beat((("order 2", 1.7), ("xz", 1.0), ("order 0", 3.2), ("odd", float("inf"))), ())
    assert [loss.name(80, short=False) for loss in losses] == [
        "letter frequencies (order 0)",
        "last two letters (order 2)",
        "compressor (xz)",
    ]


def test_a_rate_far_above_the_presets_is_called_a_risk() -> None:
    usual = preset("quick")
    assert risk_words(8 * usual.lr, usual.lr) == "The learning rate is 8 times the preset's: training may diverge."
    assert risk_words(3 * usual.lr, usual.lr) == ""


def test_a_run_shorter_than_the_time_between_checkpoints_saves_at_its_end() -> None:
    assert checkpoint_words(Settings(max_minutes=1, checkpoint_minutes=2)) == "at the end"
    assert checkpoint_words(Settings(max_minutes=10, checkpoint_minutes=2)) == "every 2 minutes"


def test_another_limit_in_the_form_lifts_the_minutes_and_both_stay_when_both_are_set() -> None:
    usual = preset("quick")

    def edit(choices: RunChoices, **typed: object) -> tuple[RunChoices, bool]:
        before = usual.with_changes(**choices.changes)
        return choices.edited(before, before.with_changes(**typed), usual)

    one, lifted = edit(RunChoices(), epochs=3.0)
    assert lifted
    assert one.changes == {"epochs": 3.0, "max_minutes": None}
    both, lifted = edit(one, max_minutes=usual.max_minutes)
    assert not lifted
    assert both.changes == {"epochs": 3.0}
    assert "or 3 passes" in ends_words(usual.with_changes(**both.changes))
    other, lifted = edit(both, max_steps=70, max_minutes=2.0)
    assert not lifted
    assert other.changes == {"epochs": 3.0, "max_steps": 70, "max_minutes": 2.0}
    assert edit(other, epochs=None, max_steps=None, max_minutes=usual.max_minutes) == (RunChoices(), False)


def test_both_ways_to_start_say_about_which_loss_they_end_with() -> None:
    facts = TextFacts(1_000_000, 90, {}, BOX)
    from_model, from_nothing = (
        start_words(measured(Setup(facts=facts, choices=choices), seconds=45.0, chars_per_second=1e6), False)
        for choices in (RunChoices(), RunChoices(from_nothing=True))
    )
    assert from_model.endswith(
        "~1.30 nats on this text now, about 1.10 in the end. 0 starts from nothing, to watch it learn: about 1.43."
    )
    assert from_nothing == (
        "Starts from nothing, to watch it learn: about 1.43 nats in the end. "
        "0 starts from the model in the box: about 1.10."
    )
    assert "in the end" not in start_words(Setup(facts=facts), False)
    other_lines = replace(facts, box=replace(BOX, reading="It has learnt from texts with their lines"))
    words = "~1.30 nats on this text now. It has learnt from texts with their lines. 0 starts from nothing"
    assert words in start_words(Setup(facts=other_lines), False)
    longer = RunChoices(preset="standard")
    short = replace(facts, chars=400_000)
    words = "now. On so short a text the loss will be about that of quick. 0 starts"
    assert words in start_words(Setup(facts=short, choices=longer), False)
    longer = replace(longer, changes={"epochs": 9.0})
    assert "quick" not in start_words(Setup(facts=short, choices=longer), False)
    words = "now. The loss will be about that of standard: both read the text 4 times. 0 starts"
    assert words in start_words(Setup(facts=facts, choices=RunChoices(preset="best")), False)


@pytest.mark.parametrize(
    ("change", "preset", "text_chars"),
    [
        ({}, "quick", 400_000),
        ({}, "reference", 400_000),
        ({}, "standard", 600_000),
        ({"name": "mine"}, "standard", 400_000),
        ({"loss": 1.7}, "standard", 400_000),
        ({"loss": 2.1}, "best", 400_000),
        ({}, "best", 6_000_000),
    ],
)
def test_nothing_is_said_of_a_longer_preset_where_nothing_was_measured(
    change: dict[str, Any], preset: str, text_chars: int
) -> None:
    assert no_gain(replace(BOX, **change), preset, text_chars) == ""


@pytest.mark.parametrize(
    ("change", "preset", "text_chars", "chars"),
    [
        ({}, "standard", 1_000_000, 5_000_000),
        ({}, "quick", 1_000_000, 200_000),
        ({}, "quick", 50_000, 450_000),
        ({"name": "mine"}, "quick", 1_000_000, 450_000),
        ({"read": 0.9}, "quick", 1_000_000, 450_000),
        ({"loss": 1.7}, "quick", 1_000_000, 450_000),
    ],
)
def test_no_loss_is_expected_where_none_was_measured(
    change: dict[str, Any], preset: str, text_chars: int, chars: float
) -> None:
    assert expected_losses(replace(BOX, **change), preset, text_chars, chars, False) is None
