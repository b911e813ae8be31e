"""Events as lines of JSON: written, read again, and refused if they are not valid."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import pytest

import charlstm
from charlstm.errors import OtherFormatError, RunError
from charlstm.training import events
from charlstm.training.events import (
    AnyEvent,
    Event,
    Finished,
    Stepped,
    Validated,
    from_line,
    to_line,
)
from recorded_run import started

STEP = Stepped(
    step=5, time=1.5, epoch=0.1, train_loss=1.25, lr=1e-3, grad_norm=0.5, chars_per_second=100.0, train_seconds=2.0
)


def changed(**values: Any) -> str:
    return json.dumps(json.loads(to_line(STEP)) | values)


def test_event_line_is_read_again() -> None:
    assert from_line(to_line(STEP)) == STEP
    over = Finished(step=5, time=2.0, reason="done", loss=None, best_step=0, train_seconds=1.0)
    assert from_line(to_line(over)) == over


def test_every_event_is_in_the_union_and_public() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert set(get_args(AnyEvent)) == declared - {Event}
    assert {kind.__name__ for kind in get_args(AnyEvent)} <= set(charlstm.__all__)


def test_numbers_that_are_not_finite_are_null_in_a_line() -> None:
    line = to_line(Validated(step=1, loss=math.inf, chars=9, best=False, train_seconds=1.0))
    assert '"loss":null' in line
    assert math.isnan(from_line(line).loss)


def test_from_line_accepts_integers_for_floats_and_unknown_fields() -> None:
    assert from_line(changed(train_loss=2, from_the_future=[1])).train_loss == 2.0


@pytest.mark.parametrize(
    "values",
    [
        {"step": True}, {"step": 1.5}, {"step": -1}, {"step": 10**400}, {"time": None}, {"time": "now"},
        {"train_seconds": math.inf}, {"train_seconds": 10**400}, {"epoch": []}, {"train_loss": "1"},
        {"event": ["step"]}, {"event": "stepped"},
    ],
)  # fmt: skip
def test_from_line_refuses_values_of_the_wrong_type(values: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="cannot be read") as caught:
        from_line(changed(**values))
    assert not isinstance(caught.value, OtherFormatError)


def test_from_line_refuses_a_newer_format() -> None:
    with pytest.raises(OtherFormatError, match="newer charlstm"):
        from_line(json.dumps(json.loads(to_line(started())) | {"format": 2}))
