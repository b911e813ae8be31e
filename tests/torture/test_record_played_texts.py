"""The short form of ``record_played_texts.py``: recorded sequences are played as version 0.3 played them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from charlstm.model.file import load_model

sys.path.insert(0, str(Path(__file__).parent))

import record_played_texts as played

pytestmark = pytest.mark.numeric


def test_recorded_sequences_have_the_texts_and_figures_of_0_3() -> None:
    models = [load_model(path) for path in played.MODELS]
    assert [found for each in played.read()[::34] if (found := played.check(models, each))] == []
