"""A mesh network: evidence in, bodies and cameras out.

``forward`` is: camera of the crops -> evidence -> encoder -> head -> decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from body_models.bodies import Body, open_body
from body_models.camera import CROP_MARGIN, DEPTH_BODY_SIZE
from body_models.contracts import Batch, Prediction
from body_models.names import unknown
from body_models.rotations import matrix_to_sixd, upright
from lightning_modules.cameras import CROP_ALONE, find_camera
from lightning_modules.evidence import Evidence
from lightning_modules.heads import find_head
from lightning_modules.heads.base import Head, HeadInputs
from lightning_modules.heads.regression import RegressionHead
from lightning_modules.networks.decoders import PARAMETERS, CodeDecoder, MeshDecoder, RotationDecoder
from lightning_modules.networks.encoders import ENCODERS, BothEncoder, Features, ImageEncoder, JointEncoder
from lightning_modules.networks.slips import Slips
from lightning_modules.priors.pose_prior import PoseCoder
from lightning_modules.weights.checkpoints import load_weights

EVIDENCE = ("image", "joints", "both")
"""What a network may look at: the crop, the 2D joints, or the crop to correct what the joints say."""
_START_BODY_HEIGHT = 1.7


class JointBranch(nn.Module):
    """What 2D joints alone say: an encoder of joints and a head of its own.

    Args:
        encoder: of the joints.
        head: reads its features.
    """

    def __init__(self, encoder: JointEncoder, head: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, evidence: Evidence) -> dict[str, Tensor]:
        """The numbers that the head says."""
        return self.head(self.encoder(evidence.joints_2d, evidence), evidence)


class MeshNetwork(nn.Module):
    """Encoder, head and decoder around a body, looking through a camera; made by :func:`make_network`.

    With a joint branch, the head says what the picture changes in what the branch says.

    Attributes:
        encoder: evidence -> features.
        body: the neutral body.
        head: (features, evidence) -> named numbers.
        decoder: named numbers -> prediction.
        branch: what the joints alone say; None where only one of picture and joints is looked at.
        camera: (batch, input_size) -> camera of the crops.
        input_size: side of the square crops in pixels.
        slips: of the joints that are read in training; None where none are read.
    """

    def __init__(
        self,
        encoder: ImageEncoder | JointEncoder | BothEncoder,
        body: Body,
        head: Head,
        camera: str,
        input_size: int,
        branch: JointBranch | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.body, self.head, self.branch = encoder, body, head, branch
        self.camera, self.input_size = find_camera(camera), input_size
        self.slips: Slips | None = None if isinstance(encoder, ImageEncoder) else Slips()

    decoder: RotationDecoder | MeshDecoder

    @property
    def evidence(self) -> str:
        """Which of :data:`EVIDENCE` it looks at."""
        return "joints" if isinstance(self.encoder, JointEncoder) else "image" if self.branch is None else "both"

    @property
    def says_rotations(self) -> bool:
        """Whether predictions hold rotations and shape, so that the network can annotate and be refined."""
        return self.decoder.says == "parameters"

    @property
    def backbone(self) -> nn.Module | None:
        """What a start fills; None without a picture."""
        return None if isinstance(self.encoder, JointEncoder) else self.encoder.backbone

    def forward(self, batch: Batch) -> Prediction:
        """Bodies and crop cameras for the people of a batch; looks at its evidence alone.

        Raises:
            ValueError: the crops are not of ``input_size``.
        """
        features, evidence = self.encode(batch)
        return self.decode(self.head(features, evidence), evidence)

    def encode(self, batch: Batch) -> tuple[Features, Evidence]:
        """The features of a batch, and its evidence: in training with slips."""
        # Cameras and bodies stay in fp32 under bf16: it costs up to 12 mm and several pixels otherwise.
        with torch.autocast(device_type=batch["image"].device.type, enabled=False):
            evidence = Evidence.of(batch, self.camera(batch, self.input_size))
            if self.slips is not None and self.training:
                evidence = self.slips.of(evidence, self.body.spec)
        if self.branch is None:
            return self.encoder(batch["image"], evidence), evidence
        return self.encoder(batch["image"], evidence, self.branch.encoder(batch["image"], evidence)), evidence

    def decode(self, out: dict[str, Tensor], evidence: Evidence) -> Prediction:
        """From the head's outputs to bodies in front of the crops' camera, in fp32."""
        with torch.autocast(device_type=evidence.camera.focal.device.type, enabled=False):
            if self.branch is not None:
                said = self.branch(evidence)
                starts = {name: getattr(self, f"start_{name}") for name in PARAMETERS}
                out = {**out, **{name: out[name] + said[name] - start for name, start in starts.items()}}
            prediction: Prediction = self.decoder(out, evidence.camera, self.body)
            return prediction


def make_network(
    backbone: str,
    head: str,
    camera: str,
    input_size: int,
    body_models: str,
    coder: Callable[[], PoseCoder] | None = None,
    evidence: str = "image",
) -> MeshNetwork:
    """A network from plain values, with random weights.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        head: name in :data:`lightning_modules.heads.HEADS`; joints alone are read by "regression", whatever is named.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`; with every one but "virtual", the network is told
            where in the image the crop was taken.
        input_size: side of the square crops in pixels.
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        coder: loads the pose prior whose code is regressed; None: rotations are, or vertices by a head that says them.
        evidence: one of :data:`EVIDENCE`: what is looked at.

    Raises:
        ValueError: an unknown name, or a backbone that the head cannot look at.
    """
    if evidence not in EVIDENCE:
        raise ValueError(unknown("evidence", evidence, EVIDENCE))
    kind = find_head(head)
    box_info = camera != CROP_ALONE
    looks = evidence != "joints"
    image = ENCODERS[kind.encoder](backbone, input_size, box_info and not kind.reads_box) if looks else None
    body = open_body(body_models)
    start = {
        "global_orient": matrix_to_sixd(upright()),
        "body": RotationDecoder.start(body.spec) if coder is None else CodeDecoder.start(body.spec),
        "betas": torch.zeros(body.spec.shape_size),
        "camera": _camera_start(body),
    }

    def inputs(encoder: ImageEncoder | JointEncoder | BothEncoder, reads_box: bool) -> HeadInputs:
        found = image.backbone if image is not None else None
        told = box_info and reads_box
        return HeadInputs(encoder.out_channels, encoder.map_size, start, input_size, told, found, body)

    branch: JointBranch | None = None
    if evidence != "image":
        reader = JointEncoder(len(body.spec.body_joints), box_info)
        branch = JointBranch(reader, RegressionHead(inputs(reader, True)))
    if image is None:
        assert branch is not None
        network = MeshNetwork(branch.encoder, body, branch.head, camera, input_size)
    elif branch is None:
        network = MeshNetwork(image, body, kind(inputs(image, kind.reads_box)), camera, input_size)
    else:
        both = BothEncoder(image, branch.encoder.out_channels)
        network = MeshNetwork(both, body, kind(inputs(both, kind.reads_box)), camera, input_size, branch)
        for name, value in start.items():
            network.register_buffer(f"start_{name}", value, persistent=False)
    if kind.says == "vertices" and looks:
        network.decoder = MeshDecoder()
    else:
        # Last: loading a prior draws random numbers, too.
        network.decoder = RotationDecoder() if coder is None else CodeDecoder(coder())
    return network


def joint_branch(network: MeshNetwork) -> JointBranch:
    """What reads the joints in a network.

    Raises:
        ValueError: nothing does.
    """
    if network.branch is not None:
        return network.branch
    if isinstance(network.encoder, JointEncoder):
        return JointBranch(network.encoder, network.head)
    msg = "a network that looks at pictures alone has no joint branch"
    raise ValueError(msg)


def load_joint_branch(network: MeshNetwork, path: str | Path) -> None:
    """Fill what reads the joints from the checkpoint of a network of joints alone.

    Args:
        network: with a joint branch, or of joints alone.
        path: checkpoint.

    Raises:
        CheckpointError: it is of another network: of another body, prior or camera.
        ValueError: the network reads no joints.
    """
    load_weights(joint_branch(network), path, prefix="network.", min_coverage=1.0)


def _camera_start(body: Body) -> Tensor:
    # A standing adult whose pelvis is at the centre of a crop with the usual margin.
    x, y, _ = body.joint_template[0].tolist()
    part = CROP_MARGIN * _START_BODY_HEIGHT / DEPTH_BODY_SIZE
    return torch.tensor([-x, -y, math.log(part / (1 - part))])
