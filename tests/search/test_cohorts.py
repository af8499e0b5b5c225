"""How many trials are asked for at once, and which of them train together."""

from pipeline.records import TrialConfig
from pipeline.search.cohorts import Load, Sizing, automatic, fixed, grouped
from pipeline.search.study import Suggestion

SMALL = Load(step_work=1e6, num_parameters=10_000)


def suggestions(*depths: int) -> list[Suggestion]:
    return [Suggestion(n, TrialConfig(depth=d), n, None) for n, d in enumerate(depths)]


def numbers(groups: list[list[Suggestion]]) -> list[list[int]]:
    return [[suggestion.number for suggestion in group] for group in groups]


def test_equal_structures_train_together_in_the_order_they_were_asked():
    assert numbers(grouped(suggestions(2, 1, 2, 3, 1), 8)) == [[0, 2], [1, 4], [3]]


def test_no_cohort_is_larger_than_the_largest():
    assert numbers(grouped(suggestions(2, 2, 2, 2, 2), 2)) == [[0, 1], [2, 3], [4]]


def test_regularization_does_not_part_trials():
    configs = [
        TrialConfig(),
        TrialConfig(regularizer="l2", lambda_l2=0.1, dropout_rate=0.5, max_norm=2.0),
    ]
    made = [Suggestion(n, config, n, None) for n, config in enumerate(configs)]
    assert numbers(grouped(made, 8)) == [[0, 1]]


def test_batch_norm_parts_trials():
    configs = [TrialConfig(), TrialConfig(batch_norm=True)]
    made = [Suggestion(n, config, n, None) for n, config in enumerate(configs)]
    assert numbers(grouped(made, 8)) == [[0], [1]]


def test_the_sampler_is_asked_in_several_rounds():
    sizing = automatic(256, 0, SMALL)
    assert sizing.first == 64
    assert sizing.later == 32
    assert sizing.round(0) == 64
    assert sizing.round(64) == 32


def test_the_first_round_is_the_random_start_and_holds_the_references():
    assert automatic(30, 6, SMALL).first == 10
    assert automatic(30, 14, SMALL).first == 14
    assert automatic(30, 6, SMALL).later == 4


def test_a_study_smaller_than_its_first_round_is_one_round():
    assert automatic(4, 6, SMALL).first == 4


def test_steps_that_fill_the_machine_train_alone():
    assert automatic(256, 0, Load(step_work=1e10, num_parameters=10_000)) == Sizing()


def test_large_networks_make_small_cohorts():
    assert automatic(256, 0, Load(step_work=1e6, num_parameters=4_000_000)).largest == 4


def test_a_chosen_size_is_the_size_of_rounds_and_cohorts():
    assert fixed(12) == Sizing(12, 12, 12)
