"""The report as Markdown: the sentences and tables of the terminal, escaped.

A :class:`Report` in, a string out; nothing is measured or worded here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.report.configurations import varying_keys
from pipeline.report.report import COLUMNS, Report, cells, listed
from pipeline.report.sections import wording
from pipeline.report.sections.layout import legend, more, sections, summary, tables


def as_markdown(report: Report) -> str:
    """Returns the page as Markdown, with a newline at its end."""
    study, keys = report.study, varying_keys(report.study)
    parts = [f"# {_escaped(study.dataset)}: study {_escaped(study.study)}"]
    parts.append(f"**{_escaped(wording.headline(report))}**")
    parts += [*map(_escaped, wording.status_lines(report)), _bullets(summary(report))]
    trials = listed(report)
    if trials:
        rows = [cells(report, trial, keys) for trial in trials]
        note = legend(report).replace(">", r"\>") + more(report, trials)
        parts += ["## Trials", _table(COLUMNS, rows), note]
    for table in tables(report):
        parts += [f"## {table.title}", _table(table.columns, table.rows), _escaped(table.note)]
    for title, lines in sections(report):
        parts += [f"## {title}", _bullets(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[_escaped(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(columns))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    # Names with underscores stay readable: inside words they have no meaning in Markdown.
    for sign in ("\\", "|", "*", "<", ">", "["):
        text = text.replace(sign, f"\\{sign}")
    return text
