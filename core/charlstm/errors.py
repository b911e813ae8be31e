"""The one family of errors that a user can cause.

Each carries a single sentence that says what happened and what to do. The command line prints it and exits 2; the
app shows it where it happened. Anything else that reaches a person is a bug.
"""

from __future__ import annotations

from charlstm.display import visible

LONGEST = 600
"""Characters of a sentence; of what is longer, because it quotes somebody's file, the middle is left out."""


class CharLSTMError(Exception):
    """Something the user can put right. ``str(error)`` is one plain sentence for them: whatever it quotes, it is one
    line of bounded length that does nothing to a terminal."""

    def __init__(self, sentence: str) -> None:
        if len(sentence) > LONGEST:
            sentence = f"{sentence[: LONGEST * 2 // 3]} … {sentence[-LONGEST // 3 :]}"
        super().__init__(visible(sentence, keep=""))


class TextError(CharLSTMError):
    """A corpus cannot be read or is no text to learn from."""


class ModelError(CharLSTMError):
    """A model or state file is missing, damaged, foreign or of a newer format."""


class SettingsError(CharLSTMError):
    """A setting has a name or a value that is not accepted."""


class RunError(CharLSTMError):
    """A run cannot be made, found, controlled, resumed or removed."""


class GenerationError(CharLSTMError):
    """A sampler setting or a session operation makes no sense."""
