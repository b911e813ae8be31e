"""Names of the simple models that a network is compared with; :mod:`charlstm.text.statistics` computes them."""

from __future__ import annotations

BASELINES = {
    "order 0": "letter frequencies (order 0)",
    "order 1": "last letter (order 1)",
    "order 2": "last two letters (order 2)",
    "xz": "compressor (xz)",
}
"""The simple models by their labels, with their names in words."""


def baseline_words(label: str) -> str:
    """The name of a simple model in words: ``last letter (order 1)``. A label without words stays."""
    return BASELINES.get(label, label)
