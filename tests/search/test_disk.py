"""How much disk a study and its report are foreseen to take."""

from small_space import small_space

from pipeline.datasets import summarize
from pipeline.records import DatasetSpec
from pipeline.search.disk import OTHER_BYTES, needed_bytes
from pipeline.search.options import every_config
from pipeline.training import models
from pipeline.training.architecture import num_parameters


def test_a_reports_trainings_and_their_probabilities_are_counted():
    space, dataset = small_space(), summarize(DatasetSpec("digits"))
    shape = dataset.input_shape
    largest = max(num_parameters(models.layers_of(c, shape), shape) for c in every_config(space))
    alone = needed_bytes(space, dataset)
    assert alone == 4 * largest * space.trials + OTHER_BYTES
    # 359 validation examples and all 1,079 training ones; log p of 10 classes, and the label.
    probabilities = 6 * 4 * (359 + 1_079) * 11
    # Six trainings, and the registered model of three seeds.
    assert needed_bytes(space, dataset, 6) - alone == 9 * 4 * largest + probabilities
