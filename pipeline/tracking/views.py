"""Saves views of MLflow's run table and charts, so that one look at an experiment answers.

In: an experiment. Out: tags of it that MLflow's page lists under *Views*: which runs, which
columns, in which order, and which charts. The format is that of MLflow 3.17's page
(``mlflow.sharedViewState.KEY``); a page that does not know it shows no view, and nothing else
changes. To add one: an entry in :func:`views`.

The columns of a page without a view, and whether it opens on traces or on runs, are kept by each
browser: no tag of a store changes them. So :func:`link` leads to a view, and the experiment's
description holds such links (``description``).
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from pipeline.tracking.queries import KIND, KIND_TAG
from pipeline.training.techniques import further_hyperparameters, of_techniques

VIEW_TAG = "mlflow.sharedViewState."
MADE_AT = 1_767_225_600_000
"""Milliseconds since 1970; a fixed time, so that the same view is the same tag. A view that a user
changed has another one."""
TRIALS_VIEW, WINNERS_VIEW, FINALISTS_VIEW, STUDIES_VIEW = (
    f"leastoverfit{number}" for number in range(1, 5)
)
CHARTS_SECTION = "Overfitting"
_WIDTHS = {"attributes.`Run Name`": 210, "attributes.`Created`": 120}
_WIDTH = 95
"""Pixels: of columns, so that those which answer fit beside MLflow's own."""


@dataclass(frozen=True)
class View:
    """A view of an experiment's runs.

    Attributes:
        name: What the page lists it as.
        filter: In MLflow's filter language.
        order_by: Column, ascending.
        columns: In their order, besides name and time.
    """

    name: str
    filter: str
    order_by: str
    columns: tuple[str, ...]


_OF_STUDY = ("tags.`study`", "tags.`dataset`")
_MEASURED = (
    "metrics.`val_ce`", "metrics.`gap_ce`", "metrics.`val_accuracy`", "metrics.`train_ce`",
    "metrics.`best_epoch`",
)  # fmt: skip
_JUDGED = ("tags.`verdict`", "tags.`winner`", "tags.`name`")
_STUDIES = (
    "metrics.`val_ce`", "metrics.`gap_ce`", "metrics.`val_accuracy`", "metrics.`test_accuracy`",
    "metrics.`test_gap_ce`", "tags.`dataset`", "tags.`winner`", "tags.`best_validation`",
    "tags.`test_reads`", "tags.`trials_total`", "attributes.`Models`",
)  # fmt: skip


def views(techniques: Sequence[str]) -> dict[str, View]:
    """Returns key -> view. The key is part of its address: ``?viewStateShareKey=KEY``.

    MLflow groups columns: metrics stand first, then params, then tags.

    Args:
        techniques: The hyperparameters of techniques that have a column.
    """
    params = tuple(f"params.`{name}`" for name in ("depth", *techniques))
    trials = (*_MEASURED, *_JUDGED, *_OF_STUDY, *params)
    return {
        TRIALS_VIEW: View("Trials, best first", "tags.role = 'trial'", "metrics.`val_ce`", trials),
        WINNERS_VIEW: View("Winners", "tags.winner = 'true'", "metrics.`val_ce`", trials),
        FINALISTS_VIEW: View(
            "Finalists, by gap", "tags.role = 'finalist'", "metrics.`gap_ce`",
            (*_MEASURED, "tags.`trial`", "tags.`seed`", "tags.`delivered`", *_OF_STUDY),
        ),
        STUDIES_VIEW: View("Studies", "tags.role = 'study'", "attributes.start_time", _STUDIES),
    }  # fmt: skip


def link(experiment_id: str, view: str = TRIALS_VIEW, *, charts: bool = False) -> str:
    """Returns the address of an experiment's page in a view, behind the address of MLflow's page.

    A new browser shows an experiment as one of traces, without runs; the address says otherwise.
    """
    mode = "&compareRunsMode=CHART" if charts else ""
    return (
        f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        f"&viewStateShareKey={view}{mode}"
    )


def offer_views(client: MlflowClient, experiment_id: str) -> None:
    """Gives an experiment the saved views that it lacks or has of an older version.

    What a user made of one is left alone.
    """
    known: Mapping[str, str] = client.get_experiment(experiment_id).tags
    offered = views(tried(client, experiment_id))
    wanted = {f"{VIEW_TAG}{key}": as_tag(view) for key, view in offered.items()}
    if KIND_TAG not in known:
        wanted[KIND_TAG] = KIND
    for name, value in wanted.items():
        if known.get(name) != value and (name == KIND_TAG or _is_ours(known.get(name))):
            client.set_experiment_tag(experiment_id, name, value)


def _is_ours(tag: str | None) -> bool:
    """Whether a view is not there, or is as a version of this program wrote it."""
    if tag is None:
        return True
    try:
        return bool(json.loads(tag)["updatedAt"] == MADE_AT)
    except (ValueError, KeyError, TypeError):
        return False


def tried(client: MlflowClient, experiment_id: str) -> list[str]:
    """Returns the hyperparameters of techniques, in order, of which some run has a param."""
    further = further_hyperparameters()
    return [
        name
        for name in of_techniques()
        if name not in further
        or client.search_runs([experiment_id], f"params.`{name}` LIKE '%'", max_results=1)
    ]


def as_tag(view: View) -> str:
    """Returns a view as the text of its tag: JSON around compressed JSON."""
    state: dict[str, Any] = {
        "searchFilter": view.filter,
        "orderByKey": view.order_by,
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(view.columns),
        "columnOrder": list(view.columns),
        "columnWidths": _WIDTHS | dict.fromkeys(view.columns, _WIDTH),
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": False,
        "runListHidden": True,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "compareRunSections": [_section()],
        "compareRunCharts": charts(),
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    named = {"name": view.name, "createdAt": MADE_AT, "updatedAt": MADE_AT}
    return json.dumps({**named, "state": f"deflate;{packed}"})


def _section() -> dict[str, Any]:
    return {
        "uuid": "overfitting", "name": CHARTS_SECTION, "display": True, "isReordered": True,
        "deleted": False, "isGenerated": False, "columns": 2,
    }  # fmt: skip


def charts() -> list[dict[str, Any]]:
    """Returns the charts of a view that answer which model overfits least; MLflow adds its own."""
    both = ["epoch/val_ce", "epoch/train_ce"]
    return [
        _chart(
            "SCATTER", "gap against quality", runsCountToCompare=100,
            xaxis={"key": "val_ce", "type": "METRIC"}, yaxis={"key": "gap_ce", "type": "METRIC"},
        ),
        _line("validation and training cross-entropy", both),
        _line("gap per epoch", ["epoch/gap_ce"]),
        _chart("BAR", "gap_ce", metricKey="gap_ce", runsCountToCompare=20),
        _chart("BAR", "val_accuracy", metricKey="val_accuracy", runsCountToCompare=20),
    ]  # fmt: skip


def _line(title: str, metrics: list[str]) -> dict[str, Any]:
    return _chart(
        "LINE", title, metricKey=metrics[0], selectedMetricKeys=metrics, lineSmoothness=0,
        xAxisKey="step", selectedXAxisMetricKey="", xAxisScaleType="linear", scaleType="linear",
        range={}, yAxisKey="metric", yAxisExpressions=[], ignoreOutliers=False,
        useGlobalXaxisKey=True, useGlobalLineSmoothing=True, runsCountToCompare=10,
    )  # fmt: skip


def _chart(kind: str, title: str, **settings: Any) -> dict[str, Any]:
    return {
        "uuid": title.replace(" ", "-"), "type": kind, "displayName": title, "deleted": False,
        "metricSectionId": _section()["uuid"], "isGenerated": False, **settings,
    }  # fmt: skip
