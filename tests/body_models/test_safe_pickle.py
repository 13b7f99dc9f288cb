"""The restricted reader: honest pickles of every age come out bit-equal, hostile and damaged ones never get far."""

import io
import os
import pickle
import struct
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse

from body_models.safe_pickle import ModelFileError, UnsafePickleError, load_pickle


class Python2Pickler(pickle._Pickler):
    """Writes bytes and text as Python 2 wrote its str, and NumPy under its old names."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_str_of_python2(self, obj: str | bytes) -> None:
        raw = obj.encode("latin1") if isinstance(obj, str) else obj
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(obj)

    dispatch[bytes] = save_str_of_python2
    dispatch[str] = save_str_of_python2


def dumps_python2(value: object) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    raw = stream.getvalue().replace(b"numpy._core", b"numpy.core")
    return raw.replace(b"scipy.sparse._csc", b"scipy.sparse.csc")


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes with chumpy's names and attributes, there only while pickles are written."""
    ch, reordering = types.ModuleType("chumpy.ch"), types.ModuleType("chumpy.reordering")
    ch.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    reordering.Select = type("Select", (), {"__module__": "chumpy.reordering"})
    for module in (types.ModuleType("chumpy"), ch, reordering):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return types.SimpleNamespace(Ch=ch.Ch, Select=reordering.Select)


def with_attributes(cls: type, **attributes: object) -> object:
    made = cls()
    made.__dict__.update(attributes)
    return made


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("protocol", [*range(pickle.HIGHEST_PROTOCOL + 1), "python 2"])
def test_reads_what_a_sequence_file_holds(protocol: int | str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = {
        "sequence": "downtown_arguing_00",
        "genders": ["m", "f"],
        "poses": [rng.normal(size=(7, 72)), rng.normal(size=(7, 72)).astype(np.float32)],
        "campose_valid": [rng.random(7) > 0.5],
        "img_frame_ids": np.arange(7),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4, 5))),
        "big_endian": np.arange(5, dtype=">i4"),
        "scalar": np.float64(0.1),
        "empty": np.zeros((0, 3)),
        "nested": {"a": (1, 2.5, None, True), "b": [[], {}]},
    }
    raw = dumps_python2(content) if isinstance(protocol, str) else pickle.dumps(content, protocol)
    read = load_pickle(write(tmp_path / "sequence.pkl", raw))
    assert list(read) == list(content)
    np.testing.assert_equal(read, content)
    assert read["poses"][1].dtype == np.float32
    assert read["campose_valid"][0].dtype == bool
    read["poses"][0] += 1  # writable


@pytest.mark.parametrize("python2", [False, True])
def test_reads_chumpy_and_sparse_as_plain_arrays(python2: bool, chumpy: types.SimpleNamespace, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    dirs, weights = rng.normal(size=(30, 3, 10)), rng.random((30, 24))
    regressor = rng.random((24, 30)) * (rng.random((24, 30)) > 0.8)
    content = {
        "shapedirs": with_attributes(chumpy.Ch, x=dirs, _dirty_vars=set(), _itr=None),
        "v_template": with_attributes(
            chumpy.Select, a=with_attributes(chumpy.Ch, x=dirs), idxs=np.arange(0, 900, 10), preferred_shape=(30, 3)
        ),
        "weights": weights,
        "csc": scipy.sparse.csc_matrix(regressor),
        "csr": scipy.sparse.csr_matrix(regressor),
    }
    raw = dumps_python2(content) if python2 else pickle.dumps(content)
    read = load_pickle(write(tmp_path / "body.pkl", raw))
    np.testing.assert_array_equal(read["shapedirs"], dirs)
    np.testing.assert_array_equal(read["v_template"], dirs[:, :, 0])
    for name, expected in (("weights", weights), ("csc", regressor), ("csr", regressor)):
        np.testing.assert_array_equal(read[name], expected)


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1:]


def hostile(marker: str) -> dict[str, bytes]:
    command = f"touch {marker}"
    array = pickle.dumps(np.zeros(3), 2)
    return {
        "system": pickle.dumps(Calls(os.system, command)),
        "eval": pickle.dumps(Calls(eval, f"open({marker!r}, 'w')")),
        "stack global": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x031+1\x85R.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__doc__\x93.",
        "getattr": pickle.dumps(Calls(getattr, "", "join")),
        "instance": f"(S'{command}'\nios\nsystem\n.".encode(),
        "object": f"(cos\nsystem\nS'{command}'\no.".encode(),
        "numpy load": pickle.dumps(Calls(np.load, marker)),
        "array of objects": pickle.dumps(np.array([Calls(os.system, command)], dtype=object)),
        "array of objects, inner": array.replace(b"f8", b"O8"),
        "state for a class": b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
        "state for a function": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}X\x08\x00\x00\x00__code__K\x01sb.",
        "codec": pickle.dumps(Calls(str.encode, "x"), 2).replace(b"latin1", b"rot_13"),
        "other codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
        "contains itself": b"\x80\x02]q\x00h\x00a.",
        "set from a dict": b"\x80\x02c__builtin__\nset\n}\x85R.",
    }


@pytest.mark.parametrize("kind", sorted(hostile("")))
def test_refuses_what_is_not_data(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = write(tmp_path / "hostile.pkl", hostile(str(marker))[kind])
    with pytest.raises(UnsafePickleError, match=r"hostile\.pkl"):
        load_pickle(path)
    assert not marker.exists()


def test_claims_of_size_are_not_believed(tmp_path: Path) -> None:
    huge = struct.pack("<Q", 1 << 40)
    shared = b"\x80\x02]q\x00" + b"".join(
        b"]q" + bytes([i + 1]) + b"(" + (b"h" + bytes([i])) * 2 + b"e" for i in range(50)
    )
    claims = {
        "bytes": b"\x80\x05\x8e" + huge + b"abc.",
        "bytearray": b"\x80\x05\x96" + huge + b"abc.",
        "text": b"\x80\x05\x8d" + huge + b"abc.",
        "array": pickle.dumps(np.zeros(3), 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
    }
    for name, raw in claims.items():
        with pytest.raises(ModelFileError, match=r"claim\.pkl"):
            load_pickle(write(tmp_path / "claim.pkl", raw))
            pytest.fail(name)
    # 2^50 references to the same few lists are read as the few lists that they are.
    assert load_pickle(write(tmp_path / "shared.pkl", shared + b".")) is not None

    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix._shape = (1 << 20, 1 << 20)
    with pytest.raises(ModelFileError):
        load_pickle(write(tmp_path / "sparse.pkl", pickle.dumps(matrix)))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.pkl"):
        load_pickle(tmp_path / "nowhere.pkl")
    whole = pickle.dumps({"poses": np.arange(400.0), "names": ["a", "b"]}, 2)
    for raw in (b"", b"not a pickle", whole[: len(whole) // 2], whole[:-1], bytes(200)):
        with pytest.raises(ModelFileError, match=r"damaged\.pkl"):
            load_pickle(write(tmp_path / "damaged.pkl", raw))


def test_changed_bytes_end_in_data_or_in_the_readers_own_error(tmp_path: Path, chumpy: types.SimpleNamespace) -> None:
    content = {
        "x": with_attributes(chumpy.Ch, x=np.arange(6.0)),
        "csc": scipy.sparse.csc_matrix(np.eye(4)),
        "list": [np.arange(3), "text", (1, 2)],
    }
    rng = np.random.default_rng(2)
    path = tmp_path / "changed.pkl"
    for raw in (pickle.dumps(content, 2), pickle.dumps(content, 5), dumps_python2(content)):
        for _ in range(200):
            changed = bytearray(raw)
            for place in rng.integers(len(raw), size=rng.integers(1, 4)):
                changed[place] = rng.integers(256)
            try:
                load_pickle(write(path, bytes(changed)))
            except ModelFileError as error:
                assert "changed.pkl" in str(error)
