"""A self-contained web page: no script, nothing loaded, readable in the dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence

from charlstm.display import as_html


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values as a table; empty for none."""
    rows = "".join(f"<tr><th>{as_html(name)}</th><td>{as_html(value)}</td></tr>" for name, value in facts)
    return f"<table class=facts>{rows}</table>" if rows else ""


def page(title: str, body: str) -> str:
    """The page with this title above ``body``, which is HTML."""
    name = as_html(title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}</title><style>{_STYLE}</style></head><body><h1>{name}</h1>{body}</body></html>\n"
    )


_STYLE = """
body{max-width:50em;margin:2em auto;padding:0 1em;font:16px/1.55 system-ui,sans-serif;color:#1b1b1b;background:#fdfdfb}
h1,h2{line-height:1.2}h2{margin:2em 0 .2em}h3{margin:1.2em 0 .3em;font-size:1em}small{color:#666;font-weight:normal}
table{border-collapse:collapse}th{text-align:left;vertical-align:top;padding:.15em 1em .15em 0;white-space:nowrap;
font-weight:600}td{padding:.15em 0}pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;
font:14px/1.6 ui-monospace,monospace}.text{border-left:3px solid #ccc;padding-left:.8em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em}dt{font-weight:600}dd{margin:0}
u{text-underline-offset:.2em}
.figures td,.figures th{padding-right:1.5em;text-align:left}
svg{width:100%;height:auto}
.multiverse text{text-anchor:middle;font-family:ui-monospace,monospace;
fill:#1b1b1b}.b0{fill:#cfdff2}.b1{fill:#e6eef8}.words li{display:inline-block;margin-right:1.2em}
.columns{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22em),1fr));gap:1.5em}
.columns pre{border-left:3px solid #ccc;padding-left:.8em}.columns b{color:#666;font-weight:normal}
body:has(.columns){max-width:90em}
@media(prefers-color-scheme:dark){body{color:#e6e6e1;background:#161616}small,.columns b{color:#aaa}
.b0{fill:#274a70}.b1{fill:#1d3853}.multiverse text{fill:#eee}}
@media print{body{max-width:none;margin:0;font-size:14px;background:#fff}pre{font-size:12px;line-height:1.45}
section,svg,tr,li{break-inside:avoid}h2,h3{break-after:avoid}h3+pre{break-inside:avoid}
span,rect{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
""".replace("\n", "")
