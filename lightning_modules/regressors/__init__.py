"""The downstream regressors by family, one file each; ``hmr``, their base, is :mod:`lightning_modules.mesh_regressor`.

All read the same Batch, return the same Prediction and take the same constructor arguments, so that a comparison of
labels can be repeated on another network by changing one word. To add one: a subclass of
:class:`lightning_modules.mesh_regressor.MeshRegressorModule` in a file of its own, and a line in :data:`FAMILIES`.
"""

from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.regressors.cliff import CLIFFModule
from lightning_modules.regressors.hmr2 import HMR2Module
from lightning_modules.regressors.i2l import I2LModule
from lightning_modules.regressors.pare import PAREModule
from lightning_modules.regressors.pose2pose import Pose2PoseModule

FAMILIES: dict[str, type[MeshRegressorModule]] = {
    module.family: module
    for module in (
        MeshRegressorModule,
        PAREModule,
        CLIFFModule,
        Pose2PoseModule,
        I2LModule,
        HMR2Module,
    )
}
