"""Submissions of the 3DPW challenge against the official script's definitions, written anew with NumPy and SciPy."""

import json
import os
import pickle

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.transform import Rotation

from body_models.free_body.arrays import free_body_arrays
from experiments.cli import run_command
from experiments.commands.labels.evaluate import main

PARTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]
FRAMES = 6


def pose_body(gender, poses, betas, trans):
    """Joints (F, 24, 3) and global rotations (F, 24, 3, 3) of SMPL by its own formulas."""
    model = free_body_arrays(gender)
    rest = model["J_regressor"] @ (model["v_template"] + model["shapedirs"][:, :, :10] @ betas)
    local = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    joints, rotations = np.empty((len(poses), 24, 3)), np.empty((len(poses), 24, 3, 3))
    for frame in range(len(poses)):
        joints[frame, 0], rotations[frame, 0] = rest[0] + trans[frame], local[frame, 0]
        for joint in range(1, 24):
            parent = model["kintree_table"][0, joint]
            rotations[frame, joint] = rotations[frame, parent] @ local[frame, joint]
            joints[frame, joint] = joints[frame, parent] + rotations[frame, parent] @ (rest[joint] - rest[parent])
    return joints, rotations


@pytest.fixture
def challenge(tmp_path):
    """A 3DPW of two sequences with two people, a submission, and the truth of what counts, by sequence and person."""
    rng, counted = np.random.default_rng(5), []
    for split, name in (("train", "walk_00"), ("test", "run_00")):
        cameras = np.tile(np.eye(4), (FRAMES, 1, 1))
        cameras[:, :3, :3] = Rotation.from_euler("xyz", rng.uniform(-3, 3, (FRAMES, 3))).as_matrix()
        cameras[:, :3, 3] = rng.normal(size=(FRAMES, 3))
        poses, trans = rng.normal(0, 0.4, (2, FRAMES, 72)), rng.normal(size=(2, FRAMES, 3))
        betas, poses2d = rng.normal(size=(2, 10)), rng.normal(size=(2, FRAMES, 3, 18))
        poses2d[0, 1] = 0
        valid = np.array([[1, 1, 1, 1, 1, 0], [1, 0, 1, 1, 1, 1]])
        content = {
            "sequence": name, "genders": ["m", "f"], "poses": list(poses), "trans": list(trans),
            "betas": [np.pad(one, (0, 5)) for one in betas], "poses2d": list(poses2d), "campose_valid": list(valid),
            "cam_poses": cameras, "cam_intrinsics": np.eye(3), "jointPositions": list(np.zeros((2, FRAMES, 72))),
        }  # fmt: skip
        joints, turns = np.zeros((2, FRAMES, 24, 3)), np.zeros((2, FRAMES, 9, 3, 3))
        for person, gender in enumerate(("male", "female")):
            true, rotations = pose_body(gender, poses[person], betas[person], trans[person])
            true = np.concatenate([true, np.ones((FRAMES, 24, 1))], axis=2) @ cameras.transpose(0, 2, 1)
            rotations = (cameras[:, None, :3, :3] @ rotations)[:, PARTS]
            noise = Rotation.from_rotvec(rng.normal(0, 0.5, (FRAMES * 9, 3))).as_matrix().reshape(FRAMES, 9, 3, 3)
            turned = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
            joints[person] = 0.9 * (true[..., :3] + rng.normal(0, 0.03, (FRAMES, 24, 3))) @ turned.T + 2
            turns[person] = turned @ noise @ rotations
            if split == "test" and person == 1:
                joints[person, 3] = 0  # the official script puts the mean of the truth there
            frames = np.flatnonzero(valid[person] * poses2d[person].any(axis=(1, 2)))
            counted.append(
                (split, joints[person][frames], true[frames][..., :3], turns[person][frames], rotations[frames])
            )
        # Whatever stands in frames that do not count is not looked at.
        joints[0, 1], turns[1, 1] = np.nan, 0
        path = tmp_path / "3dpw" / "sequenceFiles" / split / f"{name}.pkl"
        submitted = tmp_path / "res" / split / f"{name}.pkl"
        for file, values in ((path, content), (submitted, {"jointPositions": joints, "orientations": turns})):
            file.parent.mkdir(parents=True)
            file.write_bytes(pickle.dumps(values, protocol=2))
    (tmp_path / "3dpw" / "sequenceFiles" / "validation").mkdir()
    return tmp_path, counted


def align(pred, true):
    """The points after the best similarity without reflection, and its rotation, by the singular values of Kabsch."""
    if not np.abs(pred).sum():
        return np.tile(true.mean(axis=0), (24, 1)), np.eye(3)
    x, y = pred - pred.mean(axis=0), true - true.mean(axis=0)
    u, _, vt = np.linalg.svd(x.T @ y)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = vt.T @ flip @ u.T
    scale = np.trace(rotation @ (x.T @ y)) / (x**2).sum()
    return scale * x @ rotation.T + true.mean(axis=0), rotation


def angles(pred, true):
    return np.degrees([Rotation.from_matrix(p @ t.T).magnitude() for p, t in zip(pred, true, strict=True)])


def official(counted):
    pred, true, turns, rotations = (np.concatenate(arrays) for arrays in zip(*counted, strict=True))
    pred, true = (1000 * (points - points[:, :1]) for points in (pred, true))
    errors = np.linalg.norm(pred - true, axis=2)
    moved = [align(p, t) for p, t in zip(pred, true, strict=True)]
    limbs = errors[:, [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]]
    limits = np.arange(200.0)
    curve = [(limbs <= limit).mean() for limit in limits]
    area = quad(lambda x: np.interp(x, limits / 199, curve), 0, 1, limit=400, epsabs=1e-5)[0]
    turned = np.array([m[1] for m in moved])[:, None] @ turns
    return {
        "n": len(pred),
        "mpjpe": errors.mean(),
        "pa_mpjpe": np.mean([np.linalg.norm(m[0] - t, axis=1).mean() for m, t in zip(moved, true, strict=True)]),
        "pck50": 100 * (limbs <= 50).mean(),
        "auc200": 100 * area,
        "mpjae": angles(turns.reshape(-1, 3, 3), rotations.reshape(-1, 3, 3)).mean(),
        "mpjae_pa": angles(turned.reshape(-1, 3, 3), rotations.reshape(-1, 3, 3)).mean(),
    }


def evaluate(capsys, root, *options):
    arguments = ["--submission", str(root / "res"), "--data", str(root / "3dpw"), "--body-models", "free", "--json"]
    code = run_command(main, [*arguments, *options])
    printed = capsys.readouterr()
    return json.loads(printed.out) if code == 0 else printed.err


def rewrite(path, change):
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(change(content)))


def test_numbers_are_those_of_the_official_script(challenge, capsys):
    root, counted = challenge
    found = evaluate(capsys, root, "--split", "test")
    expected = official([values for split, *values in counted if split == "test"])
    assert (found["protocol"], found["n"], found["excluded"], found["split"]) == ("3dpw/challenge", 9, 0, "test")
    assert found["free_body"] is True
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name


def test_all_splits_are_pooled(challenge, capsys):
    root, counted = challenge
    assert "validation holds no sequence" in evaluate(capsys, root, "--split", "all")
    for place in ("res", "3dpw/sequenceFiles"):
        (root / place / "validation").mkdir(exist_ok=True)
        os.rename(root / place / "train" / "walk_00.pkl", root / place / "validation" / "walk_01.pkl")
        (root / place / "train" / "walk_00.pkl").write_bytes((root / place / "validation" / "walk_01.pkl").read_bytes())
    found = evaluate(capsys, root, "--split", "all")
    expected = official([values for split, *values in [*counted, *counted[:2]]])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize("key", ["jointPositions", "orientations"])
def test_one_of_both_keys_is_enough(challenge, capsys, key):
    root, counted = challenge
    rewrite(root / "res" / "test" / "run_00.pkl", lambda content: {key: list(content[key])})
    found = evaluate(capsys, root, "--split", "test")
    expected = official([values for split, *values in counted if split == "test"])
    known = {"mpjae"} if key == "orientations" else {"mpjpe", "pa_mpjpe", "pck50", "auc200"}
    assert {name: found.get(name) for name in known} == pytest.approx(
        {name: expected[name] for name in known}, rel=1e-4
    )
    assert all(found.get(name) is None for name in {*expected} - known - {"n"})


def test_what_is_not_finite_in_a_frame_that_counts_is_excluded(challenge, capsys):
    root, _ = challenge

    def break_one(content):
        content["orientations"][0, 2, 0, 0, 0] = np.inf
        return content

    rewrite(root / "res" / "test" / "run_00.pkl", break_one)
    found = evaluate(capsys, root, "--split", "test")
    assert (found["n"], found["excluded"]) == (8, 1)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda c: {"joints": c},
            "run_00.pkl holds a dict with joints, not a dict with jointPositions or orientations",
        ),
        (lambda c: [1], "run_00.pkl holds list, not a dict"),
        (
            lambda c: {**c, "jointPositions": c["jointPositions"][:1]},
            "jointPositions has shape (1, 6, 24, 3), expected (2",
        ),
        (
            lambda c: {**c, "orientations": c["orientations"][:, :5]},
            "orientations has shape (2, 5, 9, 3, 3), expected (2",
        ),
        (lambda c: {"jointPositions": [["x"]]}, "jointPositions is not an array of numbers"),
        (lambda c: {**c, "more": Evil()}, "refused, because this pickle asks for posix.mkdir"),
    ],
)
def test_wrong_files_are_named_and_nothing_is_run(challenge, capsys, monkeypatch, change, named):
    root, _ = challenge
    monkeypatch.chdir(root)
    rewrite(root / "res" / "test" / "run_00.pkl", change)
    message = evaluate(capsys, root, "--split", "test")
    error = message.splitlines()[1]  # below the note that the body is the free body
    assert named in error and len(error) < 250 + 2 * len(str(root))
    assert not (root / "evil").exists()


def test_missing_files_and_keys_and_arguments(challenge, capsys):
    root, _ = challenge
    rewrite(root / "res" / "test" / "run_00.pkl", lambda content: {"orientations": content["orientations"]})
    for place in ("res", "3dpw/sequenceFiles"):
        os.rename(root / place / "train" / "walk_00.pkl", root / place / "test" / "walk_00.pkl")
    assert "walk_00.pkl holds jointPositions and orientations, the files before it orientations" in evaluate(
        capsys, root, "--split", "test"
    )
    os.remove(root / "res" / "test" / "walk_00.pkl")
    assert "lacks 1 of the 2 sequences of this split, walk_00.pkl among them" in evaluate(
        capsys, root, "--split", "test"
    )
    with pytest.raises(SystemExit):
        main(["--submission", str(root / "res"), "--data", str(root / "3dpw")])
    assert "--submission needs --data, the root of 3DPW, and --body-models" in capsys.readouterr().err
