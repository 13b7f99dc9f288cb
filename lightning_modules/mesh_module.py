"""What the annotator and the downstream regressors share: image in, body and camera out, loss terms, steps.

``forward`` is: camera of the crops -> backbone -> head(features, camera) -> bodies. A subclass chooses head and
rotations and says what its targets are; a family whose head says more overrides :meth:`MeshModule.bodies`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from body_models.camera import CROP_MARGIN, DEPTH_BODY_SIZE, project
from body_models.contracts import NUM_BETAS, NUM_BODY_ROTATIONS, Batch, Prediction
from body_models.rotations import axis_angle_to_matrix, matrix_to_sixd, sixd_to_matrix
from body_models.smpl import BodyModel
from lightning_modules.backbones import ImageNormalization, make_backbone
from lightning_modules.cameras import CropCamera, find_camera
from lightning_modules.losses import LossTerm, check_weights, combine, shaped_terms
from lightning_modules.optimizers import adam_with_steps

_START_BODY_HEIGHT = 1.7


def upright() -> Tensor:
    """(3, 3) root rotation of a person who stands facing the camera: SMPL's y points up, the camera's down."""
    return axis_angle_to_matrix(torch.tensor([math.pi, 0.0, 0.0]))


def rest_sixd() -> Tensor:
    """(23 * 6,) 6D rotations of the rest pose."""
    return matrix_to_sixd(torch.eye(3)).repeat(NUM_BODY_ROTATIONS)


class MeshModule(pl.LightningModule):
    """Base of the mesh networks: a backbone, a head, the neutral body, and L1-type losses.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        head: makes the head (:mod:`lightning_modules.heads.regression`): (channels, map size, start) -> a module that
            turns features and a :class:`lightning_modules.cameras.CropCamera` into named outputs.
        body_start: start of the head's "body" output, (23 * 6,) rotations or (32,) latent code.
        input_size: side of the square crops in pixels.
        body_models: folder of body models, or "standin".
        losses: weights by name of :meth:`loss_terms`.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`.
        loss: one of :data:`lightning_modules.losses.LOSS_SHAPES`, of the terms that compare with annotations.
        tolerance_2d: crop sides within which a joint gets no gradient from the 2D loss; 0 is none.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(
        self,
        backbone: str,
        head: Callable[..., nn.Module],
        body_start: Tensor,
        input_size: int,
        body_models: str,
        losses: Mapping[str, float],
        camera: str = "virtual",
        loss: str = "l1",
        tolerance_2d: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.camera = find_camera(camera)
        self._shaped_terms = shaped_terms(loss, tolerance_2d)
        self.loss_weights = check_weights(losses, self.loss_terms())
        self.normalize = ImageNormalization()
        self.backbone = make_backbone(backbone)
        self.body = BodyModel(body_models)
        map_size = math.ceil(input_size / self.backbone.stride)
        self.head = head(
            self.backbone.out_channels,
            map_size,
            {
                "global_orient": matrix_to_sixd(upright()),
                "body": body_start,
                "betas": torch.zeros(NUM_BETAS),
                "camera": self._camera_start(),
            },
        )

    def decode_body(self, body: Tensor) -> tuple[Tensor, Tensor | None]:
        """``body_pose`` (B, 23, 3, 3), and the latent code if there is one, from the head's "body" output."""
        return sixd_to_matrix(body.unflatten(1, (NUM_BODY_ROTATIONS, 6))), None

    def loss_terms(self) -> Mapping[str, LossTerm]:
        """Loss terms by name; a family with outputs of its own adds terms about them."""
        return self._shaped_terms

    def targets(self, batch: Batch) -> Batch:
        """The batch that the losses compare with."""
        return batch

    def forward(self, batch: Batch) -> Prediction:
        """Bodies and crop cameras for the people of a batch; looks at ``image``, and what the camera needs.

        Raises:
            ValueError: the crops are not of ``input_size``.
        """
        image = batch["image"]
        if image.shape[-2:] != (self.input_size, self.input_size):
            height, width = image.shape[-2:]
            msg = f"crops are {width}x{height} px but the network was built for input_size={self.input_size}"
            raise ValueError(msg)
        # Cameras and bodies stay in fp32 under bf16: it costs up to 12 mm and several pixels otherwise.
        with torch.autocast(device_type=image.device.type, enabled=False):
            camera = self.camera(batch, self.input_size)
        out = self.outputs(self.normalize(image), camera)
        with torch.autocast(device_type=image.device.type, enabled=False):
            return self.bodies(out, camera)

    def outputs(self, image: Tensor, camera: CropCamera) -> dict[str, Tensor]:
        """The head's outputs for normalised images (B, 3, H, W)."""
        return self.head(self.backbone(image), camera)

    def bodies(self, out: dict[str, Tensor], camera: CropCamera) -> Prediction:
        """From the head's outputs to bodies in front of the crops' camera, in fp32."""
        global_orient = sixd_to_matrix(out["global_orient"])
        body_pose, latent = self.decode_body(out["body"])
        transl = camera.translation(out["camera"])
        joints = self.body.joints(global_orient, body_pose, out["betas"], transl)
        return Prediction(
            global_orient=global_orient,
            body_pose=body_pose,
            betas=out["betas"],
            transl=transl,
            focal=camera.focal,
            princpt=camera.princpt,
            joints_3d=joints,
            joints_2d=project(joints, camera.focal, camera.princpt),
            latent=latent,
        )

    def loss(
        self, prediction: Prediction, batch: Batch, over_processes: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """This process's loss, and the mean of each term (:func:`lightning_modules.losses.combine`)."""
        targets, known = self.targets(batch), self.loss_terms()
        terms = {name: known[name](prediction, targets) for name in self.loss_weights}
        return combine(terms, self.loss_weights, over_processes)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, logged = self.loss(self(batch), batch)
        # The keys are the same in every step and process: a differing set would hang a distributed run.
        self.log_dict({f"train/all/{name}": value for name, value in logged.items()}, batch_size=len(batch["id"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Log the loss; the predictions go on to callbacks such as the 3DPW evaluator."""
        prediction = self(batch)
        _, logged = self.loss(prediction, batch, over_processes=False)
        self.log("val/all/loss", logged["loss"], batch_size=len(batch["id"]), sync_dist=True)
        return {"id": batch["id"], "source": batch["source"], "prediction": prediction}

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        return self.predict_step(batch, batch_idx, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """``{"id", "source", "prediction"}``: ids and sources as in the batch, and a :class:`Prediction`."""
        return {"id": batch["id"], "source": batch["source"], "prediction": self(batch)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.hparams
        return adam_with_steps(
            self, settings["lr"], settings["lr_milestones"], settings["lr_gamma"], settings["weight_decay"]
        )

    def _camera_start(self) -> Tensor:
        # A standing adult whose pelvis is at the centre of a crop with the usual margin.
        x, y, _ = self.body.joint_template[0].tolist()
        part = CROP_MARGIN * _START_BODY_HEIGHT / DEPTH_BODY_SIZE
        return torch.tensor([-x, -y, math.log(part / (1 - part))])
