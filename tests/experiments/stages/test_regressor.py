"""Every family of regressors through the stages at size=tiny: trained, interrupted, resumed, evaluated, loaded."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import wandb

from experiments.evaluation.against_truth import load_mesh_module
from experiments.run import main
from experiments.settings.schema import REGRESSORS
from lightning_modules.mesh_module import MeshModule
from lightning_modules.weights.checkpoints import CheckpointError


@pytest.mark.parametrize("family", REGRESSORS)
def test_trains_resumes_and_is_evaluated(
    tiny_run: Path, tiny_folders: list[str], monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    runs = tiny_run.parent
    names = [f"{family}-stopped", f"{family}-whole"]
    paths = [runs / name / "labels=three-coco-train" / "downstream" / "final.ckpt" for name in names]
    labels = tiny_run / "three" / "labels" / "coco-train"
    arguments = [*tiny_folders, f"labels={labels}", f"downstream.family={family}", "trainer.epochs=2"]
    stages = "stages=world,downstream"
    step = MeshModule.training_step

    def fail(self: MeshModule, batch: dict, index: int) -> torch.Tensor:
        if self.trainer.global_step == 6:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(MeshModule, "training_step", fail)
        with suppress(KeyboardInterrupt, SystemExit):
            assert main([*arguments, f"name={names[0]}", stages]) != 0
    wandb.finish()  # as the end of the process would
    assert not paths[0].exists() and (paths[0].parent / "last.ckpt").is_file()
    assert main([*arguments, f"name={names[0]}", stages]) == 0
    assert main([*arguments, f"name={names[1]}", f"{stages},evaluate"]) == 0

    stopped, whole = (torch.load(path, weights_only=True)["state_dict"] for path in paths)
    assert stopped.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(value, stopped[name]), name
    metrics = json.loads((runs / names[1] / "labels=three-coco-train" / "summary.json").read_text())["metrics"]
    assert {"threedpw/lsp14_pa_mpjpe", "threedpw/smpl24_mpjpe"} <= set(metrics)
    module = load_mesh_module(paths[1])
    assert module.hparams["family"] == family
    for name in names:
        shutil.rmtree(runs / name)


def test_a_checkpoint_of_a_family_that_is_not_there_says_so(tmp_path: Path) -> None:
    settings = {"backbone": "slim", "losses": {}, "body_models": "free", "family": "newer"}
    torch.save({"hyper_parameters": settings, "state_dict": {}}, tmp_path / "new.ckpt")
    with pytest.raises(CheckpointError, match="family 'newer'; there are hmr, "):
        load_mesh_module(tmp_path / "new.ckpt")
