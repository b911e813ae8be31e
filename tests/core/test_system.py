"""What another operating system than Linux tells, by its own programs."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlstm import system
from charlstm.memory import Memory, machine_memory


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Mac whose programs print how they were called. The folder of the programs."""
    for name in ("ps", "sysctl"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$LC_ALL $TZ $(basename $0) $*"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    system._fast_cores.cache_clear()
    return tmp_path


@pytest.mark.usefixtures("mac")
def test_mac_tells_boot_start_and_processor_by_its_programs_wherever_its_user_travels() -> None:
    assert system.boot_id.__wrapped__() == "C UTC sysctl -n kern.bootsessionuuid"
    assert system.process_start(7) == "C UTC ps -o lstart= -p 7"
    assert system.cpu_model.__wrapped__() == "C UTC sysctl -n machdep.cpu.brand_string"


def test_cpu_count_of_a_mac_is_that_of_its_fast_cores(mac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 10)
    (mac / "sysctl").write_text('#!/bin/sh\n[ "$2" = hw.perflevel0.physicalcpu ] && echo 4\n')
    assert system.cpu_count() == 4
    system._fast_cores.cache_clear()
    (mac / "sysctl").write_text("#!/bin/sh\nexit 1\n")  # one with a processor of Intel's
    assert system.cpu_count() == 10


def test_false_warnings_of_numpy_on_a_mac_are_not_shown() -> None:
    code = """
import sys, warnings
sys.platform = "darwin"
from charlstm.system import own_process
own_process()
for each in ("divide by zero encountered in matmul", "invalid value encountered in log"):
    warnings.warn(each, RuntimeWarning)
"""
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert "matmul" not in answer.stderr
    assert "encountered in log" in answer.stderr


def test_free_memory_is_unknown_where_there_is_no_proc(tmp_path: Path) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine_memory(tmp_path) == Memory(total, None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_lower_priority_acts_on_all_threads() -> None:
    code = """
import os, threading
from charlstm import system
ended = threading.Event()
threading.Thread(target=ended.wait).start()
system.lower_priority(3)
print({os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir("/proc/self/task")})
ended.set()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{{{max(3, os.nice(0))}}}\n", "it keeps a higher one, as under nice"
