"""Videos of label tables: every frame is there, meshes where they belong, nothing half-written."""

import cv2
import numpy as np
import pytest

from experiments.cli import run_command
from experiments.commands.labels.video import main
from experiments.pictures.label_video import VideoError, open_clip
from tests.support.run_folders import PEOPLE, write_images, write_labels


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    write_labels(folder / "coco-train", write_images(folder / "images"), np.random.default_rng(0))
    return folder / "coco-train"


def frames(path):
    video, found = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        found.append(read[1])
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_video_shows_image_mesh_and_side(labels, tmp_path, suffix):
    out = tmp_path / f"clip{suffix}"
    assert run_command(main, [str(labels), "--out", str(out), "--frames", "3", "--height", "90", "--fps", "5"]) == 0
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    found = frames(out)
    assert len(found) == 3 and found[0].shape == (90, 100 + 90, 3)
    for i, frame in enumerate(found):
        # A corner of the image, the mesh on it, white beside the mesh seen from the side.
        assert abs(int(frame[5, 5].mean()) - (90 + 10 * i)) < 12
        assert np.ptp(frame[40:50, 45:55].astype(int), axis=-1).max() > 30
        assert frame[5, 105].min() > 240 and frame[45, 145].min() < 200


def test_people_of_a_sequence_keep_their_tracks(tmp_path):
    ids = [f"threedpw/test/walk/{i // 2}/{i % 2}" for i in range(PEOPLE)]
    write_labels(tmp_path / "threedpw-test", write_images(tmp_path / "images"), np.random.default_rng(0), ids)
    clip = open_clip(tmp_path / "threedpw-test")
    assert clip.tracks == ["0", "1"] and len(clip.frames) == PEOPLE


def test_wrong_arguments_are_explained(labels, tmp_path, capsys):
    assert run_command(main, [str(labels), "--out", str(tmp_path / "clip.gif")]) == 2
    with pytest.raises(VideoError, match=r"has 0 sequences 'run'"):
        open_clip(labels, "run")
    with pytest.raises(VideoError, match="give --images"):
        open_clip(labels, images=tmp_path)
