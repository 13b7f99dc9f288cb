"""Human3.6M, subjects 9 and 11: true 3D joints in the studio."""

from datamodules.benchmarks.benchmark import Benchmark

BENCHMARK = Benchmark(
    name="human36m",
    title="Human3.6M",
    root_help="Root of Human3.6M, parsed to json; not in the synthetic world.",
    protocols=("p1", "p2"),
    headline="p2_pa_mpjpe",
    columns={"p1": ("mpjpe", "pa_mpjpe"), "p2": ("mpjpe", "pa_mpjpe")},
    video_steps=True,
    named_images=False,
)
