"""When a stage's folder is used again, refused, or made anew."""

from pathlib import Path

import pytest

from experiments.engine.artifacts import StageMismatchError, StageRecord, foresee_stage, open_stage

OLD, NEW = {"lr": 1}, {"lr": 2}


def test_a_finished_stage_is_used_again_and_one_of_other_settings_refused(tmp_path: Path) -> None:
    StageRecord(tmp_path, OLD, complete=True, outputs={"people": 3}).save()
    assert open_stage(tmp_path, OLD, overwrite=False).outputs == {"people": 3}
    with pytest.raises(StageMismatchError, match="lr: 1 there, 2 now"):
        open_stage(tmp_path, NEW, overwrite=False)
    assert not open_stage(tmp_path, NEW, overwrite=True).complete
    assert not tmp_path.exists()


def test_a_stage_is_made_anew_once_more_stages_are_before_it(tmp_path: Path) -> None:
    key = {**OLD, "after": {"dump": "abc"}}
    StageRecord(tmp_path, key, complete=True).save()
    with pytest.raises(StageMismatchError, match="dump: abc there, other now"):
        open_stage(tmp_path, {**OLD, "after": {"dump": "other", "downstream": "def"}}, overwrite=False)
    with pytest.raises(StageMismatchError, match="lr: 1 there, 2 now"):
        open_stage(tmp_path, {**NEW, "after": {"dump": "abc", "downstream": "def"}}, overwrite=False)
    more = {**OLD, "after": {"dump": "abc", "downstream": "def"}}
    assert not open_stage(tmp_path, more, overwrite=False).complete

    StageRecord(tmp_path, more, complete=True).save()
    with pytest.raises(StageMismatchError, match="downstream: def there, None now"):
        open_stage(tmp_path, key, overwrite=False)


def test_a_stage_that_failed_before_its_first_result_does_not_hold_the_folder(tmp_path: Path) -> None:
    StageRecord(tmp_path, OLD).save()
    (tmp_path / "metrics").mkdir()
    assert open_stage(tmp_path, NEW, overwrite=False).key == NEW

    tmp_path.mkdir()
    StageRecord(tmp_path, OLD).save()
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(StageMismatchError, match="overwrite=true"):
        open_stage(tmp_path, NEW, overwrite=False)


def test_to_foresee_a_stage_changes_nothing(tmp_path: Path) -> None:
    StageRecord(tmp_path, OLD, complete=True).save()
    with pytest.raises(StageMismatchError, match="lr: 1 there, 2 now"):
        foresee_stage(tmp_path, NEW, overwrite=False)
    assert not foresee_stage(tmp_path, NEW, overwrite=True).complete
    assert foresee_stage(tmp_path, OLD, overwrite=False).complete
