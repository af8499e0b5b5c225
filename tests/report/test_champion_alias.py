"""Who is the champion after a second study, and what each format says of it."""

import pytest

from pipeline.report import test_part
from pipeline.report.render import render
from pipeline.report.render.json import as_json
from pipeline.tracking.codec import TEST_PART_TAG

FORMATS = ("text", "markdown", "html", "json")
QUICK = {"seeds": 1}


def aliases(study):
    (model,) = study.store.search_registered_models()
    return {name: str(version) for name, version in model.aliases.items()}


@pytest.fixture
def second(scripted_study, monkeypatch):
    """Reports on a first study and on a second one, whose test figures are changed as told."""
    scripted_study.report(**QUICK)

    def report(ce=0.0, other_part=False, **options):
        scripted_study.search(study="second", trials=3)
        measure = test_part.read_once

        def changed(*arguments):
            results, examples = measure(*arguments)
            for result in filter(None, results.models.values()):
                object.__setattr__(result, "ce", result.ce + ce)
            if other_part:
                object.__setattr__(examples, "part_id", "another")
            return results, examples

        monkeypatch.setattr(test_part, "read_once", changed)
        return scripted_study.report(study="second", **QUICK, **options)[0]

    return report


def test_the_first_model_is_the_champion(scripted_study):
    report, _ = scripted_study.report(**QUICK)
    assert (report.alias, report.alias_because) == ("champion", "it is the first model of its name")
    assert aliases(scripted_study) == {"champion": "1"}
    for page in FORMATS:
        assert "it is the first model of its name" in " ".join(render(report, page).split())


def test_a_model_that_is_not_worse_takes_its_place(scripted_study, second):
    report = second(ce=-1.0)
    assert report.alias == "champion"
    assert report.alias_because.startswith("it took the place of version 1: it is better: ")
    assert aliases(scripted_study) == {"champion": "2"}
    # Settled again, as after a kill behind it, it keeps its reason.
    run_id = report.study.run_id
    scripted_study.store.settle_champion(run_id, report.model_uri)
    again, _ = scripted_study.report(study="second", **QUICK)
    assert again.alias_because == report.alias_because
    first, _ = scripted_study.report(**QUICK)
    assert (first.alias, first.alias_because) == (None, "version 2 is champion now")


def test_a_worse_model_is_the_challenger_and_every_format_says_so(scripted_study, second):
    report = second(ce=1.0)
    assert report.alias == "challenger"
    assert report.alias_because.startswith("version 1 stays champion: it is worse: accuracy ")
    assert report.alias_because.endswith("on the same test part. --promote moves the alias")
    assert aliases(scripted_study) == {"champion": "1", "challenger": "2"}
    for page in FORMATS:
        words = " ".join(render(report, page).split())
        assert "version 1 stays champion: it is worse: " in words, page
    assert as_json(report)["alias"] == "challenger"
    kept = scripted_study.store.read_file(report.study.run_id, "report/report.json").decode()
    assert '"alias": "challenger"' in kept


def test_models_of_different_test_parts_are_not_compared(scripted_study, second):
    report = second(ce=-1.0, other_part=True)
    assert report.alias == "challenger"
    assert "measured on different test examples, so they cannot be compared" in report.alias_because
    assert aliases(scripted_study) == {"champion": "1", "challenger": "2"}


def test_a_champion_of_before_the_test_part_was_noted_is_compared_by_its_split(
    scripted_study, second
):
    store, run_id = scripted_study.store, scripted_study.record.run_id
    for name in (TEST_PART_TAG, "test_ce", "test_accuracy", "test_gap_ce"):
        store.delete_model_version_tag("digits", "1", name)
    store.delete_tag(run_id, TEST_PART_TAG)
    report = second(ce=1.0)
    assert report.alias_because.startswith("version 1 stays champion: it is worse: ")


def test_a_champion_whose_study_was_deleted_stays_and_cannot_be_compared(scripted_study, second):
    store, run_id = scripted_study.store, scripted_study.record.run_id
    for name in (TEST_PART_TAG, "test_ce"):
        store.delete_model_version_tag("digits", "1", name)
    store.set_tag(run_id, "model_uri", "models:/digits/99")
    report = second(ce=-1.0)
    assert report.alias_because == (
        "version 1 stays champion: its test figures are not known. --promote moves the alias"
    )


def test_promote_makes_it_the_champion_at_once_or_later(scripted_study, second):
    report = second(ce=1.0, promote=True)
    assert (report.alias, report.alias_because) == (
        "champion", "--promote: it took the place of version 1",
    )  # fmt: skip
    assert aliases(scripted_study) == {"champion": "2"}
    back, _ = scripted_study.report(**QUICK, promote=True)
    assert back.alias == "champion"
    assert aliases(scripted_study) == {"champion": "1"}
    assert scripted_study.registered != []
    reads = scripted_study.store.test_reads(back.study.run_id)
    assert reads == 1


def test_promote_on_a_choice_that_is_not_registered_promotes_nothing_and_says_so(
    scripted_study, second
):
    second(ce=1.0)
    _, said = scripted_study.report(study="second", rule="best_val", promote=True, **QUICK)
    assert said == ["--promote: this choice has no registered model, so the champion stays"]
    assert aliases(scripted_study) == {"champion": "1", "challenger": "2"}


def test_a_version_that_was_deleted_from_the_registry_is_told(scripted_study):
    scripted_study.report(**QUICK)
    scripted_study.store.delete_registered_model("digits")
    report, _ = scripted_study.report(**QUICK)
    assert (report.alias, report.alias_because) == (None, "it is no longer in the registry")
