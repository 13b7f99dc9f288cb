"""Mesh networks by composition: encoder, head and decoder, put together from plain values.

=========== ===================================================================================================
encoder     evidence -> features: :mod:`lightning_modules.networks.encoders`
head        (features, evidence) -> named numbers: :data:`lightning_modules.heads.HEADS`
decoder     named numbers -> body and camera: :mod:`lightning_modules.networks.decoders`
=========== ===================================================================================================

:func:`lightning_modules.networks.network.make_network` joins them. Any encoder goes with any head, and any head with
any camera; a head says which decoder reads it.
"""
