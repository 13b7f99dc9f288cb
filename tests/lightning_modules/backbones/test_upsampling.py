"""Simple Baselines' transposed convolutions, as three networks use them."""

import pytest
import torch

from lightning_modules.backbones.upsampling import upsampled_channels, upsampling, upsampling_width


@pytest.mark.parametrize(("in_channels", "width"), [(192, 64), (512, 256), (2048, 256)])
def test_each_layer_doubles_the_map(in_channels: int, width: int) -> None:
    layers = upsampling(in_channels, 2)
    assert upsampling_width(in_channels) == width
    assert layers(torch.zeros(2, in_channels, 3, 4)).shape == (2, width, 12, 16)
    # The published names: three modules a layer, so the second convolution is number 3.
    assert layers.state_dict()["3.weight"].shape == (width, width, 4, 4)


def test_other_widths_and_no_layer_at_all() -> None:
    assert upsampling(8, 1, 5)(torch.zeros(1, 8, 2, 2)).shape == (1, 5, 4, 4)
    features = torch.rand(1, 8, 2, 2)
    assert torch.equal(upsampling(8, 0)(features), features)


@pytest.mark.parametrize("arguments", [(8, 0), (8, 0, 5), (8, 1), (8, 2, 5)])
def test_its_channels_are_known_without_making_it(arguments: tuple[int, ...]) -> None:
    channels = upsampling(*arguments)(torch.zeros(1, 8, 2, 2)).shape[1]
    assert upsampled_channels(*arguments) == channels
