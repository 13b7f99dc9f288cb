"""Ids are taken apart in one place."""

import pytest

from datamodules.ids import IdError, PersonId, dataset_of_table


def test_an_id_and_its_parts() -> None:
    person = PersonId.parse("threedpw/test/downtown_walk_00/17/0")
    assert person == ("threedpw", "test", "downtown_walk_00/17/0")
    assert (person.table, person.key_parts) == ("threedpw-test", ["downtown_walk_00", "17", "0"])
    assert str(person) == "threedpw/test/downtown_walk_00/17/0"
    assert dataset_of_table(person.table) == "threedpw"


@pytest.mark.parametrize("text", ["", "coco", "coco/train"])
def test_what_is_no_id_is_named(text: str) -> None:
    with pytest.raises(IdError, match=f"'{text}' is not named dataset/split/key"):
        PersonId.parse(text)
