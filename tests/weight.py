"""Print how large the project is: lines of code of the product and of its tests, and words of its documents.

    python tests/weight.py

A line of code has something else than a comment or a docstring. Nothing fails by these figures: they show what a change
adds.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION_0_3 = {"lines of product": 45_589, "of tests": 43_164, "words of documents": 56_022}
"""At c18c0465."""
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(source: str) -> int:
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno or 0
            lines[first:last] = [""] * (last - first)
    return sum(not line.lstrip().startswith("#") for line in lines if line.strip())


def texts(pattern: str, *folders: str) -> Iterator[str]:
    for folder in folders:
        yield from (path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).glob(pattern)))


def weight() -> dict[str, int]:
    markdown = [*texts("*.md", ".", "docs", "checkpoints"), *texts("**/*.md", "tests")]
    return {
        "lines of product": sum(map(code_lines, texts("**/*.py", "core", "tui"))),
        "of tests": sum(map(code_lines, texts("**/*.py", "tests"))),
        "words of documents": sum(len(text.split()) for text in markdown),
    }


if __name__ == "__main__":
    print(", ".join(f"{count:,} {what} (0.3: {VERSION_0_3[what]:,})" for what, count in weight().items()))
