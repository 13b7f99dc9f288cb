"""Recipe 3 through the real stages: every choice makes labels, every training goes on where it stopped."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import wandb
from scipy.spatial.transform import Rotation
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from body_models.rotations import axis_angle_to_matrix
from datamodules.pseudo_gt.native import read_labels
from datamodules.sources.poses import open_poses
from experiments.cli import run_command
from experiments.run import main
from lightning_modules.annotator import PRIORS, AnnotatorModule
from lightning_modules.priors.pose_prior import PosePriorModule
from lightning_modules.priors.vposer import load_vposer
from tests.support.prior_files import smplify_mixture, v1_tensors, v2_tensors

STAGES = "stages=world,prior,mixture,annotate,dump"
COMMON = ["recipe=none", "recipe.init=random", "wandb.mode=disabled"]


def runs_of(folders: list[str]) -> Path:
    return Path(folders[1].partition("=")[2])


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def all_priors(tiny_folders: list[str]) -> Path:
    """Folder of one run a prior."""
    choices = ",".join(PRIORS)
    assert main([*tiny_folders, *COMMON, "name=priors", STAGES, f"sweep.recipe.prior=[{choices}]"]) == 0
    return runs_of(tiny_folders) / "priors"


@pytest.mark.parametrize("prior", PRIORS)
def test_every_choice_trains_and_annotates(all_priors: Path, prior: str) -> None:
    run = all_priors / f"prior={prior}"
    table = read_labels(run / "labels" / "coco-train")
    assert len(table) == 120 and ("latent" in table.columns) is (prior == "vposer")
    with next((run / "annotate" / "metrics").glob("*/metrics.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    others = {name for terms in PRIORS.values() for name in terms} - set(PRIORS[prior])
    for name in PRIORS[prior]:
        values = [float(row[f"train/all/{name}"]) for row in rows]
        assert np.isfinite(values).all() and any(values)
    assert not any(f"train/all/{name}" in rows[0] for name in others)

    summary = json.loads((run / "summary.json").read_text())
    assert summary["recipe"]["prior"] == prior
    tables = [read_labels(run / "labels" / f"{name}-train").columns for name in ("coco", "mpii")]
    for name in ("limit_violations", "limit_excess_deg"):
        mean = np.concatenate([columns[name] for columns in tables]).mean()
        assert summary["metrics"][f"pseudo_gt/{name}"]["value"] == pytest.approx(mean)


def test_priors_give_different_annotators(all_priors: Path) -> None:
    heads = {prior: weights(all_priors / f"prior={prior}" / "annotate" / "final.ckpt") for prior in PRIORS}
    free = [heads[prior]["network.head.out.weight"] for prior in PRIORS if prior != "vposer"]
    for i, one in enumerate(free):
        assert all(not torch.equal(one, other) for other in free[:i])


def test_stages_show_what_they_learned(all_priors: Path, tiny_folders: list[str]) -> None:
    cache = Path(tiny_folders[2].partition("=")[2])
    metrics = json.loads((all_priors / "prior=vposer" / "summary.json").read_text())["metrics"]
    folders = [path.parent for path in cache.glob("prior-*/prior.json")]
    found = [json.loads((folder / "prior.json").read_text()) for folder in folders]
    mine = {name.removeprefix("prior/"): value["value"] for name, value in metrics.items() if name.startswith("prior/")}
    folder = folders[found.index(mine)]
    assert set(mine) == {
        "poses/mpjpe", "poses/angle", "poses/kl", "poses/active",
        "samples/limit_violations", "samples/limit_excess_deg",
    }  # fmt: skip
    assert 10 < mine["poses/mpjpe"] < 500 and 1 < mine["poses/angle"] < 90
    with (folder / "kl.csv").open(newline="") as file:
        kl = [float(row["kl"]) for row in csv.DictReader(file)]
    assert len(kl) == 32 and sum(kl) == pytest.approx(mine["poses/kl"])
    with (folder / "held_out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 21 and np.mean([float(row["mm"]) for row in rows]) == pytest.approx(mine["poses/mpjpe"])
    assert cv2.imread(str(folder / "kl.png")) is not None
    assert metrics["mixture/samples/limit_violations"]["value"] >= 0
    assert {name for name in metrics if name.startswith("mixture/")} == {
        f"mixture/{name}"
        for name in ("poses/nll", "poses/nll_learned", "samples/limit_violations", "samples/limit_excess_deg")
    }
    for picture in (folder / "samples.png", next(cache.glob("mixture-*/samples.png"))):
        image = cv2.imread(str(picture))
        assert image.shape == (600, 12 * 190, 3)
        # Each of the 24 views shows somebody.
        views = image.reshape(2, 300, 12, 190, 3).transpose(0, 2, 1, 3, 4).reshape(24, -1)
        assert ((views < 255).mean(axis=1) > 0.05).all()


def test_the_mixture_never_saw_the_sequences_that_it_is_judged_by(tiny_folders: list[str], tmp_path: Path) -> None:
    """Likelihoods by SciPy, and the fit by scikit-learn on the other sequences alone."""
    cache, data = tmp_path / "cache", tmp_path / "data"
    own = ["name=mixture", "stages=[world,mixture]", f"paths.cache={cache}", f"paths.data={data}"]
    assert main([*tiny_folders, *COMMON, "recipe.prior=gmm", *own]) == 0
    (world,) = data.glob("*/world")
    poses, sequence, _ = open_poses(str(world / "amass"), str(cache))
    names = np.unique(sequence)
    held_out = np.isin(sequence, np.random.default_rng(0).permutation(names)[: max(1, round(0.1 * len(names)))])
    assert 0 < held_out.sum() < len(poses)
    values = Rotation.from_rotvec(poses.reshape(-1, 3).astype(np.float64)).as_rotvec().reshape(len(poses), 63)
    (folder,) = (path.parent for path in cache.glob("mixture-*/mixture.npz"))
    with np.load(folder / "mixture.npz") as file:
        parts = {name: file[name].astype(np.float64) for name in ("means", "covars", "weights")}
    metrics = json.loads((folder / "prior.json").read_text())
    for name, rows in (("poses/nll", held_out), ("poses/nll_learned", ~held_out)):
        logs = [
            np.log(weight) + multivariate_normal(mean, covariance).logpdf(values[rows])
            for mean, covariance, weight in zip(parts["means"], parts["covars"], parts["weights"], strict=True)
        ]
        assert metrics[name] == pytest.approx(-logsumexp(logs, axis=0).mean() / 63, rel=1e-3, abs=1e-3)
    assert metrics["poses/nll"] > metrics["poses/nll_learned"]
    same = GaussianMixture(8, reg_covar=1e-3, max_iter=50, tol=1e-2, random_state=0).fit(values[~held_out])
    np.testing.assert_allclose(parts["means"], same.means_, atol=1e-3)


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_published_vposer_is_used_as_it_is(
    tiny_folders: list[str], tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No prior stage, the layout is found by its names, and the labels' poses are its decoder's."""
    tensors = v1_tensors() if layout == "v1" else {f"vp_model.{name}": value for name, value in v2_tensors().items()}
    torch.save(tensors if layout == "v1" else {"state_dict": tensors}, tmp_path / "published.pt")
    file = f"recipe.prior_file={tmp_path / 'published.pt'}"
    assert main([*tiny_folders, *COMMON, f"name={layout}", "recipe.prior=vposer", file, STAGES]) == 0
    assert " prior:" not in capsys.readouterr().out
    prior, _, _ = load_vposer(tmp_path / "published.pt", min_coverage=1)
    (run,) = (runs_of(tiny_folders) / layout).glob("*/labels")
    columns = read_labels(run / "coco-train", ["latent", "body_pose"]).columns
    decoded = prior.decode_body_pose(torch.tensor(columns["latent"])).detach()
    module = AnnotatorModule.load_from_checkpoint(run.parent / "annotate" / "final.ckpt", weights_only=True)
    assert module.hparams["prior_layout"] == layout
    pose = axis_angle_to_matrix(torch.tensor(columns["body_pose"]).unflatten(1, (23, 3)))
    torch.testing.assert_close(pose, decoded, atol=1e-4, rtol=0)
    shutil.rmtree(run.parents[1])


def test_smplifys_mixture_is_used_as_it_is(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No mixture is fitted, and the first poses, which are nearly the rest pose, cost its density there by SciPy."""
    parts = smplify_mixture()
    (tmp_path / "gmm_08.pkl").write_bytes(pickle.dumps(parts, protocol=2))
    given = [f"recipe.prior_file={tmp_path / 'gmm_08.pkl'}", "dump.prior_score=false"]
    assert main([*tiny_folders, *COMMON, "name=gmm08", "recipe.prior=gmm", *given, STAGES]) == 0
    assert " mixture:" not in capsys.readouterr().out
    (run,) = (runs_of(tiny_folders) / "gmm08").glob("*/labels")
    assert len(read_labels(run / "coco-train", ["id"])) == 120
    with next((run.parent / "annotate" / "metrics").glob("*/metrics.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    logs = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(np.zeros(69))
        for mean, covariance, weight in zip(*parts.values(), strict=True)
    ]
    assert float(rows[0]["train/all/pose_gmm"]) == pytest.approx(-logsumexp(logs) / 69, abs=0.05)
    shutil.rmtree(run.parents[1])


def interrupted(cls: type, arguments: list[str], step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until a step of a module's training, as if the process had been killed there, and then again to the end."""
    original = cls.training_step

    def stop(self, batch, index):
        if self.trainer.global_step == step:
            raise KeyboardInterrupt
        return original(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(cls, "training_step", stop)
        stopped = 1
        with suppress(KeyboardInterrupt, SystemExit):
            stopped = main(arguments)
        assert stopped != 0
    wandb.finish()
    assert main(arguments) == 0


def test_an_interrupted_prior_is_the_same_prior(
    tiny_folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Poses, dropout and drawn codes of a resumed training are those of one that was not interrupted, bit by bit."""
    common = [*tiny_folders, *COMMON, "recipe.prior=vposer", "stages=world,prior", "trainer.epochs=2", "prior.lr=0.002"]
    caches = [tmp_path / name for name in ("stopped", "whole")]
    stopped, whole = ([*common, f"name={cache.name}", f"paths.cache={cache}"] for cache in caches)
    interrupted(PosePriorModule, stopped, 14, monkeypatch)
    assert main(whole) == 0
    first, second = (weights(next(cache.glob("prior-*")) / "final.ckpt") for cache in caches)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_job_ended_by_its_scheduler_does_not_look_done_and_goes_on_where_it_was(
    tiny_folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM within a part: the steps before it are kept, and the end is that of a training without it."""
    caches = [tmp_path / name for name in ("stopped", "whole")]
    common = [*tiny_folders, *COMMON, "recipe.prior=vposer", "stages=world,prior", "prior.lr=0.002"]
    stopped, whole = ([*common, f"name={cache.name}-term", f"paths.cache={cache}"] for cache in caches)
    original = PosePriorModule.training_step

    def end(self, batch, index):
        if index == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, index)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(PosePriorModule, "training_step", end)
        assert run_command(main, stopped) == 128 + signal.SIGTERM
    wandb.finish()
    signal.signal(signal.SIGTERM, before)
    (folder,) = caches[0].glob("prior-*")
    assert not (folder / "final.ckpt").exists()
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 7
    assert main(stopped) == 0 and main(whole) == 0
    first, second = (weights(next(cache.glob("prior-*")) / "final.ckpt") for cache in caches)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_an_interrupted_adversarial_training_goes_on(tiny_folders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Critics, both learning rates and the drawn poses included."""
    common = [*tiny_folders, *COMMON, "recipe.prior=adversarial", "stages=world,annotate", "trainer.epochs=2"]
    interrupted(AnnotatorModule, [*common, "name=stopped-critics"], 6, monkeypatch)
    assert main([*common, "name=whole-critics"]) == 0
    runs = [runs_of(tiny_folders) / f"{name}-critics" for name in ("stopped", "whole")]
    first, second = (weights(next(run.glob("*/annotate/final.ckpt"))) for run in runs)
    assert any(name.startswith("penalty.critics.") for name in first)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for run in runs:
        shutil.rmtree(run)
