"""Schedules, cameras, heads and losses of the annotator, through the real stages at size=tiny."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datamodules.pseudo_gt.native import read_labels
from experiments.engine.pipeline import Run
from experiments.run import main
from experiments.settings.loading import expand_sweep, load_settings
from experiments.settings.schema import CAMERAS, to_plain
from experiments.stages.annotator import ANNOTATE, annotate_key, samples_seen, train_quotas
from experiments.stages.prepare import in_effect, network_key
from experiments.stages.regressor import DOWNSTREAM, downstream_key

STAGES = "stages=[world,generic,pose2d,annotate,dump]"
CHEAP = ["recipe.init=random", "dump.prior_score=false", "dump.mirror=false", "wandb.mode=disabled"]
HELPED = "recipe.auxiliary={threedpw_train: 1, mpi_inf_3dhp: 3}"


def run_of(*argv: str) -> Run:
    settings, _ = load_settings(["size=tiny", *argv])
    return Run(settings, "run", Path("nowhere"))


def test_schedules_give_each_phase_its_people() -> None:
    weights = "annotate.targets={coco: 3, mpii: 1}"
    assert train_quotas(run_of(HELPED, weights, "annotate.target_quota=0.5"))["quotas"] == {
        "coco": 0.375, "mpii": 0.125, "threedpw_train": 0.125, "mpi_inf_3dhp": 0.375,
    }  # fmt: skip
    synthetic = ["recipe.auxiliary={synthetic: 1, mpi_inf_3dhp: 3}", "annotate.target_quota=0.6"]
    assert train_quotas(run_of(*synthetic, weights))["quotas"] == pytest.approx(
        {"coco": 0.45, "mpii": 0.15, "synthetic": 0.1, "mpi_inf_3dhp": 0.3}
    )
    assert train_quotas(run_of(HELPED, weights, "recipe.schedule=pretrain", "annotate.pretrain_share=0.25")) == {
        "quotas": {"coco": 0.75, "mpii": 0.25},
        "pretrain": (0.25, {"threedpw_train": 0.25, "mpi_inf_3dhp": 0.75}),
    }
    assert train_quotas(run_of("recipe=auxiliary_only")) == {"quotas": {"threedpw_train": 0.5, "mpi_inf_3dhp": 0.5}}
    assert train_quotas(run_of("recipe=none", "annotate.target_quota=0.3"))["quotas"] == {"coco": 0.5, "mpii": 0.5}


def test_none_long_sees_as_many_people_as_three_does_with_its_pre_training() -> None:
    for argv in ([], ["size=full"], ["pose2d.samples=777", "annotate.samples=1000"]):
        three = run_of("recipe=three", *argv)
        total = samples_seen(three) + three.settings.pose2d.samples
        assert samples_seen(run_of("recipe=none_long", *argv)) == total


def test_the_weight_of_another_prior_retrains_nobody() -> None:
    weight = "annotate.losses.latent_l2=0.5"
    assert annotate_key(run_of("recipe=none").settings) == annotate_key(run_of("recipe=none", weight).settings)
    assert annotate_key(run_of("recipe=three").settings) != annotate_key(run_of("recipe=three", weight).settings)


def test_a_weight_or_share_of_0_is_in_no_key() -> None:
    """So a loss term, an augmentation or a filter that a later version adds leaves finished runs as they are."""
    annotate = annotate_key(run_of("annotate.losses.betas_l2=0").settings)
    assert "betas_l2" not in annotate["losses"] and "joints_2d" in annotate["losses"]
    downstream = downstream_key(run_of("downstream.losses.betas_l2=0", "downstream.mix={coco: 1, mpii: 0}").settings)
    assert "betas_l2" not in downstream["losses"] and downstream["mix"] == {"coco": 1.0}
    assert in_effect({"a": 0.0, "b": 0.5, "c": None, "d": False, "e": 0}, always="e") == {"b": 0.5, "e": 0}


def test_keys_of_earlier_runs_stay() -> None:
    """Of runs without a weight of 0: these settings are in the keys of version 0.1."""
    run = run_of("recipe=three")
    settings = to_plain(run.settings)
    assert network_key(run)["model"]["augment"] == settings["model"]["augment"]
    assert DOWNSTREAM.key(run)["labels"] == settings["labels"]
    assert DOWNSTREAM.key(run)["downstream"] == settings["downstream"]


def test_how_auxiliary_people_are_used_retrains_nobody_who_has_none() -> None:
    ways = ["annotate.target_quota=0.5", "annotate.pretrain_share=0.3", "recipe.schedule=pretrain"]
    grid = "sweep.recipe=[none,three]"
    one, other = (
        {label: ANNOTATE.key(Run(cell, label, Path("nowhere"))) for label, cell in expand_sweep(*load_settings(argv))}
        for argv in ([grid], [grid, *ways])
    )
    assert one["none"] == other["none"] and one["three"] != other["three"]
    (none, _) = (Run(cell, label, Path("nowhere")) for label, cell in expand_sweep(*load_settings([grid, *ways])))
    assert train_quotas(none) == train_quotas(run_of("recipe=none")) == {"quotas": {"coco": 0.5, "mpii": 0.5}}


@pytest.mark.parametrize(
    "argv",
    [
        ["recipe=auxiliary_only", "model.camera=full_image", "annotate.loss=l2", "annotate.tolerance_2d=0.02"],
        [HELPED, "recipe.schedule=pretrain", "model.camera=known", "model.head=iterative", "annotate.loss=robust"],
        ["recipe.init=pose2d", "model.head=joints", "annotate.targets={coco: 1}"],
        ["model.head=regression"],
        ["model.head=pare", "annotate.targets={coco: 1}"],
        ["model.head=pose2pose", "model.camera=full_image", "annotate.targets={coco: 1}"],
        ["model.head=hmr2", "model.camera=known", "annotate.targets={coco: 1}"],
    ],
    ids=["auxiliary_only", "pretrain", "joints", "regression", "pare", "pose2pose", "hmr2"],
)
def test_choices_run_through_the_stages(tiny_folders: list[str], request: pytest.FixtureRequest, argv) -> None:
    name = request.node.callspec.id
    assert main([*tiny_folders, "experiment=base", "recipe=none", f"name=choice_{name}", STAGES, *CHEAP, *argv]) == 0
    (folder,) = (Path(tiny_folders[1].partition("=")[2]) / f"choice_{name}").glob("*/annotate")
    outputs = json.loads((folder / "stage.json").read_text())["outputs"]
    labels = read_labels(folder.parent / "labels" / "coco-train").columns
    assert outputs["samples"] == 128 and len(labels["id"]) == 120
    trained = {name for name, row in outputs["people"].items() if row["trained"]}
    image_size = labels["image_size"]
    if name == "auxiliary_only":
        assert trained == {"threedpw_train", "mpi_inf_3dhp"}
    if name in ("auxiliary_only", "pretrain"):  # COCO knows no cameras: the full image's is taken for "known", too
        np.testing.assert_allclose(labels["focal"][:, 0], np.linalg.norm(image_size, axis=1), rtol=1e-4)
        np.testing.assert_allclose(labels["princpt"], image_size / 2, atol=0.1)
    if name == "pretrain":
        assert trained == {"coco", "mpii", "threedpw_train", "mpi_inf_3dhp"}
    if name == "joints":
        assert outputs["map_coverage"] == 1


def test_heads_that_read_the_box_are_other_networks_but_those_of_the_crops_camera_are_not() -> None:
    networks = {name: ANNOTATE.key(run_of("recipe=none", f"model.camera={name}"))["network"] for name in CAMERAS}
    assert networks["virtual"] == {"camera": "virtual", "head": "joints"}
    for name in ("full_image", "known"):
        assert networks[name] == {"camera": name, "head": "joints", "box_info": True}


def calibration(path: Path) -> dict[str, list[float]]:
    """Focal lengths and principal point (fx, fy, cx, cy) of each camera of an official calibration file, by name."""
    rows = [line.split() for line in path.read_text().splitlines()]
    names = [row[1] for row in rows if row[:1] == ["name"]]
    matrices = [[float(value) for value in row[1:]] for row in rows if row[:1] == ["intrinsic"]]
    return {name: [k[0], k[5], k[2], k[6]] for name, k in zip(names, matrices, strict=True)}


def test_known_cameras_of_a_data_set_are_those_of_its_labels(tiny_folders: list[str]) -> None:
    """Of the single views, which have the network's cameras; fused views have the data set's in any case."""
    people = ["annotate.targets={mpi_inf_3dhp: 1}", "annotate.samples=16", "dump.keep_single_views=true"]
    arguments = ["experiment=base", "recipe=none", "name=known", "stages=[world,annotate,dump]", *CHEAP, *people]
    assert main([*tiny_folders, *arguments, "model.camera=known"]) == 0
    (folder,) = (Path(tiny_folders[1].partition("=")[2]) / "known").glob("*/labels")
    columns = read_labels(folder / "mpi_inf_3dhp-train-single-views").columns
    assert len(columns["id"]) == 24
    root = next(Path(tiny_folders[3].partition("=")[2]).glob("*/world/mpi_inf_3dhp"))
    for person, focal, princpt, size in zip(
        *(columns[name] for name in ("id", "focal", "princpt", "image_size")), strict=True
    ):
        _, _, subject, take, _, camera = person.split("/")
        expected = calibration(root / subject / take / "camera.calibration")[camera]
        np.testing.assert_allclose([*focal, *princpt], expected, rtol=1e-4)
        assert abs(focal[0] / np.linalg.norm(size) - 1) > 0.05  # not the guess for the full image


def test_pretraining_serves_the_auxiliary_people_first(tiny_folders: list[str]) -> None:
    from datamodules.annotation import AnnotationDataModule

    world = next(Path(tiny_folders[3].partition("=")[2]).glob("*/world"), None)
    if world is None:
        pytest.skip("run together with the tests above, which make the world")
    data = AnnotationDataModule(
        {"coco": {"kind": "coco", "root": str(world / "coco"), "split": "train"}},
        {"threedpw_train": {"kind": "threedpw", "root": str(world / "3dpw"), "split": "train"}},
        {"coco": 1.0}, pretrain=(0.5, {"threedpw_train": 1.0}), samples_per_epoch=64, batch_size=16, input_size=48,
        num_workers=0, cache_dir=str(world.parent / "cache"),
    )  # fmt: skip
    data.setup("fit")
    assert [Counter(batch["source"]) for batch in data.train_dataloader()] == [
        {"threedpw_train": 16}, {"threedpw_train": 16}, {"coco": 16}, {"coco": 16},
    ]  # fmt: skip
