"""The card with the result of a run: its best loss in large figures, the time against the estimate, and a sample."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Digits, Static

from charlstm.display import visible


@dataclass(frozen=True)
class RunResult:
    """What there is to say. ``words`` come first (why it ended), then the best loss as ``figure`` and what it measures,
    then ``facts``; ``keys`` is what to press; ``state`` chooses the frame: ``good``, ``poor`` (a model that has
    learnt little), ``held`` (stopped), ``broken``."""

    title: str
    words: str = ""
    figure: str = ""
    measures: str = ""
    facts: tuple[str, ...] = ()
    prime: str = ""
    sample: str = ""
    keys: str = ""
    state: str = "good"


class ResultCard(Vertical):
    """A framed card that shows ``result``, and is hidden while there is none."""

    DEFAULT_CSS = """
    ResultCard { height: auto; max-height: 100%; padding: 0 1; border: round $success; border-title-color: $success;
              border-title-style: bold; border-subtitle-color: $foreground; }
    ResultCard.-held { border: round $accent; border-title-color: $accent; }
    ResultCard.-poor { border: round $warning; border-title-color: $warning; }
    ResultCard.-poor Digits { color: $warning; }
    ResultCard.-broken { border: round $error; border-title-color: $error; }
    ResultCard Horizontal { height: auto; }
    ResultCard Digits { width: auto; min-width: 18; color: $success; text-style: bold; }
    ResultCard.-held Digits { color: $accent; }
    ResultCard.-broken Digits { color: $quiet; }
    ResultCard .end--lines { width: 1fr; height: auto; }
    ResultCard .end--sample { height: auto; max-height: 6; margin-top: 1; color: $foreground; }
    ResultCard.-small Digits, ResultCard.-wordless Digits { display: none; }
    ResultCard.-medium .end--sample { margin-top: 0; max-height: 2; }
    ResultCard.-small .end--sample { margin-top: 0; max-height: 2; }
    """

    result: reactive[RunResult | None] = reactive(None)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Digits()
            yield Static(classes="end--lines", markup=False)
        yield Static(classes="end--sample", markup=False)

    def watch_result(self, result: RunResult | None) -> None:
        self.display = result is not None
        if result is None:
            return
        self.set_class(result.state == "held", "-held")
        self.set_class(result.state == "poor", "-poor")
        self.set_class(result.state == "broken", "-broken")
        self.border_title = Content(f" {visible(result.title)} ")
        self.border_subtitle = Content(f" {result.keys} ") if result.keys else ""
        self.query_one(Digits).update(result.figure)
        self.set_class(not result.figure, "-wordless")
        self._write()
        sample = self.query_one(".end--sample", Static)
        sample.display = bool(result.sample)
        prime, text = (visible(part).replace("\n", "↵ ") for part in (result.prime, result.sample))
        sample.update(Content.assemble((prime, "$quiet italic"), text))

    def make_small(self, medium: bool, small: bool) -> None:
        """With less of the sample; ``small``: also without the large figures, which become part of the words."""
        self.set_class(medium, "-medium")
        self.set_class(small, "-small")
        self._write()

    def _write(self) -> None:
        result = self.result
        if result is not None:
            small = self.has_class("-small") or not result.figure
            measures = f"{result.figure} {result.measures}".strip() if small else result.measures
            # What the large figure counts stands beside it.
            first = (result.words, measures) if small else (measures, result.words)
            lines = [line for line in (*first, *result.facts) if line]
            self.query_one(".end--lines", Static).update(Content("\n".join(lines)))
