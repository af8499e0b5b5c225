"""Lays a report out as Markdown, with everything escaped that could become markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.report.content import Content, Figure, Number, Numbers, Table, Text
from pipeline.report.report import Report
from pipeline.report.sections.order import page_of


def as_markdown(report: Report) -> str:
    """Returns the page as Markdown, with a newline at its end."""
    study = report.study
    parts = [f"# {_escaped(study.dataset)}: study {_escaped(study.study)}"]
    for _, content in page_of(report, "markdown"):
        parts += [f"## {_escaped(content.title)}"] if content.title else []
        parts += _blocks(content)
    return "\n\n".join(part for part in parts if part) + "\n"


def _blocks(content: Content) -> Iterator[str]:
    """Yields what stands below a section's title, a paragraph, list or table each."""
    match content:
        case Text(style="headline"):
            yield from (f"**{_escaped(line)}**" for line in content.lines)
        case Text(style="list"):
            yield _bullets(content.lines)
        case Numbers():
            yield _bullets(map(_number, content.entries))
            yield _escaped(content.note)
        case Text(style="commands"):
            yield from (f"    {line}" for line in content.lines)
        case Text():
            yield from map(_escaped, content.lines)
        case Table() if not any(content.headings):
            yield _bullets(": ".join(row) for row in content.rows)
        case Table():
            yield _table(content.headings, content.rows)
            yield _escaped(content.note)
        case Figure():
            yield _escaped(content.caption)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[_escaped(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(columns))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _number(number: Number) -> str:
    interval = f", 95% {number.interval}" if number.interval else ""
    return f"{number.label}: {number.value}{interval}{number.remark and f': {number.remark}'}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    # Names with underscores stay readable: inside words they have no meaning in Markdown.
    for sign in ("\\", "|", "*", "<", ">", "["):
        text = text.replace(sign, f"\\{sign}")
    return text
