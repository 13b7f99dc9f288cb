"""2D human pose estimation: the start that recipe 2 gives to an annotator's backbone, and of use by itself.

The network is Simple Baselines' [1] (a backbone, transposed convolutions, a 1x1 convolution), with its key names. The
joints are read from the maps by their centre of mass [2], which is exact below the size of a cell: at crops of 48 px a
map has 12 cells a side, too few for an arg max. So maps are distributions, and where they are supervised themselves
(``loss="heatmap"``), it is by cross-entropy with a Gaussian instead of [1]'s squared error.

[1] Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
[2] Sun et al., Integral Human Pose Regression, ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from body_models.contracts import Batch
from body_models.joint_sets import COCO17, MPII16
from body_models.spec import SMPL
from lightning_modules.backbones import ImageNormalization, load_backbone, make_backbone
from lightning_modules.backbones.upsampling import upsampled_channels, upsampling
from lightning_modules.losses import TermSums, combine, masked_l1
from lightning_modules.optimizers import adam_with_steps
from lightning_modules.weights.checkpoints import MIN_COVERAGE

POSE2D_JOINTS = tuple(dict.fromkeys(name for name in (*COCO17.body, *MPII16.body) if name is not None))
"""Body joints that the network finds: those of COCO and MPII, each once, in the order of its output."""

LOSSES = {
    "integral": {"joints_2d": 1.0},
    "heatmap": {"heatmap": 1.0},
    "both": {"joints_2d": 10.0, "heatmap": 1.0},
}
"""What is supervised, with its weights: the joints (L1, crop sides), the maps (cross-entropy, nats), or both."""

_OUTPUT_STRIDE = 4
_PCK_THRESHOLD = 0.05
# As in [1]: 2 of 64 cells; never less than a cell, or it would name a cell instead of a place.
_SIGMA, _MIN_SIGMA_CELLS = 1 / 32, 1.0


class PoseNet2DModule(pl.LightningModule):
    """Finds :data:`POSE2D_JOINTS` on crops.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        deconv_channels: channels of the transposed convolutions (256 in [1]); None: 256, and 64 for backbones of
            less than 512 channels.
        backbone_weights: checkpoint to start the backbone from; not a hyperparameter.
        min_coverage: least share of the backbone that ``backbone_weights`` must fill.
        loss: key of :data:`LOSSES`.
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.

    Raises:
        ValueError: no such loss.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 256,
        deconv_channels: int | None = None,
        backbone_weights: str | Path | None = None,
        min_coverage: float = MIN_COVERAGE,
        loss: str = "integral",
        lr: float = 1e-3,
        lr_milestones: Sequence[float] = (0.7, 0.9),
        lr_gamma: float = 0.1,
    ) -> None:
        super().__init__()
        lr_milestones = [float(part) for part in lr_milestones]
        self.save_hyperparameters(ignore=["backbone_weights", "min_coverage"])
        if loss not in LOSSES:
            msg = f"no loss named {loss!r} for 2D joints; there are: {', '.join(LOSSES)}"
            raise ValueError(msg)
        self.loss_weights = LOSSES[loss]
        self.input_size = input_size
        self.normalize = ImageNormalization()
        self.backbone = make_backbone(backbone)
        channels, doublings = self.backbone.out_channels, 0
        while self.backbone.stride > _OUTPUT_STRIDE * 2**doublings:
            doublings += 1
        self.deconv_layers = upsampling(channels, doublings, deconv_channels)
        width = upsampled_channels(channels, doublings, deconv_channels)
        self.final_layer = nn.Conv2d(width, len(POSE2D_JOINTS), 1)
        index = torch.tensor([SMPL.index[name] for name in POSE2D_JOINTS])
        self.register_buffer("joint_index", index, persistent=False)
        if backbone_weights is not None:
            load_backbone(self.backbone, backbone_weights, min_coverage)

    joint_index: Tensor

    def forward(self, batch: Batch) -> Tensor:
        """(B, K, 2) crop pixels of the K joints in POSE2D_JOINTS."""
        return soft_argmax(self.maps(batch)) * self.input_size

    def maps(self, batch: Batch) -> Tensor:
        """(B, K, h, w): each joint's map before its softmax."""
        return self.final_layer(self.deconv_layers(self.backbone(self.normalize(batch["image"]))))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        maps = self.maps(batch)
        terms = {"joints_2d": self._error(batch, soft_argmax(maps) * self.input_size)}
        if "heatmap" in self.loss_weights:
            target, conf = self._target(batch)
            terms["heatmap"] = heatmap_loss(maps, target, conf)
        # The error of the joints is logged in any case; in training on maps alone it has no weight.
        loss, logged = combine(terms, {"joints_2d": 0.0, **self.loss_weights})
        self.log_dict({f"train/all/{name}": value for name, value in logged.items()}, batch_size=len(batch["id"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Mean L1 error, in crop sides, and the share of joints within 5 % of the crop's side."""
        pred = self(batch)
        error = self._error(batch, pred)
        conf = batch["joints_2d_conf"][:, self.joint_index] > 0
        distance = (pred - batch["joints_2d"][:, self.joint_index]).norm(dim=-1) / self.input_size
        joints = error.valid.sum().clamp(min=1)
        self.log_dict(
            {
                "val/all/joints_2d": error.total.sum() / joints,
                "val/all/pck": ((distance <= _PCK_THRESHOLD) & conf).sum() / conf.sum().clamp(min=1),
            },
            # Weighted by joints, so that the mean over batches is the mean over joints.
            batch_size=int(joints),
            sync_dist=True,
        )

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """``id``; ``joints_2d`` and ``image_joints_2d`` (B, K, 2), crop and image pixels; ``score`` (B, K)."""
        maps = self.maps(batch).float()
        joints = soft_argmax(maps) * self.input_size
        affine = batch["affine"].to(joints)
        in_image = torch.linalg.solve(affine[:, :, :2], (joints - affine[:, None, :, 2]).mT).mT
        score = maps.flatten(2).softmax(dim=-1).amax(dim=-1)
        return {"id": batch["id"], "joints_2d": joints, "image_joints_2d": in_image, "score": score}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        names = ("lr", "lr_milestones", "lr_gamma")
        return adam_with_steps(self, **{name: self.hparams[name] for name in names})

    def _error(self, batch: Batch, pred: Tensor) -> TermSums:
        target, conf = self._target(batch)
        return masked_l1(pred / self.input_size, target, conf)

    def _target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, K, 2) fractions of the crop's side, and (B, K) confidence."""
        index = self.joint_index
        target, conf = batch["joints_2d"][:, index], batch["joints_2d_conf"][:, index]
        # A joint outside the crop has no place on the map; pulling it to the border would teach a lie.
        inside = ((target >= 0) & (target <= self.input_size)).all(dim=-1)
        return target / self.input_size, conf * inside


def heatmap_loss(maps: Tensor, target: Tensor, conf: Tensor) -> TermSums:
    """Cross-entropy of each map's softmax with a Gaussian around the joint, in fp32.

    Args:
        maps: (B, K, h, w) before the softmax.
        target: (B, K, 2) x, y as fractions of the side; may hold anything where conf is 0.
        conf: (B, K) weights.
    """
    maps = maps.float()
    target = target.float().where(conf[..., None] > 0, 0.5)
    logits = []
    for axis, cells in enumerate(reversed(maps.shape[-2:])):
        centres = (torch.arange(cells, device=maps.device) + 0.5) / cells
        sigma = max(_SIGMA, _MIN_SIGMA_CELLS / cells)
        logits.append(-((centres - target[..., axis, None]) / sigma).square() / 2)
    gaussian = (logits[1][..., :, None] + logits[0][..., None, :]).flatten(2).softmax(dim=-1)
    error = -(gaussian * maps.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return TermSums((error * conf).sum(dim=1), conf.sum(dim=1))


def soft_argmax(maps: Tensor) -> Tensor:
    """Centre of mass of each map's softmax, (B, K, h, w) -> (B, K, 2) x, y as fractions of the side, in fp32."""
    maps = maps.float()
    height, width = maps.shape[-2:]
    weights = maps.flatten(2).softmax(dim=-1).unflatten(2, (height, width))
    x = (torch.arange(width, device=maps.device) + 0.5) / width
    y = (torch.arange(height, device=maps.device) + 0.5) / height
    return torch.stack(((weights.sum(dim=2) * x).sum(-1), (weights.sum(dim=3) * y).sum(-1)), dim=-1)
