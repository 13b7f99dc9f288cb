"""Bodies by reference and gender: each person by the body of its gender, in batches, with gradients where asked."""

from pathlib import Path

import pytest
import torch

from body_models.bodies import BODIES, BodyModels, body_files, body_spec, open_body
from body_models.free_body.arrays import write_free_body
from body_models.parameters import BodyParameters
from body_models.safe_pickle import ModelFileError
from body_models.smpl import BodyModel
from body_models.spec import SMPL


def people(count: int = 7) -> BodyParameters:
    generator = torch.Generator().manual_seed(1)
    pose, betas, transl = (torch.randn(count, size, generator=generator) for size in (72, 10, 3))
    some = BodyParameters.of_axis_angle(0.3 * pose, betas, transl)
    some.gender = torch.arange(count) % 3
    return some


def test_everyone_is_posed_by_the_body_of_its_gender() -> None:
    many, models = people(), BodyModels(batch_size=2)
    posed, joints = models.pose(many), models.joints(many)
    torch.testing.assert_close(posed.joints, joints, atol=2e-6, rtol=0)
    for row, gender in enumerate(("neutral", "male", "female", "neutral", "male", "female", "neutral")):
        one = many.select(slice(row, row + 1))
        alone = BodyModel("free", gender)(one.global_orient, one.body_pose, one.betas, one.transl)
        torch.testing.assert_close(posed.vertices[row], alone.vertices[0], atol=2e-6, rtol=0)
    many.gender = None
    torch.testing.assert_close(models.joints(many)[0], joints[0], atol=2e-6, rtol=0)
    with pytest.raises(ValueError, match="nobody to be posed"):
        models.joints(many.select(slice(0, 0)))


def test_gradients_only_where_asked() -> None:
    many, models = people(), BodyModels()
    many.betas.requires_grad_()
    assert not models.joints(many).requires_grad and not models.pose(many).vertices.requires_grad
    models.joints(many, gradients=True).sum().backward()
    assert many.betas.grad is not None and many.betas.grad.abs().min() > 0


def test_references(tmp_path: Path) -> None:
    write_free_body(tmp_path / "smpl")
    assert set(BODIES) == {"smpl", "file"}
    for reference in ("free", "smpl:free", str(tmp_path / "smpl"), f"smpl:{tmp_path}/smpl"):
        assert body_spec(reference) is SMPL and open_body(reference).is_free_body
    assert body_files("free") == {}
    # Label tables of earlier versions name another: they can be read, and what poses their people says why it cannot.
    assert body_spec("standin") is SMPL
    for refused in (open_body, body_files):
        with pytest.raises(ModelFileError, match=r"no longer there.*make it again with paths\.body_models=free"):
            refused("standin")
    assert sorted(body_files(str(tmp_path / "smpl"), "male")) == ["J_regressor_extra", "J_regressor_h36m", "male"]
    with pytest.raises(ModelFileError, match="no such folder of body models"):
        body_files(str(tmp_path / "nowhere"))
    with pytest.raises(ModelFileError, match="no such body file"):
        body_files(str(tmp_path / "nowhere.npz"))
    assert BodyModels().neutral is not None and BodyModels().spec is SMPL
