"""Projections of recorded poses: what a sample says of itself agrees, and depends on its seed alone."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from body_models.bodies import open_body
from body_models.camera import project
from body_models.joint_sets import COCO17, MPII16
from datamodules.lift import ELSEWHERE, joints_seen
from datamodules.projections import Projections, Views, _draws, pose_bodies
from tests.support.repository import ROOT

BODY = open_body()
POSES = np.random.default_rng(0).normal(0, 0.3, (40, 21, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def people() -> Projections:
    bodies = pose_bodies(BODY, POSES, 60, 1.0, 0)
    return Projections(bodies, BODY.spec, joints_seen([COCO17, MPII16], BODY.spec), 48, Views())


def test_the_body_under_its_camera_is_where_its_joints_are(people: Projections) -> None:
    batch = people.__getitems__([(row, 1000 + row) for row in range(60)])
    parameters = [batch[name] for name in ("global_orient", "body_pose", "betas", "transl")]
    joints = BODY.joints(*parameters)
    on_image = project(joints, batch["focal"], batch["princpt"])
    affine = batch["affine"]
    on_crop = torch.einsum("bij,bkj->bki", affine[:, :, :2], on_image) + affine[:, None, :, 2]
    known = batch["joints_2d_conf"] > 0
    assert (on_crop - batch["joints_2d"])[known].abs().max() < 1e-2
    relative = joints - joints[:, :1]
    torch.testing.assert_close(relative, batch["joints_3d"] - batch["joints_3d"][:, :1], atol=1e-4, rtol=0)
    # The joints fill the box, and those of one joint set or the other are known.
    assert ((on_crop > -10) & (on_crop < 58))[known].all()
    assert set(known.sum(dim=1).tolist()) == {17, 16}
    box = batch["box"]
    torch.testing.assert_close(48 / box[:, 2], affine[:, 0, 0])
    torch.testing.assert_close(-box[:, :2] * affine[:, :1, 0], affine[:, :, 2], rtol=1e-4, atol=1e-3)


def test_a_sample_depends_on_its_seed_and_not_on_those_beside_it(people: Projections) -> None:
    together = people.__getitems__([(3, 5), (4, 6), (3, 7)])
    for place, key in enumerate([(3, 5), (4, 6), (3, 7)]):
        alone = people[key]
        for name, value in alone.items():
            if name in ("id", "source"):
                assert value == together[name][place]
            else:
                np.testing.assert_array_equal(value, together[name][place].numpy())
    assert not torch.equal(together["global_orient"][0], together["global_orient"][2])
    assert torch.equal(together["body_pose"][0], together["body_pose"][2])


def test_drawn_numbers_are_uniform_and_normal_and_differ_between_neighbouring_seeds() -> None:
    uniform, normal = _draws(np.arange(20_000))
    first, second, third = uniform(), uniform(), normal()
    assert 0 < min(first) and max(first) < 1
    assert abs(first.mean() - 0.5) < 0.01 and abs(first.var() - 1 / 12) < 0.003
    assert abs(third.mean()) < 0.03 and abs(third.std() - 1) < 0.03
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.03


def test_views_elsewhere_are_wider(people: Projections) -> None:
    other = Projections(people.bodies, BODY.spec, people.seen, 48, ELSEWHERE)
    keys = [(row % 60, row) for row in range(600)]
    spread = [
        one.__getitems__(keys)["global_orient"][:, 1, 1].std().item() for one in (people, other)
    ]  # how far up is from up
    assert spread[1] > 1.3 * spread[0]


def test_nothing_of_the_lift_knows_the_synthetic_world() -> None:
    """What is learned without pictures must hold anywhere: not even by way of another module's constants."""
    for name in ("datamodules/projections.py", "datamodules/lift.py", "experiments/stages/lift.py"):
        tree = ast.parse((Path(ROOT) / name).read_text(encoding="utf-8"))
        imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not any("synthetic" in module for module in imported), name
