"""Completion in bash, in which a completed name is one word: zsh and fish quote what they are given, bash does not."""

from __future__ import annotations

import os
import re
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from charlstm.display import shell_word


class QuotedBashComplete(BashComplete):
    """click's, with names quoted, and not split or expanded by its script."""

    source_template = BashComplete.source_template.replace("COMPREPLY+=($value)", 'COMPREPLY+=("$value")').replace(
        "read type value", "read -r type value"
    )

    def format_completion(self, item: CompletionItem[Any]) -> str:
        if item.type != "plain":
            return f"{item.type},{item.value}"
        words, place = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
        if place < len(words) and words[place].startswith('"'):  # bash keeps that, and puts one at the end
            return f"plain,{_in_double_quotes(item.value)}"
        return f"plain,{shell_word(item.value)}"


def register() -> None:
    """Let click use it."""
    add_completion_class(QuotedBashComplete)


def _in_double_quotes(text: str) -> str:
    """``text`` as it is typed there; a ``!``, which would recall an earlier command, stands outside."""
    return re.sub(r'["$`\\]', r"\\\g<0>", text).replace("!", "\"'!'\"")
