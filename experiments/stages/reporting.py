"""The end of a run: its summary; the end of an experiment: the comparison of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from body_models.contracts import GENDERS
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from callbacks.evaluation import Evaluation, count_excluded
from callbacks.run_summary import write_summary
from datamodules.pseudo_gt.native import Columns, LabelTable, read_labels
from datamodules.sources import open_source
from datamodules.synthetic.world import distance_table, read_world
from experiments import sources
from experiments.bootstrap import mean_interval
from experiments.gallery import choose_people, draw_people
from experiments.metric_logs import read_log
from experiments.pipeline import Run, console
from experiments.provenance import code_commit, hardware_text, is_standin, versions
from experiments.report import build_comparison
from experiments.report_figures import PALETTE
from experiments.results import Comparison, GalleryPerson, PerPerson, RunResult
from experiments.settings import Settings
from experiments.stages.prepare import world_folder
from experiments.stages.regressor import mean_pose_bodies
from experiments.truth import LABEL_PROTOCOL, compare_with_truth
from lightning_modules.protocols import Bodies, BodyScorer

_CURVES = {
    "pose2d": ("joints_2d",),
    "annotate": ("joints_2d", "joints_3d", "loss"),
    "downstream": ("joints_3d", "loss"),
}
_CURVE_POINTS = 150
_TRUE_BODY = "true body"


def summarise(run: Run) -> None:
    """Write the run's summary.json."""
    result = run_result(run)
    metrics = {
        key: mean_interval(people.values, people.groups, run.settings.evaluate.bootstrap)._asdict()
        for key, people in result.per_person.items()
    }
    recipe = run.settings.recipe
    write_summary(
        run.folder,
        {
            "label": run.label,
            "recipe": {
                "name": recipe.name,
                "auxiliary": dict(recipe.auxiliary),
                "init": recipe.init,
                "prior": recipe.prior,
            },
            "seed": run.settings.seed,
            "is_standin": result.is_standin,
            "synthetic": result.synthetic,
            "used_3dpw_train": result.used_3dpw_train,
            "samples_seen": result.samples_seen,
            "seconds": result.seconds,
            "labels": _labels_used(run),
            "metrics": metrics,
            "versions": {**versions(), "commit": code_commit() or "unknown"},
        },
    )


def _labels_used(run: Run) -> dict[str, Any] | None:
    """What the downstream regressor was trained on: tables, the filters of their view, and who was left out why."""
    if "downstream" not in run.records:
        return None
    filters = {name: limit for name, limit in asdict(run.settings.labels.filter).items() if limit not in (None, False)}
    return {
        "folders": run.settings.labels.folders,
        "filter": filters,
        "people": {
            name: {key: row[key] for key in ("trained", "dropped")}
            for name, row in run.output("downstream", "people").items()
        },
    }


def run_result(run: Run) -> RunResult:
    """What the stages of a run left, as the comparison takes it."""
    settings = run.settings
    records = run.records
    seen: dict[str, int] = {
        name: records[name].outputs["samples"]  # type: ignore[index]
        for name in ("generic", "pose2d", "annotate")
        if name in records
    }
    names = sources.targets(settings)
    return RunResult(
        label=run.label,
        recipe=settings.recipe.name,
        seed=settings.seed,
        auxiliary=sources.auxiliary(settings),
        init=settings.recipe.init,
        prior=settings.recipe.prior,
        is_standin=is_standin(settings.paths.body_models),
        synthetic=any(sources.is_synthetic(settings, name) for name in names),
        used_3dpw_train=sources.trained_on_threedpw(settings),
        samples_seen=seen,
        seconds={name: record.seconds for name, record in records.items()},
        per_person={**_label_errors(run), **_downstream_errors(run)},
        curves=_curves(run),
    )


def compare(settings: Settings, runs: Sequence[Run], folder: Path | None = None) -> Path:
    """Write the report of an experiment beside its runs, and print its table and the times; or quietly to a folder."""
    results = [run_result(run) for run in runs]
    for i, result in enumerate(results if folder is None else ()):
        color = PALETTE[i % len(PALETTE)]
        console.print(f"[{color}]{result.label}[/]: " + ", ".join(f"{k} {v:.0f} s" for k, v in result.seconds.items()))
    first = runs[0]
    notes = [f"Hardware: {hardware_text()}. Code: commit {code_commit() or 'unknown'}."]
    if poses := max((run.output("prior", "poses") for run in runs if "prior" in run.records), default=0):
        notes.append(f"The pose prior saw {poses:,} poses without images, which the samples do not count.")
    world = world_folder(first)
    if world is not None and folder is None:
        table = distance_table(read_world(world))
        console.print(table)
    comparison = Comparison(
        title=f"{settings.name}: {len(runs)} annotator{'s' if len(runs) > 1 else ''} compared",
        runs=results,
        yardstick=_yardstick(first),
        people=_gallery(runs, results),
        notes=notes,
        resamples=settings.evaluate.bootstrap,
    )
    if folder is not None:
        return build_comparison(comparison, folder)
    report = build_comparison(comparison, Path(settings.paths.runs) / settings.name, console)
    console.print(f"report: {report}")
    return report


def _label_errors(run: Run) -> dict[str, PerPerson]:
    """Errors of the pseudo-GTs: in 2D of everyone with joints, in 3D where true bodies are known."""
    if "dump" not in run.records:
        return {}
    tables = [_labels(run, name, ["id", "image", "error_2d"]).columns for name in run.output("dump", "tables")]
    ids, images, errors = (np.concatenate([table[key] for table in tables]) for key in ("id", "image", "error_2d"))
    found = {"pseudo_gt/error_2d": PerPerson(ids.astype(str), 100 * errors.astype(np.float64), images.astype(str))}
    evaluated = run.records["evaluate"].outputs["labels"] if "evaluate" in run.records else {}  # type: ignore[index]
    if evaluated:
        parts = [Evaluation.load(run.records["evaluate"].folder / part["file"]) for part in evaluated.values()]
        image_of = dict(zip(ids.tolist(), images.tolist(), strict=True))
        people = np.concatenate([part.ids for part in parts])
        groups = np.array([image_of[name] for name in people])
        for key in parts[0].values:
            values = np.concatenate([part.values[key] for part in parts])
            found[f"pseudo_gt/{key}"] = PerPerson(people, values, groups)
    return found


def _downstream_errors(run: Run) -> dict[str, PerPerson]:
    if "evaluate" not in run.records or not run.output("evaluate", "downstream"):
        return {}
    evaluation = Evaluation.load(run.records["evaluate"].folder / run.output("evaluate", "downstream")["file"])
    return _on_threedpw(evaluation)


def _on_threedpw(evaluation: Evaluation) -> dict[str, PerPerson]:
    return {
        f"threedpw/{key}": PerPerson(evaluation.ids, values, evaluation.sequences)
        for key, values in evaluation.values.items()
    }


def _labels(run: Run, target: str, columns: Sequence[str] | None = None) -> LabelTable:
    return read_labels(run.records["dump"].folder / run.output("dump", "tables")[target], columns)


def _curves(run: Run) -> dict[str, list[tuple[float, float]]]:
    """Training curves, thinned, against people seen."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for stage, terms in _CURVES.items():
        if stage not in run.records:
            continue
        batch = getattr(run.settings, stage).batch_size
        rows = read_log(run.records[stage].folder)
        for term in terms:
            key = f"train/all/{term}"
            points = [((step + 1) * batch, float(row[key])) for step, row in rows.items() if row.get(key)]
            curves[f"{stage}: {term}"] = points[:: max(1, len(points) // _CURVE_POINTS)]
    return curves


def _yardstick(run: Run) -> RunResult | None:
    """Errors of the mean pose on the people that the run is judged on; None where no true bodies are known."""
    world = world_folder(run)
    if world is None or "evaluate" not in run.records:
        return None
    found: dict[str, PerPerson] = {}
    parts = []
    for name in run.records["evaluate"].outputs["labels"]:  # type: ignore[index]
        ids = list(_labels(run, name, ["id"]).columns["id"])
        truth = world / "truth" / f"{name}_train.npz"
        parts.append(compare_with_truth(run.settings.paths.body_models, ids, mean_pose_bodies(run, len(ids)), truth))
    for key in parts[0].values if parts else ():
        found[f"pseudo_gt/{key}"] = PerPerson(
            np.concatenate([part.ids for part in parts]), np.concatenate([part.values[key] for part in parts])
        )
    if run.output("evaluate", "downstream"):
        found |= _on_threedpw(_mean_pose_on_threedpw(run))
    return RunResult("mean pose", per_person=found, is_standin=is_standin(run.settings.paths.body_models))


def _mean_pose_on_threedpw(run: Run) -> Evaluation:
    source = sources.source(run.settings, world_folder(run), "threedpw_test")
    table = open_source(cache_dir=run.settings.paths.cache, **source)
    body_pose = torch.from_numpy(table.column("body_pose")).unflatten(1, (23, 3))
    true = Bodies(
        axis_angle_to_matrix(torch.from_numpy(table.column("global_orient"))),
        axis_angle_to_matrix(body_pose),
        torch.from_numpy(table.column("betas")),
        torch.from_numpy(table.column("gender").astype(np.int64)),
    )
    scorer = BodyScorer(run.settings.paths.body_models, run.settings.evaluate.protocols)
    values = {key: value.numpy() for key, value in scorer(mean_pose_bodies(run, len(table)), true).items()}
    return Evaluation(np.array(table.ids()), values, count_excluded(values))


def _gallery(runs: Sequence[Run], results: Sequence[RunResult]) -> list[GalleryPerson]:
    """The same people of the first target with the mesh of every run, and the true body where it is known."""
    shown = [run for run in runs if "dump" in run.records]
    if not shown:
        return []
    first = shown[0]
    target = next(iter(first.output("dump", "tables")))
    bodies: dict[str, Columns] = {run.label: _labels(run, target).columns for run in shown}
    ids = choose_people(bodies[first.label], first.settings.report.people)
    world = world_folder(first)
    truth = None if world is None else world / "truth" / f"{target}_train.npz"
    if truth is not None and truth.is_file() and sources.is_synthetic(first.settings, target):
        with np.load(truth, allow_pickle=False) as content:
            bodies[_TRUE_BODY] = {name: content[name] for name in content.files}
    colors = {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(bodies)}
    errors = {}
    for result in results:
        people = result.per_person.get(f"pseudo_gt/{LABEL_PROTOCOL}_pa_mpjpe")
        if people is not None:
            errors[result.label] = dict(zip(people.ids.tolist(), people.values.tolist(), strict=True))
    source = sources.source(first.settings, world, target)
    table = open_source(cache_dir=first.settings.paths.cache, **source)
    body = BodyModel(first.settings.paths.body_models, GENDERS[0])
    return draw_people(ids, bodies, table.image_root, body, colors, errors)
