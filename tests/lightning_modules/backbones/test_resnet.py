"""Our ResNets against what is known of torchvision's: names, shapes and counts."""

import pytest
import torch

from lightning_modules.backbones import BACKBONES, make_backbone

# torchvision's published parameter counts less those of its classifier.
COUNTS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnet152": 60_192_808 - 2_049_000,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    assert sum(parameter.numel() for parameter in make_backbone(name).parameters()) == COUNTS[name]


def test_torchvision_key_names() -> None:
    state = make_backbone("resnet50").state_dict()
    for key, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.num_batches_tracked": (),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer4.2.bn3.weight": (2048,),
    }.items():
        assert tuple(state[key].shape) == shape, key
    # 320 entries in torchvision's resnet50 state_dict, two of them fc.
    assert len(state) == 318


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("resnet50", 64), ("slim", 48)])
def test_feature_map_has_the_size_it_states(name: str, size: int) -> None:
    backbone = make_backbone(name).eval()
    features = backbone(torch.zeros(1, 3, size, size))
    assert features.shape == (1, backbone.out_channels, size // backbone.stride, size // backbone.stride)


def test_unknown_backbone_names_the_nearest() -> None:
    assert "slim" in BACKBONES
    with pytest.raises(ValueError, match="resnet50"):
        make_backbone("resnet_50")
