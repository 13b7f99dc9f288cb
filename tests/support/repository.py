"""Where the repository lies: tests read its documents and start its commands there."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
