"""SMPLify [1]: fits the body to the annotated 2D joints of each person, without looking at the picture.

Batched over people: Adam on the sum of their objectives, which treats every number on its own, so nobody's result
depends on the others in the batch. Stages and weights are those of the published codes [2, 3]:

1. Camera: depth from the torso's length, then root rotation and translation from the torso's joints, begun with the
   body turned four ways; the one that fits all joints best goes on.
2. Pose and shape by four stages of falling prior weights; with a body to start from (refinement) by the last alone,
   as SPIN does.

Two parts differ from these codes. Joint limits (:mod:`body_models.joint_limits`) take the place of the penalty on
elbows and knees that bend back. And the translation stays free while the pose is fitted, because the depth that a bent
torso suggests is wrong.

[1] Bogo et al., Keep it SMPL: Automatic Estimation of 3D Human Pose and Shape from a Single Image, ECCV 2016.
[2] SMPLify-X's cfg_files/fit_smpl.yaml, https://github.com/vchoutas/smplify-x.
[3] SPIN's smplify/losses.py, https://github.com/nkolot/SPIN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from body_models.bodies import open_body
from body_models.camera import CROP_MARGIN, DEPTH_BODY_SIZE, depth_scale, project
from body_models.contracts import Batch, Prediction
from body_models.joint_limits import angles_outside
from body_models.rotations import axis_angle_to_matrix, matrix_to_axis_angle, upright
from body_models.spec import ROOT, SMPL
from lightning_modules.cameras import find_camera
from lightning_modules.priors.pose_mixture import PoseMixture
from lightning_modules.priors.pose_prior import LATENT_SIZE, NUM_PRIOR_JOINTS, PoseCoder

SIDE = 224.0
"""Crop side in pixels that the weights are meant for, SPIN's: 2D errors are measured as if crops had this size."""
SIGMA = 100.0
"""Pixels of :data:`SIDE` where the robust 2D error bends [2, 3]."""
DEPTH_WEIGHT = 100.0
"""Per metre: keeps the depth near its first guess while the camera is fitted [3]."""
LIMIT_WEIGHT = 50.0
"""Per radian beyond a joint's range; this project's own. A tenth of a radian costs what one joint 5 pixels off does."""


class Stage(NamedTuple):
    """Weights of a stage, squared in the objective like all the others; and its share of the iterations."""

    pose: float
    shape: float
    share: float


STAGES = (Stage(404.0, 100.0, 0.1), Stage(404.0, 50.0, 0.1), Stage(57.4, 10.0, 0.3), Stage(4.78, 5.0, 0.5))
"""Weights of [2], the last also [3]'s. The first two do hardly more than find root and translation by all joints."""
_CAMERA_SHARE = 0.5  # which costs little, as nothing is posed

_STANDING_HEIGHT = 1.7
_YAWS = (0.0, math.pi / 2, math.pi, -math.pi / 2)
_CORNERS = ("left_shoulder", "left_hip", "right_shoulder", "right_hip")
# (4, J): which body joints, of whatever definition, are a corner of the torso.
_TORSO = torch.tensor([[float(name.endswith(corner)) for name in SMPL.body_joints] for corner in _CORNERS])

Values = dict[str, Tensor]


@dataclass(frozen=True)
class _Problem:
    """What is to be explained: (B, J, 2) joints in crop pixels and (B, J) weights, seen by (B, 2) focal and princpt."""

    joints: Tensor
    weights: Tensor
    focal: Tensor
    princpt: Tensor
    side: int

    def error(self, points: Tensor, weights: Tensor | None = None, robust: bool = True) -> Tensor:
        """(B,) weighted sum of squared distances, in pixels of :data:`SIDE`, of camera-frame points (B, J, 3)."""
        distance = (project(points, self.focal, self.princpt) - self.joints) * (SIDE / self.side)
        square = distance.square()
        if robust:
            square = SIGMA**2 * square / (SIGMA**2 + square)
        return (square.sum(dim=-1) * (self.weights if weights is None else weights)).sum(dim=-1)

    def repeat(self, times: int) -> _Problem:
        joints, weights, focal, princpt = (
            value.repeat_interleave(times, dim=0) for value in (self.joints, self.weights, self.focal, self.princpt)
        )
        return _Problem(joints, weights, focal, princpt, self.side)


class SMPLify(pl.LightningModule):
    """Fits bodies to 2D joints; a stand-in for a network where one is asked for a :class:`Prediction`.

    Args:
        prior: keeps poses plausible: the pose is free under a mixture, and decoded from a free code under a pose prior.
        body_models: reference of the bodies, in SMPL's layout.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`, where there is no prediction to start from.
        iterations: steps of Adam in the stages of pose and shape together.
        lr: Adam's learning rate, in radians, metres, parts of the depth, units of the shape and of the code; falls to 0
            in each stage.
    """

    mirror_tells: ClassVar[bool] = False
    evidence: ClassVar[str] = "joints"

    def __init__(
        self,
        prior: PoseMixture | PoseCoder,
        body_models: str = "free",
        camera: str = "virtual",
        iterations: int = 100,
        lr: float = 0.05,
    ) -> None:
        super().__init__()
        self.prior = prior.requires_grad_(False)
        self.body = open_body(body_models)
        self.body.spec.require_smpl("SMPLify")
        self.camera = find_camera(camera)
        self.iterations, self.lr = iterations, lr
        self.eval()

    def train(self, mode: bool = True) -> SMPLify:
        # Nothing here is trained, and a prior with dropout would say something else each time.
        return super().train(False)

    def forward(self, batch: Batch, start: Prediction | None = None) -> Prediction:
        """Bodies and crop cameras for the people of a batch; looks at joints, and what the camera needs.

        Args:
            batch: of people.
            start: bodies and cameras to refine; None begins with the prior's mean pose.
        """
        device = batch["joints_2d"].device.type
        # Lightning predicts in inference mode, whose tensors no gradient may pass through: copies may.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
            given: Any = {name: _copy(value) for name, value in batch.items() if name != "image"}
            return self._fit(given, batch["image"].shape[-1], start)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """As :meth:`lightning_modules.mesh_module.MeshModule.predict_step`."""
        return {"id": batch["id"], "source": batch["source"], "prediction": self(batch)}

    def _fit(self, batch: Batch, side: int, start: Prediction | None) -> Prediction:
        if start is None:
            camera = self.camera({**batch, "image": batch["joints_2d"]}, side)
            focal, princpt = camera.focal, camera.princpt
        else:
            focal, princpt = _copy(start.focal), _copy(start.princpt)
        conf = batch["joints_2d_conf"]
        joints = batch["joints_2d"].where(conf.unsqueeze(-1) > 0, 0.0)
        problem = _Problem(joints, conf.square(), focal, princpt, side)
        values, root = self._mean_body(problem) if start is None else self._body_of(start)
        values, root = self._place(problem, values, root, turn=start is None)
        for stage in STAGES if start is None else STAGES[-1:]:
            objective = partial(self._objective, problem, root, stage)
            values = _minimise(objective, values, tuple(values), self._steps(stage.share), self.lr)
        with torch.no_grad():
            return self._prediction(problem, values, root)

    def _mean_body(self, problem: _Problem) -> tuple[Values, Tensor]:
        people = problem.joints.new_zeros(len(problem.joints))
        size = LATENT_SIZE if isinstance(self.prior, PoseCoder) else SMPL.num_rotations * 3
        body = people.new_zeros(len(people), size)
        if isinstance(self.prior, PoseMixture):
            body[:, : self.prior.size] = self.prior.weights @ self.prior.means
        depth = depth_scale(problem.focal.mean(dim=1, keepdim=True), problem.side)
        values = {
            "body": body,
            "betas": people.new_zeros(len(people), SMPL.shape_size),
            "shift": people.new_zeros(len(people), 2),
            "log_depth": (depth * CROP_MARGIN * _STANDING_HEIGHT / DEPTH_BODY_SIZE).log(),
            "turn": people.new_zeros(len(people), 3),
        }
        return values, upright().to(people).expand(len(people), 3, 3)

    def _body_of(self, start: Prediction) -> tuple[Values, Tensor]:
        orient, body_pose, betas = (_copy(value).float() for value in start.parameters())
        transl = _copy(start.transl).float()
        if isinstance(self.prior, PoseCoder):
            pose = matrix_to_axis_angle(body_pose[:, :NUM_PRIOR_JOINTS])
            body = self.prior.encode(pose).mean if start.latent is None else _copy(start.latent).float()
        else:
            body = matrix_to_axis_angle(body_pose).flatten(1)
        values = {
            "body": body.detach(),
            "betas": betas,
            "shift": transl[:, :2],
            "log_depth": transl[:, 2:].clamp(min=0.1).log(),
            "turn": torch.zeros_like(transl),
        }
        return values, orient

    def _place(self, problem: _Problem, values: Values, root: Tensor, turn: bool) -> tuple[Values, Tensor]:
        """Root rotation and translation of bodies whose pose and shape stay as they are.

        Args:
            problem: to solve.
            values: of the bodies.
            root: (B, 3, 3) rotation that "turn" is relative to.
            turn: whether root and translation are unknown, so that they are guessed, turned four ways.
        """
        with torch.no_grad():
            eye = torch.eye(3, device=root.device).expand_as(root)
            posed = self.body.joints(eye, self._pose(values["body"])[0], values["betas"])
        if turn:
            values = {**values, "log_depth": _depth_by_torso(problem, posed, values["log_depth"])}
            ways = _rotation_about_y(torch.tensor(_YAWS, device=root.device))
            root = (root.unsqueeze(1) @ ways).flatten(0, 1)
            problem, posed = problem.repeat(len(_YAWS)), posed.repeat_interleave(len(_YAWS), dim=0)
            values = {name: value.repeat_interleave(len(_YAWS), dim=0) for name, value in values.items()}
        pelvis = posed[:, ROOT].unsqueeze(1)
        torso = problem.weights * _TORSO.to(posed).amax(dim=0)
        torso = torso.where(torso.sum(dim=1, keepdim=True) > 0, problem.weights)

        def points(values: Values) -> Tensor:
            rotation = axis_angle_to_matrix(values["turn"]) @ root
            placed = (posed - pelvis) @ rotation.transpose(1, 2) + pelvis
            return placed + _translation(values).unsqueeze(1)

        if turn:
            values["shift"] = _centred(problem, points(values), torso, values["log_depth"].exp())
        guessed = values["log_depth"]

        def objective(values: Values) -> Tensor:
            moved = values["log_depth"].exp() - guessed.exp()
            return problem.error(points(values), torso, robust=False) + (DEPTH_WEIGHT * moved[:, 0]).square()

        moving, steps = ("turn", "shift", "log_depth"), self._steps(_CAMERA_SHARE)
        values = _minimise(objective, values, moving, steps, self.lr)
        if turn:
            with torch.no_grad():
                ranks = problem.error(points(values)).view(-1, len(_YAWS)).argmin(dim=1)
            rows = torch.arange(len(ranks), device=ranks.device) * len(_YAWS) + ranks
            values, root = {name: value[rows] for name, value in values.items()}, root[rows]
        return values, root

    def _objective(self, problem: _Problem, root: Tensor, stage: Stage, values: Values) -> Tensor:
        body_pose, joints = self._joints(values, root)
        body = values["body"]
        implausible = (
            self.prior.neg_log_density(body) if isinstance(self.prior, PoseMixture) else body.square().sum(dim=1)
        )
        outside = torch.deg2rad(angles_outside(body_pose)).square().sum(dim=(1, 2))
        return (
            problem.error(joints)
            + stage.pose**2 * implausible
            + stage.shape**2 * values["betas"].square().sum(dim=1)
            + LIMIT_WEIGHT**2 * outside
        )

    def _steps(self, share: float) -> int:
        return max(1, round(share * self.iterations))

    def _prediction(self, problem: _Problem, values: Values, root: Tensor) -> Prediction:
        body_pose, joints = self._joints(values, root)
        return Prediction(
            global_orient=axis_angle_to_matrix(values["turn"]) @ root,
            body_pose=body_pose,
            betas=values["betas"],
            transl=_translation(values),
            focal=problem.focal,
            princpt=problem.princpt,
            joints_3d=joints,
            joints_2d=project(joints, problem.focal, problem.princpt),
            latent=self._pose(values["body"])[1],
        )

    def _joints(self, values: Values, root: Tensor) -> tuple[Tensor, Tensor]:
        body_pose, _ = self._pose(values["body"])
        orient = axis_angle_to_matrix(values["turn"]) @ root
        return body_pose, self.body.joints(orient, body_pose, values["betas"], _translation(values))

    def _pose(self, body: Tensor) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.prior, PoseCoder):
            return self.prior.decode_body_pose(body), body
        return axis_angle_to_matrix(body.unflatten(1, (-1, 3))), None


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _translation(values: Values) -> Tensor:
    return torch.cat((values["shift"], values["log_depth"].exp()), dim=1)


def _rotation_about_y(angle: Tensor) -> Tensor:
    zero = torch.zeros_like(angle)
    return axis_angle_to_matrix(torch.stack((zero, angle, zero), dim=-1))


def _depth_by_torso(problem: _Problem, posed: Tensor, log_depth: Tensor) -> Tensor:
    """(B, 1) log of the depth at which the sides of the torso have the length that they have in the image.

    The given one for people with no side annotated; never so far from it that a torso seen from above explains it.
    """
    corners = _TORSO.to(posed) * problem.weights.unsqueeze(1)
    total = corners.sum(dim=2, keepdim=True)
    share = corners / total.where(total > 0, 1.0)
    known = ((total[:, 0::2] > 0) & (total[:, 1::2] > 0)).squeeze(-1)
    lengths = []
    for points in (posed, problem.joints / problem.focal.unsqueeze(1)):
        places = share @ points
        lengths.append(((places[:, 0::2] - places[:, 1::2]).norm(dim=-1) * known).sum(dim=1, keepdim=True))
    guessed = (lengths[0] / lengths[1].clamp(min=1e-6)).clamp(min=1e-3).log()
    near = torch.maximum(torch.minimum(guessed, log_depth + math.log(4)), log_depth - math.log(4))
    return near.where(known.any(dim=1, keepdim=True), log_depth)


def _centred(problem: _Problem, points: Tensor, weights: Tensor, depth: Tensor) -> Tensor:
    """(B, 2) metres by which to move points (B, J, 3) sideways so that their weighted mean lies on that of the joints.

    People without any annotated joint get their pelvis to the crop's centre.
    """
    total = weights.sum(dim=1, keepdim=True)
    share = (weights / total.where(total > 0, 1.0)).unsqueeze(1)
    seen = (share @ problem.joints).squeeze(1).where(total > 0, problem.side / 2)
    centre = (share @ points).squeeze(1).where(total > 0, points[:, ROOT])[:, :2]
    return (seen - problem.princpt) / problem.focal * depth - centre


def _minimise(
    objective: Callable[[Values], Tensor], start: Values, names: tuple[str, ...], iterations: int, lr: float
) -> Values:
    """Adam on each person's own objective (B,), with a rate that falls to 0; each one's best is kept.

    Args:
        objective: of the values.
        start: (B, n) by name.
        names: values to change.
        iterations: steps.
        lr: first learning rate.
    """
    values = {name: value.detach().clone().requires_grad_(name in names) for name, value in start.items()}
    optimizer = torch.optim.Adam([values[name] for name in names], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(iterations, 1))
    best = {name: value.detach().clone() for name, value in values.items()}
    lowest = torch.full_like(best[names[0]][:, 0], torch.inf)
    for step in range(iterations + 1):
        losses = objective(values)
        better = losses.detach() < lowest
        lowest = losses.detach().where(better, lowest)
        best = {name: value.detach().where(better.unsqueeze(1), best[name]) for name, value in values.items()}
        if step < iterations:
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            schedule.step()
    return best
