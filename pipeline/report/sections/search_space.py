"""Shows where the winner lies in the search space, and warns of an edge of it."""

from __future__ import annotations

from pipeline.formatting import MISSING, percent
from pipeline.report.content import Column, Table, tabulate
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.place import Place
from pipeline.report.report import Report


def table(report: Report) -> Table | None:
    """Returns the winner's place in each searched range; None without a winner or a range."""
    found = evidence_of(report).places
    if not found:
        return None
    return tabulate("The winner's place in the search space", COLUMNS, found)


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


COLUMNS: tuple[Column[Place], ...] = (
    Column("hyperparameter", lambda place: place.name, align="left"),
    Column("winner", lambda place: f"{place.value:.4g}" if place.value is not None else "off"),
    Column(
        "searched",
        lambda place: f"{place.low:.4g} to {place.high:.4g}{', log' if place.log else ''}",
    ),
    Column(
        "position",
        lambda place: percent(place.position) if place.position is not None else MISSING,
    ),
    Column("edge", lambda place: f"at its {place.edge} end" if place.edge else "", align="left"),
)
