"""COCO-style jsons: images, annotations and categories, checked, for the readers of every data set that has them.

What a record lacks is counted, what a record has wrong refuses the file: a person without keypoints (absent, null or
empty) is kept without joints, since a label is wanted for each; an annotation without a box is left out. Ids may be
numbers or text, of either kind in either place.

The person is the category of that name, or one whose keypoints are a person's; there may be several, each with an
order of its own. Joints are read by the names in ``categories[].keypoints`` where there are any, and in the official
order otherwise. The third value of a keypoint is 0, 1 or 2 in COCO; a detector's score is read as a confidence.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from body_models.joint_sets import JointSet
from datamodules.files import AnnotationError, read_json
from datamodules.joint_names import Order, best_set, canonical_name, is_human, order_of
from datamodules.people import PeopleBuilder
from datamodules.progress import show_progress
from datamodules.records import NUMBERS, are_numbers, require_keys

# Some tools write the flag as a text or a truth value.
_NO_CROWD = ("0", "0.0", "false", "no", "")
# Several times the size of what is read; thrown away while the file is parsed.
_UNREAD = ("segmentation", "face_kpts", "lefthand_kpts", "righthand_kpts")
_MAX_SIZE = 2**31
# The person of COCO, for files whose categories have no names.
_PERSON = "1"
_VISIBILITIES = {0, 1, 2}
_PERSON_WORDS = frozenset(
    ("person", "persons", "people", "human", "man", "woman", "child", "pedestrian", "player", "athlete")
)
_ANIMAL_WORDS = frozenset(
    ("animal", "quadruped", "macaque", "monkey", "ape", "gorilla", "chimpanzee", "dog", "cat", "horse", "cow", "sheep",
     "bear", "bird", "zebra", "giraffe", "elephant", "lion", "tiger", "mouse", "rat", "fly")
)  # fmt: skip


class CocoFile(NamedTuple):
    """The content of a COCO-style json.

    Attributes:
        path: of the json.
        images: by id as text; checked.
        annotations: as they are.
        categories: as they are; empty where the file has none.
    """

    path: Path
    images: dict[str, dict[str, Any]]
    annotations: list[Any]
    categories: list[Any]


class Category(NamedTuple):
    """A category of people.

    Attributes:
        names: of its keypoints, in the order of the file.
        order: where the joints of the table's joint set are among them.
    """

    names: tuple[str, ...]
    order: Order


def read_coco_file(path: Path) -> CocoFile:
    """Content of a COCO-style json; the images are checked, the annotations are not.

    Raises:
        AnnotationError: the file has another layout.
    """
    content = read_json(path, _UNREAD)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        msg = f"{path} is not a COCO-style json: it needs lists named images and annotations"
        raise AnnotationError(msg)
    images: dict[str, dict[str, Any]] = {}
    for image in content["images"]:
        require_keys(path, "image", image, ("id", "file_name", "width", "height"))
        _check_image(path, image)
        if images.setdefault(str(image["id"]), image) != image:
            msg = f"{path}: two different images have the id {image['id']!r}; get the file again"
            raise AnnotationError(msg)
    categories = content.get("categories") or []
    if not isinstance(categories, list) or not all(isinstance(category, dict) for category in categories):
        msg = f"{path}: categories is no list of objects; get the file again"
        raise AnnotationError(msg)
    return CocoFile(path, images, content["annotations"], categories)


def iter_annotations(file: CocoFile, people: PeopleBuilder) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each annotation that has a box, with its image; the others are counted.

    Raises:
        AnnotationError: an annotation has no id or image_id, or a box that is not four numbers.
    """
    for annotation, image in _listed(file, people):
        if _has_box(file.path, annotation, people):
            yield annotation, image


def _listed(file: CocoFile, people: PeopleBuilder) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each annotation whose image is listed, with it."""
    for annotation in show_progress(file.annotations, f"reading {file.path.name}"):
        require_keys(file.path, "annotation", annotation, ("id", "image_id"))
        for key in ("id", "image_id"):
            _check_key(file.path, "annotation", annotation, key)
        image = file.images.get(str(annotation["image_id"]))
        if image is not None:
            yield annotation, image
            continue
        listed = next(iter(file.images), "none")
        example = f"annotation {annotation['id']} has image_id {annotation['image_id']!r}, the first image has id"
        people.drop("image is not listed in the file", example=f"{example} {listed}")


def _has_box(path: Path, annotation: dict[str, Any], people: PeopleBuilder) -> bool:
    box = annotation.get("bbox")
    if box is None or box == []:
        people.drop("no box", example=f"annotation {annotation['id']}")
        return False
    if not are_numbers(box, 4):
        msg = f"{path}: annotation {annotation['id']} has bbox {box!r:.80}, which is not four numbers"
        raise AnnotationError(msg)
    return True


class People:
    """The persons of a COCO-style json and their joints.

    Args:
        file: the json.
        joint_sets: the official one, whose order files without names have, and others that names may fit.

    Attributes:
        joint_set: the one of ``joint_sets`` that the names in the file fit best.

    Raises:
        AnnotationError: no category is a person, or the keypoints of one are no person's joints.
    """

    def __init__(self, file: CocoFile, joint_sets: Sequence[JointSet]) -> None:
        self._file = file
        skeletons = {
            str(category["id"]): _keypoint_names(file.path, category) or joint_sets[0].names
            for category in _persons_of(file)
        }
        self.joint_set = best_set(list(skeletons.values()), joint_sets)
        self._categories = {
            number: Category(names, order_of(names, self.joint_set)) for number, names in skeletons.items()
        }
        self._odd_values = array("d")
        self._any_keypoints = False

    def iter(self, people: PeopleBuilder) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[list[float]]]]:
        """Annotation, image and joints ([x, y, confidence] each) of each person; the others are counted.

        Raises:
            AnnotationError: a record is wrong, or no person at all has keypoints.
        """
        num_persons = 0
        for annotation, image in _listed(self._file, people):
            category = self._category(annotation)
            if category is None:
                example = f"annotation {annotation['id']} has category_id {annotation['category_id']!r}"
                people.drop("not a person", example=f"{example}; the person's is {', '.join(self._categories)}")
            elif str(annotation.get("iscrowd") or 0).lower() not in _NO_CROWD:
                people.drop("crowd, not one person")
            elif _has_box(self._file.path, annotation, people):
                num_persons += 1
                yield annotation, image, self._joints(annotation, category)
        if num_persons and not self._any_keypoints:
            msg = f"{self._file.path}: none of {num_persons} persons has keypoints; is this the keypoints file?"
            raise AnnotationError(msg)
        for note in self._notes():
            people.note(note)

    def _category(self, annotation: dict[str, Any]) -> Category | None:
        number = annotation.get("category_id")
        return self._categories.get(str(number)) if number is not None else next(iter(self._categories.values()))

    def _joints(self, annotation: dict[str, Any], category: Category) -> list[list[float]]:
        places = category.order.places
        if not annotation.get("keypoints"):
            return [[0.0, 0.0, 0.0]] * len(places)
        self._any_keypoints = True
        given = read_keypoints(self._file.path, annotation, len(category.names))
        self._odd_values.extend(v for v in set(annotation["keypoints"][2::3]) - _VISIBILITIES if not math.isnan(v))
        return [given[place] if place >= 0 else [0.0, 0.0, 0.0] for place in places]

    def _notes(self) -> Iterator[str]:
        name = self.joint_set.name
        for number, (_, order) in self._categories.items():
            if order.unread or order.missing:
                unread, missing = (", ".join(names) or "none" for names in (order.unread, order.missing))
                yield (
                    f"the joints of category {number} are read by name, as {name}; not read: {unread:.300}; "
                    f"not in the file: {missing}"
                )
        if self._odd_values:
            low, high = min(self._odd_values), max(self._odd_values)
            yield (
                f"keypoints have third values other than 0, 1 and 2 ({low:.3g} to {high:.3g}): they are taken for a "
                "detector's scores and used as confidences, those above 1 as 1"
            )


def _persons_of(file: CocoFile) -> list[dict[str, Any]]:
    """The categories that are people; COCO's number 1 where none has a name or named keypoints."""
    told = [category for category in file.categories if category.get("name") or category.get("keypoints")]
    if not told:
        return [{"id": _PERSON}]
    persons = [category for category in told if _is_person(file.path, category)]
    if not persons:
        names = ", ".join(f"{category.get('name')!r:.40}" for category in told[:8])
        msg = (
            f"{file.path}: none of its categories ({names}) is a person: one has to be named person, or its keypoints "
            "have to be a person's, such as left_shoulder or right_knee"
        )
        raise AnnotationError(msg)
    return persons


def _is_person(path: Path, category: dict[str, Any]) -> bool:
    """Whether a category is people.

    Raises:
        AnnotationError: it is called so, but its keypoints are no person's.
    """
    require_keys(path, "category", category, ("id",))
    words = set(canonical_name(f"{category.get('name')} {category.get('supercategory')}").split("_"))
    names = _keypoint_names(path, category)
    if words & _ANIMAL_WORDS:
        return False
    if not names:
        return bool(words & _PERSON_WORDS)
    if is_human(names):
        return True
    if words & _PERSON_WORDS:
        msg = (
            f"{path}: the keypoints of category {category.get('name')!r:.40} are no person's: "
            f"{', '.join(names)!s:.200}. Give them names such as left_shoulder; without names they are read in the "
            "official order"
        )
        raise AnnotationError(msg)
    return False


def _keypoint_names(path: Path, category: dict[str, Any]) -> tuple[str, ...]:
    """Names of a category's keypoints; empty where it has none.

    Raises:
        AnnotationError: they are not names, or a joint is named twice.
    """
    names = category.get("keypoints") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        msg = f"{path}: category {category.get('id')!r:.40} has keypoints {names!r:.80}, which is no list of names"
        raise AnnotationError(msg)
    known = [canonical_name(name) for name in names]
    twice = [name for place, name in enumerate(names) if known[place] in known[:place]]
    if twice:
        msg = f"{path}: category {category.get('id')!r:.40} names a joint twice: {', '.join(twice)!s:.80}; rename one"
        raise AnnotationError(msg)
    return tuple(names)


def read_keypoints(path: Path, annotation: dict[str, Any], count: int, key: str = "keypoints") -> list[list[float]]:
    """Joints as [x, y, confidence] lists; unlabelled ones (v = 0) become zeros, values above 1 a confidence of 1.

    Raises:
        AnnotationError: not ``count`` joints.
    """
    values = annotation[key]
    if not are_numbers(values, 3 * count):
        found = len(values) if isinstance(values, list) else type(values).__name__
        wrong = " that are not all numbers" if found == 3 * count else ""
        msg = (
            f"{path}: annotation {annotation['id']} has {found} {key[:-1]} values{wrong}, expected {3 * count}: x, y "
            f"and visibility of {count} joints"
        )
        raise AnnotationError(msg)
    triples = zip(values[0::3], values[1::3], values[2::3], strict=True)
    # 0 * NaN is NaN, so that a person with such a joint is counted as not finite instead of being kept.
    return [[x, y, min(v, 1.0)] if v > 0 else [0.0, 0.0, 0.0 * v] for x, y, v in triples]


def _check_image(path: Path, image: dict[str, Any]) -> None:
    _check_key(path, "image", image, "id")
    for key in ("width", "height"):
        if type(image[key]) not in NUMBERS or not 0 < image[key] < _MAX_SIZE:
            msg = f"{path}: image {image['id']} has {key} {image[key]!r}, which is no number of pixels"
            raise AnnotationError(msg)
    name = image["file_name"]
    if not isinstance(name, str) or not name or not _is_encodable(name):
        msg = f"{path}: image {image['id']} has file_name {name!r}, which is no file name"
        raise AnnotationError(msg)


def _check_key(path: Path, what: str, record: dict[str, Any], key: str) -> None:
    value = record[key]
    if type(value) is not int and not (isinstance(value, str) and _is_encodable(value)):
        msg = f"{path}: {what} {record['id']!r} has {key} {value!r}, which is neither a whole number nor text"
        raise AnnotationError(msg)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
