"""Shell completion in bash: quote completed names, and complete KEY=VALUE as one word.

zsh and fish need neither: they quote names themselves and do not split words at "=".
"""

from __future__ import annotations

import os
import re
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from charlstm.display import shell_word


class QuotedBashComplete(BashComplete):
    """click's completion for bash with three changes.

    Names are quoted. Its script neither splits nor expands them. Words that bash has split at "=" are joined again, and
    no space follows a completion that ends in "=".
    """

    source_template = (
        BashComplete.source_template.replace("COMPREPLY+=($value)", 'COMPREPLY+=("$value")')
        .replace("read type value", "read -r type value")
        .replace("    return 0", '    [[ "${COMPREPLY[*]}" == *= ]] && compopt -o nospace\n\n    return 0')
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        after_equals = False
        for word in (*args, incomplete):
            if words and (after_equals or word == "="):
                words[-1] += word
            else:
                words.append(word)
            after_equals = word == "="
        self._is_joined = len(words) <= len(args)
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        if item.type != "plain":
            return f"{item.type},{item.value}"
        value = item.value.rpartition("=")[2] if self._is_joined else item.value  # bash replaces what follows the "="
        words, index = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
        if index < len(words) and words[index].startswith('"'):  # bash keeps that quote, and adds one at the end
            return f"plain,{_in_double_quotes(value)}"
        return f"plain,{shell_word(value)}"


def register() -> None:
    """Make click use it."""
    add_completion_class(QuotedBashComplete)


def _in_double_quotes(text: str) -> str:
    """``text`` as it is written between double quotes; a ``!``, which would recall a command, is put outside."""
    return re.sub(r'["$`\\]', r"\\\g<0>", text).replace("!", "\"'!'\"")
