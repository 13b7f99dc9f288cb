"""People without keys: images by their whole path, people by joints or boxes; nobody is guessed."""

import numpy as np
import pytest

from body_models.camera import process_box
from body_models.joint_sets import COCO17
from datamodules.columns import build_or_open
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.pseudo_gt.importing.matching import AMBIGUOUS, NOBODY, match_images, match_people

BOX = (100.0, 80.0, 40.0, 120.0)


@pytest.fixture
def make_source(tmp_path):
    """Makes a table of one person without joints on each image, all in the same place unless boxes are given."""

    def make(images, boxes=None):
        def build():
            people = PeopleBuilder("coco", "train", COCO17, tmp_path)
            for key, image in enumerate(images):
                box = BOX if boxes is None else boxes[key]
                people.add(key, image=image, image_size=(640, 480), box=box, joints_2d=np.zeros((17, 3)))
            return people.finish()

        return PeopleTable(build_or_open(str(tmp_path / "cache"), "coco-train", [], {"images": list(images)}, 1, build))

    return make


def matched(source, names, boxes=None):
    box = process_box(BOX, (640, 480)) if boxes is None else boxes
    columns = {"box": np.broadcast_to(np.float32(box), (len(names), 4))}
    return match_people(columns, None, source, match_images(names, source)).tolist()


def take(subject, sequence, camera, folder="imageSequence"):
    return f"S{subject}/Seq{sequence}/{folder}/video_{camera}/frame_000001.jpg"


def test_whole_paths_are_compared(make_source):
    """Frames of MPI-INF-3DHP are named alike in every take and camera; SPIN keeps them in another folder."""
    source = make_source([take(subject, sequence, 0) for subject in (1, 2) for sequence in (1, 2)])
    names = [take(2, 1, 0, "imageFrames"), take(3, 1, 0, "imageFrames"), take(1, 2, 0, "imageFrames"), take(1, 1, 4)]
    assert matched(source, names) == [2, NOBODY, 1, NOBODY]


def test_what_fits_several_images_is_nobody_s(make_source):
    source = make_source(["a/x/1.jpg", "b/x/1.jpg", "b/x/2.jpg"])
    assert matched(source, ["1.jpg", "x/1.jpg", "x/2.jpg", "b/x/1.jpg"]) == [AMBIGUOUS, AMBIGUOUS, 2, 1]
    flat = make_source(["1.jpg", "2.jpg"])
    assert matched(flat, ["S1/1.jpg", "S3/1.jpg", "S3/2.jpg"]) == [AMBIGUOUS, AMBIGUOUS, 1]
    assert matched(flat, ["S1/1.jpg", "1.jpg"]) == [AMBIGUOUS, 0]


@pytest.mark.parametrize(
    ("of_source", "name"),
    [
        ("train2017/000000000009.jpg", "train2014/COCO_train2014_000000000009.jpg"),
        ("train2017/000000000009.jpg", "/data/coco/images/train2014/COCO_train2014_000000000009.jpg"),
        ("train2017/000000000009.jpg", "000000000009"),
        ("images/015601864.jpg", "./015601864.jpg"),
        ("images/015601864.jpg", "images\\015601864.jpg"),
        ("downtown_bar_00/image_00002.jpg", "imageFiles/downtown_bar_00/image_00002.jpg"),
        ("a/x.1.png", "a/x_1.jpg"),  # 4D-Humans' tars: no dots, all are JPEG
    ],
)
def test_names_of_one_image(make_source, of_source, name):
    assert matched(make_source([of_source, "train2017/other.jpg"]), [name]) == [0]


def test_names_that_differ_in_their_suffix_alone(make_source):
    source = make_source(["a/1.jpg", "a/1.png"])
    assert matched(source, ["b/1.png", "a/1.png", "a/1.jpg", "a/1"]) == [NOBODY, 1, 0, AMBIGUOUS]
    assert matched(make_source(["a/1.jpg", "b/1.png"]), ["1.jpg"]) == [AMBIGUOUS], "other code bases convert images"


@pytest.mark.parametrize("scale", [1.25, 1.0])
def test_published_boxes_may_be_squares_of_any_margin_or_the_annotated_ones(make_source, scale):
    """Where a file had COCO's own boxes, people were lost: a tall box covers little of its square."""
    boxes = [(50.0, 50.0, 20.0, 150.0), (200.0, 50.0, 150.0, 20.0)]
    source = make_source(["1.jpg", "1.jpg"], boxes)
    squares = [process_box(box, (640, 480), scale=scale) for box in boxes]
    assert matched(source, ["1.jpg"] * 2, squares[::-1]) == [1, 0]
    assert matched(source, ["1.jpg"] * 2, boxes[::-1]) == [1, 0]
    assert matched(source, ["1.jpg"], [[400, 300, 20, 150]]) == [NOBODY]
