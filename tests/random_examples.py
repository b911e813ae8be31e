"""How many random examples a test tries: few in the suite, more in ``make torture``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, settings

TIMES = "CHARLSTM_EXAMPLES_TIMES"
"""The variable that says how many times as many are tried, for ``tests/torture/more_examples.py``."""


def examples(few: int, *, suppress_health_check: Sequence[HealthCheck] = ()) -> settings:
    """Settings of Hypothesis for ``few`` examples, or so many times more."""
    count = few * int(os.environ.get(TIMES, "1"))
    return settings(max_examples=count, suppress_health_check=suppress_health_check)
