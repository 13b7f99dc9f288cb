"""How a run reads a user's data set, and that its stages know."""

from __future__ import annotations

from experiments.settings import sources
from experiments.settings.schema import Settings


def test_a_users_mpi_inf_3dhp_is_read_as_the_settings_say() -> None:
    settings = Settings()
    settings.paths.mpi_inf_3dhp = "somewhere"
    settings.mpi_inf_3dhp.variant, settings.mpi_inf_3dhp.frame_step = "univ_annot3", 10
    assert sources.source(settings, None, "mpi_inf_3dhp") == {
        "kind": "mpi_inf_3dhp", "root": "somewhere", "split": "train", "variant": "univ_annot3", "frame_step": 10,
    }  # fmt: skip
    settings.paths.mpi_inf_3dhp = None
    assert sources.reading(settings, "mpi_inf_3dhp") == {}
