"""Finished runs, read from their folders alone: what the comparison shows of them, without the settings' code.

A run folder holds ``summary.json`` (:mod:`callbacks.run_summary`), ``config.yaml``, ``metrics.csv``, the errors of
each person in ``evaluate/*.npz`` and the label tables in ``labels/``. Only the summary has to be there; what else is
missing is not shown. A grid folder holds run folders.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from callbacks.person_errors import Evaluation
from callbacks.run_summary import SUMMARY_FILE
from datamodules.benchmarks import BENCHMARKS, DEFAULT
from datamodules.exposure import read_exposure
from datamodules.pseudo_gt.native import column_names, iter_labels, read_labels
from experiments.engine.artifacts import RECORD
from experiments.engine.grid import MANIFEST, read_manifest
from experiments.results.run_results import HEADLINES, ComparisonError, Distribution, PerPerson, RunResult
from experiments.settings.loading import read_config
from experiments.settings.schema import TRIAL
from experiments.stats.bootstrap import Interval
from experiments.training.metric_logs import METRICS_FILE
from lightning_modules.scoring.protocols import PROTOCOLS

LABELS, EVALUATE = "labels", "evaluate"
CONFIG_FILE = "config.yaml"
QUALITY = (
    "error_2d", "visible_joints", "mirror_disagreement", "prior_score", "limit_violations", "limit_excess_deg",
    "max_abs_beta",
)  # fmt: skip
"""Columns of a label table that say how good its labels are."""
LIMITS = ("limit_violations", "limit_excess_deg")
"""Those that say how far labels are beyond anatomical joint limits: joints, and degrees, of each person."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_CURVES = {
    "pose2d": ("train/all/joints_2d",),
    "annotate": ("train/all/joints_2d", "train/all/joints_3d", "train/all/loss"),
    "downstream": (
        "train/all/joints_3d",
        "train/all/loss",
        *(f"val/{one.name}/{one.headline}" for one in BENCHMARKS.values()),
    ),
}
_VALIDATION = re.compile(r"^val/\w+/")
_CURVE_POINTS = 150
# Settings that say where and how a run was made, not what it is.
_NO_LEVELS = re.compile(
    r"(name|seed|stages|overwrite|logger|recipe\.(name|auxiliary.*|init|init_used_3dpw_train|prior)|evaluate\.bootstrap"
    r"|(sweep|grid|paths|report|wandb)\b.*|trainer\.(accelerator|devices|num_nodes|num_workers))$"
)
_SEED = re.compile(r"(^|-)seed=?\d+")


def find_runs(folders: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """Run folders among folders of runs and folders of grids.

    Returns:
        Those with a summary, in the order of the grid's manifest or of their names, and those that are not finished.

    Raises:
        ComparisonError: a folder is neither.
    """
    finished: list[Path] = []
    unfinished: list[Path] = []
    for folder in map(Path, folders):
        if (folder / SUMMARY_FILE).is_file():
            finished.append(folder)
            continue
        below = sorted({file.parent for name in (CONFIG_FILE, SUMMARY_FILE) for file in folder.glob(f"*/{name}")})
        if (folder / MANIFEST).is_file():
            order = [run["folder"] for run in read_manifest(folder)["runs"]]
            below.sort(key=lambda run: order.index(run.name) if run.name in order else len(order))
        if not below:
            msg = f"{folder} is neither a run (no {SUMMARY_FILE}) nor a folder of runs; give runs/NAME or runs/NAME/RUN"
            raise ComparisonError(msg)
        finished += [run for run in below if (run / SUMMARY_FILE).is_file()]
        unfinished += [run for run in below if not (run / SUMMARY_FILE).is_file()]
    finished = list({run.resolve(): run for run in finished}.values())
    if not finished:
        msg = f"none of the runs in {', '.join(map(str, folders))} is finished: none has a {SUMMARY_FILE}"
        raise ComparisonError(msg)
    return finished, unfinished


def read_runs(folders: Sequence[Path]) -> list[RunResult]:
    """Finished runs, each with the name of what it shares with runs of other seeds, in the order of the folders."""
    configs = [read_config(path) if (path := folder / CONFIG_FILE).is_file() else {} for folder in folders]
    results = [_read_run(folder, config) for folder, config in zip(folders, configs, strict=True)]
    _name_variants(folders, results, configs)
    labels = Counter(result.label for result in results)
    for folder, result in zip(folders, results, strict=True):
        if labels[result.label] > 1:
            result.label = f"{folder.resolve().parent.name}/{result.label}"
    return results


def read_errors(folder: Path) -> dict[str, PerPerson]:
    """Errors of every person: of the labels (``pseudo_gt/...``), of the regressor on benchmarks (``<name>/...``)."""
    found: dict[str, PerPerson] = {}
    tables = label_tables(folder)
    if tables:
        limits = [name for name in LIMITS if all(name in column_names(table) for table in tables.values())]
        parts = [read_labels(table, ["id", "image", "error_2d", *limits]).columns for table in tables.values()]
        columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        ids, images = columns["id"].astype(str), columns["image"].astype(str)
        found["pseudo_gt/error_2d"] = PerPerson(ids, 100 * columns["error_2d"].astype(np.float64), images)
        for name in limits:
            found[f"pseudo_gt/{name}"] = PerPerson(ids, columns[name].astype(np.float64), images)
        if labels := _label_evaluation(folder):
            image_of = dict(zip(ids.tolist(), images.tolist(), strict=True))
            groups = np.array([image_of[name] for name in labels.ids.tolist()])
            for key, values in labels.values.items():
                found[f"pseudo_gt/{key}"] = PerPerson(labels.ids, values, groups)
    elif labels := _label_evaluation(folder):  # of another run's labels, whose images are not asked for again
        for key, values in labels.values.items():
            found[f"pseudo_gt/{key}"] = PerPerson(labels.ids, values, labels.ids)
    for name, evaluation in _benchmark_evaluations(folder).items():
        found |= on_benchmark(name, evaluation)
    return found


def on_benchmark(name: str, evaluation: Evaluation) -> dict[str, PerPerson]:
    """An evaluation on a benchmark as the comparison takes it: people of one sequence belong together."""
    return {
        f"{name}/{key}": PerPerson(evaluation.ids, values, evaluation.sequences)
        for key, values in evaluation.values.items()
    }


def label_limits(table: Path) -> dict[str, float]:
    """Means of :data:`LIMITS` over the people of a label table; empty where it does not have them."""
    names = [name for name in LIMITS if name in column_names(table)]
    columns = read_labels(table, names).columns if names else {}
    return {name: float(values.mean(dtype=np.float64)) for name, values in columns.items()}


def label_tables(folder: Path) -> dict[str, Path]:
    """Folder of each label table that a run made, by target; empty without the stage."""
    outputs = _outputs(folder / LABELS)
    return {target: folder / LABELS / table for target, table in outputs.get("tables", {}).items()}


def read_curves(folder: Path, batch_sizes: Mapping[str, int]) -> dict[str, list[tuple[float, float]]]:
    """Training curves from a run's metrics.csv, thinned, against people seen.

    Args:
        folder: of the run.
        batch_sizes: people a step, by stage; stages without are left out.
    """
    path = folder / METRICS_FILE
    curves: dict[str, list[tuple[float, float]]] = {}
    if not path.is_file():
        return curves
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            stage = row["stage"]
            if stage not in batch_sizes:
                continue
            for key in _CURVES.get(stage, ()):
                if row.get(key):
                    name = _VALIDATION.sub("validation, ", key.removeprefix("train/all/"))
                    seen = (int(row["step"]) + 1) * batch_sizes[stage]
                    curves.setdefault(f"{stage}: {name}", []).append((seen, float(row[key])))
    return {name: points[:: max(1, len(points) // _CURVE_POINTS)] for name, points in curves.items()}


def _read_run(folder: Path, config: Mapping[str, Any]) -> RunResult:
    summary = _read_summary(folder)
    recipe = summary["recipe"]
    errors = read_errors(folder)
    batch_sizes = {stage: config[stage]["batch_size"] for stage in _CURVES if "batch_size" in config.get(stage, {})}
    sequences = {}
    for benchmark, evaluation in _benchmark_evaluations(folder).items():
        rows = evaluation.per_sequence()
        for key in (key.removeprefix(f"{benchmark}/") for key in HEADLINES if key.startswith(f"{benchmark}/")):
            if key in evaluation.values:
                sequences[f"{benchmark}/{key}"] = {name: row[key] for name, row in rows.items()}
    return RunResult(
        label=summary["label"],
        recipe=recipe["name"],
        seed=summary["seed"],
        auxiliary=list(recipe["auxiliary"]),
        init=recipe["init"],
        prior=recipe["prior"],
        is_free_body=summary["is_free_body"],
        synthetic=summary["synthetic"],
        is_trial=config.get("size") == TRIAL,
        exposure=read_exposure(summary),
        samples_seen=summary["samples_seen"],
        seconds=summary["seconds"],
        metrics={key: _interval(value) for key, value in summary["metrics"].items()},
        # Thousands of people times dozens of metrics, of which the comparison pairs few.
        per_person={key: errors[key] for key in HEADLINES if key in errors},
        curves=read_curves(folder, batch_sizes),
        per_joint=_per_joint(folder),
        per_sequence=sequences,
        quality=_quality(folder),
    )


def _interval(value: Mapping[str, float | None]) -> Interval:
    number = value["value"]
    return Interval(float("nan") if number is None else number, value.get("low"), value.get("high"))


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY_FILE
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        msg = f"{path} is not valid JSON ({error}): run its last stages again"
        raise ComparisonError(msg) from error
    if isinstance(content, dict) and "is_standin" in content:  # of earlier versions
        if content["is_standin"]:
            msg = f"{path} is of a run on the made-up body of earlier versions, comparable with no other: run it again"
            raise ComparisonError(msg)
        content["is_free_body"] = False
    needed = {"label", "recipe", "seed", "metrics", "samples_seen", "seconds", "used_3dpw_train", "is_free_body"}
    if not isinstance(content, dict) or needed - content.keys():
        msg = f"{path} is no summary of a run: it lacks {', '.join(sorted(needed - set(content)))}"
        raise ComparisonError(msg)
    return content


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = "null" if value is None else str(value)
    return flat


def _name_variants(folders: Sequence[Path], results: Sequence[RunResult], configs: Sequence[Mapping[str, Any]]) -> None:
    """Find the settings in which the runs differ, and name the groups of those that differ in the seed alone."""
    settings = []
    for result, config in zip(results, configs, strict=True):
        settings.append(
            _recipe_levels(result, config)
            | {key: value for key, value in _flat(config).items() if not _NO_LEVELS.match(key)}
        )
    names = list(dict.fromkeys(name for one in settings for name in one))
    varied = [name for name in names if len({one.get(name) for one in settings}) > 1]
    for result, one in zip(results, settings, strict=True):
        result.levels = {name: one.get(name, "null") for name in varied}
    if len({(*result.levels.values(), result.seed) for result in results}) < len(results):
        # The same settings and seed twice: the folder is what tells them apart.
        for folder, result in zip(folders, results, strict=True):
            result.levels["folder"] = f"{folder.resolve().parent.name}/{folder.name}"
    short = {id(result): _SEED.sub("", result.label).strip("-/") or result.recipe for result in results}
    shared = {name: {tuple(r.levels.values()) for r in results if short[id(r)] == name} for name in short.values()}
    for result in results:
        name = short[id(result)]
        if len(shared[name]) > 1:
            name += f" ({', '.join(f'{key}={value}' for key, value in result.levels.items())})"
        result.variant = name


def _recipe_levels(result: RunResult, config: Mapping[str, Any]) -> dict[str, str]:
    """The recipe's parts as settings of a run.

    Of a run on given labels the results tell who made those. That is no further setting beside labels.folders, and as
    one would leave no table of label sets with all combinations.
    """
    auxiliary, init, prior = result.auxiliary, result.init, result.prior
    if config.get("labels", {}).get("folders") is not None and (recipe := config.get("recipe")):
        auxiliary = [name for name, weight in recipe["auxiliary"].items() if weight > 0]
        init, prior = recipe["init"], recipe["prior"]
    return {"auxiliary": "+".join(auxiliary) or "none", "init": init, "prior": prior}


def _outputs(stage: Path) -> dict[str, Any]:
    """What a finished stage left; empty if it is not there or not finished."""
    path = stage / RECORD
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["outputs"] or {} if content["complete"] else {}


def _label_evaluation(folder: Path) -> Evaluation | None:
    parts = [
        Evaluation.load(folder / EVALUATE / part["file"])
        for part in _outputs(folder / EVALUATE).get("labels", {}).values()
    ]
    if not parts:
        return None
    # Each person is of an image of its own, unless the tables say more.
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Evaluation]) -> Evaluation:
    ids = np.concatenate([part.ids for part in parts])
    values = {key: np.concatenate([part.values[key] for part in parts]) for key in parts[0].values}
    joints = {
        key: np.concatenate([part.per_joint[key] for part in parts])
        for key in parts[0].per_joint
        if all(key in part.per_joint for part in parts)
    }
    return replace(parts[0], ids=ids, values=values, per_joint=joints, groups=None)


def _benchmark_evaluations(folder: Path) -> dict[str, Evaluation]:
    """Errors of the regressor, by benchmark."""
    outputs = _outputs(folder / EVALUATE)
    # Runs from before there were several were judged on the default one.
    before = {DEFAULT.name: outputs["downstream"]} if outputs.get("downstream") else {}
    found = outputs.get("benchmarks", before)
    return {name: Evaluation.load(folder / EVALUATE / part["file"]) for name, part in found.items()}


def _per_joint(folder: Path) -> dict[str, dict[str, float]]:
    found = {}
    labels = _label_evaluation(folder)
    for source, evaluation in {**({"pseudo_gt": labels} if labels else {}), **_benchmark_evaluations(folder)}.items():
        # Joints of a package's protocol have names only where that package is installed.
        for protocol in (key for key in evaluation.per_joint if key in PROTOCOLS):
            found[f"{source}/{protocol}"] = evaluation.joint_means(protocol)
    return found


def _quality(folder: Path) -> dict[str, Distribution]:
    columns: dict[str, list[NDArray[Any]]] = {}
    for table in label_tables(folder).values():
        there = [name for name in QUALITY if name in column_names(table)]
        for block in iter_labels(table, columns=there) if there else ():
            for name, values in block.items():
                columns.setdefault(name, []).append(values[np.isfinite(values)])
    found = {}
    for name, parts in columns.items():
        values = np.concatenate(parts).astype(np.float64) * (100 if name == "error_2d" else 1)
        if len(values):
            low, first, middle, third, high = np.quantile(values, _QUANTILES).tolist()
            found[name] = Distribution(float(values.mean()), (low, first, middle, third, high), len(values))
    return found
