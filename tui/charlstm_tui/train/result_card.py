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
    """The contents of the card. ``words`` come first (why the run ended), then the best loss as ``figure`` and its
    ``measures``, then ``facts``, then what the network wrote ``before`` its first step and the ``sample`` of the best
    model, both after ``prime``; ``keys`` is what to press; ``state`` chooses the frame: ``good``, ``poor`` (a model
    that has learnt little), ``held`` (stopped), ``broken``."""

    title: str
    words: str = ""
    figure: str = ""
    measures: str = ""
    facts: tuple[str, ...] = ()
    prime: str = ""
    before: str = ""
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
    ResultCard .end--samples { height: auto; margin-top: 1; }
    ResultCard .end--samples Static { height: auto; max-height: 6; color: $foreground; }
    ResultCard.-pair .end--samples Static { max-height: 3; }
    ResultCard.-small Digits, ResultCard.-wordless Digits { display: none; }
    ResultCard.-medium .end--samples, ResultCard.-small .end--samples { margin-top: 0; }
    ResultCard.-medium .end--samples Static, ResultCard.-small .end--samples Static { max-height: 2; }
    ResultCard.-pair.-medium .end--samples Static, ResultCard.-pair.-small .end--samples Static { max-height: 1; }
    """

    result: reactive[RunResult | None] = reactive(None)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Digits()
            yield Static(classes="end--lines", markup=False)
        with Vertical(classes="end--samples"):
            yield Static(classes="end--before", markup=False)
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
        self.set_class(bool(result.before), "-pair")
        for name, text in (("before", result.before), ("sample", result.sample)):
            part = self.query_one(f".end--{name}", Static)
            part.display = bool(text)
            label = "" if not result.before else "before  " if name == "before" else "after   "
            prime, text = (visible(each).replace("\n", "↵ ") for each in (result.prime, text))
            part.update(Content.assemble((label, "$quiet"), (prime, "$quiet italic"), text))

    def make_small(self, medium: bool, small: bool) -> None:
        """With less of the sample, and facts in few lines; ``small``: also without the large figures, which become part
        of the words."""
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
            # in few rows the facts share lines, so that the chart keeps its own
            facts = [" · ".join(result.facts)] if self.has_class("-medium") else result.facts
            lines = [line for line in (*first, *facts) if line]
            self.query_one(".end--lines", Static).update(Content("\n".join(lines)))
