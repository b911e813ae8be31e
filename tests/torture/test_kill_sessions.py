"""Kills, quits, power cuts and several programs at once lose nothing of what was typed, each text compared."""

import sys
from concurrent.futures import ProcessPoolExecutor

import kill_sessions
import pytest

pytestmark = [pytest.mark.torture, pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")]


@pytest.mark.parametrize("what", kill_sessions.TRIED)
def test_no_accident_loses_what_was_typed(what: str, process: ProcessPoolExecutor, times: int) -> None:
    found = process.submit(kill_sessions.tries, what, 2 * times).result()
    assert {*found} <= {"", kill_sessions.NOTHING_TYPED}
    assert found.count(kill_sessions.NOTHING_TYPED) <= times
