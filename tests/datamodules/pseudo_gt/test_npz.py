"""Streamed archives are what numpy.savez would have written, and are read without running anything."""

import os
import pickle

import numpy as np
import pytest

from datamodules.pseudo_gt.native import LabelError
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter, dump_portable


def test_streamed_columns_are_plain_arrays(tmp_path):
    path = tmp_path / "sub" / "a.npz"
    with NpzWriter(path, compressed=("zeros",)) as file:
        for start in (0, 3):
            numbers = np.arange(start, start + 3, dtype=np.float32)
            file.append({"numbers": np.stack([numbers, -numbers], 1), "names": np.array(["a", "longer"][:1] * 3)})
            file.append({"zeros": np.zeros((3, 9))})
        file.append({"names": np.array(["the longest"], dtype=object)})
        file.put("flag", False)
        file.put("body", {"betas": np.ones(2)})
        assert not path.exists()
    with np.load(path, allow_pickle=False) as read:
        np.testing.assert_array_equal(read["numbers"], np.stack([np.arange(6), -np.arange(6)], 1))
        assert read["numbers"].dtype == np.float32
        assert read["names"].dtype == np.dtype("<U11")
        assert read["names"].tolist() == ["a"] * 6 + ["the longest"]
        assert not read["zeros"].any()
        assert not read["flag"].item()
    assert np.load(path, allow_pickle=True)["body"].item()["betas"].tolist() == [1, 1]
    with NpzReader(path, "a file") as file:
        assert file.value("body")["betas"].tolist() == [1, 1]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), NpzWriter(tmp_path / "a.npz") as file:
        file.append({"numbers": np.zeros(3)})
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_blocks_must_be_alike(tmp_path):
    with pytest.raises(ValueError, match="numbers came as"), NpzWriter(tmp_path / "a.npz") as file:
        file.append({"numbers": np.zeros(3)})
        file.append({"numbers": np.zeros(3, dtype=np.float32)})


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


def test_pickles_that_act_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", smpl=np.array({"a": Evil()}, dtype=object))
    with NpzReader("a.npz", "a file") as file, pytest.raises(LabelError, match=r"refused.*system"):
        file.value("smpl")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "has no key pose"),
        ({"pose": np.zeros((2, 9))}, r"pose is not numbers of shape \('N', 72\)"),
        ({"pose": np.array([["a"] * 72])}, "pose is not numbers"),
        ({"pose": np.full((3, 72), [[0.0], [np.nan], [0.0]])}, "person 1: pose is not finite"),
        ({"pose": np.zeros(7)[0]}, "pose is not numbers"),
    ],
)
def test_wrong_columns_are_named(tmp_path, values, named):
    np.savez(tmp_path / "a.npz", other=np.zeros(1), **values)
    with NpzReader(tmp_path / "a.npz", "a file") as file, pytest.raises(LabelError, match=named):
        file.numbers("pose", 72)


def test_truncated_files_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", pose=np.zeros((50, 72)))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(data[:-40])
    with pytest.raises(LabelError, match=r"b\.npz is not a readable"):
        NpzReader(tmp_path / "b.npz", "a file")
    with pytest.raises(LabelError, match="no such file"):
        NpzReader(tmp_path / "c.npz", "a file")


def test_pickles_are_read_by_old_and_new_numpy():
    data = dump_portable([{"center": np.arange(2.0), "has": np.array(1.0)}])
    assert b"numpy._core" not in data
    assert pickle.loads(data)[0]["center"].tolist() == [0, 1]


def test_messages_stay_short(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"{i}{'x' * 200}": np.zeros(1) for i in range(300)})
    with NpzReader(tmp_path / "a.npz", "an npz") as file, pytest.raises(LabelError, match="no key pose") as error:
        file.value("pose")
    assert len(str(error.value)) < 2000 + len(str(tmp_path))
