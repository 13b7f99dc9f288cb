"""Ids of people: ``dataset/split/key``, where the key is the data set's own and may hold slashes itself."""

from __future__ import annotations

from typing import NamedTuple


class IdError(ValueError):
    """A person's id that is not named dataset/split/key."""


class PersonId(NamedTuple):
    """The parts of an id.

    Attributes:
        dataset: such as ``coco``.
        split: such as ``train``.
        key: the data set's own; of sequences ``sequence/frame`` and more.
    """

    dataset: str
    split: str
    key: str

    @classmethod
    def parse(cls, text: str) -> PersonId:
        """The parts of an id that was made by this project.

        Raises:
            IdError: it has no three parts.
        """
        parts = text.split("/", 2)
        if len(parts) != len(cls._fields):
            msg = f"{text!r:.80} is not named dataset/split/key"
            raise IdError(msg)
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def table(self) -> str:
        """Name of the table that the person is in: ``dataset-split``."""
        return f"{self.dataset}-{self.split}"

    @property
    def key_parts(self) -> list[str]:
        """The key, taken apart at its slashes."""
        return self.key.split("/")


def dataset_of_table(name: str) -> str:
    """Data set of a table called ``dataset-split``; the name itself where it is called otherwise."""
    return name.partition("-")[0]
