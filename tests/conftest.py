"""What all tests share: Hypothesis has no deadline, since a slow disk or a busy neighbour is no fault of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
