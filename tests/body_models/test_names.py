"""The nearest name, or none: a wrong guess costs more than no guess."""

import pytest

from body_models.names import guess, nearest

KEYS = ("annotate.targets", "annotate.samples", "annotate.lr", "recipe.longer", "labels.filter.min_joints", "seed")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("annotate.smaples", "annotate.samples"),
        ("anotate.samples", "annotate.samples"),
        ("labels.min_joints", "labels.filter.min_joints"),
        ("lr", "annotate.lr"),
        ("sed", "seed"),
        ("annotate.learning_rate", None),
        ("trainer.logger", None),
        ("logger", None),
        ("pose2d.sampels", None),
        ("", None),
    ],
)
def test_only_what_is_alike_is_named(word: str, expected: str | None) -> None:
    assert nearest(word, KEYS) == expected
    assert guess(word, KEYS) == (f"; the nearest is {expected}" if expected else "")


def test_of_no_names_none_is_the_nearest() -> None:
    assert nearest("seed", ()) is None
