"""Which trials of different size train in one program, by what padding and programs cost."""

from itertools import chain, cycle

from pipeline.records import StepTiming, Trial, TrialConfig
from pipeline.search.cost import DataSize, Estimate, program_configs, program_work, step_work
from pipeline.search.merging import MOST_SIZES, Merging

DIGITS = Merging(DataSize((64,), 1078, 359), 20)
WORDS = Merging(DataSize((110,), 8000, 1000, (10_000,)), 20)


def made(*settings):
    configs = [TrialConfig(**values) for values in settings]
    return [Trial(number, config, number) for number, config in enumerate(configs)]


def numbers(groups):
    return [[trial.number for trial in group] for group in groups]


def test_small_networks_of_all_depths_and_with_batch_norm_share_a_program():
    sizes = cycle([{"depth": d, "batch_norm": b} for d in (1, 2, 3) for b in (False, True)])
    trials = made(*(next(sizes) for _ in range(64)))
    assert numbers(DIGITS.groups(trials, 256)) == [list(range(64))]


def test_a_few_wide_networks_do_not_make_many_narrow_ones_wide():
    trials = made({"width": 2048}, *[{"width": 16}] * 60, {"width": 2040})
    assert numbers(DIGITS.groups(trials, 256)) == [[0, 61], list(range(1, 61))]


def test_a_first_layer_on_words_is_not_made_wide_for_a_layer_more():
    # Its 10,000 rows are what a step costs: depths share it, widths do not.
    depths = made({"depth": 1}, {"depth": 3}, {"depth": 2, "batch_norm": True})
    assert numbers(WORDS.groups(depths, 256)) == [[0, 1, 2]]
    widths = made(*[{"width": 512}] * 8, *[{"width": 16}] * 40)
    assert numbers(WORDS.groups(widths, 256)) == [list(range(8)), list(range(8, 48))]


def test_trials_with_few_epochs_of_their_own_do_not_pay_for_another_program():
    sizes = [{"width": 256}] * 4 + [{"width": 16}] * 40
    assert len(DIGITS.groups(made(*sizes), 256)) == 2
    short = [values | {"epochs": 1} for values in sizes]
    assert numbers(DIGITS.groups(made(*short), 256)) == [list(range(44))]
    # The cohort ends with its last trial.
    mixed = [*short[:-1], {"width": 16}]
    assert len(DIGITS.groups(made(*mixed), 256)) == 2


def test_what_cannot_be_padded_is_never_merged():
    trials = made(
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
        {"batch_size": 8},
        {"family": "cnn", "depth": 1},
        {"family": "cnn", "depth": 2},
        {"depth": 3},
    )
    pictures = Merging(DataSize((8, 8, 1), 1078, 359), 20)
    assert numbers(pictures.groups(trials, 256)) == [[0, 5], [1], [2], [3], [4]]


def test_many_sizes_are_weighed_in_bounded_time_and_none_is_lost():
    trials = made(*({"width": 8 + n} for n in range(20 * MOST_SIZES)))
    groups = DIGITS.groups(trials, 64)
    assert sorted(chain(*numbers(groups))) == list(range(len(trials)))


def test_no_trials_make_no_groups():
    assert DIGITS.groups([], 8) == []


def test_a_smaller_trial_is_foreseen_to_cost_what_its_program_does():
    small, large, other = TrialConfig(depth=1), TrialConfig(depth=3), TrialConfig(optimizer="sgd")
    assert program_configs([small, large, other]) == [large, large, other]
    data = DIGITS.data
    assert program_work(large, data) > step_work(large, data) > step_work(small, data)
    estimate = Estimate(data, 10)
    estimate.add([small, large], StepTiming(1.0, 33, 0.0))
    same = Estimate(data, 10)
    same.add([large, large], StepTiming(1.0, 33, 0.0))
    assert estimate.rates == same.rates
    assert estimate.seconds([small, large], 1, 2.0) == same.seconds([large, large], 1, 2.0)
    assert estimate.seconds([small, large], 1) < same.seconds([large, large], 1)
