"""The test set of MPI-INF-3DHP: true 3D joints of six sequences, two of them outdoors."""

from datamodules.benchmarks.benchmark import Benchmark

BENCHMARK = Benchmark(
    name="mpi_inf_3dhp",
    title="MPI-INF-3DHP",
    root_help="Root of MPI-INF-3DHP.",
    protocols=("univ", "annot3"),
    headline="univ_pa_mpjpe",
    columns={"univ": ("mpjpe", "pa_mpjpe", "pck150"), "annot3": ("mpjpe", "pa_mpjpe", "pck150")},
    video_steps=True,
    named_images=False,
)
