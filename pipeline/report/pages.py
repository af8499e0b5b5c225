"""The report as JSON, as text for a terminal, and as Markdown.

A :class:`Report` in, a page out. ``as_json`` is the contract for programs (stable keys, full
precision); text and Markdown show the same sentences (``wording``) and table (``rows``), text
within 100 columns. Nothing is measured here. A new format is one more function over a Report.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.errors import InputError
from pipeline.records import TestResult, TrialRecord
from pipeline.report import wording
from pipeline.report.rows import COLUMNS, Report, cells, differing_keys, listed

WIDTH = 100
"""Columns of the text page."""

GAP = 2
"""Blanks between two columns of the table."""

CONFIGURATION = COLUMNS.index("configuration")
"""The one column of the table that is cut, to what the others leave."""

LEGEND = "> winner, b best validation cross-entropy; cross-entropies (CE) and gaps in nats"

_MEASURES = (
    "val_ce",
    "val_accuracy",
    "train_ce",
    "train_accuracy",
    "gap_ce",
    "gap_ce_se",
    "gap_accuracy",
    "penalty",
    "best_epoch",
    "epochs",
    "num_parameters",
)

_TEST = (
    "ce",
    "ce_low",
    "ce_high",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "gap_ce",
    "gap_ce_low",
    "gap_ce_high",
    "reads",
)

# A terminal of any encoding shows it: a line under the head, one between sections, nothing else.
_PLAIN_BOX = Box("    \n    \n -- \n    \n -- \n    \n    \n    \n", ascii=True)


def as_json(report: Report) -> dict[str, Any]:
    """Returns the page for programs: JSON values only, keys in a fixed order, full precision.

    Numbers are the records' own; one that is not finite becomes None.
    """
    study, selection = report.study, report.selection
    rule = ("name", "k", "tau", "tau_accuracy", "alpha", "seeds", "finalists")
    trials = sorted(study.trials, key=lambda trial: trial.number)
    return {
        "status": selection.status,
        "dataset": study.dataset,
        "study": study.study,
        "split_id": study.split_id,
        "rule": {name: _plain(getattr(selection.rule, name)) for name in rule},
        "winner": selection.winner,
        "reference": selection.reference,
        "eligible": [int(number) for number in selection.eligible],
        "trials": [_trial_json(report, trial) for trial in trials],
        "test": _test_json(report.test),
        "model_uri": report.model_uri,
        "notes": list(selection.notes),
    }


def as_text(report: Report, color: bool = False) -> str:
    """Returns the page for a terminal, at most 100 columns wide, with a newline at its end.

    Args:
        report: What to show.
        color: Whether to use bold type and colors (a terminal that can).
    """
    console = Console(
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        for part in _text_parts(report):
            console.print(part)
    lines = (line.rstrip() for line in captured.get().splitlines())
    return "\n".join(lines).rstrip() + "\n"


def as_markdown(report: Report) -> str:
    """Returns the page as Markdown, with a newline at its end."""
    study, keys = report.study, differing_keys(report.study)
    parts = [f"# {_escaped(study.dataset)}: study {_escaped(study.study)}"]
    parts.append(f"**{_escaped(wording.headline(report))}**")
    parts += [*map(_escaped, wording.status_lines(report)), _bullets(_summary(report))]
    trials = listed(report)
    if trials:
        rows = [cells(report, trial, keys) for trial in trials]
        note = LEGEND.replace(">", r"\>") + _more(report, trials)
        parts += ["## Trials", _markdown_table(COLUMNS, rows), note]
    for title, lines in _sections(report):
        parts += [f"## {title}", _bullets(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def render(report: Report, page: str, color: bool = False) -> str:
    """Returns a page by its name: ``text``, ``json`` or ``markdown``."""
    if page == "json":
        return json.dumps(as_json(report), indent=2) + "\n"
    return as_markdown(report) if page == "markdown" else as_text(report, color)


def write(report: Report, folder: Path) -> None:
    """Writes ``report.txt``, ``report.json`` and ``report.md`` into a folder, made if missing.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for page, ending in (("text", "txt"), ("json", "json"), ("markdown", "md")):
            (folder / f"report.{ending}").write_text(render(report, page), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--output {folder}: cannot be written ({error.strerror}); give another folder"
        ) from error


def _text_parts(report: Report) -> Iterable[RenderableType]:
    yield Text(wording.headline(report), style="bold")
    for line in wording.status_lines(report):
        yield Text(line, style="yellow")
    for line in _summary(report):
        yield Padding(Text(line), (0, 0, 0, 2))
    trials = listed(report)
    if trials:
        yield Padding(_text_table(report, trials), (1, 0, 0, 0))
        yield Text(LEGEND + _more(report, trials), style="dim")
    for title, lines in _sections(report):
        yield Text(f"\n{title}", style="bold")
        for line in lines:
            item = Table.grid(padding=(0, 1))
            item.add_row(Text("-"), Text(line))
            yield item


def _summary(report: Report) -> list[str]:
    """The lines below the headline."""
    lines = [*wording.winner_lines(report), wording.rule_line(report)]
    if report.model_uri:
        lines.append(f"Model: {report.model_uri}")
    return lines + [f"{label}: {value}" for label, value in report.extras.items()]


def _sections(report: Report) -> list[tuple[str, list[str]]]:
    selection = report.selection
    title = "Why not" if selection.winner is None else "Why not the others"
    # Where the rule found nothing, its notes are the explanation further up.
    notes = [] if selection.status == "empty" else list(selection.notes)
    sections = [(title, wording.reasons(report)), ("Notes", notes)]
    return [(title, lines) for title, lines in sections if lines]


def _text_table(report: Report, trials: Sequence[TrialRecord]) -> Table:
    keys, eligible = differing_keys(report.study), set(report.selection.eligible)
    table = Table(box=_PLAIN_BOX, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(COLUMNS):
        words = place in (0, 2, 3)
        table.add_column(column, justify="left" if words else "right", no_wrap=True)
    rows = [list(cells(report, trial, keys)) for trial in trials]
    others = [place for place in range(len(COLUMNS)) if place != CONFIGURATION]
    taken = sum(max(len(row[place]) + GAP for row in (COLUMNS, *rows)) for place in others)
    for place, (trial, row) in enumerate(zip(trials, rows, strict=True)):
        row[CONFIGURATION] = _cut(row[CONFIGURATION], WIDTH - taken)
        following = trials[place + 1].number if place + 1 < len(trials) else None
        last = trial.number in eligible and following is not None and following not in eligible
        won = trial.number == report.selection.winner
        table.add_row(*map(Text, row), end_section=last, style="bold green" if won else None)
    return table


def _more(report: Report, shown: Sequence[TrialRecord]) -> str:
    rest = len(report.study.trials) - len(shown)
    return f"; ... {rest} more" if rest else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip(" ,") + "..."


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
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


def _trial_json(report: Report, trial: TrialRecord) -> dict[str, Any]:
    measured = trial.measurement
    return {
        "number": trial.number,
        "state": trial.state,
        "name": trial.name,
        "config": {key: _plain(value) for key, value in trial.config.as_dict().items()},
        **{name: _plain(getattr(measured, name, None)) for name in _MEASURES},
        "seconds": _plain(trial.seconds),
        "verdict": report.selection.verdicts.get(trial.number),
        "diverged": bool(measured.diverged) if measured else None,
        "excluded_because": report.selection.excluded.get(trial.number),
        "mlflow_run_id": trial.mlflow_run_id,
    }


def _test_json(test: TestResult | None) -> dict[str, Any] | None:
    return None if test is None else {name: _plain(getattr(test, name)) for name in _TEST}


def _plain(value: Any) -> Any:
    """A JSON value: numpy's numbers become Python's, those that are not finite None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
