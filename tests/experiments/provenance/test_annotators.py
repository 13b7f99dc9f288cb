"""Runs on given labels tell of the labels' annotator, and not of a recipe that they did not use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from callbacks.leakage import LeakageError
from datamodules.exposure import NOTHING, UNKNOWN, Exposure, entries
from datamodules.pseudo_gt.native import LabelWriter
from experiments.engine.artifacts import StageRecord
from experiments.engine.pipeline import Run
from experiments.provenance.annotators import annotator_of
from experiments.results.finished_runs import read_runs
from experiments.settings.loading import load_settings
from experiments.settings.plan import Plan
from experiments.stages.annotator import ANNOTATE, DUMP
from experiments.stages.checks import check_exposure
from experiments.stages.reporting import run_result, summarise
from experiments.training.wandb_runs import tags_of

THREE = {"auxiliary": {"threedpw_train": 1.0, "mpi_inf_3dhp": 2.0}, "init": "pose2d", "prior": "vposer"}
NONE = {"auxiliary": {}, "init": "generic", "prior": "none"}


def made_with(name: str, parts: dict, saw: bool | None, method: str = "network") -> dict:
    """Provenance of an annotator's labels."""
    settings = {"recipe": {"name": name, **parts}, "annotate": {"method": method}, "smplify": {"prior": "gmm"}}
    return {"settings": settings, **({} if saw is None else {"used_3dpw_train": saw})}


def table(folder: Path, provenance: dict) -> Path:
    columns = {"id": ["coco/train/0"], "betas": np.zeros((1, 10), np.float32)}
    with LabelWriter(folder, joint_set=None, image_root=None, provenance=provenance) as writer:
        writer.write(columns)
    return folder


def run_on(tmp_path: Path, tables: list[Path], *more: str, trained: bool = True) -> Run:
    labels = f"labels=[{', '.join(map(str, tables))}]"
    arguments = ["size=tiny", "stages=[world,downstream,evaluate]", "recipe=three", labels, *more]
    run = Run(load_settings(arguments)[0], "run", tmp_path / "run")
    run.records["world"] = StageRecord(tmp_path / "world", {})
    if trained:
        outputs = {"samples": 64, "people": {}, "used_3dpw_train": False}
        run.records["downstream"] = StageRecord(run.folder / "downstream", {}, outputs=outputs)
    run.folder.mkdir(exist_ok=True)
    return run


@pytest.mark.parametrize("trained", [True, False])
def test_unused_recipe_is_not_told(tmp_path: Path, trained: bool) -> None:
    labels = table(tmp_path / "none" / "coco-train", made_with("none", NONE, False))
    result = run_result(run_on(tmp_path, [labels], trained=trained))
    assert (result.recipe, list(result.auxiliary), result.init, result.prior) == ("none", [], "generic", "none")
    assert result.used_3dpw_train is False


@pytest.mark.parametrize("trained", [True, False])
def test_labels_of_three_are_told_whatever_the_recipe(tmp_path: Path, trained: bool) -> None:
    labels = table(tmp_path / "three" / "coco-train", made_with("three", THREE, True))
    run = run_on(tmp_path, [labels], "recipe=none", trained=trained)
    result = run_result(run)
    assert (result.recipe, result.init, result.prior) == ("three", "pose2d", "vposer")
    assert result.used_3dpw_train is True
    summarise(run)
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["recipe"] == {"name": "three", **THREE} and summary["used_3dpw_train"] is True


def test_dashboard_tags_are_those_of_the_labels(tmp_path: Path) -> None:
    labels = table(tmp_path / "none" / "coco-train", made_with("none", NONE, False))
    run = run_on(tmp_path, [labels], "annotate.targets=coco", "wandb.tags=[mine]")
    assert tags_of(run) == ["recipe:none", "init:generic", "prior:none", "target:coco", "mine"]
    known = {**made_with("none", NONE, None), **entries(Exposure.of("coco-train", "amass-train"))}
    tags = tags_of(run_on(tmp_path, [table(tmp_path / "known" / "coco-train", known)], "annotate.targets=coco"))
    assert tags[-2:] == ["trained_on:amass-train", "trained_on:coco-train"]
    assert tags_of(run_on(tmp_path, [], "annotate.targets=coco")) == ["recipe:no labels", "target:coco"]


def test_tables_that_disagree(tmp_path: Path) -> None:
    clean = made_with("none", {**NONE, "prior": "vposer"}, False)
    tables = [
        table(tmp_path / "a" / "coco-train", clean),
        table(tmp_path / "b" / "mpii-train", made_with("three", THREE, True)),
    ]
    result = run_result(run_on(tmp_path, tables))
    assert (result.recipe, result.init, result.prior) == ("several", "several", "vposer")
    assert list(result.auxiliary) == ["several"] and result.used_3dpw_train is True


@pytest.mark.parametrize(
    ("provenance", "saw"),
    [({"imported_from": "x.npz"}, None), ({"imported_from": "x.npz", "used_3dpw_train": True}, True)],
)
def test_unknown_stays_unknown(tmp_path: Path, provenance: dict, saw: bool | None) -> None:
    clean = table(tmp_path / "a" / "mpii-train", made_with("none", NONE, False))
    labels = table(tmp_path / "b" / "coco-train", provenance)
    alone = run_result(run_on(tmp_path, [labels]))
    assert (alone.recipe, alone.init, alone.prior, list(alone.auxiliary)) == (
        "unknown",
        "unknown",
        "unknown",
        ["unknown"],
    )
    assert alone.used_3dpw_train is saw
    run = run_on(tmp_path, [labels, clean])
    assert run_result(run).used_3dpw_train is saw
    summarise(run)
    assert read_runs([run.folder])[0].used_3dpw_train is saw


def test_mix_and_no_labels(tmp_path: Path) -> None:
    found = {
        mixed: run_result(run_on(tmp_path, [], f"downstream.mix={{{mixed}: 1}}"))
        for mixed in ("mpi_inf_3dhp", "threedpw_train")
    }
    assert {mixed: one.used_3dpw_train for mixed, one in found.items()} == {
        "mpi_inf_3dhp": False, "threedpw_train": True
    }  # fmt: skip
    assert {(one.recipe, one.init, one.prior) for one in found.values()} == {("no labels", "", "")}


def test_annotators_that_are_no_network() -> None:
    clean = Exposure.told("threedpw-train", False)
    assert annotator_of(made_with("three", THREE, False, "smplify")) == ("three", {}, "", "gmm", clean)
    truth = annotator_of({"made_by": "true bodies", "used_3dpw_train": False})
    assert truth == ("true bodies", {}, "", "", clean)


def test_label_sets_are_one_factor_of_a_comparison(tmp_path: Path) -> None:
    """What is told of their annotators is no further setting: else no grid of label sets has all combinations."""
    folders = []
    for name, parts, saw in (("none", NONE, False), ("three", THREE, True)):
        labels = table(tmp_path / name / "coco-train", made_with(name, parts, saw))
        run = run_on(tmp_path / name, [labels])
        summarise(run)
        config = {"seed": 0, "labels": {"folders": [str(labels)]}, "recipe": {"name": "three", **THREE}}
        (run.folder / "config.yaml").write_text(json.dumps(config))
        folders.append(run.folder)
    results = read_runs(folders)
    assert [list(one.levels) for one in results] == [["labels.folders"]] * 2
    assert [one.init for one in results] == ["generic", "pose2d"]


@pytest.mark.parametrize("summary", [True, False, None])
def test_start_is_what_its_run_or_the_user_says(tmp_path: Path, summary: bool | None) -> None:
    checkpoint = tmp_path / "annotate" / "last.ckpt"
    if summary is not None:
        (tmp_path / "summary.json").write_text(json.dumps({"used_3dpw_train": summary}))
    common = ["size=tiny", "recipe=two", f"recipe.init_file={checkpoint}"]

    def told(*arguments: str) -> bool | None:
        return Plan(load_settings([*common, *arguments])[0]).exposure.saw_training_of()

    assert told("recipe.init=file") is summary
    for word in (True, False):
        said = told("recipe.init=file", f"recipe.init_used_3dpw_train={str(word).lower()}")
        assert said is (word if summary is None else summary)
    # What a choice names is believed, unless the file is this project's own.
    assert told("recipe.init=imagenet") is bool(summary)
    assert told("recipe.init=random", "recipe.init_used_3dpw_train=true") is False
    assert told("recipe.init=file", "recipe.auxiliary={threedpw_train: 1}") is True
    assert told("recipe.init=file", "annotate.method=smplify") is False


def test_word_of_the_user_changes_no_weights() -> None:
    start = ["size=tiny", "recipe=none", "recipe.init=file", "recipe.init_file=start.pth"]
    runs = {
        word: Run(load_settings([*start, f"recipe.init_used_3dpw_train={word}"])[0], "run", Path("run"))
        for word in ("null", "true", "false")
    }
    for run in runs.values():
        run.records["world"] = StageRecord(Path("world"), {})
    keys = [json.dumps(ANNOTATE.key(run), sort_keys=True) for run in runs.values()]
    assert len(set(keys)) == 1 and "3dpw_train" not in keys[0].replace("threedpw", "")
    dumps = {word: DUMP.key(run) for word, run in runs.items()}
    # Labels carry the word; those of a run that says nothing have the key that they always had.
    assert "init_used_3dpw_train" not in dumps["null"]
    assert len({json.dumps(key, sort_keys=True) for key in dumps.values()}) == 3


def test_regressor_that_starts_from_an_annotator_of_3dpw_train(tmp_path: Path) -> None:
    labels = table(tmp_path / "none" / "coco-train", made_with("none", NONE, False))
    start = tmp_path / "three" / "annotate" / "last.ckpt"
    more = ["recipe=none", f"downstream.init_file={start}"]
    assert run_result(run_on(tmp_path, [labels], *more)).used_3dpw_train is False
    start.parent.mkdir(parents=True)
    (tmp_path / "three" / "summary.json").write_text('{"used_3dpw_train": true}')
    assert run_result(run_on(tmp_path, [labels], *more)).used_3dpw_train is True


def test_run_of_other_stages_saw_nothing(tmp_path: Path) -> None:
    run = Run(load_settings(["size=tiny", "stages=[world,prior]", "recipe=three"])[0], "run", tmp_path)
    assert run_result(run).used_3dpw_train is False
    run.records["annotate"] = StageRecord(tmp_path / "annotate", {}, outputs={"samples": 64})
    assert run_result(run).used_3dpw_train is True


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["recipe=none"], Exposure.of("coco-train", "mpii-train", "amass-train")),  # the pose prior score
        (["recipe=none", "recipe.init=random", "dump.prior_score=false"], Exposure.of("coco-train", "mpii-train")),
        (["recipe=three"],
         Exposure.of("coco-train", "mpii-train", "amass-train", "threedpw-train", "mpi_inf_3dhp-train")),
        (["recipe=none", "recipe.auxiliary={synthetic: 1}", "recipe.schedule=auxiliary_only", "recipe.init=random",
          "dump.prior_score=false"], Exposure.of("synthetic-train")),
        (["annotate.method=smplify", "smplify.prior_file=x", "dump.prior_score=false"], NOTHING),
        (["recipe=none", "recipe.init=imagenet", "recipe.init_file=x.pth", "annotate.targets=mpii",
          "dump.prior_score=false"], Exposure.of("mpii-train", "imagenet-train")),
        (["recipe=none", "recipe.init=file", "recipe.init_file=x.pth", "annotate.targets=mpii",
          "dump.prior_score=false"], Exposure.of("mpii-train") | UNKNOWN),
    ],
)  # fmt: skip
def test_what_an_annotator_is_trained_on(arguments: list[str], expected: Exposure) -> None:
    assert Plan(load_settings(arguments)[0]).exposure == expected


def test_starts_and_labels_that_saw_the_test_people_are_refused(tmp_path: Path) -> None:
    provenance = {**made_with("none", NONE, None), **entries(Exposure.of("coco-train", "emdb-emdb1"))}
    labels = table(tmp_path / "a" / "coco-train", provenance)
    with pytest.raises(LeakageError, match=r"the labels in .*coco-train come from a training on emdb-emdb1"):
        check_exposure(run_on(tmp_path, [labels]))
    clean = table(tmp_path / "b" / "coco-train", made_with("none", NONE, False))
    check_exposure(run_on(tmp_path, [clean]))
    (tmp_path / "a" / "summary.json").write_text(json.dumps(entries(Exposure.of("threedpw-validation"))))
    start = tmp_path / "a" / "downstream" / "best.ckpt"
    with pytest.raises(LeakageError, match=rf"init_file={start} come from a training on threedpw-validation"):
        check_exposure(run_on(tmp_path, [clean], f"downstream.init_file={start}"))
