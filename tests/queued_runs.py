"""The queue as tests see it. Not a test; ``launched`` is a fixture to import."""

import pytest

from charlstm.runs import launch, liveness, queue_file
from charlstm.runs.folder import RunFolder
from charlstm.runs.liveness import HeartbeatRecord


def pretend_start(run: RunFolder, names: list[str]) -> None:
    """Add the name of ``run`` to ``names``, as of one whose worker has not taken it out of the queue yet."""
    liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="starting"))
    names.append(run.name)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that were started."""
    names: list[str] = []
    monkeypatch.setattr(launch, "launch", lambda run: pretend_start(run, names))
    return names


def waiting() -> list[str]:
    return [each.path.name for each in queue_file.waiting_runs()]
