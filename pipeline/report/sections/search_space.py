"""Warns of a winner at an edge of the search space."""

from __future__ import annotations

from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.place import Place
from pipeline.report.report import Report


def warnings(report: Report) -> list[str]:
    """Returns a sentence for each edge that the winner lies at, with what to do about it."""
    return [_edge_warning(place) for place in evidence_of(report).places if place.edge]


def _edge_warning(place: Place) -> str:
    end, verb = ("smallest", "lower") if place.edge == "low" else ("largest", "raise")
    limit = place.low if place.edge == "low" else place.high
    where = "beyond" if not 0 <= (place.position or 0.0) <= 1 else "at the edge of"
    return (
        f"The winner's {place.name} ({place.value:.4g}) lies {where} the search space, whose {end} "
        f"value is {limit:.4g}: better ones may lie outside. {verb.capitalize()} the limit and "
        "search again."
    )
