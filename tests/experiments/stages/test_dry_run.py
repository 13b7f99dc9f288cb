"""--dry-run: poses and weights of the user are opened, so that a wrong file is found before hours were spent."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from experiments.cli import run_command
from experiments.run import main
from lightning_modules.backbones import make_backbone
from lightning_modules.priors.pose_mixture import PoseMixture
from lightning_modules.priors.pose_prior import PosePrior

ONE_SOURCE = ["annotate.targets={coco: 1}", "recipe=none", "stages=[world,prior,mixture,generic,annotate,dump]"]


@pytest.fixture
def dry(tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    """Runs it; returns the exit code and what was said, without the terminal's line breaks."""

    def run(*argv: str) -> tuple[int, str]:
        # Runs of its own: one of another test would be refused as one of other settings.
        code = main([*tiny_folders, f"paths.runs={tmp_path / 'runs'}", *ONE_SOURCE, *argv, "--dry-run"])
        return code, " ".join(capsys.readouterr().out.split())

    return run


def write_sequence(path: Path, frames: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"poses": np.zeros((frames, 156)), "trans": np.zeros((frames, 3)), "betas": np.zeros(16)}
    np.savez(path, **numbers, gender="male", mocap_framerate=120.0)


def test_pose_sequences_are_looked_for_and_read(tmp_path: Path, dry) -> None:
    poses = ["recipe.prior=vposer", f"paths.amass={tmp_path}"]
    code, said = dry(*poses)  # a folder that is there, but empty
    assert code == 1 and "(paths.amass)" in said and "Get the first from https://amass.is.tue.mpg.de" in said
    assert str(tmp_path) in said.replace(" ", "")
    write_sequence(tmp_path / "CMU/01/b_poses.npz")
    code, said = dry(*poses)
    assert code == 0 and "1 recordings" in said
    (tmp_path / "CMU/01/a_poses.npz").write_bytes(b"nothing")
    code, said = dry(*poses)
    assert code == 1 and "is not an AMASS sequence" in said and "(paths.amass)" in said


def write_start(path: Path, backbone: str, prefix: str = "") -> str:
    torch.save({prefix + name: value for name, value in make_backbone(backbone).state_dict().items()}, path)
    return f"recipe.init_file={path}"


def test_a_start_is_opened(tmp_path: Path, dry) -> None:
    slim = write_start(tmp_path / "slim.pth", "slim")
    code, said = dry("recipe.init=imagenet", slim)
    assert code == 0 and "100.0% of the backbone's elements" in said
    code, said = dry("recipe.init=imagenet", write_start(tmp_path / "other.pth", "resnet18"))
    assert code == 1 and "probably another architecture" in said
    code, said = dry("recipe.init=imagenet", write_start(tmp_path / "moco.pth", "slim", "module.encoder_q."))
    assert code == 1 and "is not of the kind that recipe.init=imagenet says" in said
    # What this run does not read is not opened.
    other = write_start(tmp_path / "other.pth", "resnet18")
    assert dry("recipe.init=imagenet", other, "stages=[world,mixture]")[0] == 0


def test_priors_are_opened(tmp_path: Path, dry) -> None:
    torch.save(PosePrior(16).state_dict(), tmp_path / "vposer.ckpt")
    PoseMixture(np.zeros((2, 63)), np.stack([np.eye(63)] * 2), np.full(2, 0.5)).save(tmp_path / "mixture.npz")
    files = {"vposer": tmp_path / "vposer.ckpt", "gmm": tmp_path / "mixture.npz"}
    for prior, other in (("vposer", "gmm"), ("gmm", "vposer")):
        assert dry(f"recipe.prior={prior}", f"recipe.prior_file={files[prior]}")[0] == 0
        code, said = dry(f"recipe.prior={prior}", f"recipe.prior_file={files[other]}")
        assert code == 1 and files[other].name in said and "wrong" in said
        fitted = ["annotate.method=smplify", f"smplify.prior={prior}"]
        assert dry(*fitted, f"smplify.prior_file={files[prior]}")[0] == 0
        code, said = dry(*fitted, f"smplify.prior_file={files[other]}")
        assert code == 1 and files[other].name in said


def write_coco(root: Path, keypoints: list[float]) -> str:
    """Four people on one image, in COCO's layout."""
    (root / "train2017").mkdir(parents=True)
    cv2.imwrite(str(root / "train2017/0.jpg"), np.full((240, 320, 3), 90, np.uint8))
    person = {"image_id": 0, "category_id": 1, "bbox": [10, 10, 100, 200], "keypoints": keypoints}
    content = {
        "images": [{"id": 0, "file_name": "0.jpg", "width": 320, "height": 240}],
        "annotations": [{"id": i, **person} for i in range(4)],
    }
    (root / "person_keypoints_train2017.json").write_text(json.dumps(content))
    return f"paths.coco={root}"


@pytest.mark.parametrize("dry_run", [True, False])
def test_nobody_with_joints_is_told_in_one_line(
    dry_run: bool, tmp_path: Path, tiny_folders: list[str], capfd: pytest.CaptureFixture
) -> None:
    coco = write_coco(tmp_path / "coco", [0.0] * 51)
    alone = ["name=nobody", "stages=[annotate]", "recipe.init=random", coco]
    arguments = [*tiny_folders, *ONE_SOURCE, *alone, *["--dry-run"] * dry_run]
    assert run_command(main, arguments) == 1
    said = " ".join("".join(capfd.readouterr()).split())
    assert "coco-train: nobody is left to be trained on; left out: 4 fewer than 1 annotated joints" in said
    assert "Traceback" not in said


def test_quotas_that_do_not_fit_are_told_in_one_line(tmp_path: Path, dry) -> None:
    coco = write_coco(tmp_path / "coco", [50.0, 60.0, 2] * 17)
    code, said = dry(coco, "annotate.targets={coco: 1, mpii: 1000}", "annotate.batch_size=2")
    assert code == 1 and "annotate.batch_size=2 gives a data set of {coco: 0.000999, mpii: 0.999} nobody" in said


def test_notes_of_the_reader_are_shown(tmp_path: Path, dry) -> None:
    code, said = dry(write_coco(tmp_path / "coco", [50.0, 60.0, 0.02] * 17))
    assert code == 0 and "coco: keypoints have third values other than 0, 1 and 2 (0.02 to 0.02)" in said
