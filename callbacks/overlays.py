"""Pictures of meshes on the people they belong to, from the front and from the side, where errors in depth show.

:func:`person_panels` draws them for reports; :class:`OverlayCallback` draws a fixed set of people again and again
while a network is trained, into the run folder and, if there is one, into Weights & Biases.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import ArrayLike, NDArray
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

from body_models.camera import crop_affine
from body_models.contracts import Batch, Prediction
from body_models.render import BODY_COLOR, overlay, side_view
from body_models.smpl import BodyModel

PANEL_SIZE = 224


class Panels(NamedTuple):
    """Three pictures of one person, (S, S, 3) uint8 RGB: the input, the mesh on it, the mesh from the side."""

    photo: NDArray[np.uint8]
    front: NDArray[np.uint8]
    side: NDArray[np.uint8]


def person_panels(
    image: NDArray[np.uint8],
    box: ArrayLike,
    vertices: NDArray[Any],
    faces: NDArray[Any],
    focal: ArrayLike,
    princpt: ArrayLike,
    size: int = PANEL_SIZE,
    color: ArrayLike = BODY_COLOR,
) -> Panels:
    """Cut a person out of an image and draw a mesh there.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (4,) x, y, w, h of the part to show, image pixels.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
        focal: (2,) pixels of this image.
        princpt: (2,) pixels of this image.
        size: side of the pictures in pixels.
        color: (3,) of the mesh, in [0, 1].
    """
    x, y, width, height = np.asarray(box, dtype=np.float64)
    stretch = size / np.array([width, height])
    affine = crop_affine((x, y, width, height), (size, size))
    # warpAffine counts from pixel centres; the affine counts from pixel edges.
    affine[:, 2] += affine[:, :2] @ [0.5, 0.5] - 0.5
    enlarged = stretch.min() > 1
    photo: Any = cv2.warpAffine(
        image,
        affine,
        (size, size),
        flags=cv2.INTER_CUBIC if enlarged else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    front = overlay(
        photo, vertices, faces, np.asarray(focal) * stretch, (np.asarray(princpt) - [x, y]) * stretch, color
    )
    return Panels(photo, front, side_view(vertices, faces, (size, size), color))


def prediction_panels(batch: Batch, prediction: Prediction, body: BodyModel, size: int = PANEL_SIZE) -> list[Panels]:
    """Panels of each person of a batch, on the network's own crops, with the crop's camera."""
    mesh = prediction.vertices
    if mesh is None:
        with torch.no_grad():
            mesh = body(*prediction.parameters(), prediction.transl).vertices
    images = batch["image"].cpu().numpy().transpose(0, 2, 3, 1)
    height, width = images.shape[1:3]
    vertices, focal, princpt = (value.float().cpu().numpy() for value in (mesh, prediction.focal, prediction.princpt))
    return [
        person_panels(
            np.ascontiguousarray(images[i]), (0, 0, width, height), vertices[i], body.faces, focal[i], princpt[i], size
        )
        for i in range(len(images))
    ]


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 RGB as JPEG or PNG, by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        msg = f"cannot write the picture {path}"
        raise OSError(msg)


class OverlayCallback(pl.Callback):
    """Draws the same people again and again, as ``folder/overlays-<step>.jpg`` and in Weights & Biases.

    Args:
        batch: the people, without augmentation, on the CPU.
        body_models: folder of model files, or "free".
        folder: where pictures are written.
        size: side of each panel in pixels.
        every_n_steps: training steps between two pictures; None draws after every validation.
    """

    def __init__(
        self,
        batch: Batch,
        body_models: str,
        folder: str | Path,
        size: int = PANEL_SIZE,
        every_n_steps: int | None = None,
    ) -> None:
        self.batch, self.folder, self.size, self.every_n_steps = batch, Path(folder), size, every_n_steps
        self._body = BodyModel(body_models)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Validation has put the network into eval mode.
        if self.every_n_steps is None and not trainer.sanity_checking and trainer.is_global_zero:
            self._draw(trainer, pl_module, trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every_n_steps is None or trainer.global_step % self.every_n_steps or not trainer.is_global_zero:
            return
        # Some layers may be kept from training, so each gets its own mode back.
        modes = [(module, module.training) for module in pl_module.modules()]
        pl_module.eval()
        try:
            # Lightning logs the metrics of this batch, after its callbacks, as those of the step before.
            self._draw(trainer, pl_module, trainer.global_step - 1)
        finally:
            for module, training in modes:
                module.training = training

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        batch = pl_module.transfer_batch_to_device(self.batch, pl_module.device, 0)
        # The network's forward is called past DDP, so no other rank is needed.
        with torch.no_grad():
            prediction = pl_module(batch)
        panels = prediction_panels(batch, _to_cpu(prediction), self._body, self.size)
        rows = [np.concatenate(person, axis=1) for person in panels]
        write_picture(self.folder / f"overlays-{trainer.global_step:07d}.jpg", np.concatenate(rows))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("overlays/front_and_side", rows, step=step, caption=list(batch["id"]))


def _to_cpu(prediction: Prediction) -> Prediction:
    values: dict[str, Any] = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    moved: dict[str, Any] = {name: value.cpu() for name, value in values.items() if isinstance(value, Tensor)}
    return replace(prediction, **moved)
