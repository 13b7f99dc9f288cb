"""docs/free_body.md is what the code says, and its pictures show the body that is there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from experiments.documents.free_body_page import POSES, SHAPES, SIDES, TEXT, free_body_pictures, free_body_text
from tests.support.repository import DOCS


def test_the_docs_are_up_to_date() -> None:
    assert (DOCS / TEXT).read_text(encoding="utf-8") == free_body_text(), "run python -m experiments docs"


@pytest.mark.slow
def test_the_pictures_are_up_to_date() -> None:
    for name, drawn in free_body_pictures().items():
        kept = cv2.imread(str(DOCS / name))[..., ::-1].astype(float)
        assert kept.shape == drawn.shape, name
        # JPEG changes edges a little; another body or pose changes whole limbs.
        assert np.abs(kept - drawn).mean() < 2.0, f"{name}: run python -m experiments docs"


def test_the_pictures_are_small_and_the_text_says_what_the_body_is_not() -> None:
    assert all((DOCS / name).stat().st_size < 300_000 for name in (SIDES, POSES, SHAPES))
    text = free_body_text()
    assert "**not SMPL**" in text and "not comparable with published ones" in text
