"""Saves views of MLflow's run table, so that one look at an experiment answers.

In: an experiment. Out: tags of it that MLflow's page lists under *Views*: which runs, which
columns, in which order. The format is that of MLflow 3.17's page (``mlflow.sharedViewState.KEY``);
a page that does not know it shows no view, and nothing else changes. To add one: an entry in
:func:`views`.
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
"""Milliseconds since 1970; a fixed time, so that the same view is the same tag."""


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


_JUDGED = ("tags.`verdict`", "tags.`winner`", "tags.`name`")
_MEASURED = (
    "metrics.`val_ce`", "metrics.`gap_ce`", "metrics.`val_accuracy`", "metrics.`train_ce`",
    "metrics.`best_epoch`",
)  # fmt: skip
_STUDIES = (
    "tags.`dataset`", "tags.`winner`", "metrics.`test_accuracy`", "metrics.`test_ce`",
    "metrics.`test_gap_ce`", "tags.`test_reads`", "tags.`trials_total`", "attributes.`Models`",
)  # fmt: skip


def views(techniques: Sequence[str]) -> dict[str, View]:
    """Returns key -> view. The key is part of its address: ``?viewStateShareKey=KEY``.

    Args:
        techniques: The hyperparameters of techniques that have a column.
    """
    trials = (*_JUDGED, *_MEASURED, *(f"params.`{name}`" for name in ("depth", *techniques)))
    return {
        "leastoverfit1": View(
            "Trials, best first", "tags.role = 'trial'", "metrics.`val_ce`", trials
        ),
        "leastoverfit2": View(
            "Winners", "tags.winner = 'true'", "metrics.`val_ce`", ("tags.`study`", *trials)
        ),
        "leastoverfit3": View(
            "Finalists, by gap", "tags.role = 'finalist'", "metrics.`gap_ce`",
            ("tags.`finalist_of`", "tags.`seed`", "tags.`delivered`", *_MEASURED),
        ),
        "leastoverfit4": View(
            "Studies", "tags.role = 'study'", "attributes.start_time", _STUDIES
        ),
    }  # fmt: skip


def offer_views(client: MlflowClient, experiment_id: str) -> None:
    """Gives an experiment the saved views that it does not have; others are left alone."""
    known: Mapping[str, str] = client.get_experiment(experiment_id).tags
    offered = views(tried(client, experiment_id))
    wanted = {f"{VIEW_TAG}{key}": as_tag(view) for key, view in offered.items()}
    if KIND_TAG not in known:
        wanted[KIND_TAG] = KIND
    for name, value in wanted.items():
        if name == KIND_TAG or name not in known:
            client.set_experiment_tag(experiment_id, name, value)


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
        "columnWidths": {},
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    named = {"name": view.name, "createdAt": MADE_AT, "updatedAt": MADE_AT}
    return json.dumps({**named, "state": f"deflate;{packed}"})
