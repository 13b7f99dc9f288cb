"""A damaged image in a user's data set: inspect, the dry run and the run say the same, and may leave its people out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.pseudo_gt.native import read_labels
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments.cli import run_command
from experiments.commands.data import inspect_data
from experiments.run import main


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """COCO's layout with one image that is damaged within."""
    root = make_world(tmp_path, WORLD_SIZES["tiny"], num_workers=0) / "coco"
    path = damaged_image(root)
    noise = np.random.default_rng(0).integers(0, 255, cv2.imread(str(path)).shape, dtype=np.uint8)
    data = bytearray(cv2.imencode(".png", noise)[1].tobytes())
    data[3000:3100] = bytes(100)
    path.write_bytes(data)
    return root


def damaged_image(root: Path) -> Path:
    return min((root / "train2017").iterdir())


def test_one_line_or_left_out(
    root: Path, tmp_path: Path, tiny_folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # At 112 pixels crops are not cached, so that the loader's workers meet the image.
    run = [
        *tiny_folders, f"paths.runs={tmp_path / 'runs'}", f"paths.cache={tmp_path / 'cache'}", f"paths.coco={root}",
        "recipe=none", "recipe.init=random", "annotate.targets={coco: 1}", "stages=[annotate,dump]",
        "model.input_size=112", "trainer.num_workers=2", "name=damaged", "dump.formats=[]", "annotate.samples=64",
        "wandb.mode=disabled", "dump.mirror=false", "dump.prior_score=false",
    ]  # fmt: skip
    fault = f"image {damaged_image(root)} does not decode as PNG; get it again, or convert it"
    assert run_command(inspect_data.main, ["coco", str(root), "--decode", "--cache", str(tmp_path / "cache")]) == 0
    said = capsys.readouterr().out
    assert fault in said
    left_out = int(said.split(" dropped: image unreadable")[0].split()[-1])
    assert main(run) == 1
    said = capsys.readouterr().err
    assert f"{fault}; skip_damaged_images=true leaves such people out of training and labels" in said
    assert "Traceback" not in said
    run += ["skip_damaged_images=true", "overwrite=true"]
    assert main([*run, "--dry-run"]) == 0
    assert f"'image unreadable': {left_out}" in " ".join(capsys.readouterr().out.split())
    assert main(run) == 0
    assert f"{left_out} image unreadable" in capsys.readouterr().out
    (labels,) = (tmp_path / "runs").rglob("labels/coco-train")
    assert damaged_image(root).name not in {Path(name).name for name in read_labels(labels).columns["image"]}
    for path in (root / "train2017").iterdir():
        path.write_bytes(b"<html>404 Not Found</html>")
    assert main([*run, "skip_damaged_images=false", "--dry-run"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "missing or wrong: image " in said and "does not decode as JPEG, PNG" in said
