"""BodyParameters: the three notations of rotations lead to the same bodies, of any number of joints."""

import numpy as np
import pytest
import roma
import torch

from body_models.contracts import GENDERS
from body_models.parameters import BodyParameters, gender_numbers


@pytest.fixture
def people() -> BodyParameters:
    generator = torch.Generator().manual_seed(0)
    pose = 0.7 * torch.randn(5, 3 * 30, generator=generator)
    return BodyParameters.of_axis_angle(pose, torch.randn(5, 12, generator=generator), torch.randn(5, 3))


def test_notations_agree(people: BodyParameters) -> None:
    assert people.rotations.shape == (5, 30, 3, 3) and people.body_pose.shape == (5, 29, 3, 3) and len(people) == 5
    again = [
        BodyParameters.of_rotations(people.rotations, people.betas),
        BodyParameters.of_axis_angle(people.axis_angle(), people.betas),
        BodyParameters.of_sixd(people.sixd(), people.betas),
    ]
    for other in again:
        torch.testing.assert_close(other.rotations, people.rotations, atol=1e-5, rtol=0)
        assert other.transl is None


def test_columns_of_a_table(people: BodyParameters) -> None:
    pose = people.axis_angle().numpy()
    columns = {"global_orient": pose[:, :3], "body_pose": pose[:, 3:], "betas": people.betas.numpy()}
    plain = BodyParameters.of_columns(columns)
    torch.testing.assert_close(plain.rotations, people.rotations, atol=1e-5, rtol=0)
    assert plain.transl is None and plain.gender is None
    more = BodyParameters.of_columns({**columns, "transl": np.ones((5, 3)), "gender": ["female"] * 5})
    assert more.transl is not None and more.transl.dtype == torch.float32
    assert more.gender is not None and more.gender.tolist() == [GENDERS.index("female")] * 5
    assert more.without_translation().transl is None and more.without_translation().gender is more.gender


def test_some_of_the_people(people: BodyParameters) -> None:
    people.gender = torch.arange(5)
    some = people.select(torch.tensor([3, 1]))
    assert some.gender is not None and some.gender.tolist() == [3, 1]
    torch.testing.assert_close(some.rotations, people.rotations[[3, 1]])
    assert roma.is_rotation_matrix(some.rotations, 1e-4)


def test_genders_are_names_or_numbers() -> None:
    assert gender_numbers(np.array(["male", "neutral", "female"], dtype=object)).tolist() == [1, 0, 2]
    assert gender_numbers(np.array([2, 0], np.uint8)).tolist() == [2, 0]
    with pytest.raises(ValueError, match="gender 'man' is none of neutral, male, female"):
        gender_numbers(["man"])
