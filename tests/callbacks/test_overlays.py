"""Meshes are drawn where they project, on the crop and on the full image alike."""

import cv2
import numpy as np
import pytorch_lightning as pl
import torch

from body_models.camera import crop_camera_to_image
from body_models.smpl import BodyModel
from callbacks.overlays import OverlayCallback, person_panels, prediction_panels
from tests.support.people import SIZE, Oracle, People, loader


def test_full_image_and_crop_show_the_same(tmp_path):
    body = BodyModel("free")
    batch = next(iter(loader(People(1))))
    batch["image"].fill_(255)
    prediction = Oracle()(batch)
    on_crop = prediction_panels(batch, prediction, body, size=96)[0]
    focal, princpt = crop_camera_to_image(prediction.focal, prediction.princpt, batch["box"], SIZE)
    posed = body(prediction.global_orient, prediction.body_pose, prediction.betas, prediction.transl)
    image = np.full((200, 200, 3), 255, np.uint8)
    on_image = person_panels(
        image, batch["box"][0].numpy(), posed.vertices[0].numpy(), body.faces, focal[0].numpy(), princpt[0].numpy(), 96
    )
    assert (on_image.photo == 255).all()
    covered = (on_image.front < 250).any(axis=2)
    assert 0.02 < covered.mean() < 0.8
    difference = np.abs(on_crop.front.astype(int) - on_image.front.astype(int)).max(axis=2)
    assert (difference[2:-2, 2:-2] > 40).mean() < 0.005  # at the rim, one has no more picture to enlarge
    assert on_image.side.shape == (96, 96, 3)


def test_photo_is_the_box():
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 20:40] = 200
    body = BodyModel("free")
    vertices = body(torch.eye(3)[None], torch.eye(3).expand(1, 23, 3, 3), torch.zeros(1, 10)).vertices[0].numpy()
    behind = vertices - [0, 0, 10]
    panels = person_panels(image, (20, 40, 20, 20), behind, body.faces, (100, 100), (50, 50), 40)
    assert np.abs(panels.photo[3:-3, 3:-3].astype(int) - 200).max() < 15  # cubic interpolation overshoots a little


def test_callback_writes_a_picture_after_validation(tmp_path):
    people = People(3)
    callback = OverlayCallback(next(iter(loader(people))), "free", tmp_path, size=64)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, callbacks=[callback]
    )
    trainer.validate(Oracle(), loader(people), verbose=False)
    picture = cv2.imread(str(tmp_path / "overlays-0000000.jpg"))
    assert picture.shape == (3 * 64, 3 * 64, 3)
