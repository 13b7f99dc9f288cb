"""Annotators that optimise, and refinement, through the real stages at size=tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.pseudo_gt.native import read_labels
from experiments.run import main

DATASETS = ("coco", "mpii")


def runs_of(folders: list[str]) -> Path:
    return Path(folders[1].partition("=")[2])


def labels(run: Path, dataset: str) -> dict[str, np.ndarray]:
    return read_labels(run / "labels" / f"{dataset}-train").columns


@pytest.mark.parametrize("prior", ["gmm", "vposer"])
def test_smplify_annotates_everyone_without_a_network(tiny_run: Path, tiny_folders: list[str], prior: str) -> None:
    arguments = ["experiment=smplify", f"name=smplify-{prior}", f"smplify.prior={prior}"]
    # What helps a network is neither made nor read, nor does it count as seen.
    recipe = ["recipe.auxiliary={threedpw_train: 1}", "recipe.init=pose2d"]
    stages = "stages=world,prior,mixture,generic,pose2d,annotate,dump,evaluate,report"
    assert main([*tiny_folders, *arguments, *recipe, stages]) == 0
    run = runs_of(tiny_folders) / f"smplify-{prior}" / "method=smplify"
    assert not (run / "annotate").exists()
    for dataset in DATASETS:
        columns, network = labels(run, dataset), labels(tiny_run / "none", dataset)
        assert columns["id"].tolist() == network["id"].tolist()
        # A prior after twenty steps of training knows hardly any pose.
        share = 0.5 if prior == "gmm" else 0.9
        assert np.nanmean(columns["error_2d"]) < share * np.nanmean(network["error_2d"])
        assert all(np.isfinite(columns[name]).all() for name in ("body_pose", "betas", "transl", "prior_score"))
        assert np.isnan(columns["mirror_disagreement"]).all()
        assert ("latent" in columns) is (prior == "vposer")
        # The same cameras as the network's, on the full image.
        for name in ("focal", "princpt", "box"):
            np.testing.assert_allclose(columns[name], network[name], rtol=1e-5)
    origin = read_labels(run / "labels" / "coco-train", ["id"]).provenance
    assert origin["checkpoint"] is None and origin["used_3dpw_train"] is False
    summary = json.loads((run / "summary.json").read_text())
    assert summary["samples_seen"] == {}
    assert summary["recipe"]["auxiliary"] == {} and summary["recipe"]["prior"] == prior
    assert summary["metrics"]["pseudo_gt/smpl24_pa_mpjpe"]["value"] > 0
    assert "method=smplify" in (run.parent / "table.md").read_text()
    shutil.rmtree(run.parent)


def test_refinement_is_accepted_person_by_person(tiny_folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    common = ["experiment=refinement", "recipe=none", "recipe.init=random", "stages=world,mixture,annotate,dump"]
    common += ["annotate.targets={mpii: 1}", "annotate.samples=32"]
    assert main([*tiny_folders, *common]) == 0
    assert "of the people was accepted" in capsys.readouterr().out
    folder = runs_of(tiny_folders) / "refinement"
    plain = labels(folder / "refine=none", "mpii")
    assert set(plain["refinement"]) == {"none"}
    for method in ("smplify", "eft"):
        refined = labels(folder / f"refine={method}", "mpii")
        accepted = refined["refinement"] == "accepted"
        assert accepted.any() and set(refined["refinement"]) <= {"accepted", "rejected"}
        assert (refined["error_2d"][accepted] < plain["error_2d"][accepted]).all()
        assert (refined["prior_score"][accepted] <= plain["prior_score"][accepted] + 1e-2).all()
        # All else is what the network says, and how sure it was does not depend on what was made of it.
        for name in ("body_pose", "betas", "transl", "error_2d"):
            np.testing.assert_array_equal(refined[name][~accepted], plain[name][~accepted])
        np.testing.assert_array_equal(refined["mirror_disagreement"], plain["mirror_disagreement"])
        stage = json.loads((folder / f"refine={method}" / "labels" / "stage.json").read_text())
        assert stage["outputs"]["refined"]["mpii"] == pytest.approx(accepted.mean())
    # What labels depend on is in their key.
    again = [*tiny_folders, *common[1:], "experiment=refinement", "sweep.dump.refine=[eft]"]
    assert main([*again, "eft.lr=1e-3"]) == 1
    assert "eft.lr: 0.0001 there, 0.001 now" in capsys.readouterr().err
    shutil.rmtree(folder)


def test_eft_annotates_with_the_network_of_the_run(tiny_folders: list[str]) -> None:
    common = ["recipe=none", "recipe.init=random", "name=eft", "stages=world,mixture,annotate,dump"]
    common += ["annotate.targets={mpii: 1}", "annotate.samples=32"]
    assert main([*tiny_folders, *common, "sweep.annotate.method=[network,eft]", "eft.parts=all"]) == 0
    folder = runs_of(tiny_folders) / "eft"
    plain, tuned = (labels(folder / f"method={method}", "mpii") for method in ("network", "eft"))
    assert np.nanmean(tuned["error_2d"]) < np.nanmean(plain["error_2d"])
    weights = [(folder / f"method={method}" / "annotate" / "stage.json").read_text() for method in ("network", "eft")]
    assert json.loads(weights[0])["hash"] == json.loads(weights[1])["hash"]
    shutil.rmtree(folder)


def test_only_a_network_is_refined(tiny_folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*tiny_folders, "annotate.method=smplify", "dump.refine=eft", "--print-config"]) != 0
    assert "dump.refine refines a network" in capsys.readouterr().err
