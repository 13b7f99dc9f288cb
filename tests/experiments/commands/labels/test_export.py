"""The commands export and import_labels: there and back, and user errors in a line."""

import numpy as np
import pytest

from datamodules.pseudo_gt.native import LabelWriter, read_labels
from experiments.cli import run_command
from experiments.commands.labels.export import main as export
from experiments.commands.labels.import_labels import main as import_labels
from experiments.provenance.annotators import annotator_of


@pytest.fixture
def labels(tmp_path):
    rng, count = np.random.default_rng(0), 5
    box = np.tile(np.array([10, 20, 100, 100], np.float32), (count, 1))
    columns = {
        "id": [f"coco/train/{key}" for key in range(count)],
        "image": [f"{key}.jpg" for key in range(count)],
        "box": box,
        "global_orient": np.tile(np.array([np.pi, 0, 0], np.float32), (count, 1)),
        "body_pose": rng.normal(0, 0.2, (count, 69)).astype(np.float32),
        "betas": np.zeros((count, 10), np.float32),
        "transl": np.tile(np.array([0, 0.2, 48], np.float32), (count, 1)),
        "focal": np.full((count, 2), 2000, np.float32),
        "princpt": box[:, :2] + 50,
        "error_2d": np.linspace(0.1, 0.5, count, dtype=np.float32),
    }
    with LabelWriter(tmp_path / "labels", joint_set=None, image_root=None, provenance={}) as writer:
        writer.write(columns)
    return tmp_path / "labels"


def test_there_and_back(labels, tmp_path, capsys):
    path, back = tmp_path / "out.npz", tmp_path / "back"
    assert run_command(export, [str(labels), "--format", "bedlam", "--out", str(path)]) == 0
    printed = capsys.readouterr().out
    assert f"{path}: 5 people as bedlam" in printed
    assert "maximum 0.0" in printed
    arguments = [str(path), "--format", "bedlam", "--out", str(back), "--dataset", "coco"]
    assert run_command(import_labels, arguments) == 0
    assert "5 labels of 5 people; ids are image names, numbered" in capsys.readouterr().out
    np.testing.assert_array_equal(read_labels(back).columns["body_pose"], read_labels(labels).columns["body_pose"])


@pytest.mark.parametrize(("word", "saw"), [("yes", True), ("no", False), (None, None)])
def test_imported_labels_say_whether_3dpw_train_helped(labels, tmp_path, capsys, word, saw):
    path, back = tmp_path / "out.npz", tmp_path / "back"
    assert run_command(export, [str(labels), "--format", "bedlam", "--out", str(path)]) == 0
    arguments = [str(path), "--format", "bedlam", "--out", str(back), "--dataset", "coco"]
    assert "  annotator: not known whether trained with help of 3DPW's training set\n" in capsys.readouterr().out
    assert run_command(import_labels, [*arguments, *(["--used-3dpw-train", word] if word else [])]) == 0
    assert ("3DPW-train helped to make them is unknown" in capsys.readouterr().out) is (saw is None)
    assert read_labels(back).provenance["used_3dpw_train"] is saw
    assert annotator_of(read_labels(back).provenance).exposure.saw_training_of() is saw
    assert run_command(export, [str(back), "--format", "spin", "--out", str(tmp_path / "again.npz")]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "annotator: " in line]
    assert [line.startswith("  annotator: trained with help") for line in told] == {
        True: [True],
        False: [],
        None: [False],
    }[saw]


def test_a_view_is_written(labels, tmp_path, capsys):
    path = tmp_path / "out.json"
    arguments = [str(labels), "--format", "neuralannot", "--out", str(path), "--filter", "max_error_2d=0.35"]
    assert run_command(export, arguments) == 0
    printed = capsys.readouterr().out
    assert "3 of 5 labels" in printed
    assert "3 people as neuralannot" in printed


def test_meshes_of_each_person(labels, tmp_path, capsys):
    out = tmp_path / "meshes"
    arguments = [str(labels), "--format", "glb", "--out", str(out), "--per", "person", "--files", "2"]
    assert run_command(export, [*arguments, "--filter", "max_error_2d=0.35"]) == 0
    printed = capsys.readouterr().out
    assert "3 of 5 labels" in printed and "2 meshes in 2 files" in printed
    assert "annotator: not known whether trained" in printed
    assert sorted(path.name for path in out.iterdir()) == ["0.glb", "2.glb"]


def test_the_list(capsys):
    assert run_command(export, ["--list"]) == 0
    assert "weak perspective" in capsys.readouterr().out
    assert run_command(export, ["--list", "--markdown"]) == 0
    assert "## spin, spin_fits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "arguments", "code", "named"),
    [
        (export, [], 2, "missing: LABELS, --format, --out"),
        (export, ["x", "--format", "smplx", "--out", "y"], 2, "'smplx' is none of neuralannot"),
        (export, ["nowhere", "--format", "spin", "--out", "y"], 1, "nowhere holds no complete labels"),
        (export, ["x", "--format", "spin", "--out", "y", "--files", "3"], 2, "are of glb and obj; spin is one file"),
        (export, ["x", "--format", "glb", "--out", "y", "--files", "0"], 2, "0 is not a number of files"),
        (import_labels, ["x", "--format", "spin", "--out", "y"], 2, "missing: --dataset"),
        (import_labels, ["x", "--format", "spin", "--out", "y", "--used-3dpw-train", "perhaps"], 2, "perhaps"),
        (import_labels, ["x", "--format", "spin", "--out", "y", "--source", "coco"], 2, "is not KIND=PATH"),
        (import_labels, ["x", "--format", "spin", "--out", "y", "--dataset", "coco"], 1, "no such file or folder"),
    ],
)
def test_user_errors(tmp_path, monkeypatch, capsys, command, arguments, code, named):
    monkeypatch.chdir(tmp_path)
    assert run_command(command, arguments) == code
    assert named in capsys.readouterr().err
