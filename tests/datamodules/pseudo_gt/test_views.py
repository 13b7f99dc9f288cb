"""Views: what each filter leaves out, why, and in which order; what is unknown is never taken for good."""

import numpy as np
import pytest

from datamodules.pseudo_gt import quality_score
from datamodules.pseudo_gt.native import LabelError, LabelWriter, read_labels
from datamodules.pseudo_gt.views import parse_filters, view

QUALITY = {
    "error_2d": np.float32([0.01, 0.2, np.nan, 0.3, 0.02, 0.01]),
    "visible_joints": np.int32([17, 17, 0, 2, 5, 17]),
    "max_abs_beta": np.float32([0.5, 4, 4, 1, 1, 1]),
    "mirror_disagreement": np.float32([10, 20, 30, 40, 50, 60]),
    "refinement": ["accepted", "rejected", "none", "accepted", "accepted", "none"],
}


@pytest.fixture
def labels(tmp_path):
    with LabelWriter(tmp_path / "coco-train", joint_set=None, image_root=None, provenance={}) as writer:
        for rows in (slice(0, 2), slice(2, 6)):
            ids = [f"coco/train/{i}" for i in range(6)][rows]
            writer.write({"id": ids, **{name: values[rows] for name, values in QUALITY.items()}})
    return tmp_path / "coco-train"


def test_everyone_is_counted_once_by_the_first_reason(labels):
    found = view(labels, {"max_abs_beta": 3, "max_error_2d": 0.1, "min_joints": None, "refined_only": False})
    assert found.keep.tolist() == [True, False, False, False, True, True]
    assert found.counts == {"2D error above 0.1 of the box": 2, "error_2d not known": 1}
    assert found.describe() == "3 of 6 labels; left out: 2 2D error above 0.1 of the box, 1 error_2d not known"
    assert view(labels, {"max_abs_beta": 3}).counts == {"|beta| above 3": 2}
    assert view(labels, {}).describe() == "6 of 6 labels"


def test_a_limit_itself_passes(labels):
    assert view(labels, {"min_joints": 5}).keep.tolist() == [True, True, False, False, True, True]
    assert view(labels, {"max_mirror_disagreement": 50}).keep.sum() == 5
    assert view(labels, {"refined_only": True}).counts == {"refinement not accepted": 3}


def test_a_view_deletes_nothing(labels):
    before = (labels / "labels-00000.parquet").read_bytes()
    view(labels, {"max_error_2d": 0.0})
    assert (labels / "labels-00000.parquet").read_bytes() == before and len(read_labels(labels)) == 6


def test_a_column_that_is_not_there_is_named(labels):
    with pytest.raises(LabelError, match=r"coco-train: filter max_prior_score needs column prior_score;.*Leave"):
        view(labels, {"max_prior_score": 10})


def test_a_column_known_of_nobody_is_named(tmp_path):
    with LabelWriter(tmp_path, joint_set=None, image_root=None, provenance={}) as writer:
        writer.write({"id": ["coco/train/1"], "prior_score": np.float32([np.nan])})
    with pytest.raises(LabelError, match="filter max_prior_score looks at prior_score, which is not known of anyone"):
        view(tmp_path, {"max_prior_score": 10})


def test_filters_from_a_command_line():
    assert parse_filters(["max_error_2d=0.1", "refined_only=true"]) == {"max_error_2d": 0.1, "refined_only": True}
    with pytest.raises(LabelError, match="'max_eror' is unknown; the nearest is max_error_2d"):
        parse_filters(["max_eror=1"])
    with pytest.raises(LabelError, match="min_joints=many: 'many' is not a number"):
        parse_filters(["min_joints=many"])
    with pytest.raises(LabelError, match="'maybe' is not true or false"):
        parse_filters(["refined_only=maybe"])


def test_quality_score_is_computed_where_it_is_filtered_by(labels, monkeypatch):
    term = quality_score.Term(mean=0.0, std=1.0, low=-9.0, high=9.0, weight=1.0)
    score = quality_score.Score(0.0, {"mirror_disagreement": term}, {})
    monkeypatch.setattr("datamodules.pseudo_gt.views.load_score", lambda: score)
    monkeypatch.setattr("datamodules.pseudo_gt.views.quality_score", score)
    # exp(log(disagreement + 1)): 11, 21, 31 ...
    assert view(labels, {"max_quality_score": 31.5}).counts == {"quality score above 31.5 mm": 3}
    monkeypatch.setattr(
        "datamodules.pseudo_gt.views.load_score", lambda: quality_score.Score(0.0, {"box_side": term}, {})
    )
    with pytest.raises(LabelError, match="filter max_quality_score needs column box"):
        view(labels, {"max_quality_score": 31.5})
