from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.fields import plain, read
from charlstm.training.schedule import Amendment, Decay, LearningRate
from random_examples import examples


def linear(steps: int = 100, warmup: int = 10, lr: float = 1.0) -> LearningRate:
    return LearningRate(lr, "linear", warmup, steps)


def test_rate_climbs_in_the_warmup_and_then_falls() -> None:
    schedule = linear()
    assert [schedule.rate(step) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert schedule.rate(55) == pytest.approx(0.5)
    assert 0 < schedule.rate(99) < 0.02
    assert schedule.rate(100) == 0


def test_rate_of_constant_and_cosine_schedules() -> None:
    constant = LearningRate(1e-3, "constant", 0, 50)
    assert {constant.rate(step) for step in range(60)} == {1e-3}
    cosine = LearningRate(1.0, "cosine", 0, 100)
    assert cosine.rate(50) == pytest.approx(0.5)
    assert cosine.rate(25) > 0.8


def test_set_lr_rescales_the_rest() -> None:
    schedule = linear().amended(Amendment(55, "set-lr", 0.25, "a"))
    assert schedule.rate(54) == linear().rate(54)
    assert schedule.rate(55) == pytest.approx(0.25)
    assert schedule.rate(77) == pytest.approx(linear().rate(77) / 2)
    assert schedule.planned_steps == 100


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


def test_rate_that_is_set_in_the_climb_of_an_extension_acts_at_once() -> None:
    schedule = linear().amended(Amendment(100, "extend", 100, peak=0.5))
    schedule = schedule.amended(Amendment(104, "set-lr", 0.2, ends_climb=True))
    assert [schedule.rate(step) for step in (104, 109, 110)] == pytest.approx([0.2, 0.2, 0.2])
    assert schedule.rate(155) == pytest.approx(0.1)


def test_finish_ends_at_zero() -> None:
    schedule = linear().amended(Amendment(30, "finish", 10))
    assert schedule.planned_steps == 40
    assert schedule.rate(30) == linear().rate(30)
    assert schedule.rate(39) == pytest.approx(linear().rate(30) / 10)


def test_replan_stretches_the_rest() -> None:
    schedule = linear().amended(Amendment(55, "replan", 90))
    assert schedule.planned_steps == 145
    assert schedule.rate(55) == pytest.approx(0.5)
    assert schedule.rate(100) == pytest.approx(0.25)
    assert schedule.rate(144) == pytest.approx(0.5 / 90)
    again = schedule.amended(Amendment(100, "replan", 10))
    assert again.planned_steps == 110
    assert again.rate(100) == pytest.approx(0.25)
    assert again.rate(105) == pytest.approx(0.125)


def test_extended_run_climbs_to_its_peak_again() -> None:
    schedule = linear().amended(Amendment(100, "extend", 100, peak=0.5))
    assert schedule.planned_steps == 200
    assert schedule.rate(100) == pytest.approx(0.05)
    assert schedule.rate(109) == pytest.approx(0.5)
    assert schedule.rate(155) == pytest.approx(0.25)
    assert 0 < schedule.rate(199) < 0.01


@examples(40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from(["set-lr", "finish", "replan", "extend"]),
            st.floats(1e-6, 50),
            st.text(),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.sampled_from(["constant", "linear", "cosine"]),
    st.integers(0, 100),
)
def test_amendments_keep_earlier_rates_and_survive_json(
    history: list[tuple[int, str, float, str, bool]], decay: str, warmup: int
) -> None:
    schedule, step = LearningRate(1.0, decay, warmup, 100), 0  # type: ignore[arg-type]
    for forward, kind, value, name, ends in history:
        step += forward
        before = [schedule.rate(earlier) for earlier in range(0, step, 7)]
        schedule = schedule.amended(Amendment(step, kind, value, name, peak=0.5, ends_climb=ends))  # type: ignore[arg-type]
        assert [schedule.rate(earlier) for earlier in range(0, step, 7)] == before
        if kind == "set-lr":
            assert schedule.rate(step) == pytest.approx(value)
    again = read(LearningRate, json.loads(json.dumps(plain(schedule))))
    assert again == schedule
    assert [again.rate(at) for at in range(step, step + 50)] == [schedule.rate(at) for at in range(step, step + 50)]
    assert all(schedule.rate(at) >= 0 for at in range(step, step + 300, 9))
