"""The command on pairs: numbers against NumPy and SciPy, what is left out, and what is refused."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from experiments.cli import run_command
from experiments.commands.labels.evaluate import main
from experiments.evaluation import pairs
from experiments.evaluation.scores import METRICS
from tests.support.repository import DOCS

KEYS = {"protocol", "n", "excluded", *METRICS}


def make_pairs(count: int = 9, joints: int = 24, vertices: int = 40, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    true, mesh = rng.normal(size=(count, joints, 3)), rng.normal(size=(count, vertices, 3))
    rotations = Rotation.random(count * 24, random_state=seed)
    turned = Rotation.from_rotvec(rng.normal(0, 0.3, (count * 24, 3))) * rotations
    return {
        "gt_joints": true,
        "pred_joints": true + 0.05 * rng.normal(size=true.shape) + rng.normal(size=(count, 1, 3)),
        "gt_vertices": mesh,
        "pred_vertices": mesh + 0.05 * rng.normal(size=mesh.shape),
        "gt_rotmats": rotations.as_matrix().reshape(count, 24, 3, 3),
        "pred_rotmats": turned.as_matrix().reshape(count, 24, 3, 3),
    }


def procrustes(pred: np.ndarray, true: np.ndarray) -> float:
    x, y = pred - pred.mean(0), true - true.mean(0)
    rotation, _ = Rotation.align_vectors(y, x)
    turned = rotation.apply(x)
    scale = (turned * y).sum() / (x * x).sum()
    return 1000 * np.linalg.norm(scale * turned - y, axis=1).mean()


def oracle(data: dict[str, np.ndarray], root: list[int] | None = None, joints: list[int] | None = None) -> dict:
    root = [0] if root is None else root
    joints = list(range(data["gt_joints"].shape[1])) if joints is None else joints
    origin = {name: data[f"{name}_joints"][:, root].mean(1, keepdims=True) if root else 0.0 for name in ("pred", "gt")}
    pred, true = (data[f"{name}_joints"] - origin[name] for name in ("pred", "gt"))
    errors = 1000 * np.linalg.norm(pred - true, axis=-1)[:, joints]
    at = np.arange(200)
    curve = [(errors <= limit).mean() for limit in at]
    meshes = [data[f"{name}_vertices"] - origin[name] for name in ("pred", "gt")]
    some = [0, 1, 2, 4, 5, 16, 17, 18, 19]
    angles = [
        (Rotation.from_matrix(p).inv() * Rotation.from_matrix(t)).magnitude()
        for p, t in zip(data["pred_rotmats"][:, some], data["gt_rotmats"][:, some], strict=True)
    ]
    each = range(len(errors))
    return {
        "mpjpe": errors.mean(),
        "pa_mpjpe": np.mean([procrustes(pred[i, joints], true[i, joints]) for i in each]),
        "mpvpe": 1000 * np.linalg.norm(meshes[0] - meshes[1], axis=-1).mean(),
        "pa_mpvpe": np.mean([procrustes(data["pred_vertices"][i], data["gt_vertices"][i]) for i in each]),
        "pck50": 100 * (errors <= 50).mean(),
        "auc200": 100 * np.trapezoid(curve, at) / 199,
        "pck150": 100 * (errors < 150).mean(),
        "auc150": 100 * np.mean([(errors < limit).mean() for limit in range(0, 151, 5)]),
        "mpjae": np.degrees(angles).mean(),
    }


def evaluate(capsys: pytest.CaptureFixture, path: Path, *options: str) -> dict:
    assert run_command(main, ["--pairs", str(path), "--json", *options]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    content = json.loads(line)
    assert set(content) == KEYS and content["protocol"] == "pairs"
    return content


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], {}),
        (["--root", "2+3"], {"root": [2, 3]}),
        (["--root", "none"], {"root": []}),
        (["--root", "1", "--joints", "5,2,3,9"], {"root": [1], "joints": [5, 2, 3, 9]}),
    ],
)
def test_every_metric_against_numpy(tmp_path, capsys, monkeypatch, options, arguments) -> None:
    monkeypatch.setattr(pairs, "_BLOCK_NUMBERS", 3000)  # several blocks of rows
    data = make_pairs()
    np.savez(tmp_path / "pairs.npz", **data)
    found = evaluate(capsys, tmp_path / "pairs.npz", *options)
    assert (found["n"], found["excluded"]) == (9, 0)
    for name, value in oracle(data, **arguments).items():
        assert found[name] == pytest.approx(value, abs=1e-3), name


@pytest.mark.parametrize("kind", ["compressed", "fortran", "float32", "float16 and big-endian", "aliases", "nine"])
def test_every_way_to_write_the_arrays(tmp_path, capsys, kind) -> None:
    data = make_pairs()
    expected = oracle(data)
    path, save = tmp_path / "pairs.npz", np.savez
    if kind == "compressed":
        save = np.savez_compressed
    elif kind == "fortran":
        data = {name: np.asfortranarray(value) for name, value in data.items()}
    elif kind == "float32":
        data = {name: value.astype(np.float32) for name, value in data.items()}
    elif kind == "float16 and big-endian":
        data["gt_joints"] = data["gt_joints"].astype(np.float16)
        data["pred_joints"] = data["pred_joints"].astype(">f8")
        expected = oracle({**data, "gt_joints": data["gt_joints"].astype(np.float64)})
    elif kind == "aliases":
        data = {name.replace("vertices", "verts"): value for name, value in data.items()}
    else:
        some = [0, 1, 2, 4, 5, 16, 17, 18, 19]
        data = {name: value[:, some] if "rotmats" in name else value for name, value in data.items()}
    save(path, **data)
    found = evaluate(capsys, path)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-2 if kind == "float32" else 1e-3), name


def test_integer_millimetres_are_metres(tmp_path, capsys) -> None:
    true = np.arange(2 * 3 * 3).reshape(2, 3, 3) ** 2 % 7
    np.savez(tmp_path / "p.npz", pred_joints=true[::-1], gt_joints=true)
    found = evaluate(capsys, tmp_path / "p.npz", "--root", "none")
    assert found["mpjpe"] == pytest.approx(1000 * np.linalg.norm(true[::-1] - true, axis=-1).mean())
    assert found["mpvpe"] is None and found["pa_mpvpe"] is None and found["mpjae"] is None


def test_what_is_not_finite_is_excluded_and_zeros_become_the_mean(tmp_path, capsys) -> None:
    data = make_pairs()
    data["pred_joints"][1, 5, 0] = np.nan
    data["pred_vertices"][2, 0, 0] = np.inf
    data["gt_rotmats"][3, 7, 0, 0] = -np.inf
    data["pred_joints"][4] = 0
    np.savez(tmp_path / "p.npz", **data)
    found = evaluate(capsys, tmp_path / "p.npz")
    assert (found["n"], found["excluded"]) == (6, 3)
    kept = {name: value[[0, 4, 5, 6, 7, 8]] for name, value in data.items()}
    zero = kept["gt_joints"][1]
    others = [procrustes(kept["pred_joints"][i], kept["gt_joints"][i]) for i in (0, 2, 3, 4, 5)]
    spread = 1000 * np.linalg.norm(zero - zero.mean(0), axis=1).mean()
    assert found["pa_mpjpe"] == pytest.approx(np.mean([*others, spread]), abs=1e-3)
    assert found["mpjpe"] == pytest.approx(
        np.mean(1000 * np.linalg.norm(np.diff([
            kept[k] - kept[k][:, :1] for k in ("pred_joints", "gt_joints")], axis=0)[0], axis=-1)), abs=1e-3
    )  # fmt: skip


def test_nobody_left_is_null_not_nan(tmp_path, capsys) -> None:
    for count in (0, 2):
        pred = np.full((count, 5, 3), np.nan)
        np.savez(tmp_path / "p.npz", pred_joints=pred, gt_joints=np.zeros((count, 5, 3)))
        found = evaluate(capsys, tmp_path / "p.npz")
        assert (found["n"], found["excluded"]) == (0, count)
        assert all(found[name] is None for name in METRICS)


def test_a_perfect_prediction(tmp_path, capsys) -> None:
    data = make_pairs()
    np.savez(tmp_path / "p.npz", pred_joints=data["gt_joints"], gt_joints=data["gt_joints"])
    found = evaluate(capsys, tmp_path / "p.npz")
    assert (found["pck50"], found["auc200"], found["pck150"]) == (100, pytest.approx(100), 100)
    assert found["auc150"] == pytest.approx(100 * 30 / 31)


BAD = {
    "no gt": ({"pred_joints": np.zeros((2, 5, 3))}, "no gt_joints"),
    "half a pair": ({**{k: np.zeros((2, 5, 3)) for k in ("pred_joints", "gt_joints", "gt_verts")}}, "no pred_vertices"),
    "rows": ({"pred_joints": np.zeros((2, 5, 3)), "gt_joints": np.zeros((3, 5, 3))}, r"\(2, 5, 3\) but gt_joints"),
    "flat": ({"pred_joints": np.zeros((2, 15)), "gt_joints": np.zeros((2, 15))}, r"shape \(2, 15\), expected"),
    "text": ({"pred_joints": np.array(["a"]), "gt_joints": np.zeros((2, 5, 3))}, "not real numbers"),
    "objects": ({"pred_joints": np.array([{}], dtype=object), "gt_joints": np.zeros((2, 5, 3))}, "pred_joints"),
    "rotations": (
        {
            **{k: np.zeros((2, 5, 3)) for k in ("pred_joints", "gt_joints")},
            **{k: np.zeros((2, 12, 3, 3)) for k in ("pred_rotmats", "gt_rotmats")},
        },
        r"\(2, 12, 3, 3\), expected \(N, 24, 3, 3\)",
    ),
    "counts": (
        {
            **{k: np.zeros((2, 5, 3)) for k in ("pred_joints", "gt_joints")},
            **{k: np.zeros((3, 9, 3)) for k in ("pred_verts", "gt_verts")},
        },
        "numbers of samples differ",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_arrays_are_named(tmp_path, capsys, case) -> None:
    arrays, message = BAD[case]
    np.savez(tmp_path / "bad.npz", **arrays)
    assert run_command(main, ["--pairs", str(tmp_path / "bad.npz"), "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and "bad.npz" in printed.err
    assert re.search(message, printed.err), printed.err


def test_damaged_files_and_wrong_joints(tmp_path, capsys) -> None:
    good = tmp_path / "good.npz"
    np.savez(good, pred_joints=np.zeros((2, 5, 3)), gt_joints=np.zeros((2, 5, 3)))
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[:300])
    (tmp_path / "text.npz").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive, zipfile.ZipFile(good) as source:
        for name in source.namelist():
            archive.writestr(name, source.read(name)[:-8])
    for name in ("cut.npz", "text.npz", "short.npz", "none.npz"):
        assert run_command(main, ["--pairs", str(tmp_path / name)]) == 1
        assert name in capsys.readouterr().err
    for options in (["--root", "5"], ["--joints", "0,7"]):
        assert run_command(main, ["--pairs", str(good), *options]) == 1
        assert "has 5: 0 to 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [], ["--pairs", "a.npz", "--labels", "b"], ["--pairs", "a.npz", "--root", "x"],
        ["--pairs", "a.npz", "--joints", "1,1"], ["--checkpoint", "a.ckpt"], ["--pairs", "a.npz", "--worst", "-1"],
    ],
)  # fmt: skip
def test_wrong_arguments_are_exit_code_2(argv, capsys) -> None:
    assert run_command(main, argv) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_tables_and_files(tmp_path, capsys) -> None:
    data = make_pairs()
    np.savez(tmp_path / "p.npz", **data)
    options = ["--per-joint", "--worst", "2", "--per-sequence", "--bootstrap", "50", "--out", str(tmp_path / "out")]
    assert main(["--pairs", str(tmp_path / "p.npz"), "--joints", "3,4", *options]) == 0
    printed = capsys.readouterr().out
    assert "joint 3" in printed and "worst by pa_mpjpe" in printed and "95 %" in printed
    saved = np.load(tmp_path / "out" / "pairs.npz", allow_pickle=False)
    assert saved["per_joint"].shape == (9, 2)
    assert saved["mpjpe"].mean() == pytest.approx(oracle(data, joints=[3, 4])["mpjpe"], abs=1e-3)
    assert len((tmp_path / "out" / "pairs.csv").read_text().splitlines()) == 10
    assert (tmp_path / "out" / "summary.csv").read_text().startswith("protocol,n,excluded,metric,unit,mean,low,high")


def test_the_shown_definitions_are_those_of_the_docs(capsys) -> None:
    assert main(["--list-protocols"]) == 0
    docs = DOCS / "protocols.md"
    assert capsys.readouterr().out == docs.read_text(encoding="utf-8")
