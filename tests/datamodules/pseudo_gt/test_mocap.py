"""Fusing the views of a MoCap set: what is exact stays exact, and what one view has wrong weighs as one view."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from body_models.bodies import BodyModels
from body_models.joint_sets import MPI_INF_3DHP28
from body_models.parameters import BodyParameters
from body_models.rotations import axis_angle_to_matrix, geodesic_distance
from body_models.spec import SMPL
from datamodules.columns import build_or_open
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.pseudo_gt.mocap import fuse_views, is_mocap
from datamodules.pseudo_gt.native import LabelError, LabelWriter, read_labels, reproject

FRAMES, CAMERAS = {"S1/Seq1": 5, "S1/Seq2": 4, "S2/Seq1": 3}, 4
FOCAL, CENTRE = 1100.0, 512.0


@pytest.fixture(scope="module")
def body():
    return BodyModels("free")


class Studio:
    """Bodies that move in a world, the cameras around them, and what each camera should be told."""

    def __init__(self, body, folder, order=None):
        rng = np.random.default_rng(1)
        count = sum(FRAMES.values())
        self.pose = rng.normal(0, 0.4, (count, 72))
        self.betas = np.repeat(rng.normal(size=(1, 10)), count, 0)
        self.transl = rng.normal(0, 0.5, (count, 3))
        joints = self.joints(body)
        builder = PeopleBuilder("mpi_inf_3dhp", "train", MPI_INF_3DHP28, folder)
        self.labels = {name: [] for name in ("global_orient", "body_pose", "betas", "transl")}
        rest = body.neutral.rest_pelvis(torch.tensor(self.betas[:1]).float())[0].numpy()
        first = 0
        for sequence, frames in FRAMES.items():
            for camera in range(CAMERAS):
                turn = Rotation.from_euler("yxz", [90 * camera + 10, 8, 180], degrees=True).as_matrix()
                shift = np.array([0.1, 0.2, 4.0 + camera])
                for frame in range(frames):
                    i = first + frame
                    seen = joints[i] @ turn.T + shift
                    index = SMPL.rows(MPI_INF_3DHP28)
                    joints_3d = np.where((index >= 0)[:, None], seen[index], 0.0)
                    points = seen[index, :2] / seen[index, 2:] * FOCAL + CENTRE
                    builder.add(
                        f"{sequence}/{10 * frame}/{camera}",
                        image=f"{sequence}/{camera}/{frame}.jpg", image_size=(1024, 1024), box=(300, 200, 400, 500),
                        joints_2d=np.column_stack((points, index >= 0)),
                        joints_3d=np.column_stack((joints_3d, index >= 0)),
                        focal=(FOCAL, FOCAL), princpt=(CENTRE, CENTRE), camera_rotation=turn, camera_translation=shift,
                        sequence=sequence, frame=10 * frame, camera=camera,
                    )  # fmt: skip
                    root = Rotation.from_matrix(turn @ Rotation.from_rotvec(self.pose[i, :3]).as_matrix()).as_rotvec()
                    moved = turn @ (rest + self.transl[i]) + shift - rest
                    row = (root, self.pose[i, 3:], self.betas[i], moved)
                    for name, value in zip(self.labels, row, strict=True):
                        self.labels[name].append(value)
            first += frames
        self.labels = {name: np.array(values) for name, values in self.labels.items()}
        self.people = PeopleTable(build_or_open(folder, "studio", [], {}, 1, builder.finish))
        self.people = self.people if order is None else self.people.select(order)

    def joints(self, body):
        values = (torch.tensor(value).float() for value in (self.pose, self.betas, self.transl))
        return body.joints(BodyParameters.of_axis_angle(*values)).numpy()

    def write(self, folder, **changed):
        labels = {**self.labels, **changed}
        count = len(self.people)
        # The translation of a view alone means nothing: its camera is not the data set's.
        labels["transl"] = np.zeros((count, 3))
        labels |= {"box": np.tile([250.0, 200, 500, 500], (count, 1)), "latent": np.ones((count, 32))}
        labels |= {"mirror_disagreement": np.arange(count)}
        with LabelWriter(folder, joint_set="mpi_inf_3dhp28", image_root=None, provenance={"run": "x"}) as writer:
            for start in range(0, count, 7):  # row groups that do not end with the sequences
                writer.write(
                    {"id": self.people.ids()[start : start + 7], **{k: v[start : start + 7] for k, v in labels.items()}}
                )


def quality(body_pose, axis_angle, betas):
    return {"max_abs_beta": betas.abs().amax(dim=1), "prior_score": axis_angle.square().sum(dim=1)}


def fuse(studio, folder, body, **changed):
    studio.write(folder / "single", **changed)
    found = fuse_views(folder / "single", folder / "views", folder / "world", studio.people, body, quality)
    return found, read_labels(folder / "world"), read_labels(folder / "views")


def test_bodies_that_all_views_agree_on_come_back(tmp_path, body):
    studio = Studio(body, tmp_path)
    assert is_mocap(studio.people)
    found, world, views = fuse(studio, tmp_path, body)
    assert found["frames"] == 12 and found["views"] == CAMERAS and found["view_disagreement_mm"] < 1e-2
    assert (world.frame, views.frame) == ("world", "camera")
    columns = world.columns
    assert columns["id"][:6].tolist() == [
        *(f"mpi_inf_3dhp/train/S1/Seq1/{frame}" for frame in (0, 10, 20, 30, 40)), "mpi_inf_3dhp/train/S1/Seq2/0"
    ]  # fmt: skip
    assert columns["sequence"][-1] == "S2/Seq1" and columns["frame"].tolist()[-3:] == [0, 10, 20]
    assert (columns["views"] == CAMERAS).all()
    turns = np.concatenate([columns["global_orient"], columns["body_pose"]], axis=1).reshape(-1, 24, 3)
    angles = geodesic_distance(
        axis_angle_to_matrix(torch.tensor(turns).double()),
        axis_angle_to_matrix(torch.tensor(studio.pose.reshape(-1, 24, 3))),
    )
    assert angles.max() < 1e-5
    np.testing.assert_allclose(columns["betas"], studio.betas, atol=1e-5)
    np.testing.assert_allclose(columns["transl"], studio.transl, atol=1e-5)
    np.testing.assert_allclose(columns["prior_score"], (columns["body_pose"] ** 2).sum(1), rtol=1e-4)
    assert views.provenance["run"] == world.provenance["run"] == "x"


def test_views_are_the_worlds_body_in_the_data_sets_camera(tmp_path, body):
    studio = Studio(body, tmp_path)
    _, _, views = fuse(studio, tmp_path, body)
    columns = views.columns
    assert columns["id"].tolist() == studio.people.ids()
    np.testing.assert_allclose(columns["transl"], studio.labels["transl"], atol=1e-5)
    np.testing.assert_allclose(columns["focal"], FOCAL)
    mapped = np.flatnonzero(SMPL.rows(MPI_INF_3DHP28) >= 0)
    points = reproject(columns, body)[:, SMPL.rows(MPI_INF_3DHP28)[mapped]]
    assert np.abs(points - studio.people.column("joints_2d")[:, mapped, :2]).max() < 0.01
    assert columns["error_2d"].max() < 1e-4 and (columns["visible_joints"] == len(mapped)).all()
    assert columns["mirror_disagreement"].tolist() == list(range(48))
    assert "latent" not in columns


def test_one_wrong_view_weighs_as_one_view(tmp_path, body):
    studio = Studio(body, tmp_path)
    pose, camera = studio.labels["body_pose"].copy(), studio.people.column("camera")
    wrong = (Rotation.from_rotvec(pose[camera == 0, 48:51]) * Rotation.from_rotvec([0.4, 0, 0])).as_rotvec()
    pose[camera == 0, 48:51] = wrong
    found, world, _ = fuse(studio, tmp_path, body, body_pose=pose)
    elbow = torch.tensor(world.columns["body_pose"]).view(-1, 23, 3)[:, 16]
    truth = torch.tensor(studio.pose[:, 3:]).view(-1, 23, 3)[:, 16].float()
    angle = geodesic_distance(axis_angle_to_matrix(elbow), axis_angle_to_matrix(truth))
    # The mean matrix of three times none and once 0.4: atan(sin 0.4 / (3 + cos 0.4)).
    np.testing.assert_allclose(angle, np.arctan2(np.sin(0.4), 3 + np.cos(0.4)), atol=1e-4)
    assert found["view_disagreement_mm"] > 1


def test_labels_of_others_are_refused(tmp_path, body):
    studio = Studio(body, tmp_path)
    studio.write(tmp_path / "single")
    others = studio.people.select(np.arange(47, -1, -1))
    with pytest.raises(LabelError, match="is not the label table of"):
        fuse_views(tmp_path / "single", tmp_path / "a", tmp_path / "b", others, body, quality)
    assert not (tmp_path / "a" / "labels.json").exists()


def test_a_sequence_in_two_places_is_refused(tmp_path, body):
    studio = Studio(body, tmp_path)
    studio.write(tmp_path / "single")
    mixed = studio.people.select(np.r_[1:48, 0])
    with pytest.raises(LabelError, match="not next to each other"):
        fuse_views(tmp_path / "single", tmp_path / "a", tmp_path / "b", mixed, body, quality)
