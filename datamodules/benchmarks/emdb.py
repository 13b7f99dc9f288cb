"""EMDB 1: the sequences of EMDB that networks of single images are judged on, with true bodies from worn sensors.

Both variants in use are reported, because they differ through the joints alone: ``emdb24`` is the official one, with
the 24 joints of each body itself; ``emdb24neutralJ`` is that of code bases which read repacked files, with the neutral
model's joint regressor on both meshes. Everything of it is tested on, so checkpoints are chosen on another benchmark.
"""

from datamodules.benchmarks.benchmark import Benchmark

BENCHMARK = Benchmark(
    name="emdb",
    title="EMDB",
    root_help="Root of EMDB, with the folders P0 to P9; not in the synthetic world.",
    protocols=("emdb24", "emdb24neutralJ"),
    headline="emdb24_pa_mpjpe",
    columns={"emdb24": ("mpjpe", "pa_mpjpe", "mpvpe"), "emdb24neutralJ": ("mpjpe", "pa_mpjpe", "mpvpe")},
    test="emdb1",
    splits=("emdb1", "emdb2"),
    needs_body_models=True,
)
