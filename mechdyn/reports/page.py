"""A report as one page that works offline and prints, and as Markdown."""

import html
from collections.abc import Iterator, Sequence
from itertools import count

from rich.table import Table

from mechdyn.reports.sections import Report, Section
from mechdyn.reports.tables import markdown_text, plain, table_html, table_markdown
from mechdyn.views.page import document, drawn

NOT_RUN = "What was not run"
MADE = "What made this"

_STYLE = """
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0; }
th, td { text-align: left; font-weight: 400; padding: 3px 10px 3px 0; border-bottom: 1px solid #d5dae2; vertical-align: top; }
thead th { font-weight: 600; border-bottom: 2px solid #5a6475; vertical-align: bottom; }
td, thead th:not(:first-child) { white-space: nowrap; }
.made td { white-space: normal; overflow-wrap: anywhere; }
tbody th { min-width: 9em; }
th.number, td.number { text-align: right; }
#verdicts td:nth-of-type(4) { font-weight: 600; }
p.caption { color: #5a6475; margin: 2px 0 12px; }
pre { background: #f1f2f4; padding: 8px 10px; overflow-x: auto; margin: 4px 0 12px; font-size: 14px; }
nav ol, ul { padding-left: 22px; }
ul.remarks li { overflow-wrap: anywhere; }
section { margin-top: 28px; }
h3 { font-size: 15px; margin: 16px 0 4px; }
@media print {
  nav { display: none; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  .view { overflow: visible; }
  pre { white-space: pre-wrap; }
  td, thead th:not(:first-child) { white-space: normal; }
  h2, h3, caption { break-after: avoid; }
  .figure, tr { break-inside: avoid; }
}
"""
# Figures take the paper's width when the page is printed.
_PRINT = """<script>
const fit = printing => {
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const box = plot.closest(".view > div");
    if (printing) box.dataset.least = box.style.minWidth;
    box.style.minWidth = printing ? "0" : box.dataset.least;
    Plotly.Plots.resize(plot);
  }
};
addEventListener("beforeprint", () => fit(true));
addEventListener("afterprint", () => fit(false));
</script>"""


def report_html(report: Report) -> str:
    """The page: verdicts, contents, a section for each table and figure, what was not run, what made it."""
    contents = [*(section.heading for section in report.sections), NOT_RUN, MADE]
    links = "\n".join(f'<li><a href="#part-{index}">{html.escape(name)}</a></li>' for index, name in enumerate(contents))
    numbers = count()
    closing = [(NOT_RUN, (report.missing,)), (MADE, report.manifests)]
    parts = [
        f'<section id="verdicts">{table_html(plain(report.verdicts))}</section>',
        f'<nav aria-label="contents"><ol>\n{links}\n</ol></nav>',
        *(_section_html(f"part-{index}", section, numbers) for index, section in enumerate(report.sections)),
        *(_tables_html(f"part-{index}", *part) for index, part in enumerate(closing, start=len(report.sections))),
    ]
    return document("<main>\n" + "\n".join(parts) + f"\n</main>\n{_PRINT}", report.title, style=_STYLE)


def report_markdown(report: Report, page: str) -> str:
    """The same in Markdown; figures are links into `page`, the name of the HTML file beside it."""
    numbers = count()
    parts = [
        f"# {markdown_text(report.title)}",
        table_markdown(plain(report.verdicts)),
        *(_section_markdown(section, page, numbers) for section in report.sections),
        f"## {NOT_RUN}",
        table_markdown(plain(report.missing)),
        f"## {MADE}",
        *(table_markdown(plain(each)) for each in report.manifests),
    ]
    return "\n\n".join(parts) + "\n"


def _section_html(name: str, section: Section, numbers: Iterator[int]) -> str:
    remarks = "\n".join(f"<li>{html.escape(remark)}</li>" for remark in section.remarks)
    figures = (
        f'<div class="figure" id="view-{index}"><h3>{html.escape(title)}</h3>\n{drawn(index, figure)}</div>'
        for (title, figure), index in zip(section.figures.items(), numbers, strict=False)
    )
    parts = [
        f'<section id="{name}"><h2>{html.escape(section.heading)}</h2>',
        f"<pre>{html.escape(section.command)}</pre>",
        *(table_html(plain(each)) for each in section.tables),
        f'<ul class="remarks">\n{remarks}\n</ul>' if remarks else "",
        *figures,
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _tables_html(name: str, heading: str, tables: Sequence[Table]) -> str:
    drawn_tables = "\n".join(table_html(plain(each)) for each in tables)
    return f'<section id="{name}" class="made"><h2>{heading}</h2>\n{drawn_tables}</section>'


def _section_markdown(section: Section, page: str, numbers: Iterator[int]) -> str:
    links = [f"[{markdown_text(title)}]({page}#view-{index})" for title, index in zip(section.figures, numbers, strict=False)]
    parts = [
        f"## {markdown_text(section.heading)}",
        f"    {section.command}",
        *(table_markdown(plain(each)) for each in section.tables),
        "\n".join(f"- {markdown_text(remark.strip())}" for remark in section.remarks),
        f"Figures: {', '.join(links)}" if links else "",
    ]
    return "\n\n".join(part for part in parts if part)
