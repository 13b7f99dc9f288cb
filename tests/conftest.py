"""Settings that every test needs before anything else is imported."""

import os

# albumentations asks the network for updates on import; wandb would look up hosts; both must not happen in tests.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
