"""How many random examples a test tries: few, or so many times more with ``pytest --times N``."""

from collections.abc import Sequence

from hypothesis import HealthCheck, settings

times = 1
"""Set by ``tests/conftest.py`` before tests are imported."""


def examples(few: int, *, suppress_health_check: Sequence[HealthCheck] = ()) -> settings:
    """Settings of Hypothesis for ``few`` examples, or more."""
    return settings(max_examples=few * times, suppress_health_check=suppress_health_check)
