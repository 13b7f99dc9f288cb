"""A mesh network: evidence in, bodies and cameras out.

``forward`` is: camera of the crops -> evidence -> encoder -> head -> decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from body_models.camera import CROP_MARGIN, DEPTH_BODY_SIZE
from body_models.contracts import NUM_BETAS, Batch, Prediction
from body_models.rotations import matrix_to_sixd, upright
from body_models.smpl import BodyModel
from lightning_modules.cameras import CROP_ALONE, find_camera
from lightning_modules.evidence import Evidence
from lightning_modules.heads import find_head
from lightning_modules.heads.base import Head, HeadInputs
from lightning_modules.networks.decoders import CodeDecoder, MeshDecoder, RotationDecoder
from lightning_modules.networks.encoders import ENCODERS, Features, ImageEncoder
from lightning_modules.priors.pose_prior import PoseCoder

_START_BODY_HEIGHT = 1.7


class MeshNetwork(nn.Module):
    """Encoder, head and decoder around a body, looking through a camera; made by :func:`make_network`.

    Attributes:
        encoder: evidence -> features.
        body: the neutral body.
        head: (features, evidence) -> named numbers.
        decoder: named numbers -> prediction.
        camera: (batch, input_size) -> camera of the crops.
        input_size: side of the square crops in pixels.
    """

    def __init__(self, encoder: ImageEncoder, body: BodyModel, head: Head, camera: str, input_size: int) -> None:
        super().__init__()
        self.encoder, self.body, self.head = encoder, body, head
        self.camera, self.input_size = find_camera(camera), input_size

    decoder: RotationDecoder | MeshDecoder

    @property
    def says_rotations(self) -> bool:
        """Whether predictions hold rotations and shape, so that the network can annotate and be refined."""
        return self.decoder.says == "parameters"

    def forward(self, batch: Batch) -> Prediction:
        """Bodies and crop cameras for the people of a batch; looks at its evidence alone.

        Raises:
            ValueError: the crops are not of ``input_size``.
        """
        features, evidence = self.encode(batch)
        return self.decode(self.head(features, evidence), evidence)

    def encode(self, batch: Batch) -> tuple[Features, Evidence]:
        """The features of a batch, and its evidence."""
        # Cameras and bodies stay in fp32 under bf16: it costs up to 12 mm and several pixels otherwise.
        with torch.autocast(device_type=batch["image"].device.type, enabled=False):
            evidence = Evidence.of(batch, self.camera(batch, self.input_size))
        return self.encoder(batch["image"], evidence), evidence

    def decode(self, out: dict[str, Tensor], evidence: Evidence) -> Prediction:
        """From the head's outputs to bodies in front of the crops' camera, in fp32."""
        with torch.autocast(device_type=evidence.camera.focal.device.type, enabled=False):
            prediction: Prediction = self.decoder(out, evidence.camera, self.body)
            return prediction


def make_network(
    backbone: str,
    head: str,
    camera: str,
    input_size: int,
    body_models: str,
    coder: Callable[[], PoseCoder] | None = None,
) -> MeshNetwork:
    """A network from plain values, with random weights.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        head: name in :data:`lightning_modules.heads.HEADS`.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`; with every one but "virtual", the network is told
            where in the image the crop was taken.
        input_size: side of the square crops in pixels.
        body_models: folder of body models, or "free".
        coder: loads the pose prior whose code is regressed; None: rotations are, or vertices by a head that says them.

    Raises:
        ValueError: an unknown name, or a backbone that the head cannot look at.
    """
    kind = find_head(head)
    box_info = camera != CROP_ALONE
    encoder = ENCODERS[kind.encoder](backbone, input_size, box_info and not kind.reads_box)
    body = BodyModel(body_models)
    start = {
        "global_orient": matrix_to_sixd(upright()),
        "body": RotationDecoder.start() if coder is None else CodeDecoder.start(),
        "betas": torch.zeros(NUM_BETAS),
        "camera": _camera_start(body),
    }
    inputs = HeadInputs(
        encoder.out_channels, encoder.map_size, start, input_size, box_info and kind.reads_box, encoder.backbone, body
    )
    network = MeshNetwork(encoder, body, kind(inputs), camera, input_size)
    if kind.says == "vertices":
        network.decoder = MeshDecoder()
    else:
        # Last: loading a prior draws random numbers, too.
        network.decoder = RotationDecoder() if coder is None else CodeDecoder(coder())
    return network


def _camera_start(body: BodyModel) -> Tensor:
    # A standing adult whose pelvis is at the centre of a crop with the usual margin.
    x, y, _ = body.joint_template[0].tolist()
    part = CROP_MARGIN * _START_BODY_HEIGHT / DEPTH_BODY_SIZE
    return torch.tensor([-x, -y, math.log(part / (1 - part))])
