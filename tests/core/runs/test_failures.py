from __future__ import annotations

import errno

import pytest

from charlstm.errors import SettingsError, is_out_of_memory
from charlstm.runs.failures import describe_failure
from charlstm.training.settings import Settings


@pytest.mark.parametrize(
    ("error", "out_of_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), True),
        (RuntimeError("could not create a memory object"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ImportError("No module named 'torch'"), False),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error: Exception, out_of_memory: bool) -> None:
    assert is_out_of_memory(error) == out_of_memory
    said = describe_failure(error, Settings())
    assert ("Memory ran out" in said) == out_of_memory


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "Memory ran out: reduce batch_size (it is 32), seq_length (64) or hidden_size (512)"),
        (SettingsError("lr takes a number"), "lr takes a number"),
        (ZeroDivisionError("by\nzero"), "The program has a bug (ZeroDivisionError: by zero): worker.log"),
        (OSError(errno.ENOSPC, "No space left", "/x"), "The disk could not be used: No space left (/x)"),
    ],
)
def test_failure_is_described_in_one_sentence(error: Exception, says: str) -> None:
    assert describe_failure(error, Settings()).startswith(says)
