"""The schema of a person's row: what tables and batches hold is what it says."""

import pytest

from body_models.contracts import Batch
from body_models.joint_sets import COCO17
from body_models.rows import PERSON, Form, fits, forms, markdown, shape_of, shape_text, sizes_of
from body_models.spec import SMPL


def test_the_batch_has_its_keys() -> None:
    assert list(Batch.__annotations__) and set(Batch.__annotations__) == set(forms("batch"))


def test_names_are_said_once() -> None:
    assert len({column.name for column in PERSON}) == len(PERSON)
    for place in ("people", "labels", "batch"):
        names = [form.name or one.name for one in PERSON if (form := one.form(place)) is not None]
        assert list(forms(place)) == names and len(set(names)) == len(names)
        assert len(markdown(place)) == 2 + len(names)


def test_shapes_come_from_the_body_and_the_joint_set() -> None:
    sizes, people = sizes_of(SMPL, COCO17), forms("people")
    assert {name: shape_of(people[name], sizes) for name in ("body_pose", "betas", "joints_2d", "box")} == {
        "body_pose": (69,), "betas": (10,), "joints_2d": (17, 3), "box": (4,)
    }  # fmt: skip
    assert shape_of(forms("batch")["joints_3d"], sizes) == (71, 3)
    assert shape_of(forms("batch")["body_pose"], sizes) == (23, 3, 3)
    assert shape_text(people["body_pose"]) == "3 R" and shape_text(people["joints_2d"]) == "K x 3"


@pytest.mark.parametrize(
    ("shape", "found", "expected"),
    [
        (("3R",), (69,), True),
        (("3R",), (87,), False),
        (("S",), (12,), True),
        (("S",), (0,), False),
        (("K", 3), (30, 3), True),
        (("K", 3), (30, 2), False),
        ((), (), True),
        ((), (1,), False),
    ],
)
def test_what_fits_a_body_of_23_rotations_with_any_shape(
    shape: tuple[int | str, ...], found: tuple[int, ...], expected: bool
) -> None:
    assert fits(Form(shape), found, {"3R": 69}) == expected
