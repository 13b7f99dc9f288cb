"""3DPW, people in the wild with true bodies, on whose test split nearly every paper reports.

Two families of ground truth are in use, and one and the same network has other numbers on each [1]: a SPIN checkpoint
reads 96.9 / 59.2 / 116.4 mm (MPJPE / PA-MPJPE / MPVPE) against bodies of each person's gender (``lsp14``: SPIN, PARE),
and 102.4 / 60.1 / 129.2 against the neutral body with the same parameters (``lsp14neutral``: VIBE, HybrIK). METRO and
its descendants also take another point as the root (``metro14``).

[1] github.com/mkocabas/VIBE, issue 135.
"""

from datamodules.benchmarks.benchmark import Benchmark

BENCHMARK = Benchmark(
    name="threedpw",
    title="3DPW",
    root_help="Root of 3DPW.",
    protocols=("lsp14", "smpl24"),
    on_request=("lsp14neutral", "metro14"),
    headline="lsp14_pa_mpjpe",
    columns={
        "lsp14": ("mpjpe", "pa_mpjpe", "mpvpe"),
        "smpl24": ("mpjpe", "pa_mpjpe"),
        "lsp14neutral": ("mpjpe", "pa_mpjpe", "mpvpe"),
        "metro14": ("mpjpe", "pa_mpjpe", "mpvpe"),
    },
    selection="validation",
    splits=("train", "validation", "test"),
    world="3dpw",
)
