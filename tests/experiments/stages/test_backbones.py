"""Every ResNet and a small ViT through the real stages: two steps of training, then a label of each person."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.pseudo_gt.native import read_labels
from experiments.run import main
from lightning_modules.backbones import BACKBONES

PEOPLE = 24  # MPII's in the tiny world
SMALL = [
    "annotate.targets={mpii: 1}", "annotate.samples=8", "annotate.batch_size=4",
    "recipe=none", "recipe.init=random", "dump.prior_score=false", "dump.mirror=false", "wandb.mode=disabled",
    "stages=[world,annotate,dump]",
]  # fmt: skip

_BACKBONE = "network.encoder.backbone."


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vit_slim"])
def test_annotates_with(tiny_folders: list[str], backbone: str) -> None:
    name = f"backbone-{backbone}"
    assert main([*tiny_folders, "experiment=base", *SMALL, f"model.backbone={backbone}", f"name={name}"]) == 0
    (folder,) = (Path(tiny_folders[1].partition("=")[2]) / name).glob("*/annotate")
    outputs = json.loads((folder / "stage.json").read_text())["outputs"]
    trained = torch.load(folder / outputs["checkpoint"], weights_only=True)["state_dict"]
    with torch.device("meta"):
        expected = {f"{_BACKBONE}{key}": value.shape for key, value in BACKBONES[backbone]().state_dict().items()}
    assert {key: value.shape for key, value in trained.items() if key.startswith(_BACKBONE)} == expected
    steps = {int(value) for key, value in trained.items() if key.endswith("num_batches_tracked")}
    assert steps <= {2} and (steps or backbone == "vit_slim")
    labels = read_labels(folder.parent / "labels" / "mpii-train").columns
    assert len(labels["id"]) == len(set(labels["id"])) == PEOPLE
    assert all(np.isfinite(labels[column]).all() for column in ("body_pose", "betas", "transl"))
