"""How many trials are asked for at once, and which of them train together."""

from dataclasses import replace

import pytest

from pipeline.datasets import summarize
from pipeline.records import Device, Trial, TrialConfig
from pipeline.search import cohort_sizing as sizes
from pipeline.search.cohort_sizing import Load, Sizing, automatic, fixed, memory_per_worker
from pipeline.search.cost import DataSize
from pipeline.search.merging import Merging
from pipeline.search.options import SearchOptions
from pipeline.search.plan import cohort_sizing
from pipeline.search.space import space
from pipeline.training.memory_model import MemoryNeed

SMALL = Load(step_work=1e6, num_parameters=10_000)
TEN_BYTES = MemoryNeed(weights=10, batch=0, widest=64, scored=0, scores=0)


def trials(*depths: int) -> list[Trial]:
    return [Trial(n, TrialConfig(depth=d), n) for n, d in enumerate(depths)]


def numbers(groups: list[list[Trial]]) -> list[list[int]]:
    return [[suggestion.number for suggestion in group] for group in groups]


def test_equal_structures_train_together_in_the_order_they_were_asked():
    assert numbers(fixed(8).cohorts(trials(2, 1, 2, 3, 1), 0)) == [[0, 2], [1, 4], [3]]


def test_no_cohort_is_larger_than_the_largest():
    assert numbers(fixed(2).cohorts(trials(2, 2, 2, 2, 2), 0)) == [[0, 1], [2, 3], [4]]


def test_trials_of_different_size_train_together_where_that_costs_less():
    cheap, dear = Merging(DataSize((64,), 1000, 300), 20), Merging(DataSize((64,), 10, 3), 1)
    mixed = trials(2, 1, 2, 3, 1)
    assert numbers(fixed(8, cheap).cohorts(mixed, 0)) == [[0, 1, 2, 3, 4]]
    assert numbers(fixed(3, cheap).cohorts(mixed, 0)) == [[0, 1, 2], [3, 4]]
    # Even there a compilation costs more than a few larger steps.
    assert numbers(fixed(8, dear).cohorts(mixed, 0)) == [[0, 1, 2, 3, 4]]


def test_regularization_does_not_part_trials():
    configs = [
        TrialConfig(),
        TrialConfig(regularizer="l2", lambda_l2=0.1, dropout_rate=0.5, max_norm=2.0),
    ]
    made = [Trial(n, config, n) for n, config in enumerate(configs)]
    assert numbers(fixed(8).cohorts(made, 0)) == [[0, 1]]


def test_batch_norm_parts_trials_that_are_not_padded():
    configs = [TrialConfig(), TrialConfig(batch_norm=True)]
    made = [Trial(n, config, n) for n, config in enumerate(configs)]
    assert numbers(fixed(8).cohorts(made, 0)) == [[0], [1]]


def test_the_sampler_is_asked_in_several_rounds():
    sizing = automatic(256, 0, SMALL)
    assert sizing.first == 64
    assert sizing.later == 64
    assert sizing.batch(0) == 64
    assert sizing.batch(64) == 64


def test_later_rounds_are_halved_where_a_half_still_fills_a_cohort():
    large, small = automatic(256, 0, SMALL), automatic(64, 0, SMALL)
    assert (large.ahead, large.cohort(0), large.cohort(64)) == (32, 64, 32)
    assert (small.later, small.ahead, small.cohort(16)) == (16, 0, 16)
    assert Sizing(10, 40, 12, 20).cohort(10) == 12
    assert fixed(40).ahead == 0


def test_every_worker_gets_a_part_of_a_batch_that_one_program_could_hold():
    merging = Merging(DataSize((64,), 1000, 300), 20)
    two = automatic(64, 0, replace(SMALL, merging=merging, workers=2))
    made = trials(*[1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    assert [len(cohort) for cohort in two.cohorts(made, 0)] == [5, 5]
    assert (two.cohort(0), two.cohort(16)) == (8, 8)
    five = automatic(256, 0, replace(SMALL, merging=merging, workers=5))
    assert (five.cohort(0), five.cohort(64)) == (13, 13)


def test_the_first_round_is_the_random_start_and_holds_the_references():
    assert automatic(30, 6, SMALL).first == 10
    assert automatic(30, 14, SMALL).first == 14
    assert automatic(30, 6, SMALL).later == 7


def test_a_study_smaller_than_its_first_round_is_one_round():
    assert automatic(4, 6, SMALL).first == 4


def test_steps_that_fill_the_machine_train_alone():
    assert automatic(256, 0, Load(step_work=1e10, num_parameters=10_000)) == Sizing()


def test_large_networks_make_small_cohorts():
    assert automatic(256, 0, Load(step_work=1e6, num_parameters=4_000_000)).largest == 4


def test_a_chosen_size_is_the_size_of_rounds_and_cohorts():
    assert fixed(12) == Sizing(12, 12, 12)


@pytest.mark.parametrize(("memory", "largest"), [(5000, 256), (1000, 100), (35, 3), (0, 1)])
def test_a_cohort_fits_into_memory(memory, largest):
    load = replace(SMALL, memory_needs=(TEN_BYTES,), memory=memory)
    sizing = automatic(256, 0, load)
    assert sizing.largest == largest
    assert (sizing.first, sizing.later) == (64, 64), "the sampler is asked as ever"


def test_the_largest_trial_decides():
    twice = replace(TEN_BYTES, weights=20)
    for memory_needs in ((TEN_BYTES, twice), (twice, TEN_BYTES)):
        assert (
            automatic(256, 0, replace(SMALL, memory_needs=memory_needs, memory=200)).largest == 10
        )


def test_workers_share_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr(sizes, "available_bytes", lambda: 1000)
    assert (memory_per_worker(1), memory_per_worker(4)) == (500, 125)


def sized(device=None, **options):
    chosen = SearchOptions("digits", **options)
    return cohort_sizing(chosen, space.load("digits"), summarize(chosen.spec), device)


def test_a_search_sizes_its_cohorts_by_the_memory_that_is_free(monkeypatch):
    monkeypatch.setattr(sizes, "available_bytes", lambda: 2**40)
    assert sized().largest == 256
    monkeypatch.setattr(sizes, "available_bytes", lambda: 2**28)
    one, two = sized().largest, sized(workers=2).largest
    assert 256 > one > two >= 1
    assert sized(cohort_size=200).largest == 200, "as the user asked"


def test_on_a_gpu_its_own_free_memory_counts_and_every_family_is_stacked(monkeypatch):
    monkeypatch.setattr(sizes, "available_bytes", lambda: 2**28)
    unknown, roomy, tight = (Device("gpu: a card", free) for free in (None, 2.0**40, 2.0**28))
    assert sized(device=unknown).largest == sized(device=roomy).largest == 256
    assert sized(device=Device("cpu")).largest == sized().largest < 256
    one, two = sized(device=tight).largest, sized(device=tight, workers=2).largest
    assert 256 > one > two >= 1
    digits = summarize(SearchOptions("digits").spec)
    pictures = replace(digits, kind="image", input_shape=(32, 32, 3), row_size=(32, 32, 3))
    options, chosen = SearchOptions("cifar10"), space.load("cifar10")
    assert cohort_sizing(options, chosen, pictures) == Sizing()
    stacked = cohort_sizing(options, chosen, pictures, roomy)
    assert stacked.largest > 1 and stacked.first > 1
    assert cohort_sizing(options, chosen, pictures, Device("gpu: small", 1e9)).largest < (
        stacked.largest
    )


def test_a_sampler_that_does_not_learn_is_asked_for_all_trials_at_once():
    assert automatic(100, 6, SMALL, learns=False).first == 100
    assert automatic(100, 6, SMALL, learns=False).largest == automatic(100, 6, SMALL).largest
