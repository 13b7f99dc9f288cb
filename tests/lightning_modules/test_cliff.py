"""CLIFF: told where its crop was taken, and judged on the full image."""

import torch

from body_models.camera import crop_camera_to_image, project
from lightning_modules.cameras import image_camera
from lightning_modules.losses import joints_2d
from lightning_modules.mesh_regressor import MeshRegressorModule


def off_centre(batch):
    """The people of a batch as if cropped from somewhere in images of 640x480."""
    side = batch["image"].shape[-1]
    corner = torch.tensor([[20.0, 30.0], [400.0, 90.0], [250.0, 200.0], [330.0, 10.0]])
    scale = torch.tensor([0.2, 0.25, 0.3, 0.4])
    batch["image_size"] = torch.tensor([640.0, 480.0]).repeat(4, 1)
    batch["box"] = torch.cat((corner, (side / scale)[:, None].repeat(1, 2)), dim=1)
    batch["affine"] = torch.cat((scale[:, None, None] * torch.eye(2), -(scale[:, None] * corner).unsqueeze(-1)), dim=2)
    return batch


def test_the_2d_loss_is_that_of_the_full_image_over_the_box(make_batch) -> None:
    batch = off_centre(make_batch())
    module = MeshRegressorModule("slim", 48, family="cliff").eval()
    prediction = module(batch)
    focal, princpt = crop_camera_to_image(prediction.focal, prediction.princpt, batch["box"], 48)
    expected_focal, expected_princpt = image_camera(batch["image_size"])
    torch.testing.assert_close(focal, expected_focal)
    torch.testing.assert_close(princpt, expected_princpt)
    on_image = project(prediction.joints_3d, focal, princpt)
    scale = batch["affine"][:, 0, 0, None, None]
    annotated = (batch["joints_2d"] - batch["affine"][:, None, :, 2]) / scale
    side = batch["box"][:, 2, None, None]
    expected = ((on_image - annotated) / side).abs().mean(dim=-1).sum(dim=1)
    torch.testing.assert_close(joints_2d(prediction, batch).total, expected, rtol=1e-3, atol=1e-3)


def test_the_same_crop_elsewhere_in_the_image_is_another_body(make_batch) -> None:
    batch = off_centre(make_batch())
    module = MeshRegressorModule("slim", 48, family="cliff").eval()
    torch.nn.init.normal_(module.network.head.out.weight, std=0.01)
    here = module(batch).global_orient
    batch["affine"] = batch["affine"] + torch.tensor([0.0, 0.0, 60.0])
    assert (here - module(batch).global_orient).abs().amax(dim=(1, 2)).min() > 1e-4
