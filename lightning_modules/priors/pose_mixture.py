"""A Gaussian mixture over body poses [1]: how plausible a pose is, and a pose prior by its gradient.

[1] Bogo et al., Keep it SMPL: Automatic Estimation of 3D Human Pose and Shape from a Single Image, ECCV 2016.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from body_models.rotations import axis_angle_to_matrix, complete_pose, matrix_to_axis_angle
from body_models.safe_pickle import ModelFileError, load_pickle
from body_models.spec import RECORDED_JOINTS, SMPL

COMPONENTS = 8
POSE_SIZE = 3 * len(RECORDED_JOINTS)
"""Axis-angle of the joints that sequences know; AMASS says nothing about SMPL's two hand joints."""

_POSES = 20_000
_REGULARISATION = 1e-3
_ITERATIONS = 50
# Our own file and SMPLify's gmm_08.pkl have the same content.
_NAMES = ("means", "covars", "weights")


def mixture_values(poses: NDArray[Any]) -> Tensor:
    """What a mixture is over, (N, D) float64, of recorded poses (N, K, 3) or (N, D), axis-angle in radians.

    Recordings also hold turns beyond pi; what is scored later does not.
    """
    turns = torch.as_tensor(np.array(poses, dtype=np.float64)).reshape(len(poses), -1, 3)
    return matrix_to_axis_angle(axis_angle_to_matrix(turns)).flatten(1)


class PoseMixture(nn.Module):
    """Mixture of K Gaussians with full covariances over D axis-angle values of the body joints, the root left out.

    Args:
        means: (K, D) radians.
        covars: (K, D, D) radians squared.
        weights: (K,), which sum to 1.

    Raises:
        ModelFileError: shapes that do not fit, or a covariance that is none.
    """

    def __init__(self, means: ArrayLike, covars: ArrayLike, weights: ArrayLike) -> None:
        super().__init__()
        mean, covariance, weight = (torch.as_tensor(np.asarray(part, np.float64)) for part in (means, covars, weights))
        components, size = mean.shape if mean.ndim == 2 else (0, 0)
        if covariance.shape != (components, size, size) or weight.shape != (components,) or not components:
            shapes = ", ".join(str(tuple(part.shape)) for part in (mean, covariance, weight))
            msg = f"means, covars and weights have shapes {shapes}; a pose mixture has (K, D), (K, D, D) and (K,)"
            raise ModelFileError(msg)
        factor, wrong = torch.linalg.cholesky_ex(covariance)
        if wrong.any() or not (weight > 0).all():
            msg = (
                "a covariance of the pose mixture is not positive definite, or a weight not above 0; get the file again"
            )
            raise ModelFileError(msg)
        whiten = torch.linalg.solve_triangular(factor, torch.eye(size, dtype=torch.float64), upper=False)
        log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + size / 2 * math.log(2 * math.pi)

        # Not in checkpoints of networks that are trained with it: it has a file of its own.
        def constant(name: str, value: Tensor) -> None:
            self.register_buffer(name, value.float(), persistent=False)

        for name, value in zip(_NAMES, (mean, covariance, weight / weight.sum()), strict=True):
            constant(name, value)
        # x -> whiten (x - mean) of all components as one product.
        constant("_linear", whiten.flatten(0, 1))
        constant("_offset", torch.einsum("kde,ke->kd", whiten, mean).flatten())
        constant("_log_scale", (weight / weight.sum()).log() - log_volume)

    means: Tensor
    covars: Tensor
    weights: Tensor
    _linear: Tensor
    _offset: Tensor
    _log_scale: Tensor

    @property
    def size(self) -> int:
        """D, number of axis-angle values."""
        return self.means.shape[1]

    def neg_log_density(self, pose: Tensor) -> Tensor:
        """-log density of poses (N, D or more) in radians, (N,); values beyond the mixture's D are not looked at."""
        if pose.shape[-1] < self.size:
            msg = f"the pose mixture is over {self.size} values, the poses have {pose.shape[-1]}"
            raise ValueError(msg)
        with torch.autocast(device_type=pose.device.type, enabled=False):
            linear = self._linear
            white = torch.nn.functional.linear(pose[..., : self.size].to(linear.dtype), linear) - self._offset
            distance = white.unflatten(-1, (-1, self.size)).square().sum(-1)
            return -torch.logsumexp(self._log_scale - distance / 2, dim=-1)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """SMPL's ``body_pose`` (count, R, 3, 3) drawn from the mixture; joints that it is not over are at rest."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        factors = torch.linalg.cholesky(self.covars.double()).float()
        normal = torch.randn(count, self.size, 1, generator=generator)
        pose = self.means[chosen] + (factors[chosen] @ normal).squeeze(-1)
        rotations = axis_angle_to_matrix(pose.unflatten(1, (-1, 3)))
        return complete_pose(rotations, SMPL.num_rotations)

    @classmethod
    def fit(cls, poses: NDArray[Any], components: int = COMPONENTS, seed: int = 0) -> PoseMixture:
        """Fit by expectation maximisation.

        Args:
            poses: (N, K, 3) or (N, D) axis-angle, radians; of more than 20,000, so many are drawn.
            components: K.
            seed: of the draw and of the start.
        """
        rng = np.random.default_rng(seed)
        drawn = poses if len(poses) <= _POSES else poses[np.sort(rng.choice(len(poses), _POSES, replace=False))]
        model = GaussianMixture(
            components, covariance_type="full", reg_covar=_REGULARISATION, max_iter=_ITERATIONS, tol=1e-2,
            random_state=seed,
        ).fit(mixture_values(drawn).numpy())  # fmt: skip
        return cls(model.means_, model.covariances_, model.weights_)

    def save(self, path: Path) -> None:
        """Write a .npz that :meth:`load` reads."""
        np.savez(path, **{name: getattr(self, name).numpy(force=True) for name in _NAMES})

    @classmethod
    def load(cls, path: str | Path) -> PoseMixture:
        """Read a mixture: a .npz of :meth:`save`, or SMPLify's gmm_08.pkl (69 values).

        Raises:
            ModelFileError: the file is missing, damaged or something else.
        """
        path = Path(path)
        try:
            content = np.load(path, allow_pickle=False) if path.suffix == ".npz" else load_pickle(path)
            return cls(*(content[name] for name in _NAMES))
        except (OSError, KeyError, TypeError, IndexError, ValueError, zipfile.BadZipFile) as error:
            if isinstance(error, ModelFileError) and str(path) in str(error):
                raise
            msg = f"{path}: is no pose mixture with {', '.join(_NAMES)} ({error}); get it again"
            raise ModelFileError(msg) from error
