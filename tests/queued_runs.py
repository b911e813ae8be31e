"""The queue as tests see it. Not a test; ``launched`` is a fixture to import."""

from __future__ import annotations

import pytest

from charlstm.runs import launch, queue_file


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that were started, by workers that take them out of the queue a moment later."""
    names: list[str] = []
    monkeypatch.setattr(launch, "launch", lambda run: names.append(run.name))
    return names


def waiting() -> list[str]:
    return [each.path.name for each in queue_file.waiting_runs()]
