"""A comparison of made-up numbers with drawn bodies, for the tests of tables and report."""

import math

import numpy as np
import torch

from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from callbacks.overlays import person_panels
from datamodules.exposure import Exposure
from experiments.pictures.figures import PALETTE, YARDSTICK_COLOR, mesh_color
from experiments.results.run_results import Comparison, GalleryPerson, PerPerson, RunResult, Views

ERRORS = {"pseudo_gt/smpl24_mpjpe": 1.5, "pseudo_gt/smpl24_pa_mpjpe": 1.0, "pseudo_gt/smpl24_mpvpe": 1.8}
DOWNSTREAM = {"threedpw/lsp14_mpjpe": 1.6, "threedpw/lsp14_pa_mpjpe": 1.0, "threedpw/lsp14_mpvpe": 1.9}


def people(keys, mean, count, seed):
    """Errors of people who are easy or hard for everyone, plus chance of the run's own."""
    hard = np.random.default_rng(0).gamma(8, mean / 8, count)
    noise = np.random.default_rng(seed)
    ids = np.array([f"coco/train/{i}" for i in range(count)])
    groups = np.array([f"image {i // 3}" for i in range(count)])
    return {key: PerPerson(ids, factor * hard * noise.lognormal(0, 0.2, count), groups) for key, factor in keys.items()}


def run_result(label, mean, seed, **options):
    rng = np.random.default_rng(seed)
    steps = np.arange(0, 96_000, 640)
    loss = 0.4 + 2 * mean / 160 * np.exp(-steps / 20_000) + rng.normal(0, 0.08, len(steps))
    curves = {
        "annotate: loss": list(zip(steps.tolist(), loss.tolist(), strict=True)),
        "downstream: validation PA-MPJPE, mm": [
            (s, mean + 60 * math.exp(-s / 9000)) for s in range(6000, 48_001, 6000)
        ],
    }
    per_person = {**people(ERRORS, mean, 600, seed), **people(DOWNSTREAM, 0.9 * mean + 20, 300, seed + 50)}
    return RunResult(
        label, label, 0, per_person=per_person, curves=curves, is_free_body=True, synthetic=True, **options
    )


def drawn_body(seed, spread=0.25):
    rng = np.random.default_rng(seed)
    pose = torch.tensor(rng.normal(0, spread, (1, 24, 3)), dtype=torch.float32)
    pose[:, 0] = torch.tensor([math.pi, 0.0, 0.0])
    rotations = axis_angle_to_matrix(pose)
    body = BodyModel("free")
    posed = body(rotations[:, 0], rotations[:, 1:], torch.zeros(1, 10), torch.tensor([[0.0, 0.2, 40.0]]))
    return posed.vertices[0].numpy(), body.faces


def comparison(gallery=0, size=224):
    none = run_result("none", 128.0, 1, init="random", samples_seen={"annotate": 96_000})
    three = run_result(
        "three", 90.0, 2, init="pose2d", prior="vposer", auxiliary=["threedpw_train"],
        exposure=Exposure.of("threedpw-train"),
        samples_seen={"prior": 384_000, "pose2d": 40_000, "annotate": 96_000},
    )  # fmt: skip
    none.seconds = {"annotate": 151.0, "dump": 8.2, "downstream": 74.0}
    three.seconds = {"prior": 19.0, "pose2d": 88.0, "annotate": 149.0, "dump": 8.0, "downstream": 76.0}
    yardstick = RunResult("mean pose", per_person=people(ERRORS, 165.0, 600, 9))
    persons = []
    for i in range(gallery):
        photo = np.random.default_rng(i).integers(60, 200, (12, 12, 3), dtype=np.uint8).repeat(24, 0).repeat(24, 1)
        views = {}
        colors = {"none": PALETTE[0], "three": PALETTE[1], "true body": YARDSTICK_COLOR}
        for k, (label, color) in enumerate(colors.items()):
            vertices, faces = drawn_body(10 * i + k)
            panels = person_panels(
                photo, (0, 0, 288, 288), vertices, faces, (5600, 5600), (144, 144), size, mesh_color(color)
            )
            views[label] = Views(panels.front, panels.side)
        persons.append(GalleryPerson(f"coco/train/{i}", panels.photo, views, {"none": 120.0 + i, "three": 80.0 + i}))
    return Comparison("Annotators without and with three recipes", [none, three], yardstick=yardstick, people=persons)
