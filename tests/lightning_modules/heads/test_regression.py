"""Heads are told where in the image the crop lies, where their camera depends on it, and not otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from body_models.contracts import Batch
from lightning_modules.annotator import AnnotatorModule
from lightning_modules.cameras import CAMERAS
from lightning_modules.heads import ANNOTATING, HEADS

TOLD = [name for name in CAMERAS if name != "virtual"]
READING = [name for name in ANNOTATING if HEADS[name].reads_box]


def placed(batch: Batch, x: float, y: float, side: float) -> Batch:
    """The same crops of 48 px, as if they had been cut out of images of 640x480 px at boxes (x, y, side, side)."""
    count, scale = len(batch["id"]), 48 / side
    affine = torch.tensor([[scale, 0, -x * scale], [0, scale, -y * scale]])
    changes = {
        "box": torch.tensor([x, y, side, side]).repeat(count, 1),
        "affine": affine.repeat(count, 1, 1),
        "image_size": torch.tensor([640.0, 480.0]).repeat(count, 1),
        "focal": torch.tensor([700.0, 700.0]).repeat(count, 1),
        "princpt": torch.tensor([330.0, 230.0]).repeat(count, 1),
    }
    return {**batch, **changes}


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("head", ANNOTATING)
def test_the_same_crop_of_another_box_is_another_person_unless_the_camera_is_the_crops(
    make_batch, head: str, camera: str
) -> None:
    torch.manual_seed(0)
    module = AnnotatorModule("slim", 48, head=head, camera=camera).eval()
    batch = make_batch()
    first, *others = (module(placed(batch, *box)) for box in [(40, 60, 200), (400, 60, 200), (40, 60, 90)])
    for other in others:
        for name in ("global_orient", "body_pose", "betas"):
            same = torch.equal(getattr(first, name), getattr(other, name))
            assert same is (camera == "virtual"), name
        assert torch.equal(first.transl, other.transl) is (camera == "virtual")


@pytest.mark.parametrize("camera", TOLD)
@pytest.mark.parametrize("head", READING)
def test_what_is_told_is_cliffs_and_is_learned_from(make_batch, head: str, camera: str) -> None:
    module = AnnotatorModule("slim", 48, head=head, camera=camera)
    seen: list[torch.Tensor] = []
    module.network.head.hidden.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = placed(make_batch(), 400, 60, 200)
    module.loss(module(batch), batch)[0].backward()
    centre, (focal, princpt) = np.array([500.0, 160.0]), (800.0, (320, 240))
    if camera == "known":
        focal, princpt = 700.0, (330, 230)
    expected = [*((centre - princpt) / focal * 2.8), (200 - 0.24 * focal) / (0.06 * focal)]
    columns = slice(module.network.head.grid.out_features, module.network.head.grid.out_features + 3)
    for each in seen:
        np.testing.assert_allclose(each[:, columns].detach(), np.tile(expected, (4, 1)), rtol=1e-4)
    gradient = module.network.head.hidden[0].weight.grad[:, columns]
    assert gradient.isfinite().all() and (gradient.abs().sum(dim=0) > 0).all()


@pytest.mark.parametrize("head", READING)
def test_with_the_camera_of_the_crop_a_head_has_no_weights_for_it(head: str) -> None:
    shapes = {
        camera: {name: tuple(value.shape) for name, value in AnnotatorModule("slim", 48, head=head, camera=camera)
                 .state_dict().items()}
        for camera in CAMERAS
    }  # fmt: skip
    first = "network.head.hidden.0.weight"
    for camera in TOLD:
        differing = {name for name, shape in shapes[camera].items() if shapes["virtual"].get(name) != shape}
        assert differing == {first} and shapes[camera].keys() == shapes["virtual"].keys()
        assert shapes[camera][first][1] == shapes["virtual"][first][1] + 3
