"""NeuralAnnot's JSON of MoCap sets: one body a frame in the world, the cameras are the data set's.

Each frame is ``{"pose": 72, "shape": 10, "trans": 3}``: axis-angle and metres, in the axes of the data set's world.
Pose, shape and translation come back to 1e-6. Which keys lead to a frame depends on the data set:

* MPI-INF-3DHP: one file, ``{subject: {sequence: {frame: body}}}`` with bare numbers: frame 7 of S4/Seq2 is under "4",
  "2", "7";
* Human3.6M: one file a subject, ``{action: {subaction: {frame: body}}}``: frame 7 of S1/act_02_subact_01 is under "2",
  "1", "7" of Human36M_subject1_SMPL_NeuralAnnot.json. So the path is a folder there; a single file of it is read, too;
* any other data set: ``{subject: {sequence: {frame: body}}}`` with the parts of the ids.

As mks0601/NeuralAnnot_RELEASE ``MPI-INF-3DHP/demo_smpl.py`` and ``Human3.6M/demo_smpl.py``, and Pose2Pose's readers of
both sets, look them up. The ids are those of this project's own world tables: dataset/split/S4/Seq2/7.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.ids import PersonId
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    SMPL_SIZES,
    LabelBlocks,
    Published,
    numbers_at,
    pose_of,
    split_pose,
)
from datamodules.pseudo_gt.json_stream import iter_json, writing
from datamodules.pseudo_gt.native import LabelError, require_people

# A tenth of a micrometre: finer than the float32 the labels are made in, and half the file size of all digits.
_DECIMALS = 7
_FILE = "Human36M_subject{}_SMPL_NeuralAnnot.json"
_FILES = ("Human36M_subject*_SMPL_NeuralAnnot.json", "Human36M_subject*_smpl_param.json")
_SUBJECT = re.compile(r"subject_?(\d+)")
_MAX_FRAME = 2**31

_Places = dict[str, dict[str, list[tuple[str, int]]]]
"""First key -> second key -> frames, each with its row."""


class _Keys(NamedTuple):
    """How a data set's frames are named.

    Attributes:
        sequence: pattern of a sequence in the ids, whose groups are the keys as numbers.
        names: of the keys, for messages; with three groups the first is the file's.
        form: the sequence of the keys.
    """

    sequence: re.Pattern[str]
    names: tuple[str, str]
    form: str


_DATASETS = {
    "mpi_inf_3dhp": _Keys(re.compile(r"S(\d+)/Seq(\d+)"), ("subject", "sequence"), "S{}/Seq{}"),
    "human36m": _Keys(
        re.compile(r"S(\d+)/act_(\d+)_subact_(\d+)"), ("action", "subaction"), "S{}/act_{:02d}_subact_{:02d}"
    ),
}
_OTHER = _Keys(re.compile(r"([^/]+)/([^/]+)"), ("subject", "sequence"), "{}/{}")


def write_neuralannot_mocap(labels: LabelBlocks, path: Path) -> int:
    """Write a table of the world frame; returns the number of frames.

    Args:
        labels: the table.
        path: of the file; of the folder for Human3.6M, whose files are one a subject.

    Raises:
        LabelError: the table is of the camera frame, or an id is not the data set's.
    """
    if labels.frame != "world":
        msg = (
            f"{labels.folder} is in the camera frame, one label a view; neuralannot_mocap holds one body a frame in "
            "the world: write the table whose folder ends with -world"
        )
        raise LabelError(msg)
    files: dict[Path, _Places] = {}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in SMPL_SIZES}
    row = 0
    for block in labels.blocks("neuralannot_mocap", ("id", *BODY_COLUMNS, "transl")):
        for name in block["id"]:
            first, second, frame, subject = _keys_of(labels, name)
            file = path if subject is None else path / _FILE.format(subject)
            files.setdefault(file, {}).setdefault(first, {}).setdefault(second, []).append((frame, row))
            row += 1
        for name, values in (("pose", pose_of(block)), ("shape", block["betas"]), ("trans", block["transl"])):
            parts[name].append(values)
    arrays = {name: np.concatenate(values).astype(np.float64).round(_DECIMALS) for name, values in parts.items()}
    for file, places in files.items():
        if file != path and path.is_file():
            msg = f"{path} is a file; Human3.6M has one file a subject, in a folder: name another path"
            raise LabelError(msg)
        _write(file, places, arrays)
    return row


def _keys_of(labels: LabelBlocks, name: str) -> tuple[str, str, str, str | None]:
    """Both keys, the frame, and the subject where it is the file's, of an id."""
    if name.count("/") != 4:
        msg = f"{labels.folder}: id {name} is not dataset/split/subject/sequence/frame"
        raise LabelError(msg)
    dataset, _, key = PersonId.parse(name)
    sequence, _, frame = key.rpartition("/")
    keys = _DATASETS.get(dataset, _OTHER)
    match = keys.sequence.fullmatch(sequence)
    if match is None:
        msg = f"{labels.folder}: id {name}: {sequence} is not {keys.form.format(*[1] * keys.sequence.groups)} or alike"
        raise LabelError(msg)
    groups = list(match.groups()) if keys is _OTHER else [str(int(group)) for group in match.groups()]
    return groups[-2], groups[-1], frame, groups[0] if len(groups) > 2 else None


def _write(path: Path, places: _Places, arrays: dict[str, NDArray[Any]]) -> None:
    with writing(path) as file:
        file.write("{")
        for i, (first, by_second) in enumerate(places.items()):
            file.write(f"{',' if i else ''}\n{json.dumps(first)}: {{")
            for j, (second, frames) in enumerate(by_second.items()):
                file.write(f"{',' if j else ''}\n{json.dumps(second)}: {{")
                for k, (frame, place) in enumerate(frames):
                    person = {name: values[place].tolist() for name, values in arrays.items()}
                    file.write(f"{',' if k else ''}\n{json.dumps(frame)}: {json.dumps(person)}")
                file.write("}")
            file.write("}")
        file.write("\n}\n")


def read_neuralannot_mocap(path: str | Path, dataset: str, split: str) -> Published:
    """Read a file, or a folder with one a subject: id, sequence, frame, body, transl, in the world's frame.

    Frames whose body is null are left out.

    Raises:
        LabelError: a file is not in this layout; the keys of the frame and the field are named.
    """
    path = Path(path)
    files = next(filter(None, (sorted(path.glob(name)) for name in _FILES)), []) if path.is_dir() else [path]
    if not files:
        msg = f"{path} holds no {_FILES[0]}: a folder is read for Human3.6M; name the file of another data set"
        raise LabelError(msg)
    reader = _Reader(dataset, split)
    for file in files:
        reader.read(file)
    require_people(path, len(reader.ids), reader.left_out)
    arrays = {name: np.array(values) for name, values in reader.fields.items()}
    columns = {
        "id": np.array(reader.ids, dtype=object),
        "sequence": np.array(reader.sequences, dtype=object),
        "frame": np.array(reader.frames, dtype=np.int32),
        **split_pose(arrays["pose"]),
        "betas": arrays["shape"],
        "transl": arrays["trans"],
    }
    return Published(columns, None, reader.left_out)


class _Reader:
    """Collects the frames of all files of a data set."""

    def __init__(self, dataset: str, split: str) -> None:
        self.ids: list[str] = []
        self.sequences: list[str] = []
        self.frames: list[int] = []
        self.fields: dict[str, list[NDArray[Any]]] = {name: [] for name in SMPL_SIZES}
        self.left_out = Counter[str]()
        self._dataset, self._split = dataset, split
        self._keys = _DATASETS.get(dataset, _OTHER)

    def read(self, path: Path) -> None:
        first_name, second_name = self._keys.names
        for first, by_second in iter_json(path):
            where = f"{path}: {first_name} {first:.40}"
            for second, frames in _object(where, by_second).items():
                place = f"{where}, {second_name} {second:.40}"
                for frame, body in _object(place, frames).items():
                    self._add(path, f"{place}, frame {frame:.40}", (first, second), frame, body)

    def _add(self, path: Path, where: str, keys: tuple[str, str], frame: str, body: Any) -> None:
        number = _number(where, "frame", frame)
        if body is None:
            self.left_out["its label is null"] += 1
            return
        for name, length in SMPL_SIZES.items():
            self.fields[name].append(numbers_at(where, body, name, (length,)).astype(np.float32))
        sequence = self._sequence(path, where, keys)
        self.ids.append(f"{self._dataset}/{self._split}/{sequence}/{number}")
        self.sequences.append(sequence)
        self.frames.append(number)

    def _sequence(self, path: Path, where: str, keys: tuple[str, str]) -> str:
        if self._keys is _OTHER:
            return self._keys.form.format(*keys)
        numbers = [_number(where, name, key) for name, key in zip(self._keys.names, keys, strict=True)]
        if self._keys.sequence.groups > len(keys):
            numbers.insert(0, _subject(path))
        return self._keys.form.format(*numbers)


def _subject(path: Path) -> int:
    """Human3.6M's files say whose they are in their name alone."""
    found = _SUBJECT.search(path.name)
    if found is None:
        msg = f"{path}: the name says no subject of Human3.6M; call it as published, {_FILE.format('1')}"
        raise LabelError(msg)
    return int(found[1])


def _number(where: str, name: str, key: str) -> int:
    # Tables that an older version of this project wrote have S4 and Seq2 for 4 and 2.
    digits = key.removeprefix("Seq").removeprefix("S") if name != "frame" else key
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 11 and int(digits) < _MAX_FRAME):
        msg = f"{where}: the {name} is no number, so this is not the layout of MoCap sets"
        raise LabelError(msg)
    return int(digits)


def _object(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{where} holds a {type(value).__name__}, not an object: this is not the layout of MoCap sets"
        raise LabelError(msg)
    return value
