"""Offers searches and reports to Python: ``from pipeline import search, report, load_study``.

Keyword arguments are the options of ``pipeline search`` and ``pipeline report``, with ``_`` for
``-``; datasets are names, paths, data frames or arrays. A study is the same one on the command
line: same stores, same names, same numbers. What it cannot do raises a ``pipeline.errors`` error.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import notebook
from pipeline.arguments import report_options
from pipeline.formatting import decimal as four_decimals
from pipeline.prepared_search import PreparedSearch
from pipeline.records import StudyRecord, TestResult, TrialRecord
from pipeline.report.options import ReportOptions
from pipeline.search.space.space import values_of

if TYPE_CHECKING:
    from pipeline.report.report import Report
    from pipeline.search.progress import View

OF_BOTH = ("family", "data_dir", "ray_address", "cpus_per_worker", "gpus_per_worker")
"""Arguments of a search that its report is to be called with, as well."""
SHOWN_TRIALS = 10
"""Trials that a study shows of itself in a notebook."""


@dataclass(frozen=True, repr=False)
class StudyResult:
    """A study as it stands.

    Attributes:
        record: Everything that is recorded of it, per-example results included.
        given: What :func:`search` was called with that :meth:`report` needs, too, by its name: the
            model of your own, the folder with official files, the cluster.
    """

    record: StudyRecord
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.study

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """Its trials by number: ``config``, ``state``, ``measurement`` (``val_ce``, ``gap_ce``)."""
        return self.record.trials

    @property
    def best(self) -> TrialRecord | None:
        """The complete trial with the smallest ``val_ce``; None where there is none.

        It is what other tuners return. Which one overfits least is what :meth:`report` says.
        """
        ranked = _ranked(self.record)
        return ranked[0] if ranked else None

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row per trial, for ``pandas.DataFrame(study.rows())``: config and measures.

        ``epochs`` and ``patience`` are the limits of the trial: its own, else the study's.
        """
        space = self.record.definition.get("space") or {}
        return [_row(trial) | _limits(trial, space) for trial in self.trials]

    def report(self, **options: Any) -> ReportResult:
        """Reports on the study; the options are those of :func:`report`."""
        return report(self.name, **({**self.given} | options))

    def __repr__(self) -> str:
        best = self.best
        measured = best.measurement if best else None
        found = (
            f", best val_ce {four_decimals(measured.val_ce)} (trial {best.number})"
            if best is not None and measured is not None
            else ""
        )
        return f"<study {self.name!r} on {self.record.dataset}: {len(self.trials)} trials{found}>"

    def _repr_html_(self) -> str:
        rows = [_row(trial) for trial in _ranked(self.record)[:SHOWN_TRIALS]]
        names = ("number", "name", "val_accuracy", "val_ce", "gap_ce")
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(_cell(row[name]))}</td>" for name in names)
            + "</tr>"
            for row in rows
        )
        return (
            f"<p>{html.escape(repr(self)[1:-1])}; by val_ce:</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


@dataclass(frozen=True, repr=False)
class ReportResult:
    """A report on a study; in a notebook it shows its page.

    Attributes:
        report: Everything that its pages show.
    """

    report: Report

    @property
    def status(self) -> str:
        """``ok``, or why nothing is recommended: ``no_skill``, ``no_finite`` or ``empty``."""
        return self.report.selection.status

    @property
    def winner(self) -> TrialRecord | None:
        """The trial that overfits least among those as good as the best; None for none."""
        return self.report.winner

    @property
    def test(self) -> TestResult | None:
        """What is delivered, on the test part: ``accuracy``, ``ce``, ``gap_ce`` with intervals."""
        return self.report.test

    @property
    def model_uri(self) -> str | None:
        """Where the model is registered, for ``mlflow.pyfunc.load_model``; None for nowhere."""
        return self.report.model_uri

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``pipeline report --format json`` prints."""
        found: dict[str, Any] = json.loads(self.render("json"))
        return found

    def render(self, page: str = "text", **layout: Any) -> str:
        """Returns a page: ``text``, ``json``, ``markdown`` or ``html``.

        Args:
            page: Its format.
            layout: Of ``text``: ``width`` in characters, and ``color``.
        """
        from pipeline.report.render import render

        return render(self.report, page, **layout)

    def save(self, folder: str | Path) -> None:
        """Writes every page and picture into a folder, as ``--output`` does."""
        from pipeline.report.render.files import write_files

        write_files(self.report, Path(folder))

    def __repr__(self) -> str:
        return self.render("text")

    def _repr_html_(self) -> str:
        return notebook.framed(self.render("html"))


def made_report(
    asked: ReportOptions, note: Callable[[str], None], warn: Callable[[str], None]
) -> ReportResult:
    """Returns the report that was asked for.

    Args:
        asked: What was asked for.
        note: Takes a line about what is being done.
        warn: Takes a line that the user has to see.

    Raises:
        InputError: There is no such study or rule, or its data cannot be loaded.
    """
    from pipeline.report.run import make_report

    return ReportResult(make_report(asked, note, warn))


def search(
    dataset: Any = "digits",
    *,
    label: str | None = None,
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    text: str | None = None,
    group: str | None = None,
    order_by: str | None = None,
    split: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    classes: bool = False,
    image_size: str | tuple[int, int] | None = None,
    color: str | None = None,
    ignore: Sequence[str] = (),
    search_space: str | Path | None = None,
    family: str | None = None,
    trials: int | None = None,
    timeout: str | float | None = None,
    trial_timeout: str | float | None = None,
    max_failures: int | None = None,
    epochs: int | None = None,
    train_examples: int | None = None,
    seed: int = 0,
    study: str | None = None,
    storage: str | None = None,
    references: bool = True,
    sampler: str | None = None,
    pruner: str | None = None,
    executor: str = "processes",
    workers: int | str = 1,
    ray_address: str | None = None,
    cpus_per_worker: int | None = None,
    gpus_per_worker: float | None = None,
    cohort_size: int | None = None,
    device: str = "auto",
    precision: str = "float32",
    data_dir: str | Path | None = None,
    progress: bool = True,
) -> StudyResult:
    """Searches for the regularization that overfits least; the same call again continues.

    Args:
        dataset: A name (``pipeline datasets``), a path, a data frame (pandas, polars), a pair of
            arrays ``(x, y)``, or a mapping with the arrays of a ``.npz``. What is given in memory
            is kept as a file in ``given-data/``, which workers and later commands read.
        label: Column of a table's classes.
        drop: Columns that are left out.
        categorical: Columns whose numbers are names of categories.
        text: Column of texts.
        group: Column whose equal values stay in one part of the split.
        order_by: Column by which the split cuts.
        split: Column of the words train, validation and test.
        delimiter: Separator of columns of a text file.
        decimal: Decimal mark of a text file.
        classes: Whether targets that look like a regression's are classes nevertheless.
        image_size: Height and width that pictures are scaled to, ``(32, 32)`` or ``"32x32"``.
        color: ``grey`` or ``rgb``.
        ignore: Codes of findings about the data that are not told.
        search_space: Name or path of a search space.
        family: A Keras model of your own, ``"my_model.py:build"``; the file is run.
        trials: The study's total.
        timeout: No trial starts after this: seconds, or text such as ``"30m"``.
        trial_timeout: Longest wall time of a trial, likewise.
        max_failures: So many failures of one kind in a row stop the study.
        epochs: Largest number of epochs of a trial.
        train_examples: Training examples used.
        seed: Seed of split, sampler, initial weights and dropout.
        study: Name; None for the dataset's.
        storage: Optuna's storage; None for ``PIPELINE_STORAGE``, else ``studies.journal``.
        references: Whether the space's reference configurations are trained, too.
        sampler: ``tpe``, ``random``, ``grid`` or ``qmc``; None for the space's.
        pruner: ``percentile`` or ``none``; None for the space's.
        executor: Where trials run: ``processes``, ``inline`` for this process, or ``ray``.
        workers: Cohorts at once; ``"auto"`` for one per GPU of this machine, without any what its
            cores, its memory and the study keep busy; with Ray for what its cluster holds.
        ray_address: Ray cluster of ``executor="ray"``; None for ``RAY_ADDRESS``, else Ray here.
        cpus_per_worker: Processors of a worker on it; None for what it has for each.
        gpus_per_worker: GPUs of a worker on it, 0.25 for a quarter; None for 1 where there are any.
        cohort_size: Most trials trained together; None for what suits the study.
        device: ``auto``, ``cpu`` or ``gpu``.
        precision: ``float32`` or ``mixed_bfloat16``.
        data_dir: Folder with official dataset files; None for ``PIPELINE_DATA_DIR``.
        progress: Whether progress is shown: a bar in a notebook, lines on stderr elsewhere.
            Warnings are shown in any case.

    Returns:
        The study with every trial that ended so far.

    Raises:
        InputError: An argument, the dataset or the search space cannot be used.
        StoppedError: Ctrl-C stopped it once, in good order; the same call continues.
    """
    asked = PreparedSearch.of(locals())
    with _view(progress) as view:
        asked.run(view)
    given = {name: value for name in OF_BOTH if (value := getattr(asked.options, name)) is not None}
    return StudyResult(load_study(asked.prepared.study).record, given)


def report(
    study: str | StudyResult | None = None,
    *,
    dataset: str | Path | None = None,
    rule: str = "least_overfit",
    seeds: int | None = None,
    finalists: int | None = None,
    deliver: str | None = None,
    trial_timeout: str | float | None = None,
    workers: int | str = 1,
    data_dir: str | Path | None = None,
    family: str | None = None,
    ray_address: str | None = None,
    cpus_per_worker: int | None = None,
    gpus_per_worker: float | None = None,
    read_test_again: bool = False,
    promote: bool = False,
    progress: bool = True,
    **constants: float,
) -> ReportResult:
    """Chooses the model that overfits least; the first report locks the choice and reads the test.

    Args:
        study: The study or its name; None for the newest (of the dataset).
        dataset: Report on the newest study of this dataset.
        rule: Selection rule.
        seeds: Seeds per finalist; 1 trains none. None for 3, or as locked.
        finalists: Most trials that are trained again; None for 5, or as locked.
        deliver: ``ensemble``, the mean of the winner's seeds in one model, or ``single``, its best
            seed; None for ``ensemble``, or as locked.
        trial_timeout: Longest wall time of a finalist's training: seconds, or ``"10m"``.
        workers: Cohorts of finalists at once, or ``"auto"``, as in :func:`search`.
        data_dir: Folder with official dataset files; None for ``PIPELINE_DATA_DIR``.
        family: The Keras model of your own that the study trained, ``"my_model.py:build"``; its
            first report runs the file.
        ray_address: Ray cluster that trains finalists of a study that was searched with Ray.
        cpus_per_worker: Processors of a worker on it.
        gpus_per_worker: GPUs of a worker on it.
        read_test_again: Lock the selection anew and read the test part once more; it is counted.
        promote: Make the model the champion even where it is worse than the one before.
        progress: Whether lines about what is being done are shown.
        constants: Constants of the rule: ``k``, ``tau``, ``tau_accuracy``, ``alpha``, ...

    Returns:
        The report; in a notebook it shows its page.

    Raises:
        InputError: There is no such study or rule, or its data cannot be loaded.
    """
    study = study.name if isinstance(study, StudyResult) else study
    asked = report_options(locals())
    with _view(progress) as view:
        return made_report(asked, view.note, view.warn)


def load_study(study: str | None = None, *, dataset: str | None = None) -> StudyResult:
    """Returns a study that MLflow holds.

    Args:
        study: Its name; None for the newest (of the dataset).
        dataset: The newest study of this dataset.

    Raises:
        InputError: There is none; the message lists those that exist.
    """
    from pipeline import tracking

    return StudyResult(tracking.connect().read_study(study=study, dataset=dataset))


@contextmanager
def _view(progress: bool) -> Iterator[View]:
    """Yields what shows the progress: a notebook's bar, a terminal's view, or warnings alone."""
    from rich.console import Console

    from pipeline.library_messages import QUIET
    from pipeline.search.progress import PlainView, open_view

    display: Callable[..., Any] | None = notebook.display_of()
    if not progress:
        yield PlainView(Console(stderr=True), QUIET)
    elif display is not None:
        yield notebook.NotebookView(display)
    else:
        with open_view(Console(stderr=True)) as view:
            yield view


def _ranked(record: StudyRecord) -> list[TrialRecord]:
    measured = [t for t in record.trials if t.state == "COMPLETE" and t.measurement is not None]
    return sorted(measured, key=lambda trial: trial.measurement.val_ce)  # type: ignore[union-attr]


def _row(trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial's number, name and state, its hyperparameters and its measures."""
    row: dict[str, Any] = {"number": trial.number, "name": trial.name, "state": trial.state}
    row |= values_of(trial.config)
    for name in ("val_accuracy", "val_ce", "train_ce", "gap_ce", "gap_ce_se", "best_epoch"):
        row[name] = getattr(trial.measurement, name, None)
    return row


def _limits(trial: TrialRecord, space: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: space[name] for name in ("epochs", "patience") if name in space}
    return {name: trial.config.limit(name, int(value)) for name, value in given.items()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return four_decimals(value) if isinstance(value, float) else str(value)
