"""What tests of the command line share: a tiny text and settings, and the types of ways to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TEXT = "the quick brown fox jumps over the lazy dog.\n" * 120
TINY = ["--set", "hidden_size=12", "--num-layers", "1", "--batch-size", "4", "--seq-length", "16", "--max-steps", "40"]
TINY += ["--max-minutes", "none", "--threads", "1", "--kernel", "nn"]

Said = Callable[..., tuple[str, str]]
Answer = Callable[..., Any]
Refused = Callable[..., str]
