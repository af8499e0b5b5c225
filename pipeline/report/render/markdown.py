"""Lays a report out as Markdown, with everything escaped that could become markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.report.content import Content, Figure, Number, Numbers, Table, Text
from pipeline.report.report import Report
from pipeline.report.sections.order import HEAD, page_of


def as_markdown(report: Report) -> str:
    """Returns the page as Markdown, with a newline at its end."""
    study = report.study
    parts = [f"# {escaped(study.dataset)}: study {escaped(study.study)}"]
    for _, content in page_of(report, "markdown"):
        parts += [f"## {escaped(content.title)}"] if content.title else []
        parts += _blocks(content)
    return "\n\n".join(part for part in parts if part) + "\n"


def as_brief_markdown(report: Report) -> str:
    """Returns the head of the page alone: who wins, how good it is, how much it overfits."""
    head = [blocks for part, content in page_of(report, "markdown") if part is HEAD
            for blocks in _blocks(content)]  # fmt: skip
    return "\n\n".join(block for block in head if block)


def _blocks(content: Content) -> Iterator[str]:
    """Yields what stands below a section's title, a paragraph, list or table each."""
    match content:
        case Text(style="headline"):
            yield from (f"**{escaped(line)}**" for line in content.lines)
        case Text(style="list"):
            yield _bullets(content.lines)
        case Numbers():
            yield _bullets(map(_number, content.entries))
            yield escaped(content.note)
        case Text(style="commands"):
            yield from (f"    {line}" for line in content.lines)
        case Text():
            yield from map(escaped, content.lines)
        case Table() if not any(content.headings):
            yield _bullets(": ".join(row) for row in content.rows)
        case Table():
            yield _table(content.headings, content.rows)
            yield escaped(content.note)
        case Figure():
            yield escaped(content.caption)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[escaped(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(columns))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _number(number: Number) -> str:
    interval = f", 95% {number.interval}" if number.interval else ""
    return f"{number.label}: {number.value}{interval}{number.remark and f': {number.remark}'}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def escaped(text: str) -> str:
    """Returns a text with every sign escaped that Markdown would take for markup."""
    # Names with underscores stay readable: inside words they have no meaning in Markdown.
    for sign in ("\\", "|", "*", "<", ">", "["):
        text = text.replace(sign, f"\\{sign}")
    return text
