"""Finds and reads body model files."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from body_models.standin import standin_arrays, standin_regressors


class ModelFileError(ValueError):
    """A body model file that is missing, damaged or of another kind."""


@dataclass(frozen=True)
class ModelFiles:
    """A body model as read.

    Attributes:
        arrays: keys and shapes of SMPL's files, see :func:`body_models.standin.standin_arrays`.
        J_regressor_h36m: (17, 6890).
        J_regressor_extra: (9, 6890).
        is_standin: whether the body is the licence-free stand-in.
    """

    arrays: dict[str, NDArray]
    J_regressor_h36m: NDArray
    J_regressor_extra: NDArray
    is_standin: bool


def read_model_files(body_models: str = "standin", gender: str = "neutral") -> ModelFiles:
    """Read the body model of a gender from a folder, or the embedded one for "standin"."""
    if body_models == "standin":
        return ModelFiles(arrays=standin_arrays(gender), **standin_regressors(), is_standin=True)
    raise NotImplementedError(body_models)
