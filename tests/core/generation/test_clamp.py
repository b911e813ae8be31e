"""Clamps are read from the text that names them."""

from __future__ import annotations

import pytest

from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp, parse_clamp


@pytest.mark.parametrize(("text", "value"), [("2:3=1", 1.0), (" 2 : 3 = -0.5 ", -0.5), ("2:3=-2E+3", -2e3)])
def test_clamp_is_read_with_its_value(text, value):
    assert parse_clamp(text) == parse_clamp(str(parse_clamp(text))) == Clamp(2, 3, value)


@pytest.mark.parametrize("text", ["2:3=1+1", "2:3=", "2:3*0.5", "2:3=e-5", "2:3", "2=1", ""])
def test_other_texts_are_no_clamps(text):
    with pytest.raises(GenerationError, match="is not a clamp"):
        parse_clamp(text)
