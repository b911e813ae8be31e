"""Completion in bash, in which a completed name is one word: zsh and fish quote what they are given, bash does not."""

from __future__ import annotations

from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from charlstm.text.visible import shell_word


class QuotedBashComplete(BashComplete):
    """click's, with names quoted, and not split or expanded by its script."""

    source_template = BashComplete.source_template.replace("COMPREPLY+=($value)", 'COMPREPLY+=("$value")').replace(
        "read type value", "read -r type value"
    )

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{shell_word(item.value) if item.type == 'plain' else item.value}"


def register() -> None:
    """Let click use it."""
    add_completion_class(QuotedBashComplete)
