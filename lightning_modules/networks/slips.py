"""What annotators and detectors do to 2D joints, done to those that a network reads in training.

A network that always read perfect joints would copy every slip into its labels. The losses go on comparing with the
joints as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from body_models.spec import BodySpec
from lightning_modules.evidence import Evidence

_LIMBS = ("left_arm", "right_arm", "left_leg", "right_leg")
_PARTS = {"arm": ("shoulder", "elbow", "wrist", "hand"), "leg": ("hip", "knee", "ankle", "foot", "toe", "heel")}


@dataclass(frozen=True)
class Slips:
    """How often, and how far.

    Attributes:
        drop: largest share of a person's joints that are taken away, each by itself; most people lose few.
        limbs: share of the people who lose a whole arm or leg.
        nothing: share of the people who lose all joints.
        jitter: standard deviation of a joint's place, in crop sides, of half of the people; the others keep theirs.
        exchange: share of the people whose left joints are taken for the right ones.
    """

    drop: float = 0.5
    limbs: float = 0.1
    nothing: float = 0.02
    jitter: float = 0.015
    exchange: float = 0.02

    def of(self, evidence: Evidence, spec: BodySpec) -> Evidence:
        """The same evidence with slips, drawn from torch's random state."""
        joints, confidence = evidence.joints_2d, evidence.joints_2d_conf
        people = len(joints)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, device=joints.device)

        swapped = (uniform(people) < self.exchange)[:, None]
        order = torch.from_numpy(spec.mirror_body_joints).to(joints.device)
        joints = joints[:, order].where(swapped[..., None], joints)
        confidence = confidence[:, order].where(swapped, confidence)
        moved = self.jitter * evidence.camera.input_size * (uniform(people, 1, 1) < 0.5)
        joints = joints + moved * torch.randn_like(joints)
        lost = uniform(*confidence.shape) < self.drop * uniform(people, 1).square()
        limb = _limb_rows(spec, joints.device)[torch.randint(len(_LIMBS), (people,), device=joints.device)]
        lost = lost | (limb & (uniform(people, 1) < self.limbs)) | (uniform(people, 1) < self.nothing)
        confidence = confidence.where(~lost, 0.0)
        return replace(evidence, joints_2d=joints.where(confidence.unsqueeze(-1) > 0, 0.0), joints_2d_conf=confidence)


def _limb_rows(spec: BodySpec, device: torch.device) -> Tensor:
    """(4, J) body joints of each arm and leg, of whatever definition."""
    rows = []
    for limb in _LIMBS:
        side, _, kind = limb.partition("_")
        rows.append([f"{side}_" in name and name.endswith(_PARTS[kind]) for name in spec.body_joints])
    return torch.tensor(rows, device=device)
