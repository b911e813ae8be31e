"""Clamps are read from the text that names them."""

from __future__ import annotations

import pytest

from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp, parse_clamp


@pytest.mark.parametrize(
    ("text", "value", "factor"),
    [
        ("2:3=1", 1.0, 0.0),
        (" 2 : 3 * -0.5 ", 0.0, -0.5),
        ("2:3*1e-05", 0.0, 1e-05),
        ("2:3*0.5+1.5", 1.5, 0.5),
        ("2:3*1e-05-2E+3", -2e3, 1e-05),
        ("2:3*-1-1", -1.0, -1.0),
    ],
)
def test_clamp_is_read_with_factor_and_value(text, value, factor):
    assert parse_clamp(text) == parse_clamp(str(parse_clamp(text))) == Clamp(2, 3, value, factor)


@pytest.mark.parametrize("text", ["2:3=1+1", "2:3*", "2:3*0.5++1", "2:3*0.5+1+1", "2:3*e-5", "2:3", "2=1", ""])
def test_other_texts_are_no_clamps(text):
    with pytest.raises(GenerationError, match="is not a clamp"):
        parse_clamp(text)
