"""What all tests of the core share: a training that is begun measures this machine shortly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def short_measurements() -> Iterator[None]:
    from charlstm.engine import benchmark

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "BUDGET", 0.05)
        yield
