"""Files in other units than their layout's are refused, with the factor that would fit."""

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import FORMATS, export_labels
from datamodules.pseudo_gt.importing import import_labels
from datamodules.pseudo_gt.native import LabelError


@pytest.fixture
def import_changed(coco, ours, tmp_path):
    """Exports labels that are right, changes arrays of the file, and imports it."""

    def run(format, **changes):
        path = tmp_path / FORMATS[format].name
        export_labels(ours[0], format, path)
        file = dict(np.load(path))
        for name, change in changes.items():
            file[name] = change(file)
        np.savez(path, **file)
        return import_labels(path, format, tmp_path / "back", "coco", "train", coco)

    return run


@pytest.mark.parametrize(
    ("format", "factor", "named"),
    [
        ("spin", 200, r"boxes are 2\d\d times .* times 0\.005 would fit"),
        ("cliff", 200, r"boxes are 2\d\d times .* times 0\.005 would fit"),
        ("hmr2", 1 / 200, r"boxes are 0\.006\d+ times .* times 200 would fit"),
        ("bedlam", 10, r"boxes are 12\.\d times .* times 0\.08\d* would fit"),
    ],
)
def test_scales_of_other_code_bases(import_changed, format, factor, named):
    """SPIN's scale in pixels, 4D-Humans' scale / 200: joints would match all the same."""
    with pytest.raises(LabelError, match=named):
        import_changed(format, scale=lambda file: file["scale"] * factor)


def test_boxes_are_compared_without_joints_as_well(import_changed):
    def nothing(name):
        return lambda file: np.zeros_like(file[name])

    with pytest.raises(LabelError, match=r"boxes are 2\d\d times .* times 0\.005 would fit"):
        import_changed("spin", scale=lambda f: f["scale"] * 200, part=nothing("part"), openpose=nothing("openpose"))


def test_translations_in_millimetres(import_changed):
    with pytest.raises(LabelError, match=r"translations times 0\.001 would fit: is it in millimetres\?"):
        import_changed("bedlam", trans_cam=lambda file: file["trans_cam"] * 1000)
    with pytest.raises(LabelError, match=r"translations times 0\.001 would fit"):
        import_changed("cliff", global_t=lambda file: file["global_t"] * 1000)


@pytest.mark.parametrize("size", [224, 256])
def test_cameras_of_the_crop(import_changed, ours, size):
    def of_crop(file):
        intrinsics = file["cam_int"].copy()
        side = ours[1]["box"][:, 2, None] / size
        intrinsics[:, [0, 1], [0, 1]] /= side
        intrinsics[:, :2, 2] = size / 2
        return intrinsics

    with pytest.raises(LabelError, match=rf"cameras are of a crop of {size} pixels, not of the image"):
        import_changed("bedlam", cam_int=of_crop)


def test_cameras_that_nothing_puts_right(import_changed):
    with pytest.raises(LabelError, match="the camera must be the full image's, transl in metres"):
        import_changed(
            "bedlam", trans_cam=lambda file: file["trans_cam"] * np.float32([-9, 9, 1]) + np.float32([50, 0, 0])
        )


def test_right_units_pass(import_changed, coco):
    """Wrong labels of single people are no wrong unit."""
    assert import_changed("bedlam").people == len(coco)

    def one_wrong(file):
        file["trans_cam"][0] *= 1000
        return file["trans_cam"]

    assert import_changed("bedlam", trans_cam=one_wrong).people == len(coco)


def test_cameras_of_absurd_size_are_refused(import_changed):
    with pytest.raises(LabelError, match="the camera must be the full image's"):
        import_changed("bedlam", cam_int=lambda file: np.full_like(file["cam_int"], 1e30))
