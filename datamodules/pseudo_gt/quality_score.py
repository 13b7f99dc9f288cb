"""One number for how good a label is: its expected MPVPE in mm, from the quality columns of its table.

A ridge regression of log MPVPE on the columns in logarithmic or plain units, standardised [1]: few coefficients, which
go from one annotator to another better than a flexible model. They are fitted where the truth is known, the synthetic
world, by ``python -m experiments quality``, and lie in ``quality_score.json`` beside this file. On other data the order
of labels is what the score is good for; its millimetres are those of the world that it was fitted on.

A value that is not known (NaN, or the 2D error of someone without joints) counts as the mean, and adds the coefficient
that such people got. Values beyond those seen in fitting count as the largest or smallest seen.

[1] Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems, Technometrics 1970.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datamodules.pseudo_gt.native import Columns, LabelError
from datamodules.writing import write_json

QUALITY_SCORE = "quality_score"
"""Name of the score where it stands among columns, e.g. in an imported table that brings one."""
SCORE_FILE = Path(__file__).with_name("quality_score.json")
_RIDGE = 1.0


def _first(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _upright(global_orient: NDArray[Any]) -> NDArray[Any]:
    return -Rotation.from_rotvec(global_orient).as_matrix()[:, 1, 1]


def _facing(global_orient: NDArray[Any]) -> NDArray[Any]:
    return -Rotation.from_rotvec(global_orient).as_matrix()[:, 2, 2]


def _extent(axis: int, joints: NDArray[Any], box: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) extent of the annotated joints in box sides, NaN where none is: small for people bent towards the camera."""
    seen, values = joints[..., 2] > 0, joints[..., axis].astype(np.float64)
    high, low = (np.where(seen, values, fill) for fill in (-np.inf, np.inf))
    return np.where(seen.any(axis=1), (high.max(axis=1) - low.min(axis=1)) / box[:, 2], np.nan)


class Measure(NamedTuple):
    """A quality of a label, or what makes labels of such people good or bad.

    Attributes:
        columns: of the label table that it is computed from.
        of: the columns' values -> (N,).
        log_offset: added before taking the logarithm; None for plain units.
        scored: whether it is a term of the score.
    """

    columns: tuple[str, ...]
    of: Callable[..., NDArray[Any]] = _first
    log_offset: float | None = None
    scored: bool = True


MEASURES: dict[str, Measure] = {
    "error_2d": Measure(("error_2d",), log_offset=1e-3),
    "visible_joints": Measure(("visible_joints",)),
    "prior_score": Measure(("prior_score",)),
    "limit_excess_deg": Measure(("limit_excess_deg",), log_offset=1.0),
    "max_abs_beta": Measure(("max_abs_beta",), log_offset=0.1),
    "mirror_disagreement": Measure(("mirror_disagreement",), log_offset=1.0),
    "box_side": Measure(("box",), lambda box: box[:, 2], log_offset=1.0),
    "upright": Measure(("global_orient",), _upright),
    "facing": Measure(("global_orient",), _facing),
    "joints_width": Measure(("joints_2d", "box"), partial(_extent, 0)),
    "joints_height": Measure(("joints_2d", "box"), partial(_extent, 1)),
    # Only annotators with a pose prior have a code, so the score does without.
    "latent_norm": Measure(("latent",), lambda latent: np.linalg.norm(latent, axis=1), scored=False),
}
"""Every measure that is compared with the truth, by name."""


def measure(name: str, columns: Columns) -> NDArray[np.float64]:
    """(N,) values of a measure in its own unit; NaN where not known."""
    kind = MEASURES[name]
    return np.asarray(kind.of(*(columns[column] for column in kind.columns)), dtype=np.float64)


def _transformed(name: str, columns: Columns) -> NDArray[np.float64]:
    values, offset = measure(name, columns), MEASURES[name].log_offset
    return values if offset is None else np.log(np.maximum(values, 0) + offset)


@dataclass(frozen=True)
class Term:
    """One measure's part of the score.

    Attributes:
        mean: of the transformed values in fitting.
        std: of the same; the term of a constant measure has weight 0.
        low: smallest of them.
        high: largest of them.
        weight: of the standardised value, in log mm.
        unknown: added where the value is not known, in log mm.
    """

    mean: float
    std: float
    low: float
    high: float
    weight: float = 0.0
    unknown: float = 0.0

    def standardised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transformed values (N,) -> in standard deviations from the mean, 0 where not known."""
        return np.nan_to_num((np.clip(values, self.low, self.high) - self.mean) / self.std)


@dataclass(frozen=True)
class Score:
    """A fitted score: log mm of an average label, the terms by name of the measure, and what it was fitted on."""

    intercept: float
    terms: dict[str, Term]
    fitted_on: dict[str, Any]

    @property
    def columns(self) -> list[str]:
        """Columns of a label table that the score needs."""
        return list(dict.fromkeys(column for name in self.terms for column in MEASURES[name].columns))

    def __call__(self, columns: Columns) -> NDArray[np.float64]:
        """(N,) expected MPVPE in mm."""
        logarithm = np.full(len(columns[self.columns[0]]), self.intercept)
        for name, term in self.terms.items():
            values = _transformed(name, columns)
            logarithm += term.weight * term.standardised(values) + term.unknown * np.isnan(values)
        return np.exp(logarithm)

    def save(self, path: Path = SCORE_FILE) -> None:
        """Write the coefficients."""
        write_json(path, asdict(self))


def fit_score(columns: Columns, mpvpe: NDArray[Any], fitted_on: Mapping[str, Any]) -> Score:
    """Fit a score to labels whose error is known.

    Args:
        columns: of the label table, with all that scored measures need.
        mpvpe: (N,) mm; people with NaN are left out.
        fitted_on: plain values that say what these labels are.
    """
    known = np.isfinite(mpvpe)
    target = np.log(mpvpe[known])
    terms, design = {}, []
    for name in (name for name, kind in MEASURES.items() if kind.scored):
        values = _transformed(name, columns)[known]
        seen = values[~np.isnan(values)]
        if len(seen) == 0:
            seen = np.zeros(1)
        terms[name] = Term(float(seen.mean()), float(seen.std()) or 1.0, float(seen.min()), float(seen.max()))
        design += [terms[name].standardised(values), np.isnan(values).astype(np.float64)]
    inputs = np.stack(design, axis=1)
    centred = inputs - inputs.mean(axis=0)
    normal = centred.T @ centred + _RIDGE * np.eye(inputs.shape[1])
    weights = np.linalg.solve(normal, centred.T @ (target - target.mean()))
    fitted = {
        name: Term(term.mean, term.std, term.low, term.high, float(weights[2 * i]), float(weights[2 * i + 1]))
        for i, (name, term) in enumerate(terms.items())
    }
    return Score(float(target.mean() - inputs.mean(axis=0) @ weights), fitted, dict(fitted_on))


@cache
def load_score(path: Path = SCORE_FILE) -> Score:
    """The shipped score.

    Raises:
        LabelError: it is not there, or has measures that this code does not know.
    """
    try:
        content = json.loads(path.read_bytes())
        terms = {name: Term(**term) for name, term in content["terms"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} is not a fitted quality score ({error}): fit one with python -m experiments quality --write-score"
        )
        raise LabelError(msg) from error
    if unknown := [name for name in terms if name not in MEASURES]:
        msg = f"{path}: this code does not know {', '.join(unknown)}: fit it again (python -m experiments quality)"
        raise LabelError(msg)
    return Score(float(content["intercept"]), terms, content["fitted_on"])


def quality_score(columns: Columns) -> NDArray[np.float64]:
    """(N,) expected MPVPE in mm of labels, by the shipped score; needs the columns of ``load_score().columns``."""
    return load_score()(columns)
