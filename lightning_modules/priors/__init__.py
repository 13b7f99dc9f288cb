"""Pose priors of recipe 3, one file each; :mod:`lightning_modules.annotator` chooses one by name.

=========== =========================================== =============================================================
prior       the network regresses                       what keeps poses plausible
=========== =========================================== =============================================================
none        24 rotations in 6D                          nothing
l2          24 rotations in 6D                          angles from a centre pose, squared (:mod:`.l2`)
gmm         24 rotations in 6D                          density of a Gaussian mixture of poses (:mod:`.density`)
adversarial 24 rotations in 6D                          critics trained along on poses (:mod:`.critics`)
vposer      a 6D root and a code of 32 numbers          a frozen decoder (:mod:`.pose_prior`, and the
                                                         published v1 in :mod:`.vposer_v1`)
=========== =========================================== =============================================================
"""
