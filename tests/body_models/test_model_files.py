"""Body model files under their official names, and every way in which a folder of them can be wrong."""

import pickle
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from body_models.free_body.arrays import free_body_regressors, write_free_body
from body_models.joint_sets import H36M_JOINTS
from body_models.model_files import read_model_files
from body_models.safe_pickle import ModelFileError
from tests.support.standin import standin_arrays, standin_regressors


@pytest.fixture(scope="session")
def foreign_body() -> dict[str, np.ndarray]:
    """A body that is not the free body, as a licensed one would be."""
    return standin_arrays()


foreign_regressors = standin_regressors


def write_regressors(folder: Path, regressors: dict[str, np.ndarray]) -> None:
    for key, array in regressors.items():
        np.save(folder / f"{key}.npy", array)


def test_free_body_round_trip_is_recognised(tmp_path: Path) -> None:
    folder = write_free_body(tmp_path / "bodies")
    for gender in ("neutral", "male", "female"):
        embedded, read = read_model_files("free", gender), read_model_files(folder, gender)
        assert embedded.is_free_body and read.is_free_body
        for key, array in embedded.arrays.items():
            np.testing.assert_array_equal(read.arrays[key], array)
        np.testing.assert_array_equal(read.J_regressor_h36m, embedded.J_regressor_h36m)
        np.testing.assert_array_equal(read.J_regressor_extra, embedded.J_regressor_extra)


@pytest.mark.parametrize(
    ("gender", "name"),
    [
        ("neutral", "SMPL_NEUTRAL.pkl"),
        ("neutral", "SMPL_NEUTRAL.npz"),
        ("neutral", "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"),
        ("male", "basicmodel_m_lbs_10_207_0_v1.0.0.pkl"),
        ("male", "basicmodel_m_lbs_10_207_0_v1.1.0.pkl"),
        ("female", "basicModel_f_lbs_10_207_0_v1.0.0.pkl"),
        ("female", "smpl/SMPL_FEMALE.pkl"),
    ],
)
def test_official_names(gender: str, name: str, foreign_body: dict, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    # As in the files of version 1.1.0: 300 shape directions and a sparse regressor.
    content = {
        **foreign_body,
        "shapedirs": np.concatenate([foreign_body["shapedirs"], np.ones((6890, 3, 4))], axis=2),
    }
    if name.endswith("npz"):
        np.savez(path, **content)
    else:
        content["J_regressor"] = scipy.sparse.csc_matrix(content["J_regressor"])
        path.write_bytes(pickle.dumps(content, 2))
    write_regressors(tmp_path, foreign_regressors())
    read = read_model_files(tmp_path, gender)
    assert not read.is_free_body
    for key, array in foreign_body.items():
        np.testing.assert_array_equal(read.arrays[key], array)
    np.testing.assert_array_equal(read.J_regressor_h36m, foreign_regressors()["J_regressor_h36m"])


def test_names_every_missing_file_and_where_to_get_it(foreign_body: dict, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such folder"):
        read_model_files(tmp_path / "nowhere")
    with pytest.raises(ModelFileError) as caught:
        read_model_files(tmp_path, "male")
    for part in ("SMPL_MALE", "J_regressor_h36m.npy", "J_regressor_extra.npy", "smpl.is.tue.mpg.de", "SPIN"):
        assert part in str(caught.value)
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **foreign_body)
    np.save(tmp_path / "J_regressor_extra.npy", foreign_regressors()["J_regressor_extra"])
    with pytest.raises(ModelFileError) as caught:
        read_model_files(tmp_path)
    assert "J_regressor_h36m.npy" in str(caught.value)
    assert "J_regressor_extra" not in str(caught.value)
    assert "SMPL_NEUTRAL" not in str(caught.value)
    with pytest.raises(ValueError, match="gender"):
        read_model_files("free", "m")


@pytest.mark.parametrize("key", ["J_regressor_h36m", "J_regressor_extra"])
def test_free_body_regressors_are_refused_with_a_real_body(key: str, foreign_body: dict, tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **foreign_body)
    write_regressors(tmp_path, foreign_regressors())
    ours = free_body_regressors()[key]
    for regressor in (ours, ours.astype(np.float32), ours[::-1]):
        np.save(tmp_path / f"{key}.npy", regressor)
        with pytest.raises(ModelFileError, match=rf"{key}\.npy.*free body"):
            read_model_files(tmp_path)


def test_regressor_of_another_mesh_is_refused(foreign_body: dict, tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **foreign_body)
    shuffled = {key: np.roll(array, 1000, axis=1) for key, array in foreign_regressors().items()}
    write_regressors(tmp_path, shuffled)
    with pytest.raises(ModelFileError, match="another mesh"):
        read_model_files(tmp_path)


def test_left_and_right_of_the_h36m_regressor_follow_the_body(foreign_body: dict, tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **foreign_body)
    write_regressors(tmp_path, foreign_regressors())
    regressor = foreign_regressors()["J_regressor_h36m"]
    other_legs = regressor[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]
    np.save(tmp_path / "J_regressor_h36m.npy", other_legs)
    read = read_model_files(tmp_path)
    np.testing.assert_array_equal(read.J_regressor_h36m, regressor)
    places = read.J_regressor_h36m @ read.arrays["v_template"]
    for name, (x, _, _) in zip(H36M_JOINTS, places, strict=True):
        assert ("left" in name) == (x > 0.02) and ("right" in name) == (x < -0.02), name


def test_damaged_and_foreign_files_are_named(foreign_body: dict, tmp_path: Path) -> None:
    body = tmp_path / "SMPL_NEUTRAL.npz"
    write_regressors(tmp_path, foreign_regressors())
    nan = foreign_body["weights"].copy()
    nan[5, 5] = np.nan
    tree = foreign_body["kintree_table"].copy()
    tree[0, 3] = 7
    faces = foreign_body["f"].copy()
    faces[3, 1] = 6890
    for content, reason in (
        ({**foreign_body, "v_template": np.zeros((10475, 3))}, "SMPL-X"),
        ({key: value for key, value in foreign_body.items() if key != "posedirs"}, "no posedirs"),
        ({**foreign_body, "weights": nan}, "NaN"),
        ({**foreign_body, "kintree_table": tree}, "kintree_table"),
        ({**foreign_body, "f": faces}, "f names vertices"),
        ({**foreign_body, "weights": np.array([None])}, "cannot be read"),
    ):
        np.savez(body, **content)
        with pytest.raises(ModelFileError, match=rf"SMPL_NEUTRAL\.npz.*{reason}"):
            read_model_files(tmp_path)
    np.savez_compressed(body, **foreign_body)
    whole = body.read_bytes()
    middle = len(whole) // 2
    for raw in (whole[:middle], b"", whole[:middle] + bytes(100) + whole[middle + 100 :]):
        body.write_bytes(raw)
        with pytest.raises(ModelFileError, match=r"SMPL_NEUTRAL\.npz"):
            read_model_files(tmp_path)
    np.savez(body, **foreign_body)
    for regressor in (np.zeros((17, 10475)), np.full((17, 6890), np.nan), np.array([None])):
        np.save(tmp_path / "J_regressor_h36m.npy", regressor)
        with pytest.raises(ModelFileError, match=r"J_regressor_h36m\.npy"):
            read_model_files(tmp_path)
    (tmp_path / "smpl").mkdir()
    body.unlink()
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ModelFileError, match="list"):
        read_model_files(tmp_path)


def test_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps({"f": types.SimpleNamespace()}))
    write_regressors(tmp_path, foreign_regressors())
    with pytest.raises(ModelFileError, match="refused"):
        read_model_files(tmp_path)
