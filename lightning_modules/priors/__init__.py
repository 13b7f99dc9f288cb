"""Pose priors of recipe 3, one file each; :mod:`lightning_modules.annotator` chooses one by name.

=========== =========================================== =============================================================
prior       the network regresses                       what keeps poses plausible
=========== =========================================== =============================================================
none        rotations in 6D                             nothing
l2          rotations in 6D                             angles from a centre pose, squared (:mod:`.l2`)
gmm         rotations in 6D                             density of a Gaussian mixture of poses (:mod:`.density`)
adversarial rotations in 6D                             critics trained along on poses (:mod:`.critics`)
vposer      a 6D root and a code                        a frozen decoder (:mod:`.pose_prior`, and the
                                                         published v1 in :mod:`.vposer_v1`)
=========== =========================================== =============================================================
"""
