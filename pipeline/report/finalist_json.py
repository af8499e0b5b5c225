"""Defines a finalist as JSON values, for the report in JSON and for the locked record alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.selection.records import Finalist


def finalist_json(finalist: Finalist, seeds: Sequence[int | None]) -> dict[str, Any]:
    """Returns everything that is written about a finalist; each file picks its keys.

    Args:
        finalist: The finalist.
        seeds: The seed of each of its runs, None where that is not known.
    """
    mean = finalist.measurement
    return {
        "number": finalist.number,
        "seeds": len(finalist.runs),
        "val_ce": mean.val_ce,
        "val_accuracy": mean.val_accuracy,
        "gap_ce": mean.gap_ce,
        "gap_ce_se": mean.gap_ce_se,
        "runs": [
            {
                "seed": seed,
                "val_ce": run.measurement.val_ce if run.measurement else None,
                "val_accuracy": run.measurement.val_accuracy if run.measurement else None,
                "gap_ce": run.measurement.gap_ce if run.measurement else None,
                "mlflow_run_id": run.mlflow_run_id,
            }
            for seed, run in zip(seeds, finalist.runs, strict=True)
        ],
    }
