"""What a pose prior knows: how well it rebuilds or foretells poses that it never saw, and what its samples look like.

============= ==============================================================================================
file          content
============= ==============================================================================================
held_out.csv  joint, mm, degrees: mean error of each joint of held-out poses, rebuilt by their mean code
kl.csv        dimension, kl: mean nats by which each number of their codes differs from the standard normal
kl.png        the same as bars, largest first
samples.png   12 samples, each from the front and from its left side
prior.json    the numbers of :func:`describe_vposer` or :func:`describe_mixture`, and of :func:`describe_samples`
============= ==============================================================================================
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from body_models.bodies import BodyModels
from body_models.joint_limits import degrees_outside, violations
from body_models.parameters import BodyParameters
from body_models.render import side_view
from body_models.rotations import upright
from body_models.spec import RECORDED_JOINTS
from datamodules.writing import write_json
from lightning_modules.priors.pose_mixture import PoseMixture, mixture_values
from lightning_modules.priors.pose_prior import PosePriorModule

SHOWN = 12
ACTIVE_NATS = 0.01
"""Numbers of the code that differ less from the standard normal carry nothing."""
_ROWS = 2
_VIEW = (190, 300)
_CHUNK = 4096


@torch.no_grad()
def describe_vposer(module: PosePriorModule, poses: Tensor, folder: Path) -> dict[str, float]:
    """Rebuild held-out poses; writes held_out.csv, kl.csv and kl.png.

    Args:
        module: trained, in evaluation mode.
        poses: (N, K, 3) axis-angle.
        folder: that exists.

    Returns:
        ``poses/mpjpe`` in mm, ``poses/angle`` in degrees, ``poses/kl`` in nats a code, and ``poses/active``, how many
        numbers of the code carry something.
    """
    parts = [module.reconstruction(part) for part in poses.split(_CHUNK)]
    error, angle, divergence = (torch.cat(column).double().mean(dim=0).numpy() for column in zip(*parts, strict=True))
    joints = RECORDED_JOINTS
    _write_csv(folder / "held_out.csv", ("joint", "mm", "degrees"), zip(joints, error, angle, strict=True))
    _write_csv(folder / "kl.csv", ("dimension", "kl"), enumerate(divergence))
    _draw_bars(folder / "kl.png", divergence)
    found = {
        "poses/mpjpe": error.mean(),
        "poses/angle": angle.mean(),
        "poses/kl": divergence.sum(),
        "poses/active": (divergence > ACTIVE_NATS).sum(),
    }
    return _note(folder, found)


@torch.no_grad()
def describe_mixture(
    mixture: PoseMixture, learned: NDArray[Any], held_out: NDArray[Any], folder: Path
) -> dict[str, float]:
    """Negative log likelihood, in nats for each value, of poses that a mixture never saw beside those it was fitted to.

    Args:
        mixture: fitted.
        learned: (N, K, 3) axis-angle, the poses that it was fitted to.
        held_out: (M, K, 3) axis-angle, of other sequences.
        folder: that exists.

    Returns:
        ``poses/nll`` of the held-out poses, ``poses/nll_learned`` of the others; a gap between them is overfitting.
    """
    found = {}
    for name, poses in (("poses/nll", held_out), ("poses/nll_learned", learned)):
        parts = [poses[start : start + _CHUNK] for start in range(0, len(poses), _CHUNK)]
        nats = torch.cat([mixture.neg_log_density(mixture_values(part)) for part in parts])
        found[name] = nats.double().mean().item() / mixture.size
    return _note(folder, found)


@torch.no_grad()
def describe_samples(body_pose: Tensor, folder: Path, body_models: str = "free") -> dict[str, float]:
    """Count the joints of samples that are beyond anatomical limits, and draw the first; writes samples.png.

    Args:
        body_pose: (N, R, 3, 3).
        folder: that exists.
        body_models: reference of the bodies.

    Returns:
        ``samples/limit_violations`` in joints, ``samples/limit_excess_deg`` in degrees, means over the samples.
    """
    draw_bodies(body_pose[:SHOWN], folder / "samples.png", body_models)
    found = {
        "samples/limit_violations": violations(body_pose).double().sum(dim=1).mean().item(),
        "samples/limit_excess_deg": degrees_outside(body_pose).double().sum(dim=1).mean().item(),
    }
    return _note(folder, found)


def draw_bodies(body_pose: Tensor, path: Path, body_models: str = "free") -> None:
    """A picture of poses (N, R, 3, 3) in mean shape, upright: each from the front and from its left side."""
    bodies, count = BodyModels(body_models), len(body_pose)
    shape = torch.zeros(count, bodies.spec.shape_size)
    vertices = bodies.pose(BodyParameters(upright().expand(count, 3, 3), body_pose, shape)).vertices.numpy()
    faces = bodies.neutral.faces
    pairs = [np.concatenate([side_view(each, faces, _VIEW, angle=a) for a in (0.0, 90.0)], 1) for each in vertices]
    blank = np.full_like(pairs[0], 255)
    pairs += [blank] * (-count % _ROWS)
    columns = len(pairs) // _ROWS
    rows = [np.concatenate(pairs[row * columns : (row + 1) * columns], axis=1) for row in range(_ROWS)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def _draw_bars(path: Path, divergence: NDArray[Any]) -> None:
    ordered = np.argsort(-divergence, kind="stable")
    with matplotlib.rc_context({"font.size": 8}):
        figure = Figure(figsize=(6, 2.2), layout="constrained")
        axes = figure.subplots()
        axes.bar([str(i) for i in ordered], divergence[ordered], color="#4878a8")
        axes.set_xlabel("number of the code")
        axes.set_ylabel("nats")
        axes.set_title(f"KL on held-out poses: {divergence.sum():.1f} nats", loc="left")
        axes.margins(x=0.01)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=120, metadata={"Software": None})


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


def _note(folder: Path, found: dict[str, float]) -> dict[str, float]:
    """Add numbers to prior.json."""
    path = folder / "prior.json"
    plain = {name: float(value) for name, value in found.items()}
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**known, **plain})
    return plain
