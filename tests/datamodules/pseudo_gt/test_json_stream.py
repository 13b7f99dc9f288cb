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


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), writing(tmp_path / "a.json") as file:
        file.write("{")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
