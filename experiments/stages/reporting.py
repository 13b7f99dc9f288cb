"""The end of a run: its summary; the end of an experiment: the comparison of its runs."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor

from body_models.bodies import body_spec
from body_models.rotations import matrix_to_axis_angle
from callbacks.label_rows import body_quality
from callbacks.person_errors import Evaluation
from callbacks.run_summary import write_summary
from datamodules.benchmarks import BENCHMARKS
from datamodules.benchmarks.benchmark import Benchmark
from datamodules.exposure import NOTHING, entries
from datamodules.pseudo_gt.native import PROVENANCE_FILE
from datamodules.writing import replacing
from experiments.comparison.assembly import YARDSTICK, open_comparison
from experiments.comparison.page import build_comparison
from experiments.engine.artifacts import key_hash
from experiments.engine.pipeline import Run, console
from experiments.evaluation.true_bodies import compare_with_truth
from experiments.provenance.annotators import annotator_of_run
from experiments.provenance.records import code_commit, is_free_body, versions
from experiments.results.finished_runs import LIMITS, read_errors
from experiments.results.run_results import RunResult
from experiments.settings import sources
from experiments.settings.schema import Settings
from experiments.stages.prepare import data_key, world_folder
from experiments.stages.regressor import mean_pose_bodies, regressor_exposure, truth_of_benchmark
from experiments.stats.bootstrap import Interval, mean_interval
from lightning_modules.scoring.protocols import BodyScorer

_YARDSTICK_VERSION = 3


def summarise(run: Run) -> None:
    """Write the run's summary.json."""
    result = run_result(run)
    metrics = {
        key: mean_interval(people.values, people.groups, run.settings.evaluate.bootstrap)._asdict()
        for key, people in result.per_person.items()
    }
    metrics |= {key: Interval(value, None, None)._asdict() for key, value in _prior_metrics(run).items()}
    annotator = annotator_of_run(run)
    write_summary(
        run.folder,
        {
            "label": run.label,
            "recipe": {
                "name": annotator.recipe,
                "auxiliary": annotator.auxiliary,
                "init": annotator.init,
                "prior": annotator.prior,
            },
            "seed": run.settings.seed,
            "is_free_body": result.is_free_body,
            "synthetic": result.synthetic,
            **entries(result.exposure),
            "samples_seen": result.samples_seen,
            "seconds": result.seconds,
            "labels": _labels_used(run),
            "metrics": metrics,
            "versions": {**versions(), "commit": code_commit() or "unknown"},
        },
    )


def _prior_metrics(run: Run) -> dict[str, float]:
    """What the prior stages measured: ``prior/poses/...`` (held out), ``prior/samples/...``; likewise ``mixture/``."""
    return {
        f"{stage}/{name}": value
        for stage in ("prior", "mixture")
        if stage in run.records
        # A mixture that was fitted before its samples were looked at has none.
        for name, value in (run.records[stage].outputs or {}).get("metrics", {}).items()
    }


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
    """What the stages of a run left."""
    settings = run.settings
    records = run.records
    seen: dict[str, int] = {
        name: records[name].outputs["samples"]  # type: ignore[index]
        for name in ("generic", "pose2d", "annotate")
        if name in records
    }
    names = run.plan.targets
    annotator = annotator_of_run(run)
    return RunResult(
        label=run.label,
        recipe=annotator.recipe,
        seed=settings.seed,
        auxiliary=list(annotator.auxiliary),
        init=annotator.init,
        prior=annotator.prior,
        is_free_body=is_free_body(settings.paths.body_models),
        synthetic=any(sources.is_synthetic(settings, name) for name in names),
        exposure=annotator.exposure | (regressor_exposure(run) if "downstream" in records else NOTHING),
        samples_seen=seen,
        seconds={name: record.seconds for name, record in records.items()},
        per_person=read_errors(run.folder),
    )


def compare(settings: Settings, runs: Sequence[Run], folder: Path | None = None) -> Path:
    """Write the report of an experiment beside its runs, and print its table and the times; or quietly to a folder.

    The same as ``python -m experiments compare`` on their folders.
    """
    for run in runs:
        _write_yardstick(run)
    first = runs[0]
    if folder is None:
        for run in runs:
            times = ", ".join(f"{name} {record.seconds:.0f} s" for name, record in run.records.items())
            console.print(f"[bold]{run.label}[/]: {times}")
    notes = []
    if poses := max((run.output("prior", "poses") for run in runs if "prior" in run.records), default=0):
        notes.append(f"The pose prior saw {poses:,} poses without images, which the samples do not count.")
    comparison = open_comparison(
        [run.folder for run in runs],
        title=f"{settings.name}: {len(runs)} run{'s' if len(runs) > 1 else ''} compared",
        people=settings.report.people,
        resamples=settings.evaluate.bootstrap,
        notes=notes,
    )
    if folder is not None:
        return build_comparison(comparison, folder)
    report = build_comparison(comparison, Path(settings.paths.runs) / settings.name, console)
    console.print(f"report: {report}")
    for line in next_steps(first):
        console.print(escape(line), soft_wrap=True)
    return report


def next_steps(run: Run) -> list[str]:
    """What to do with what a run made, for its end; nothing where it made no labels."""
    table = next((path.parent for path in sorted(run.folder.glob(f"labels/*/{PROVENANCE_FILE}"))), None)
    if table is None:
        return []
    export = f"python -m experiments export {shlex.quote(str(table))}"
    return [
        f"labels of {run.label}: {table}",
        f"next: meshes for Blender and browsers: {export} --format glb --out meshes --files 20",
        f"      the layout of another code base: {export} --format spin --out spin.npz (--list shows all)",
    ]


def _write_yardstick(run: Run) -> None:
    """Errors of the mean pose on the people that the run is judged on, as files in its folder; made once for all runs.

    Nothing is written where no true bodies are known.
    """
    world = world_folder(run)
    if world is None or "evaluate" not in run.records:
        return
    targets = list(run.output("evaluate", "labels"))
    parts: dict[str, Callable[[], Evaluation]] = {}
    if targets:
        parts["labels"] = lambda: _mean_pose_on_labels(run, world, targets)
    for name in run.output("evaluate", "benchmarks"):
        parts[name] = partial(_mean_pose_on, run, BENCHMARKS[name])
    key = {
        "version": _YARDSTICK_VERSION,
        "targets": targets,
        "data": data_key(run, [*targets, *(one.test_source for one in run.plan.benchmarks), "amass"]),
        "protocols": run.settings.evaluate.protocols,
        "body_models": run.settings.paths.body_models,
    }
    made = Path(run.settings.paths.cache) / f"{YARDSTICK}-{key_hash(key)}"
    for name, make in parts.items():
        file = made / f"{name}.npz"
        if not file.is_file():
            with replacing(file, shared=True) as temporary:
                make().save(temporary)
        (run.folder / YARDSTICK).mkdir(exist_ok=True)
        shutil.copyfile(file, run.folder / YARDSTICK / file.name)


def _mean_pose_on_labels(run: Run, world: Path, targets: Sequence[str]) -> Evaluation:
    parts = []
    for name in targets:
        truth = world / "truth" / f"{name}_train.npz"
        with np.load(truth, allow_pickle=False) as content:
            ids = content["id"].astype(str).tolist()
        parts.append(compare_with_truth(run.settings.paths.body_models, ids, mean_pose_bodies(run, len(ids)), truth))
    joined = Evaluation.join(parts)
    limits = body_quality(body_spec(run.settings.paths.body_models), *_mean_pose(run))
    joined.values |= {name: np.full(len(joined.ids), limits[name].item(), dtype=np.float64) for name in LIMITS}
    return joined


def _mean_pose(run: Run) -> tuple[Tensor, Tensor, Tensor]:
    """The mean pose as :func:`callbacks.label_rows.body_quality` takes it."""
    body = mean_pose_bodies(run, 1)
    return body.body_pose, matrix_to_axis_angle(body.body_pose).flatten(1), body.betas


def _mean_pose_on(run: Run, benchmark: Benchmark) -> Evaluation:
    truth = truth_of_benchmark(run, benchmark)
    scorer = BodyScorer(run.settings.paths.body_models, benchmark.chosen(run.settings.evaluate.protocols))
    joints = {key: torch.from_numpy(true.joints) for key, true in truth.joints().items()}
    bodies = truth.bodies() if len(joints) < len(scorer.protocols) else None
    scores = scorer.score(mean_pose_bodies(run, len(truth.table)), bodies, joints)
    return Evaluation.of(np.array(truth.table.ids()), {key: value.numpy() for key, value in scores.values.items()})
