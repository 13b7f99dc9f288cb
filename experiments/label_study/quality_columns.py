"""Quality columns against the truth: rank correlations, a score fitted on one table and judged on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from body_models.parameters import BodyParameters
from datamodules.pseudo_gt.native import Columns, LabelError, column_names, read_labels
from datamodules.pseudo_gt.quality_score import MEASURES, Score, fit_score, measure
from datamodules.writing import write_text
from experiments.documents.markdown import table_lines
from experiments.evaluation.true_bodies import LABEL_PROTOCOL, compare_with_truth, truth_of
from experiments.label_study.shared_people import path_names
from experiments.pictures.figures import PALETTE
from experiments.provenance.records import code_commit, hardware_text
from experiments.results.run_results import interval_text
from experiments.stats.bootstrap import CONFIDENCE, Interval

_RESAMPLES = 300
_TABLE_FACTS = (
    "labels", "fitted or judged", "annotator", "size", "seed", "world seed", "people", "mean MPVPE, mm",
)  # fmt: skip
_SHARES = (100, 90, 75, 50, 25)
_BODY = ("id", "global_orient", "body_pose", "betas")
_COMBINED = "combined score"
_MEANINGS = {
    "error_2d": "2D error",
    "visible_joints": "visible joints",
    "prior_score": "prior score",
    "limit_excess_deg": "excess over joint limits",
    "max_abs_beta": "largest \\|beta\\|",
    "mirror_disagreement": "mirror disagreement",
    "box_side": "box side, px",
    "upright": "upright in the image (cosine)",
    "facing": "facing the camera (cosine)",
    "joints_width": "width of the 2D joints in the box",
    "joints_height": "height of the 2D joints in the box",
    "latent_norm": "norm of the prior's code",
}


@dataclass
class TableWithTruth:
    """One label table with its true errors.

    Attributes:
        name: the part of its path in which the tables differ.
        columns: what measures are computed from.
        mpvpe: (N,) mm against the true bodies, root-aligned.
        facts: run, seeds and commit that made it.
    """

    name: str
    columns: Columns
    mpvpe: NDArray[np.float64]
    facts: dict[str, Any]

    def measures(self) -> dict[str, NDArray[np.float64]]:
        """Each measure that the table has, (N,); those that are the same for everyone are left out."""
        found = {
            name: measure(name, self.columns)
            for name, kind in MEASURES.items()
            if set(kind.columns) <= self.columns.keys()
        }
        return {name: values for name, values in found.items() if np.nanmax(values, initial=0) > np.nanmin(values)}


class ScoreQuality(NamedTuple):
    """A table that the score was not fitted on.

    Attributes:
        table: that table.
        people: of whom every measure is known; what follows is about them.
        singles: measure -> Spearman correlation with the true MPVPE.
        combined: the same of the score, with its interval.
        gain: its lead over the best single measure (absolute correlations), with its interval.
    """

    table: TableWithTruth
    people: int
    singles: dict[str, float]
    combined: Interval
    gain: Interval

    @property
    def best(self) -> str:
        """The measure that says most by itself."""
        return max(self.singles, key=lambda name: abs(self.singles[name]))


class Study(NamedTuple):
    """The fitted score, its table, and the tables that it was judged on."""

    score: Score
    fitted: TableWithTruth
    judged: list[ScoreQuality]


def read_tables(folders: Sequence[Path], truths: Sequence[Path | None], body_models: str) -> list[TableWithTruth]:
    """Read tables and measure their true errors.

    Raises:
        LabelError: the truth of a table is not known, or a column that the score needs is missing.
    """
    tables = []
    for name, folder, given in zip(path_names(folders), folders, truths, strict=True):
        truth = given or truth_of(folder)
        if truth is None:
            msg = f"{folder}: no true bodies lie beside its images, so its errors are not known; give --truth"
            raise LabelError(msg)
        there = column_names(folder)
        scored = dict.fromkeys(column for kind in MEASURES.values() if kind.scored for column in kind.columns)
        if missing := [column for column in (*scored, *_BODY) if column not in there]:
            msg = f"{folder} has no column {', '.join(dict.fromkeys(missing))}; dump the labels again with this code"
            raise LabelError(msg)
        wanted = dict.fromkeys([*_BODY, *(column for kind in MEASURES.values() for column in kind.columns)])
        table = read_labels(folder, [column for column in wanted if column in there])
        errors = compare_with_truth(
            body_models, list(table.columns["id"]), BodyParameters.of_columns(table.columns), truth
        )
        mpvpe = errors.values[f"{LABEL_PROTOCOL}_mpvpe"]
        tables.append(TableWithTruth(name, table.columns, mpvpe, _facts(folder, table.provenance)))
    return tables


def _facts(folder: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    settings = provenance.get("settings", {})
    return {
        "labels": folder.name,
        "annotator": provenance.get("run"),
        "size": settings.get("size"),
        "seed": settings.get("seed"),
        "world_seed": settings.get("world", {}).get("seed"),
        "free_body": provenance.get("free_body"),
        "commit": provenance.get("commit"),
    }


def study(tables: Sequence[TableWithTruth]) -> Study:
    """Fit the score on the first table, and judge it on the others."""
    first, *others = tables
    score = fit_score(first.columns, first.mpvpe, {"people": len(first.mpvpe), **first.facts})
    return Study(score, first, [_judge(score, table) for table in others])


def _judge(score: Score, table: TableWithTruth) -> ScoreQuality:
    values = {**table.measures(), _COMBINED: score(table.columns)}
    known = np.isfinite(table.mpvpe) & np.all([np.isfinite(one) for one in values.values()], axis=0)
    names = list(values)
    stacked = np.stack([values[name][known] for name in names])
    truth = table.mpvpe[known]
    found = dict(zip(names, spearman(stacked, truth), strict=True))
    combined = found.pop(_COMBINED)
    best = max(found, key=lambda name: abs(found[name]))
    pair = stacked[[names.index(_COMBINED), names.index(best)]]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_RESAMPLES):
        rows = rng.integers(len(truth), size=len(truth))
        drawn.append(spearman(pair[:, rows], truth[rows]))
    both = np.abs(drawn)
    quantiles = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    return ScoreQuality(
        table,
        len(truth),
        found,
        Interval(combined, *np.quantile(both[:, 0], quantiles).tolist()),
        Interval(abs(combined) - abs(found[best]), *np.quantile(both[:, 0] - both[:, 1], quantiles).tolist()),
    )


def spearman(values: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """(K,) rank correlation of values (K, N) with truth (N,); ties share their mean rank."""
    ranks = rankdata(np.vstack([truth, values]), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    ranks /= np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks[1:] @ ranks[0]


def kept_errors(score: NDArray[Any], mpvpe: NDArray[Any]) -> list[float]:
    """Mean true MPVPE of the best 100, 90, 75, 50 and 25 % of the people by a score."""
    order = np.argsort(score, kind="stable")
    return [float(mpvpe[order[: max(1, round(len(order) * share / 100))]].mean()) for share in _SHARES]


def write_study(found: Study, path: Path) -> None:
    """Write the document, and the picture beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".png")
    _draw(found.judged[0], found.score, picture)
    write_text(path, document(found, picture.name))


def document(found: Study, picture: str) -> str:
    """The study as Markdown."""
    judged = found.judged
    names = [name for name in MEASURES if any(name in one.singles for one in judged)]
    lines = [
        "# What the quality columns say about the true error",
        "",
        "Written by `python -m experiments quality` on synthetic worlds, where the true bodies are known: Spearman's",
        "rank correlation of each quality column with the true MPVPE (root-aligned), over the people of whom every",
        "column is known. The combined score is a ridge regression of log MPVPE on the columns",
        f"(`datamodules/pseudo_gt/quality_score.py`), fitted on {found.fitted.name} only.",
        "",
        f"Hardware: {hardware_text()}. Code: commit {code_commit() or 'unknown'}.",
        "",
    ]
    rows = []
    for table, role in ((found.fitted, "fitted"), *((one.table, "judged") for one in judged)):
        facts = [table.facts[key] for key in ("annotator", "size", "seed", "world_seed")]
        cells = ["-" if fact is None else str(fact) for fact in facts]
        rows.append([table.name, role, *cells, f"{len(table.mpvpe):,}", f"{np.nanmean(table.mpvpe):.1f}"])
    lines += [*table_lines(_TABLE_FACTS, rows), "", "## Rank correlation with the true MPVPE", ""]
    rows = []
    for name in names:
        cells = [f"{one.singles[name]:+.3f}" if name in one.singles else "-" for one in judged]
        rows.append([f"{_MEANINGS[name]} (`{name}`)", *cells])
    scores = [f"**{one.combined.value:+.3f}** ({interval_text(one.combined, 3)})" for one in judged]
    rows.append(["**combined score**", *scores])
    gains = [f"{one.gain.value:+.3f} ({interval_text(one.gain, 3)}) over {one.best}" for one in judged]
    rows.append(["lead over the best column", *gains])
    lines += [
        *table_lines(["column", *(f"{one.table.name} ({one.people:,} people)" for one in judged)], rows),
        "",
        "In brackets the 95 % interval, by bootstrap over people. A dash: the table does not have the column, or it is",
        "the same for everyone.",
        "",
        "## What a filter on the score gives",
        "",
        "Mean true MPVPE in mm of the best people, by the score and by the best single column.",
        "",
    ]
    rows = []
    for one in judged:
        sign = np.sign(one.singles[one.best])
        single = np.nan_to_num(sign * one.table.measures()[one.best], nan=np.inf)
        for label, values in ((_COMBINED, found.score(one.table.columns)), (one.best, single)):
            cells = [f"{error:.1f}" for error in kept_errors(values, one.table.mpvpe)]
            rows.append([one.table.name, label, *cells])
    lines += [
        *table_lines(["labels", "by", *(f"best {share} %" if share < 100 else "all" for share in _SHARES)], rows),
        "",
        f"![true MPVPE against the combined score]({picture})",
        "",
        f"Each dot one person of {judged[0].table.name}; the line joins the means of tenths of the people.",
    ]
    return "\n".join(lines) + "\n"


def _draw(one: ScoreQuality, score: Score, path: Path) -> None:
    expected, true = score(one.table.columns), one.table.mpvpe
    rows = np.random.default_rng(0).permutation(len(true))[:1500]
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(expected[rows], true[rows], ".", color=PALETTE[0], alpha=0.3, markersize=3)
    parts = [part for part in np.array_split(np.argsort(expected), 10) if len(part)]
    axes.plot([expected[p].mean() for p in parts], [np.nanmean(true[p]) for p in parts], "o-", color=PALETTE[1])
    axes.set_xlabel("combined score: expected MPVPE, mm", fontsize=9)
    axes.set_ylabel("true MPVPE, mm", fontsize=9)
    axes.set_ylim(0, float(np.nanquantile(true, 0.995)))
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110, metadata={"Software": None})
