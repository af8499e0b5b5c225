"""Networks as lists of layers: shapes, counts, and messages where a layer does not fit."""

import pytest

from pipeline.errors import InputError
from pipeline.records import TrialConfig
from pipeline.training.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    OutputTechnique,
    multiply_adds,
    num_parameters,
    walk,
)
from pipeline.training.models import cnn, mlp

DROPOUT = OutputTechnique("dropout")


def test_each_layer_says_its_shape_parameters_and_cost():
    image = (10, 12, 3)
    rows = [
        (Flatten(), (360,), 0, 0),
        (Conv(8), (8, 10, 8), (27 + 1) * 8, 8 * 10 * 27 * 8),
        (MaxPool(), (5, 6, 3), 0, 0),
        (BatchNorm(), image, 6, 360),
        (DROPOUT, image, 0, 360),
    ]
    for layer, shape, parameters, cost in rows:
        assert layer.output_shape(image) == shape
        assert layer.parameters(image) == parameters
        assert layer.multiply_adds(image) == cost
    assert Dense(7).output_shape((20,)) == (7,)
    assert Dense(7).parameters((20,)) == 147
    assert Dense(7).multiply_adds((20,)) == 140


def test_a_network_is_walked_and_counted_layer_by_layer():
    layers = (Conv(4), MaxPool(), Flatten(), Dense(5))
    shapes = [shape for _, shape in walk(layers, (6, 6, 1))]
    assert shapes == [(6, 6, 1), (4, 4, 4), (2, 2, 4), (16,)]
    assert num_parameters(layers, (6, 6, 1)) == 40 + 85
    assert multiply_adds(layers, (6, 6, 1)) == 16 * 9 * 4 + 16 * 5


def test_an_odd_edge_is_cut_off_by_pooling():
    assert MaxPool().output_shape((5, 7, 2)) == (2, 3, 2)


def test_a_convolution_that_does_not_fit_says_how_to_fix_it():
    with pytest.raises(InputError) as caught:
        Conv(4).output_shape((2, 5, 1))
    assert str(caught.value) == (
        "a 3x3 convolution does not fit on 2x5 feature maps: use a smaller depth, or pooling: false"
    )


def test_pooling_that_does_not_fit_says_how_to_fix_it():
    with pytest.raises(InputError) as caught:
        MaxPool().output_shape((5, 1, 1))
    assert str(caught.value) == (
        "2x2 pooling does not fit on 5x1 feature maps: use a smaller depth, or pooling: false"
    )


def test_too_deep_a_cnn_is_found_when_it_is_described_and_counted():
    layers = cnn.layers(TrialConfig(family="cnn", depth=3, pooling=True), (8, 8, 1))
    with pytest.raises(InputError, match="2x2 pooling does not fit on 1x1 feature"):
        num_parameters(layers, (8, 8, 1))


def test_a_cnn_on_something_else_than_images_points_to_the_mlp():
    with pytest.raises(InputError) as caught:
        cnn.layers(TrialConfig(family="cnn"), (64,))
    assert "the family cnn needs images [height, width, channels]" in str(caught.value)
    assert str(caught.value).endswith("not inputs of shape [64]: use family: mlp")


def test_the_cnn_is_the_notebooks_net():
    config = TrialConfig(family="cnn", depth=3, width=32, dense_width=1024)
    layers = cnn.layers(config, (32, 32, 3))
    conv = Conv(32, regularized=False)
    assert layers == (conv, conv, conv, Flatten(), Dense(1024), DROPOUT)
    # 26 * 26 * 32 inputs make nearly all of it; the output layer (10,250) is not counted.
    assert num_parameters(layers, (32, 32, 3)) == 22_171_584


def test_the_cnn_pools_between_and_normalizes_after_its_convolutions_only():
    config = TrialConfig(
        family="cnn",
        depth=2,
        width=8,
        dense_width=16,
        pooling=True,
        batch_norm=True,
        placement="all",
        first_activation="linear",
    )
    first, second = Conv(8, "linear", regularized=True), Conv(8, regularized=True)
    assert cnn.layers(config, (12, 12, 3)) == (
        *(first, BatchNorm(), DROPOUT, MaxPool()),
        *(second, BatchNorm(), DROPOUT),
        *(Flatten(), Dense(16), DROPOUT),
    )


def test_the_mlp_flattens_images_only_and_regularizes_every_hidden_layer():
    config = TrialConfig(depth=2, width=8, batch_norm=True)
    hidden = (Dense(8), BatchNorm(), DROPOUT, Dense(8), BatchNorm(), DROPOUT)
    assert mlp.layers(config, (64,)) == hidden
    assert mlp.layers(config, (8, 8, 1)) == (Flatten(), *hidden)
