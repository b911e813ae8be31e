"""What a screen copies when nothing is selected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Copyable:
    """A text to copy, and what it is, for the sentence that it was copied: ``the branch``."""

    name: str
    text: str
