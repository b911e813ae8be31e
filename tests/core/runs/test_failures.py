from __future__ import annotations

import errno

import pytest

from charlstm.errors import SettingsError
from charlstm.runs.failures import describe_failure
from charlstm.training.settings import Settings

BUG = "The program has a bug"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "Memory ran out: reduce batch_size (it is 32), seq_length (64) or hidden_size (512)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "Memory ran out"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "Memory ran out"),
        (RuntimeError("could not create a memory object"), "Memory ran out"),
        (RuntimeError("std::bad_alloc"), "Memory ran out"),
        (RuntimeError("can't start new thread"), "Memory ran out"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "Memory ran out"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Memory ran out"),
        (OSError(errno.ENOSPC, "No space left", "/x"), "The disk could not be used: No space left (/x)"),
        (ImportError("No module named 'torch'"), BUG),
        (RuntimeError("shapes do not fit"), BUG),
        (ValueError("out of memory"), BUG),
        (ZeroDivisionError("by\nzero"), f"{BUG} (ZeroDivisionError: by zero): worker.log"),
        (SettingsError("lr takes a number"), "lr takes a number"),
    ],
)
def test_failure_is_described_in_one_sentence(error: Exception, says: str) -> None:
    assert describe_failure(error, Settings()).startswith(says)
