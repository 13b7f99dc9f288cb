"""Nobody is trained on who is evaluated on, and nothing is chosen by test people."""

import pytest

from body_models.joint_sets import COCO17
from callbacks.leakage import NOT_TO_TRAIN_ON, LeakageError, LeakageGuard, refuse_ids, refuse_shared_people
from datamodules.columns import build_or_open
from datamodules.people import PeopleBuilder, PeopleTable
from tests.support.people import Oracle, People, loader, trainer


class Trainable(Oracle):
    def training_step(self, batch, batch_idx):
        return self.layer.weight.sum()

    def configure_optimizers(self):
        import torch

        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        (("threedpw", "test"), ("threedpw", "validation"), "training on threedpw/test/seq"),
        (("threedpw", "validation"), ("threedpw", "validation"), "training on threedpw/validation"),
        (("mpi_inf_3dhp", "test"), ("coco", "train"), "training on mpi_inf_3dhp/test"),
        (("coco", "train"), ("threedpw", "test"), "choosing a checkpoint by threedpw/test"),
        (("threedpw", "train"), ("threedpw", "validation"), None),
    ],
)
def test_the_guard_looks_at_every_batch(train, val, message):
    fit = trainer(LeakageGuard(), max_epochs=1, num_sanity_val_steps=0)
    loaders = loader(People(4, *train)), loader(People(4, *val))
    if message is None:
        fit.fit(Trainable(), *loaders)
        return
    with pytest.raises(LeakageError, match=message):
        fit.fit(Trainable(), *loaders)


def test_validating_on_test_people_outside_a_training_is_no_choice():
    trainer(LeakageGuard()).validate(Oracle(), loader(People(4, "threedpw", "test")), verbose=False)


def table(folder, dataset, split, images, root="root"):
    people = PeopleBuilder(dataset, split, COCO17, folder / root)
    for number, image in enumerate(images):
        people.add(number, image=image, image_size=(64, 64), box=(0, 0, 64, 64), joints_2d=[[1, 1, 1]] * 17)
    return PeopleTable(build_or_open(folder, f"{dataset}-{split}", [], {"root": root}, 1, people.finish))


def test_the_same_image_is_found_under_another_split(tmp_path):
    test = table(tmp_path, "threedpw", "test", ["a/1.jpg", "a/2.jpg"])
    with pytest.raises(LeakageError, match=r"1 images of threedpw-test.* threedpw-train, .*3DPW/a/2\.jpg"):
        refuse_shared_people(table(tmp_path, "threedpw", "train", ["a/2.jpg", "b/1.jpg"], "elsewhere"), test)
    with pytest.raises(LeakageError, match="2 people of threedpw-test"):
        refuse_shared_people(test, test)
    # Another data set may have files of the same name in its own folder.
    refuse_shared_people(table(tmp_path, "coco", "train", ["a/1.jpg"], "coco"), test)


def test_ids_of_other_data_sets_pass():
    refuse_ids(["coco/val/1", "threedpw/train/a/0/0", "mpii/train/1"], NOT_TO_TRAIN_ON, "training on")
