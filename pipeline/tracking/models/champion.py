"""Gives registered versions their alias: ``champion`` is what is delivered, ``challenger`` waits.

In: the address of a version, its test figures. Out: which alias it has and why. The champion of a
name moves only to a version that is not worse on the same test part (``selection.champion``), or
where the user says so; a version that may not take its place is the challenger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import TrackingError
from pipeline.selection.champion import Figures, compare
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.codec import MODEL_TAG, TEST_PART_TAG
from pipeline.tracking.queries import UNKNOWN

CHAMPION, CHALLENGER = "champion", "challenger"
BECAUSE_TAG = "alias_because"
"""Tag of a version: why it has its alias."""
_FIGURES = {"test_ce": "ce", "test_accuracy": "accuracy", "test_gap_ce": "gap_ce"}
"""Tag of a version, and metric of its run -> field of :class:`Figures`."""


@dataclass(frozen=True)
class Standing:
    """What a registered version is at the moment.

    Attributes:
        alias: ``champion``, ``challenger`` or None for neither.
        because: Why, in words; empty where that is not known.
    """

    alias: str | None
    because: str


def settle_champion(client: Client, run_id: str, uri: str, *, promote: bool = False) -> None:
    """Gives a new version its alias, and writes its test figures and the reason to its tags.

    Args:
        client: Of the store.
        run_id: The study's parent run, with its test result.
        uri: ``models:/NAME/VERSION``.
        promote: Make it the champion whatever the figures.
    """
    client = client.doing(f"settle the alias of {uri}")
    name, version = _parts(uri)
    run = client.get_run(run_id)
    own = {key: str(run.data.metrics[key]) for key in _FIGURES if key in run.data.metrics}
    if TEST_PART_TAG in run.data.tags:
        own[TEST_PART_TAG] = run.data.tags[TEST_PART_TAG]
    for key, value in own.items():
        client.set_model_version_tag(name, version, key, value)
    current = _champion(client, name)
    alias, because = _decide(client, run, uri, current)
    if promote and alias != CHAMPION:
        assert current is not None
        because = f"--promote: it took the place of version {current.version}"
        alias = CHAMPION
    _give(client, name, version, alias, because)


def promote(client: Client, uri: str) -> None:
    """Makes a registered version the champion because the user says so."""
    client = client.doing(f"promote {uri}")
    name, version = _parts(uri)
    current = _champion(client, name)
    if current is not None and str(current.version) == version:
        return
    before = f": it took the place of version {current.version}" if current is not None else ""
    _give(client, name, version, CHAMPION, f"--promote{before}")


def standing_of(client: Client, uri: str) -> Standing:
    """Returns which alias a version has now, and why."""
    client = client.doing(f"read the alias of {uri}")
    name, version = _parts(uri)
    try:
        found = client.get_model_version(name, version)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        return Standing(None, "it is no longer in the registry")
    alias = next((one for one in (CHAMPION, CHALLENGER) if one in found.aliases), None)
    if alias is None and (current := _champion(client, name)) is not None:
        return Standing(None, f"version {current.version} is {CHAMPION} now")
    return Standing(alias, found.tags.get(BECAUSE_TAG, ""))


def _decide(client: Client, run: Any, uri: str, current: Any) -> tuple[str, str]:
    """Returns which alias a new version gets, and why."""
    _, version = _parts(uri)
    if current is None or str(current.version) == version:
        # A report that was killed behind this step settles it again.
        before = current.tags.get(BECAUSE_TAG) if current is not None else None
        return CHAMPION, before or "it is the first model of its name"
    stays = f"version {current.version} stays {CHAMPION}: "
    new = _tested(run.data.metrics)
    old, same_part = _figures_of(client, current, run)
    if new is None or old is None:
        return CHALLENGER, f"{stays}its test figures are not known. --promote moves the alias"
    if not same_part:
        return CHALLENGER, (
            f"{stays}the two were measured on different test examples, so they cannot be "
            "compared. --promote moves the alias"
        )
    not_worse, why = compare(new, old)
    if not_worse:
        return CHAMPION, f"it took the place of version {current.version}: {why}"
    return CHALLENGER, f"{stays}{why}. --promote moves the alias"


def _figures_of(client: Client, version: Any, run: Any) -> tuple[Figures | None, bool]:
    """Returns a version's test figures, and whether its test part is that of a run.

    A version of before these tags existed has its run's, unless that delivers another one by now.
    """
    tags = version.tags
    if TEST_PART_TAG in tags:
        return _tested(tags), tags[TEST_PART_TAG] == run.data.tags.get(TEST_PART_TAG, "")
    try:
        its_run = client.get_run(version.run_id)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        return None, False
    if its_run.data.tags.get(MODEL_TAG) != f"models:/{version.name}/{version.version}":
        return None, False
    same_split = its_run.data.tags.get("split_id") == run.data.tags.get("split_id")
    return _tested(its_run.data.metrics), same_split


def _tested(values: Mapping[str, Any]) -> Figures | None:
    if any(key not in values for key in _FIGURES):
        return None
    return Figures(**{field: float(values[key]) for key, field in _FIGURES.items()})


def _champion(client: Client, name: str) -> Any:
    """Returns the champion's version; None where there is none."""
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        return None


def _give(client: Client, name: str, version: str, alias: str, because: str) -> None:
    found = client.get_model_version(name, version)
    client.set_model_version_tag(name, version, BECAUSE_TAG, because)
    client.set_registered_model_alias(name, alias, version)
    if alias == CHAMPION and CHALLENGER in found.aliases:
        client.delete_registered_model_alias(name, CHALLENGER)


def _parts(uri: str) -> tuple[str, str]:
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    return name, version
