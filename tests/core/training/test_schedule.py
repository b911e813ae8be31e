import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.fields import plain, read
from charlstm.training.schedule import Amendment, Decay, LearningRate
from random_examples import examples

EXTEND = Amendment(100, "extend", 100, peak=0.5)


@pytest.mark.parametrize(
    ("changes", "planned", "rates"),
    [
        ((), 100, {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 99: 1 / 90, 100: 0.0}),
        ((Amendment(55, "set-lr", 0.25),), 100, {54: 46 / 90, 55: 0.25, 77: 23 / 180}),
        ((Amendment(30, "finish", 10),), 40, {30: 7 / 9, 39: 7 / 90}),
        ((Amendment(55, "replan", 90),), 145, {55: 0.5, 100: 0.25, 144: 0.5 / 90}),
        ((Amendment(55, "replan", 90), Amendment(100, "replan", 10)), 110, {100: 0.25, 105: 0.125}),
        ((EXTEND,), 200, {100: 0.05, 109: 0.5, 155: 0.25, 199: 0.5 / 90}),
        ((EXTEND, Amendment(104, "set-lr", 0.2, ends_climb=True)), 200, {104: 0.2, 109: 0.2, 110: 0.2, 155: 0.1}),
    ],
    ids=["as planned", "set-lr", "finish", "replan", "replanned twice", "extended", "rate set in the climb"],
)
def test_linear_rate_follows_each_change(changes: tuple[Amendment, ...], planned: int, rates: dict[int, float]) -> None:
    schedule = LearningRate(1.0, "linear", 10, 100)
    for change in changes:
        schedule = schedule.amended(change)
    assert schedule.planned_steps == planned
    assert {step: schedule.rate(step) for step in rates} == pytest.approx(rates)


def test_rate_of_constant_and_cosine_schedules() -> None:
    constant = LearningRate(1e-3, "constant", 0, 50)
    assert {constant.rate(step) for step in range(60)} == {1e-3}
    cosine = LearningRate(1.0, "cosine", 0, 100)
    assert cosine.rate(50) == pytest.approx(0.5)
    assert cosine.rate(25) > 0.8


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
def test_rate_that_is_set_in_the_warmup_acts_at_once_and_ends_the_climb(decay: Decay) -> None:
    """0.1 that was typed at a third of the warm-up became 0.32 at its end."""
    schedule = LearningRate(1.0, decay, 30, 130).amended(Amendment(10, "set-lr", 0.1, ends_climb=True))
    assert schedule.rate(9) == pytest.approx(1 / 3)
    assert {schedule.rate(step) for step in range(10, 31)} == {0.1}
    whole = LearningRate(1.0, decay, 30, 130)
    assert [schedule.rate(step) for step in range(31, 130)] == pytest.approx(
        [0.1 * whole.rate(step) for step in range(31, 130)]
    )
    again = schedule.amended(Amendment(20, "set-lr", 0.5, ends_climb=True))
    assert (again.rate(19), again.rate(20), again.rate(30)) == pytest.approx((0.1, 0.5, 0.5))


KINDS = st.sampled_from(["set-lr", "finish", "replan", "extend"])
HISTORIES = st.lists(st.tuples(st.integers(0, 40), KINDS, st.floats(1e-6, 50), st.booleans()), max_size=30)


@examples(40)
@given(HISTORIES, st.sampled_from(["constant", "linear", "cosine"]), st.integers(0, 100))
def test_amendments_keep_rates_and_last(history: list[tuple[int, str, float, bool]], decay: str, warmup: int) -> None:
    schedule, step = LearningRate(1.0, decay, warmup, 100), 0
    for forward, kind, value, ends in history:
        step += forward
        before = [schedule.rate(earlier) for earlier in range(0, step, 7)]
        schedule = schedule.amended(Amendment(step, kind, value, "an id", peak=0.5, ends_climb=ends))
        assert [schedule.rate(earlier) for earlier in range(0, step, 7)] == before
        if kind == "set-lr":
            assert schedule.rate(step) == pytest.approx(value)
    again = read(LearningRate, json.loads(json.dumps(plain(schedule))))
    assert again == schedule
    assert [again.rate(at) for at in range(step, step + 50)] == [schedule.rate(at) for at in range(step, step + 50)]
    assert all(schedule.rate(at) >= 0 for at in range(step, step + 300, 9))
