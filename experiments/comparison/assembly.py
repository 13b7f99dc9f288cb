"""From run folders to a comparison: their results, the yardstick, and people drawn by every annotator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from callbacks.person_errors import Evaluation
from datamodules.benchmarks import BENCHMARKS
from datamodules.pseudo_gt.native import Columns, body_models_of, read_labels, read_people, read_provenance
from experiments.evaluation.true_bodies import LABEL_PROTOCOL, truth_of
from experiments.pictures.figures import color_of
from experiments.pictures.gallery import choose_people, disagreements, draw_people
from experiments.provenance.environment import ENVIRONMENT_FILE
from experiments.results.finished_runs import find_runs, label_tables, on_benchmark, read_runs
from experiments.results.run_results import HEADLINES, Comparison, PerPerson, RunResult, Variant

YARDSTICK = "yardstick"
"""Folder in a run's with the errors of the mean pose on the same people: ``labels.npz`` and ``<benchmark>.npz``."""
TRUE_BODY = "true body"
SHOWN_ANNOTATORS = 12
_CANDIDATES = 200
_DRAWN = ("global_orient", "body_pose", "betas", "transl", "focal", "princpt")


def open_comparison(
    folders: Sequence[str | Path],
    title: str | None = None,
    baseline: str | None = None,
    people: int = 12,
    resamples: int = 1000,
    notes: Sequence[str] = (),
) -> Comparison:
    """Read finished runs and draw people of their label tables.

    Args:
        folders: of runs, or of grids.
        title: of the report; by default after the folders.
        baseline: label of a variant or run; None for the one without recipes.
        people: in the gallery.
        resamples: behind each bootstrap interval.
        notes: sentences beside the caveats.

    Raises:
        ComparisonError: a folder holds no run, or the baseline is none of them.
    """
    finished, unfinished = find_runs(folders)
    runs = read_runs(finished)
    place = dict(zip((run.label for run in runs), finished, strict=True))
    comparison = Comparison(
        title=title or _title(folders, runs), runs=runs, baseline=baseline, yardstick=_yardstick(finished, runs),
        notes=list(notes), resamples=resamples,
    )  # fmt: skip
    if hardware := _made_on(finished):
        comparison.notes.append(hardware)
    if unfinished:
        names = ", ".join(folder.name for folder in unfinished)
        comparison.notes.append(f"Not finished, so left out: {names}.")
    if people:
        _add_gallery(comparison, place, people)
    return comparison


def _title(folders: Sequence[str | Path], runs: Sequence[RunResult]) -> str:
    names = ", ".join(dict.fromkeys(Path(folder).resolve().name for folder in folders))
    count = len({run.variant for run in runs})
    return f"{names}: {count} annotator{'s' if count > 1 else ''} compared"


def _made_on(folders: Sequence[Path]) -> str | None:
    """Machines and commits of the runs, as their environment.json says."""
    machines, commits = [], []
    for folder in folders:
        path = folder / ENVIRONMENT_FILE
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            hardware = content["hardware"]
            gpus = ", ".join(hardware["gpus"]) or "no GPU"
            machines.append(f"{hardware['system']} {hardware['machine']}, {hardware['threads']} threads, {gpus}")
            commits.append(content["commit"] or "unknown")
    if not machines:
        return None
    return f"Hardware: {'; '.join(dict.fromkeys(machines))}. Code: commit {', '.join(dict.fromkeys(commits))}."


def _yardstick(folders: Sequence[Path], runs: Sequence[RunResult]) -> RunResult | None:
    """Errors of the mean pose on the people that the first run which knows them is judged on."""
    for folder, run in zip(folders, runs, strict=True):
        found: dict[str, PerPerson] = {}
        if (file := folder / YARDSTICK / "labels.npz").is_file():
            labels = Evaluation.load(file)
            found |= {f"pseudo_gt/{key}": PerPerson(labels.ids, values) for key, values in labels.values.items()}
        for name in BENCHMARKS:
            if (file := folder / YARDSTICK / f"{name}.npz").is_file():
                found |= on_benchmark(name, Evaluation.load(file))
        if found:
            return RunResult("mean pose", per_person=_of_people(found, run), is_free_body=run.is_free_body)
    return None


def _of_people(found: Mapping[str, PerPerson], run: RunResult) -> dict[str, PerPerson]:
    """The people that a run was judged on, where it says whom."""
    known = {key.partition("/")[0]: run.per_person[key].ids for key in HEADLINES if key in run.per_person}
    kept = {}
    for key, people in found.items():
        ids = known.get(key.partition("/")[0])
        rows = slice(None) if ids is None else np.isin(people.ids, ids)
        groups = None if people.groups is None else people.groups[rows]
        kept[key] = PerPerson(people.ids[rows], people.values[rows], groups)
    return kept


def _add_gallery(comparison: Comparison, place: Mapping[str, Path], count: int) -> None:
    """Draw the same people by each variant's first run; says in the notes what cannot be drawn."""
    tables: dict[str, Path] = {}
    first_target = None
    for one in comparison.variants:
        found = label_tables(place[one.first.label])
        first_target = first_target or next(iter(found), None)
        if first_target in found:
            tables[one.label] = found[first_target]
    if not tables:
        return
    if len(tables) > SHOWN_ANNOTATORS:
        left_out = len(tables) - SHOWN_ANNOTATORS
        tables = dict(list(tables.items())[:SHOWN_ANNOTATORS])
        comparison.notes.append(f"The gallery shows the first {SHOWN_ANNOTATORS} annotators; {left_out} are left out.")
    first = next(iter(tables.values()))
    meta = read_provenance(first)
    models = BodyModels(body_models_of(meta["provenance"]))
    candidates = _candidates(tables)
    columns = {label: read_people(table, candidates) for label, table in tables.items()}
    lacking = [label for label, table in columns.items() if not set(_DRAWN) <= set(table)]
    root = meta["image_root"]
    if lacking or not candidates:
        comparison.notes.append(f"Nobody is drawn: no cameras, or nobody in common, in {', '.join(lacking or tables)}.")
        return
    if root is None or not Path(root, str(columns[next(iter(tables))]["image"][0])).is_file():
        comparison.notes.append(f"The images are not at {root} (any more), so nobody is drawn.")
        return
    apart = disagreements(list(columns.values()), models)
    chosen, most = _choose(apart, count)
    ids = [candidates[row] for row in chosen]
    bodies: dict[str, Columns] = {label: _rows(table, chosen) for label, table in columns.items()}
    if true := _true_bodies(first, ids):
        bodies[TRUE_BODY] = true
    colors = {label: color_of(comparison, label) for label in bodies}
    drawn = draw_people(ids, bodies, root, models, colors, _errors(comparison.variants))
    comparison.people = [
        replace(person, disagreement=float(apart[row]) if len(tables) > 1 else None, contested=row in most)
        for person, row in zip(drawn, chosen, strict=True)
    ]
    comparison.faces = models.neutral.faces


def _candidates(tables: Mapping[str, Path]) -> list[str]:
    """People spread over what all tables have, of whom some are drawn."""
    columns = read_labels(next(iter(tables.values())), ["id", "visible_joints"]).columns
    kept = np.ones(len(columns["id"]), dtype=bool)
    for table in tables.values():
        kept &= np.isin(columns["id"].astype(str), read_labels(table, ["id"]).columns["id"].astype(str))
    return choose_people({name: values[kept] for name, values in columns.items()}, _CANDIDATES)


def _choose(apart: NDArray[Any], count: int) -> tuple[list[int], set[int]]:
    """Rows to draw: two of three spread evenly, the others those on whom the annotators differ most."""
    count = min(count, len(apart))
    even = -(-2 * count // 3) if apart.any() else count
    chosen = [int(row) for row in (np.arange(even) + 0.5) * len(apart) / max(even, 1)]
    most = [int(row) for row in np.argsort(-apart, kind="stable") if int(row) not in chosen][: count - even]
    return sorted(chosen + most), set(most)


def _rows(columns: Columns, rows: Sequence[int]) -> Columns:
    return {name: values[list(rows)] for name, values in columns.items()}


def _true_bodies(table: Path, ids: Sequence[str]) -> Columns | None:
    """True bodies of the people, where they are known of all of them."""
    truth = truth_of(table)
    if truth is None:
        return None
    with np.load(truth, allow_pickle=False) as content:
        true = {name: content[name] for name in content.files}
    row = {str(name): i for i, name in enumerate(true["id"])}
    if not set(ids) <= row.keys() or not set(_DRAWN) <= true.keys():
        return None
    return _rows(true, [row[name] for name in ids])


def _errors(variants: Sequence[Variant]) -> dict[str, dict[str, float]]:
    """Error of each person by variant, of the run that is drawn."""
    errors = {}
    for one in variants:
        people = one.first.per_person.get(f"pseudo_gt/{LABEL_PROTOCOL}_pa_mpjpe")
        if people is not None:
            errors[one.label] = dict(zip(people.ids.tolist(), people.values.tolist(), strict=True))
    return errors
