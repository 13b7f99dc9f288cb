"""Checkpoints and label tables against the truth of a data set, by all its protocols in one pass."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from body_models.parameters import BodyParameters
from callbacks.evaluator import MeshEvaluator
from callbacks.person_errors import Evaluation, EvaluationError
from callbacks.progress import progress_bar
from datamodules.benchmarks import BENCHMARKS, DEFAULT
from datamodules.exposure import FORMER_KEY, read_exposure
from datamodules.files import AnnotationError
from datamodules.ids import PersonId
from datamodules.people_module import PeopleDataModule
from datamodules.pseudo_gt.native import (
    Columns,
    body_models_of,
    column_names,
    compare_ids,
    iter_labels,
    read_provenance,
)
from experiments.evaluation.scores import ProtocolErrors, by_protocol
from experiments.evaluation.true_bodies import read_truth, truth_of
from experiments.evaluation.truth import Truth
from experiments.exposure import checkpoint_exposure
from experiments.provenance.records import is_free_body
from experiments.results.finished_runs import label_limits
from experiments.training.trainer import silence_tips
from lightning_modules.annotator import AnnotatorModule
from lightning_modules.families import FAMILIES
from lightning_modules.mesh_module import MeshModule
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.scoring.protocol import PER_JOINT, Protocol
from lightning_modules.scoring.protocols import (
    BODY_PROTOCOLS,
    PROTOCOLS,
    BodyScorer,
    Scores,
    find_protocols,
    protocol_of,
)
from lightning_modules.weights.checkpoints import CheckpointError

_LABEL_COLUMNS = ("id", "global_orient", "body_pose", "betas", "gender")
_ROWS = 2048


@dataclass
class Target:
    """What is evaluated on.

    Attributes:
        root: of the data set; None where the truth is a file.
        split: test, validation, train, or all of them.
        protocols: names; empty for all of the data set.
        cache_dir: folder for indexes.
        frame_step: use one frame in so many, of data sets of videos; None for what their readers take.
    """

    root: str | None
    split: str = "test"
    protocols: Sequence[str] = ()
    cache_dir: str = "cache"
    frame_step: int | None = None

    def chosen(self, dataset: str) -> list[Protocol]:
        """The protocols, all of one data set.

        Raises:
            EvaluationError: unknown, or of several data sets, which cannot share a pass.
        """
        try:
            found = find_protocols(self.protocols or [dataset])
        except ValueError as error:
            raise EvaluationError(str(error)) from error
        datasets = {protocol.dataset for protocol in found}
        if len(datasets) > 1:
            msg = f"protocols of several data sets ({', '.join(sorted(datasets))}): evaluate one data set at a time"
            raise EvaluationError(msg)
        known = BENCHMARKS.get(found[0].dataset)
        if self.frame_step is not None and known is not None and not known.video_steps:
            msg = f"{known.title} is evaluated on every frame: leave out --frame-step"
            raise EvaluationError(msg)
        return found

    def splits(self, dataset: str) -> list[str]:
        """The splits of ``split``; test and validation are a benchmark's own, whatever they are called there.

        Raises:
            EvaluationError: the benchmark has no such split.
        """
        known = BENCHMARKS.get(dataset)
        if known is None:
            return ["train", "test"] if self.split == "all" else [self.split]
        if self.split == "all":
            return list(known.splits)
        named = {"test": known.test, "validation": known.selection or "validation"}.get(self.split, self.split)
        if named not in known.splits:
            msg = f"{known.title} has no split {self.split}: choose one of {', '.join(known.splits)}"
            raise EvaluationError(msg)
        return [named]

    def truth(self, protocols: Sequence[Protocol], split: str, body_models: str) -> Truth:
        """The truth of one split of a data set.

        Args:
            protocols: of one data set.
            split: of it.
            body_models: folder of the model files, for readers that need them.
        """
        known = BENCHMARKS.get(protocols[0].dataset)
        spec: dict[str, Any] = {"kind": protocols[0].dataset, "root": self.root, "split": split}
        if self.frame_step is not None:
            spec["frame_step"] = self.frame_step
        if known is not None and known.needs_body_models:
            spec["body_models"] = body_models
        return Truth(spec, protocols, self.cache_dir)


def score_checkpoint(
    checkpoint: Path,
    target: Target,
    *,
    body_models: str | None = None,
    batch_size: int = 64,
    num_workers: int = 2,
    accelerator: str = "auto",
    quiet: bool = False,
) -> list[ProtocolErrors]:
    """Evaluate a mesh regressor or an annotator.

    Args:
        checkpoint: saved by Lightning.
        target: what to evaluate on.
        body_models: reference of the bodies; None for those that it was trained with.
        batch_size: people at once.
        num_workers: loader processes.
        accelerator: as Lightning takes it.
        quiet: no progress.
    """
    protocols = target.chosen(DEFAULT.name)
    dataset = protocols[0].dataset
    module = load_mesh_module(checkpoint, body_models)
    models = str(module.hparams["body_models"])
    say_free_body(models)
    silence_tips()
    parts = []
    for split in target.splits(dataset):
        truth = target.truth(protocols, split, models)
        data = PeopleDataModule(
            {}, test=truth.spec, input_size=module.network.input_size, batch_size=batch_size, num_workers=num_workers,
            cache_dir=target.cache_dir,
        )  # fmt: skip
        evaluator = MeshEvaluator(
            dataset, [one.name for one in protocols], models, excluded=truth.excluded(), truths=truth.joints(),
            groups=truth.groups(),
        )  # fmt: skip
        trainer = pl.Trainer(
            accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
            enable_progress_bar=not quiet, use_distributed_sampler=False,
            callbacks=[evaluator, *([] if quiet else [progress_bar(f"{dataset} {split}")])],
        )  # fmt: skip
        trainer.test(module, datamodule=data, verbose=False)
        assert evaluator.evaluation is not None
        parts.append(evaluator.evaluation)
    facts = {"split": target.split, FORMER_KEY: checkpoint_exposure(checkpoint).saw_training_of()}
    return by_protocol(Evaluation.join(parts), {**facts, "free_body": is_free_body(models)})


def load_mesh_module(path: Path, body_models: str | None = None) -> MeshModule:
    """A mesh regressor or annotator from its checkpoint; nothing in the file is executed.

    Raises:
        CheckpointError: it is not one of ours.
        OSError: it is not there.
    """
    remedy = "Give the .ckpt of a downstream or annotate stage"
    try:
        # weights_only reads tensors and plain values alone.
        content = torch.load(path, map_location="cpu", weights_only=True)
        settings = dict(content["hyper_parameters"])
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        msg = f"{path} is not a checkpoint of this project ({repr(error)[:200]}). {remedy}"
        raise CheckpointError(msg) from error
    if not {"backbone", "losses", "body_models"} <= set(settings):
        msg = f"{path} is no mesh network: its settings are {', '.join(settings) or 'none'}. {remedy}"
        raise CheckpointError(msg)
    kinds: dict[str, type[MeshModule]] = {**dict.fromkeys(FAMILIES, MeshRegressorModule), "annotator": AnnotatorModule}
    # Checkpoints from before there were families do not name theirs.
    family = settings.get("family", "annotator" if "prior" in settings else "hmr")
    if family not in kinds:
        msg = f"{path} holds a network of the family {family!r}; there are {', '.join(kinds)}: of a newer version?"
        raise CheckpointError(msg)
    kind = kinds[family]
    given: dict[str, Any] = {} if body_models is None else {"body_models": body_models}
    try:
        return kind.load_from_checkpoint(path, map_location="cpu", weights_only=True, **given)
    except (RuntimeError, TypeError) as error:
        msg = f"{path} does not fit {kind.__name__}: {str(error)[:300]}. Is it of another version of the code?"
        raise CheckpointError(msg) from error


def score_labels(
    labels: Path, target: Target, truth_file: Path | None = None, body_models: str | None = None, batch_size: int = 64
) -> list[ProtocolErrors]:
    """Evaluate a label table as if it were predictions.

    Args:
        labels: folder of the table.
        target: the data set with the truth of the same people, if there is no file of it.
        truth_file: true bodies by id, as the synthetic world writes them; None: looked for beside the labels' world.
        body_models: reference of the bodies; None for those that the labels were made with.
        batch_size: people posed at once.

    Raises:
        EvaluationError: the truth is missing, or of other people.
        LabelError: the table is damaged.
    """
    content = read_provenance(labels)
    if content["frame"] != "camera":
        msg = f"{labels} is in the {content['frame']} frame: the truth is in the camera's. Give labels of images"
        raise EvaluationError(msg)
    provenance = content["provenance"]
    models = body_models or body_models_of(provenance)
    say_free_body(models)
    facts = {
        FORMER_KEY: read_exposure(provenance).saw_training_of(),
        "free_body": is_free_body(models),
        **{name: round(value, 3) for name, value in label_limits(labels).items()},
    }
    if target.root is None:
        found = truth_file or truth_of(labels)
        if found is None:
            msg = f"{labels}: no true bodies are known of these people. Give --data ROOT of their data set, or --truth"
            raise EvaluationError(msg)
        return _labels_on_bodies(labels, found, target, models, batch_size, facts)
    return _labels_on_data(labels, target, models, batch_size, {"split": target.split, **facts})


def _labels_on_bodies(
    labels: Path, file: Path, target: Target, models: str, batch_size: int, facts: Mapping[str, Any]
) -> list[ProtocolErrors]:
    """Against a file of true bodies: protocols that compare bodies, on other people than those they are made for."""
    protocols = target.chosen(DEFAULT.name) if target.protocols else find_protocols(BODY_PROTOCOLS)
    if any(protocol.needs_joints for protocol in protocols):
        msg = f"{file} holds bodies: choose protocols on bodies: {', '.join(BODY_PROTOCOLS)}"
        raise EvaluationError(msg)
    scorer = BodyScorer(models, [protocol.key for protocol in protocols], batch_size)
    known = _truth_ids(file)
    parts, strangers = [], 0
    for columns in _label_blocks(labels):
        rows = np.array([name in known for name in columns["id"]])
        strangers += int((~rows).sum())
        columns = {name: values[rows] for name, values in columns.items()}
        ids = list(columns["id"])
        if ids:
            evaluation = _evaluation(ids, scorer.score(BodyParameters.of_columns(columns), read_truth(file, ids)))
            evaluation.groups = np.array(columns.get("image", columns["id"]), dtype=str)
            parts.append(evaluation)
    if not parts:
        shown = compare_ids(_first_id(labels), min(known, default="none"))
        msg = f"{labels}: none of its people is in {file}; {shown}. Are the labels of another source?"
        raise EvaluationError(msg)
    joined = Evaluation.join(parts)
    missing = len(known) - len(joined.ids)
    return by_protocol(joined, {**facts, "without_label": missing, "without_truth": strangers})


def _labels_on_data(
    labels: Path, target: Target, models: str, batch_size: int, facts: Mapping[str, Any]
) -> list[ProtocolErrors]:
    """Against the true bodies or joints of a data set."""
    dataset = PersonId.parse(_first_id(labels)).dataset
    known_sets = {protocol.dataset for protocol in PROTOCOLS.values()}
    if not target.protocols and dataset not in known_sets:
        msg = f"{labels}: no protocol is made for {dataset}; there are some for {', '.join(sorted(known_sets))}"
        raise EvaluationError(msg)
    protocols = target.chosen(dataset)
    scorer = BodyScorer(models, [protocol.key for protocol in protocols], batch_size)
    parts: list[Evaluation] = []
    people = 0
    for split in target.splits(protocols[0].dataset):
        truth = target.truth(protocols, split, models)
        people += len(truth.table)
        parts += _labels_on_split(labels, truth, protocols, scorer)
    if not parts:
        shown = compare_ids(_first_id(labels), truth.table.ids()[0])
        where = f"the {target.split} split of {target.root}"
        msg = f"{labels}: none of its people is in {where}; {shown}. Are the labels of another source?"
        raise EvaluationError(msg)
    joined = Evaluation.join(parts)
    missing = {
        "without_label": people - len(joined.ids),
        "without_truth": read_provenance(labels)["rows"] - len(joined.ids),
    }
    return by_protocol(joined, {**facts, **missing})


def _first_id(labels: Path) -> str:
    return str(next(iter_labels(labels, rows=1, columns=["id"]))["id"][0])


def _labels_on_split(
    labels: Path, truth: Truth, protocols: Sequence[Protocol], scorer: BodyScorer
) -> Iterator[Evaluation]:
    """The people of a split that have a label, block by block."""
    on_bodies = [one.name for one in protocols if not one.needs_joints]
    if on_bodies and not truth.table.has("global_orient"):
        msg = f"{truth.table.name} has no true bodies, which {on_bodies[0]} compares"
        raise EvaluationError(msg)
    row_of = {name: row for row, name in enumerate(truth.table.ids())}
    joints = {key: torch.from_numpy(value.joints) for key, value in truth.joints().items()}
    left_out = {key: set(names) for key, names in truth.excluded().items()}
    groups = truth.groups()
    for columns in _label_blocks(labels):
        here = np.array([name in row_of for name in columns["id"]])
        names = list(columns["id"][here])
        if not names:
            continue
        rows = np.array([row_of[name] for name in names])
        true = None
        if on_bodies:
            true = truth.bodies(rows)
        pred = BodyParameters.of_columns({name: values[here] for name, values in columns.items()})
        scores = scorer.score(pred, true, {key: value[rows] for key, value in joints.items()})
        for name, value in [*scores.values.items(), *scores.per_joint.items()]:
            value[torch.tensor([person in left_out[protocol_of(name)] for person in names])] = torch.nan
        evaluation = _evaluation(names, scores)
        evaluation.groups = None if groups is None else np.array([groups[name] for name in names])
        yield evaluation


def _label_blocks(labels: Path) -> Iterator[Columns]:
    wanted = [name for name in (*_LABEL_COLUMNS, "image") if name in column_names(labels)]
    return iter_labels(labels, rows=_ROWS, columns=wanted)


def _evaluation(ids: Sequence[str], scores: Scores) -> Evaluation:
    arrays = {name: value.numpy() for name, value in scores.values.items()}
    arrays |= {f"{key}_{PER_JOINT}": value.numpy() for key, value in scores.per_joint.items()}
    return Evaluation.of(np.array(ids), arrays)


def _truth_ids(path: Path) -> set[str]:
    try:
        with np.load(path, allow_pickle=False) as content:
            return {str(name) for name in content["id"]}
    except (ValueError, KeyError, EOFError) as error:
        msg = f"{path} is not a file of true bodies ({error}): it needs id, global_orient, body_pose, betas, gender"
        raise AnnotationError(msg) from error


def say_free_body(body_models: str) -> None:
    """Print a note if the body is the free body, not SMPL."""
    if is_free_body(body_models):
        print("note: this is the free body, not SMPL; give --body-models DIR for SMPL", file=sys.stderr)
