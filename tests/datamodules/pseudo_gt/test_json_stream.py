"""JSON read piece by piece is the same as JSON read at once, wherever a piece ends."""

import codecs
import json

import pytest

from datamodules.pseudo_gt import json_stream
from datamodules.pseudo_gt.json_stream import iter_json, writing
from datamodules.pseudo_gt.native import LabelError

CONTENT = {
    "ver": 12345.678,
    "data": [{"a": [1, 2]}, 17, "x ] }", []],
    "empty": {},
    "ü": "\\u00fc",
    "last": [True, None],
}


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("indent", [None, 1])
def test_any_window(tmp_path, monkeypatch, chunk, indent):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(CONTENT, indent=indent), encoding="utf-8")
    assert dict(iter_json(path)) == CONTENT
    found = list(iter_json(path, lists=("data", "empty")))
    assert [value for key, value in found if key == "data"] == CONTENT["data"]
    assert {key: value for key, value in found if key != "data"} == {
        key: value for key, value in CONTENT.items() if key != "data"
    }


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(codecs.BOM_UTF8 + json.dumps(CONTENT).encode())
    assert dict(iter_json(path)) == CONTENT


@pytest.mark.parametrize("text", ["", "[]", '{"a": ', '{"a": 1', '{"a": 1 "b"}', '{"data": [1, ', '{"data": [1 2]}'])
def test_damage_is_named(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(LabelError, match=r"a\.json is not valid JSON"):
        list(iter_json(path, lists=("data",)))


@pytest.mark.parametrize("last", ["0.1", "2", "true", "null", '"x"', "[1]"])
def test_the_last_value_may_be_of_any_kind(tmp_path, last):
    """EFT's files with sorted keys end with their version, a number."""
    path = tmp_path / "a.json"
    path.write_text('{"data": [{"a": 1}], "ver": ' + last + "}")
    assert list(iter_json(path, lists=("data",))) == [("data", {"a": 1}), ("ver", json.loads(last))]


def test_a_key_twice_in_an_object_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"data": [{"a": 1, "b": {"pose": [0], "pose": [1]}}]}')
    with pytest.raises(LabelError, match=r"a\.json: key pose is there twice in one object"):
        list(iter_json(path, lists=("data",)))
    path.write_text('{"5": 1, "5": 2}')
    assert list(iter_json(path)) == [("5", 1), ("5", 2)], "at the top both are given, so that their ids are compared"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(CONTENT), encoding="utf-8-sig")
    assert dict(iter_json(tmp_path / "a.json")) == CONTENT


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), writing(tmp_path / "a.json") as file:
        file.write("{")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
