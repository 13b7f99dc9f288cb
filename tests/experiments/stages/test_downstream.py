"""What regressors are trained on: label sets, mixes with 3D sets, the experiments on real data, and their table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from body_models.free_body.arrays import write_free_body
from datamodules.pseudo_gt.native import read_labels
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments.commands.labels.truth_labels import main as truth_labels
from experiments.commands.runs import downstream_table
from experiments.run import main
from experiments.settings.schema import REGRESSORS
from lightning_modules.backbones import make_backbone

TREES = {"coco": "coco", "mpii": "mpii", "threedpw": "3dpw", "mpi_inf_3dhp": "mpi_inf_3dhp"}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets under their official file names, body models, and label tables of all their people."""
    root = tmp_path_factory.mktemp("downloads")
    make_world(root, WORLD_SIZES["tiny"], num_workers=0)
    write_free_body(root / "body_models")
    torch.save(make_backbone("resnet50").state_dict(), root / "start.pth")
    assert truth_labels([str(root), "--out", str(root / "run" / "labels")]) == 0
    return root


def arguments(root: Path) -> list[str]:
    paths = [f"paths.{name}={root / folder}" for name, folder in TREES.items()]
    others = [f"paths.{name}={root / name}" for name in ("body_models", "cache", "runs", "data")]
    return [*paths, *others, "mpi_inf_3dhp.frame_step=1", "trainer.accelerator=cpu", "downstream.batch_size=10"]


@pytest.mark.parametrize("family", [*REGRESSORS, "real"])
def test_experiments_on_real_data_dry_run(downloads: Path, capsys: pytest.CaptureFixture, family: str) -> None:
    start = "null" if family == "hmr2" else downloads / "start.pth"  # its ViT's weights would be 2.5 GB
    argv = [*arguments(downloads), f"experiment=downstream_{family}", f"downstream.init_file={start}"]
    assert main(["--dry-run", *argv, f"labels={downloads / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "everything is there" in said and "synthetic" not in said
    assert "downstream: a batch of 10 from ['coco', 'mpi_inf_3dhp', 'mpii']" in said


def test_dry_run_opens_the_start(downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    argv = [*arguments(downloads), "experiment=downstream_hmr", f"downstream.init_file={tmp_path / 'other.pth'}"]
    assert main(["--dry-run", *argv, f"labels={downloads / 'run'}"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "missing or wrong" in said and "other.pth" in said


def test_without_labels_the_3d_sets_are_left(downloads: Path, capsys: pytest.CaptureFixture) -> None:
    argv = [*arguments(downloads), "experiment=downstream_hmr", f"downstream.init_file={downloads / 'start.pth'}"]
    assert main(["--dry-run", *argv, "labels=[]"]) == 0
    assert "downstream: a batch of 10 from ['mpi_inf_3dhp']" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "mix", "said"),
    [
        ("coco-train", "{coco: 1, mpii: 1}", "downstream.mix names mpii, which labels= has no table of"),
        ("coco-train", "{mpi_inf_3dhp: 1}", "there are labels of coco, which downstream.mix leaves out"),
        ("[]", "{coco: 1}", "nobody to train on"),
        (".", "{coco: 1, mpii: 1}", None),
    ],
)
def test_labels_and_mix_have_to_fit(
    downloads: Path, capsys: pytest.CaptureFixture, labels: str, mix: str, said: str | None
) -> None:
    argv = [*arguments(downloads), "size=tiny", "recipe=none", "stages=downstream", f"downstream.mix={mix}"]
    folder = labels if labels == "[]" else downloads / "run" / "labels" / labels
    code = main(["--dry-run", *argv, f"labels={folder}"])
    assert code == (0 if said is None else 1)
    printed = capsys.readouterr()
    assert said is None or said in " ".join((printed.out + printed.err).split())


def test_truth_labels_are_the_truth(downloads: Path) -> None:
    table = read_labels(downloads / "run" / "labels" / "coco-train")
    with np.load(downloads / "truth" / "coco_train.npz") as truth:
        assert list(table.columns["id"]) == list(truth["id"])
        for name in ("body_pose", "betas", "transl", "focal"):
            np.testing.assert_allclose(table.columns[name], truth[name].reshape(len(table), -1), rtol=1e-6)
    assert table.provenance["made_by"].startswith("true bodies")


def test_truth_labels_need_a_synthetic_world(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no true bodies are known"):
        truth_labels([str(tmp_path), "--out", str(tmp_path / "out")])


@pytest.mark.slow
def test_table_of_families_and_label_sets(tiny_run: Path, tiny_folders: list[str]) -> None:
    """One command: annotators once, the truth beside them, then each family on each label set."""
    sweep = ["sweep.downstream.family=[hmr,i2l]", "sweep.seed=[0]", "trainer.epochs=1", "wandb.mode=disabled"]
    command = [*tiny_folders, *sweep, "downstream.samples=32", "report.people=0", "--jobs", "1"]
    assert downstream_table.main(command) == 0
    runs = tiny_run.parent
    folders = {family: runs / f"downstream_table{'_i2l' * (family == 'i2l')}" for family in ("hmr", "i2l")}
    summaries = {}
    for family, folder in folders.items():
        cells = {f"family={family}-folders={labels}-seed0" for labels in ("nothing", "none", "three", "truth")}
        assert {path.name for path in folder.iterdir() if path.is_dir()} >= cells
        summaries |= {name: json.loads((folder / name / "summary.json").read_text()) for name in cells}
        samples = [json.loads((folder / name / "downstream/stage.json").read_text())["outputs"] for name in cells]
        assert {one["samples"] for one in samples} == {32 if family == "hmr" else 4}
    for name, summary in summaries.items():
        assert summary["used_3dpw_train"] is ("three" in name)
        assert summary["metrics"]["threedpw/lsp14_pa_mpjpe"]["value"] > 0
        assert (summary["metrics"]["threedpw/smpl24_mpjae"]["value"] is None) is ("i2l" in name)
        people = set(summary["labels"]["people"])
        assert people == ({"mpi_inf_3dhp"} if "nothing" in name else {"coco", "mpii", "mpi_inf_3dhp"})
    direct = {name: summary["metrics"].get("pseudo_gt/smpl24_pa_mpjpe") for name, summary in summaries.items()}
    assert direct["family=hmr-folders=nothing-seed0"] is None
    assert direct["family=hmr-folders=truth-seed0"]["value"] < 0.01
    assert direct["family=hmr-folders=three-seed0"]["value"] > 10
    before = {path: path.stat().st_mtime_ns for path in runs.glob("downstream_*/*/*/*.ckpt")}
    assert downstream_table.main(command) == 0  # resumes: nothing is trained again
    assert before == {path: path.stat().st_mtime_ns for path in runs.glob("downstream_*/*/*/*.ckpt")}
    table = (folders["hmr"] / "families.md").read_text(encoding="utf-8")
    assert "| labels | the labels' own error | hmr | i2l |" in table and "| nothing by truth | - |" in table
    for folder in (*folders.values(), runs / "downstream_labels"):
        shutil.rmtree(folder)
