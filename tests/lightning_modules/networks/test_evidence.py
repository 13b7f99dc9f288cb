"""What a network looks at: the picture, the joints, or both; and what slips do to joints in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from body_models.spec import SMPL
from lightning_modules.annotator import AnnotatorModule, Starts
from lightning_modules.evidence import Evidence
from lightning_modules.fitting.eft import EFT
from lightning_modules.fitting.refinement import error_2d
from lightning_modules.heads import ANNOTATING
from lightning_modules.networks.network import EVIDENCE, joint_branch
from lightning_modules.networks.slips import Slips
from lightning_modules.weights.checkpoints import CheckpointError

NONE = Slips(0.0, 0.0, 0.0, 0.0, 0.0)


def moved(batch: dict, joint: int) -> dict:
    """The same people with one joint elsewhere."""
    joints = batch["joints_2d"].clone()
    joints[:, joint] += 8
    return {**batch, "joints_2d": joints}


def stirred(evidence: str, **settings) -> AnnotatorModule:
    """A network whose last layers say something."""
    torch.manual_seed(0)
    module = AnnotatorModule("slim", 48, evidence=evidence, **settings).eval()
    heads = [module.network.head] + ([module.network.branch.head] if module.network.branch else [])
    for head in heads:
        for name, parameter in head.named_parameters():
            if name.startswith("out."):
                torch.nn.init.normal_(parameter, std=0.02)
    return module


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_each_looks_at_what_it_says(make_batch, evidence: str) -> None:
    module, batch = stirred(evidence), make_batch()
    plain = module(batch).joints_3d
    other_joints = module(moved(batch, 20)).joints_3d
    other_image = module({**batch, "image": 255 - batch["image"]}).joints_3d
    unknown = {**moved(batch, 20), "joints_2d_conf": batch["joints_2d_conf"].clone()}
    unknown["joints_2d_conf"][:, 20] = 0
    nan = {**unknown, "joints_2d": unknown["joints_2d"].clone()}
    nan["joints_2d"][:, 20] = torch.nan
    assert torch.equal(other_joints, plain) is (evidence == "image")
    assert torch.equal(other_image, plain) is (evidence == "joints")
    torch.testing.assert_close(module(nan).joints_3d, module(unknown).joints_3d)


@pytest.mark.parametrize("camera", ["virtual", "full_image"])
@pytest.mark.parametrize("prior", ["none", "vposer"])
@pytest.mark.parametrize("head", ANNOTATING)
def test_every_head_corrects_what_the_joints_say(make_batch, head: str, prior: str, camera: str) -> None:
    module = AnnotatorModule("slim", 48, evidence="both", head=head, prior=prior, prior_width=32, camera=camera)
    batch = make_batch()
    module.loss(module(batch), batch)[0].backward()
    grads = [each.grad for each in joint_branch(module.network).parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


def test_unknown_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="no evidence named 'joint'"):
        AnnotatorModule("slim", 48, evidence="joint")


def test_a_joint_branch_is_that_of_the_network_of_joints(make_batch, tmp_path: Path) -> None:
    lifted = stirred("joints")
    torch.save({"state_dict": lifted.state_dict()}, tmp_path / "lift.ckpt")
    starts = Starts(lift_weights=tmp_path / "lift.ckpt")
    batch = make_batch()
    expected = lifted(batch)
    again = AnnotatorModule("slim", 48, evidence="joints", starts=starts).eval()
    torch.testing.assert_close(again(batch).joints_3d, expected.joints_3d)
    both = AnnotatorModule("slim", 48, evidence="both", starts=starts).eval()
    for parameter in both.network.head.out.parameters():
        torch.nn.init.zeros_(parameter)
    # A head that says nothing changes nothing.
    torch.testing.assert_close(both(batch).joints_3d, expected.joints_3d)
    with pytest.raises(ValueError, match="no joint branch"):
        AnnotatorModule("slim", 48, starts=starts)
    with pytest.raises(CheckpointError, match="fills"):
        AnnotatorModule("slim", 48, evidence="joints", prior="vposer", starts=starts)


def test_a_joint_branch_that_was_trained_learns_slowly(tmp_path: Path) -> None:
    torch.save({"state_dict": stirred("joints").state_dict()}, tmp_path / "lift.ckpt")
    starts = Starts(lift_weights=tmp_path / "lift.ckpt")
    started = AnnotatorModule("slim", 48, evidence="both", starts=starts, optimizer={"lr": 1e-3})
    (group,) = started.special_groups()
    assert group["lr"] == pytest.approx(1e-4)
    assert {id(one) for one in group["params"]} == {id(one) for one in joint_branch(started.network).parameters()}
    assert AnnotatorModule("slim", 48, evidence="both").special_groups() == []


@pytest.mark.parametrize("evidence", ["joints", "both"])
def test_can_be_tuned_to_a_person(make_batch, evidence: str) -> None:
    network, batch = stirred(evidence).network, make_batch(2)
    with torch.no_grad():
        before = error_2d(batch, network(batch))
    assert (error_2d(batch, EFT(network, steps=3, lr=1e-4)(batch)) < before).all()


def evidence_of(batch: dict) -> Evidence:
    return AnnotatorModule("slim", 48, evidence="joints").eval().network.encode(batch)[1]


def test_slips_are_drawn_in_training_alone(make_batch) -> None:
    module, batch = AnnotatorModule("slim", 48, evidence="joints"), make_batch()
    torch.manual_seed(0)
    assert not torch.equal(module.train().network.encode(batch)[1].joints_2d, batch["joints_2d"])
    assert torch.equal(module.eval().network.encode(batch)[1].joints_2d, batch["joints_2d"])
    untouched = NONE.of(evidence_of(batch), SMPL)
    assert torch.equal(untouched.joints_2d, batch["joints_2d"])
    assert torch.equal(untouched.joints_2d_conf, batch["joints_2d_conf"])


def test_slips_do_what_they_are_called(make_batch) -> None:
    batch = make_batch(400)
    seen = evidence_of(batch)
    torch.manual_seed(0)
    swapped = Slips(0.0, 0.0, 0.0, 0.0, 1.0).of(seen, SMPL)
    assert torch.equal(swapped.joints_2d, seen.joints_2d[:, SMPL.mirror_body_joints])
    nothing = Slips(0.0, 0.0, 1.0, 0.0, 0.0).of(seen, SMPL)
    assert not nothing.joints_2d_conf.any() and not nothing.joints_2d.any()
    dropped = Slips(0.5, 0.0, 0.0, 0.0, 0.0).of(seen, SMPL)
    assert 0.1 < 1 - dropped.joints_2d_conf.mean() < 0.25  # half of a third
    limbs = Slips(0.0, 1.0, 0.0, 0.0, 0.0).of(seen, SMPL)
    lost = {tuple(SMPL.body_joints[row] for row in torch.where(one == 0)[0]) for one in limbs.joints_2d_conf}
    assert len(lost) == 4
    for names in lost:
        assert len({"left" in name for name in names}) == 1
        legs = [any(part in name for part in ("hip", "knee", "ankle", "foot", "toe", "heel")) for name in names]
        assert len(set(legs)) == 1 and len(names) >= 6
    jitter = (Slips(0.0, 0.0, 0.0, 0.05, 0.0).of(seen, SMPL).joints_2d - seen.joints_2d).flatten(1).std(dim=1) / 48
    assert 0.4 < (jitter > 0).float().mean() < 0.6
    assert jitter[jitter > 0].mean() == pytest.approx(0.05, rel=0.1)
