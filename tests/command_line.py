"""Settings and types that tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TEXT = "the quick brown fox jumps over the lazy dog.\n" * 120
TINY = ["--set", "hidden_size=12", "--num-layers", "1", "--batch-size", "4", "--seq-length", "16", "--max-steps", "40"]
TINY += ["--max-minutes", "none", "--threads", "1", "--kernel", "nn"]
"""Options of a training run that takes less than a second."""

RunCli = Callable[..., tuple[str, str]]
"""``run_cli(*words, code=0)`` runs a command, checks its exit code and returns what it wrote to stdout and stderr."""

RunJson = Callable[..., Any]
"""``run_json(*words)`` runs a command with --json and returns the parsed result."""

ErrorOf = Callable[..., str]
"""``error_of(*words)`` runs a command that must fail with exit code 1 or 2 and returns its one line on stderr."""
