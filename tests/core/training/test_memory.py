"""The memory of this machine, the memory that training needs, and the check before anything is allocated."""

from pathlib import Path

import pytest

from charlstm.engine.benchmark import measured_speed
from charlstm.engine.network import CharLSTM
from charlstm.engine.trainer import Trainer
from charlstm.errors import SettingsError
from charlstm.memory import Memory, machine_memory
from charlstm.runs.launch import NewRun, create_new_run
from charlstm.training import estimate as estimates
from charlstm.training.estimate import check_memory, estimate
from charlstm.training.plan import MeasuredSpeed
from charlstm.training.settings import Settings
from trained import CORPUS, PLAN, trained

MEMINFO = """MemTotal:       16000000 kB
MemFree:          900000 kB
MemAvailable:    9000000 kB
SwapTotal:       1000000 kB
"""
ALL = (17_000_000 * 1024, 9_000_000 * 1024)
HUGE = Settings(hidden_size=8192, num_layers=16, max_steps=1)
WIDE = Settings(hidden_size=4096, num_layers=3, max_steps=1, device="cpu")


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/user.slice\n", {}, ALL),
        ("0::/\n", {"memory.max": "max", "memory.current": "5", "memory.stat": ""}, ALL),
        ("0::/a/b\n", {
            "a/b/memory.max": "max", "a/b/memory.current": "5000000000", "a/b/memory.stat": "inactive_file 0\n",
            "a/memory.max": "4000000000", "a/memory.current": "3000000000",
            "a/memory.stat": "anon 1\ninactive_file 500000000\n",
        }, (4_000_000_000, 1_500_000_000)),
        ("5:devices:/x\n4:cpu,memory:/docker/0123\n0::/\n", {
            "memory/memory.limit_in_bytes": "2000000000", "memory/memory.usage_in_bytes": "2500000000",
            "memory/memory.stat": "total_inactive_file 100000000\n",
        }, (2_000_000_000, 0)),
    ],
    ids=["no limit", "limit max", "version 2", "version 1, in a container"],
)  # fmt: skip
def test_memory_is_what_is_left(tmp_path: Path, group: str, files: dict[str, str], expected: tuple[int, int]) -> None:
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in (files | {"proc/meminfo": MEMINFO, "proc/self/cgroup": group}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine_memory(tmp_path) == Memory(*expected)


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 4 GB, of which 1 GB is free."""
    monkeypatch.setattr(estimates, "machine_memory", lambda: Memory(4_000_000_000, 1_000_000_000))


LONG = Settings(hidden_size=64, batch_size=4096, seq_length=4096)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("settings", "chars", "why"),
    [
        (HUGE, 2048, r"could not be opened again: reduce hidden_size \(it is 8192\) or num_layers"),
        (WIDE, 2048, r"takes about 1\d GB of memory, but this machine has only 4\.0 GB: reduce hidden"),
        (LONG, 4096 * 4096, r"reduce batch_size \(it is 4096\) or seq_length \(4096\)"),
    ],
)
def test_check_memory_says_what_to_reduce(settings: Settings, chars: int, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        check_memory(settings, 80, chars)


@pytest.mark.usefixtures("small_machine")
def test_check_memory_warns_of_what_is_not_free_now() -> None:
    some = Settings(hidden_size=1500)
    assert "and only 1.0 GB are free now: close other programs, or reduce" in str(check_memory(some, 80, 2048))
    assert check_memory(Settings(), 80, 2048) is None
    assert check_memory(LONG, 80, 4096 * 4096, on_card=True) is None


def test_check_memory_without_known_memory_limits_the_size_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "machine_memory", lambda: None)
    assert check_memory(WIDE, 80, 2048) is None
    with pytest.raises(SettingsError, match="could not be opened again"):
        check_memory(HUGE, 80, 2048)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("settings", [HUGE, WIDE])
def test_memory_is_checked_first(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CharLSTM, "__init__", lambda *_, **__: pytest.fail("a network was made"))
    for call in (
        lambda: list(Trainer(CORPUS, settings).events()),
        lambda: list(Trainer(CORPUS, settings, plan=PLAN).events()),
        lambda: measured_speed(settings, 100_000, 80),
        lambda: estimate(settings, 100_000, 80, MeasuredSpeed("nn", 0.1, 2048)),
        lambda: create_new_run(NewRun(CORPUS, settings, runs_dir=tmp_path)),
    ):
        with pytest.raises(SettingsError, match="reduce hidden_size"):
            call()
    assert not list(tmp_path.iterdir())


def test_trainer_warns_of_too_little_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "machine_memory", lambda: Memory(4_000_000_000, 1_000))
    run = trained(steps=2)
    for each in (run, trained(steps=2, state=run.store.states[0])):
        assert each.events[1].message.startswith("Training takes about 335 MB of memory, and only 1.0 kB are free")
