"""Predictions of any code base against ground truth: pairs of arrays in an .npz, scored as a stream.

The members of the archive are read a block of rows at a time, so a file may be larger than memory; only members in
Fortran order are read whole. Nothing is unpickled.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.spec import SMPL
from datamodules.pseudo_gt.native import some_of
from experiments.evaluation.scores import ProtocolErrors
from lightning_modules.scoring import metrics
from lightning_modules.scoring.protocols import MPJAE_JOINTS

# Key of the prediction, accepted names of both, and the shape of a row (None: any length).
_KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[int | None, ...]]] = {
    "joints": (("pred_joints",), ("gt_joints",), (None, 3)),
    "vertices": (("pred_vertices", "pred_verts"), ("gt_vertices", "gt_verts"), (None, 3)),
    "rotmats": (("pred_rotmats",), ("gt_rotmats",), (None, 3, 3)),
}
_MPJAE_COUNT = len(MPJAE_JOINTS)
_BLOCK_NUMBERS = 4_000_000
_REMEDY = "Write it with numpy.savez(file, pred_joints=..., gt_joints=...), float arrays in metres"
# A damaged archive or member, in zipfile's, zlib's and NumPy's words.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class PairsError(ValueError):
    """A file of pairs that cannot be scored; the message names file, key, shape and remedy."""


class _Member:
    """One array of the archive, row by row.

    Attributes:
        key: its name without ``.npy``.
        shape: of the whole array.
    """

    def __init__(self, archive: zipfile.ZipFile, key: str) -> None:
        self.key, self._path = key, archive.filename
        try:
            self._file: IO[bytes] = archive.open(f"{key}.npy")
            version = np.lib.format.read_magic(self._file)
            if version not in ((1, 0), (2, 0)):
                msg = f"format version {version}"
                raise ValueError(msg)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, fortran, self._dtype = read(self._file)
        except _BROKEN as error:
            msg = f"{self._path}: {key} is not a readable array ({error}). {_REMEDY}"
            raise PairsError(msg) from error
        if self._dtype.kind not in "fiu":
            msg = f"{self._path}: {key} holds {self._dtype}, not real numbers. {_REMEDY}"
            raise PairsError(msg)
        size = archive.getinfo(f"{key}.npy").file_size - self._file.tell()
        if size != math.prod(self.shape) * self._dtype.itemsize or min(self.shape, default=0) < 0:
            msg = f"{self._path}: {key} has shape {self.shape} but {size} bytes; it is cut off: write it again"
            raise PairsError(msg)
        self._whole = self._numbers(math.prod(self.shape)).reshape(self.shape, order="F") if fortran else None
        self._row = 0

    def check(self, row: tuple[int | None, ...]) -> None:
        """Raise unless it is (N, ...) with rows of this shape."""
        fits = len(self.shape) == 1 + len(row) and all(
            want in (None, have) for want, have in zip(row, self.shape[1:], strict=True)
        )
        if not fits or 0 in self.shape[1:]:
            expected = ", ".join(["N", *("K" if want is None else str(want) for want in row)])
            msg = f"{self._path}: {self.key} has shape {self.shape}, expected ({expected}) in metres or as matrices"
            raise PairsError(msg)

    def read(self, rows: int) -> NDArray[np.float64]:
        """The next rows."""
        first, self._row = self._row, self._row + rows
        if self._whole is not None:
            return self._whole[first : first + rows].astype(np.float64)
        return self._numbers(rows * math.prod(self.shape[1:])).reshape(rows, *self.shape[1:]).astype(np.float64)

    def _numbers(self, count: int) -> NDArray[Any]:
        size = count * self._dtype.itemsize
        try:
            data = self._file.read(size)
        except _BROKEN as error:
            msg = f"{self._path}: {self.key} cannot be read ({error}); write the file again"
            raise PairsError(msg) from error
        if len(data) != size:
            msg = f"{self._path}: {self.key} ends early; write the file again"
            raise PairsError(msg)
        return np.frombuffer(data, dtype=self._dtype)


class _Pair(NamedTuple):
    pred: _Member
    true: _Member

    @property
    def row_numbers(self) -> int:
        return 2 * math.prod(self.pred.shape[1:])


def score_pairs(path: Path, root: Sequence[int] | None = (0,), joints: Sequence[int] | None = None) -> ProtocolErrors:
    """Score a file of pairs.

    Args:
        path: .npz with pred_joints and gt_joints (N, J, 3); optionally pred_vertices and gt_vertices (N, V, 3) (or
            pred_verts, gt_verts), metres; and pred_rotmats and gt_rotmats (N, 24, 3, 3) or (N, 9, 3, 3), global.
        root: joints whose mean is taken as the origin, also of the vertices; None: nothing is aligned (but for
            Procrustes).
        joints: those that are compared, after the alignment; None: all.

    Returns:
        The metrics of each sample; NaN for one with NaN or infinity anywhere in its arrays.

    Raises:
        PairsError: an array is missing or does not fit.
        OSError: the file cannot be opened.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        if isinstance(error, OSError):
            raise
        msg = f"{path} is not an .npz file ({error}). {_REMEDY}"
        raise PairsError(msg) from error
    with archive:
        pairs = _open(archive, path)
        count = pairs["joints"].pred.shape[0]
        total = pairs["joints"].pred.shape[1]
        _check_indices(path, root, joints, total)
        kept = list(range(total)) if joints is None else list(joints)
        rows = max(1, _BLOCK_NUMBERS // sum(pair.row_numbers for pair in pairs.values()))
        parts = [_score(block, root, kept) for block in _blocks(pairs, count, rows)]
    names = parts[0][0] if parts else ()
    per_joint = np.concatenate([part[1] for part in parts]) if parts else np.empty((0, len(kept)))
    return ProtocolErrors(
        protocol="pairs",
        ids=np.arange(count).astype(str),
        metrics={name: np.concatenate([part[0][name] for part in parts]) for name in names},
        per_joint=per_joint,
        joint_names=tuple(f"joint {joint}" for joint in kept),
    )


def _open(archive: zipfile.ZipFile, path: Path) -> dict[str, _Pair]:
    stored = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
    pairs: dict[str, _Pair] = {}
    for kind, (pred_names, true_names, row) in _KINDS.items():
        found = [next((name for name in names if name in stored), None) for names in (pred_names, true_names)]
        if found == [None, None] and kind != "joints":
            continue
        lost = [names[0] for names, name in zip((pred_names, true_names), found, strict=True) if name is None]
        if lost:
            msg = f"{path} has no {' and no '.join(lost)}; it has {some_of(sorted(stored), 20) or 'nothing'}. {_REMEDY}"
            raise PairsError(msg)
        pred, true = (_Member(archive, str(name)) for name in found)
        for member in (pred, true):
            member.check(row)
        if pred.shape != true.shape:
            msg = f"{path}: {pred.key} has shape {pred.shape} but {true.key} {true.shape}; rows and joints must agree"
            raise PairsError(msg)
        pairs[kind] = _Pair(pred, true)
    counts = {pair.pred.key: pair.pred.shape[0] for pair in pairs.values()}
    if len(set(counts.values())) > 1:
        msg = f"{path}: numbers of samples differ: {counts}"
        raise PairsError(msg)
    if "rotmats" in pairs and pairs["rotmats"].pred.shape[1] not in (len(SMPL.joints), _MPJAE_COUNT):
        msg = (
            f"{path}: {pairs['rotmats'].pred.key} has shape {pairs['rotmats'].pred.shape}, expected (N, 24, 3, 3) of "
            f"all SMPL joints or (N, 9, 3, 3) of joints {', '.join(map(str, MPJAE_JOINTS))}"
        )
        raise PairsError(msg)
    return pairs


def _check_indices(path: Path, root: Sequence[int] | None, joints: Sequence[int] | None, total: int) -> None:
    for option, indices in (("--root", root), ("--joints", joints)):
        wrong = [index for index in indices or () if not 0 <= index < total]
        if wrong:
            msg = f"{path}: {option} asks for joint {wrong[0]}, but gt_joints has {total}: 0 to {total - 1}"
            raise PairsError(msg)


def _blocks(pairs: dict[str, _Pair], count: int, rows: int) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    for start in range(0, count, rows):
        size = min(rows, count - start)
        yield {
            kind: (torch.from_numpy(pair.pred.read(size)), torch.from_numpy(pair.true.read(size)))
            for kind, pair in pairs.items()
        }


def _score(
    block: dict[str, tuple[Tensor, Tensor]], root: Sequence[int] | None, kept: list[int]
) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    pred, true = block["joints"]
    pred_root, true_root = (points[:, list(root)].mean(dim=1) if root else None for points in (pred, true))
    if pred_root is not None and true_root is not None:
        pred, true = pred - pred_root[:, None], true - true_root[:, None]
    pred, true = pred[:, kept], true[:, kept]
    values = {
        "mpjpe": metrics.mpjpe(pred, true),
        "pa_mpjpe": metrics.pa_mpjpe(pred, true),
        "pck50": 100 * metrics.pck(pred, true, 50.0),
        "auc200": 100 * metrics.auc(pred, true),
        "pck150": 100 * metrics.pck(pred, true, 150.0, strict=True),
        "auc150": 100 * metrics.auc(pred, true, metrics.AUC_3DHP, strict=True),
    }
    if "vertices" in block:
        values["mpvpe"] = metrics.mpvpe(*block["vertices"], pred_root, true_root)
        values["pa_mpvpe"] = metrics.pa_mpvpe(*block["vertices"])
    if "rotmats" in block:
        some = MPJAE_JOINTS if block["rotmats"][0].shape[1] > _MPJAE_COUNT else slice(None)
        values["mpjae"] = metrics.mpjae(*(rotations[:, some] for rotations in block["rotmats"]))
    # One number of samples for all metrics: whoever is not finite anywhere is left out everywhere.
    finite = torch.stack(
        [values.isfinite().flatten(1).all(dim=1) for pair in block.values() for values in pair]
    ).all(dim=0)  # fmt: skip
    errors = metrics.joint_errors(pred, true).where(finite[:, None], torch.nan)
    return {name: value.where(finite, torch.nan).numpy() for name, value in values.items()}, errors.numpy()
