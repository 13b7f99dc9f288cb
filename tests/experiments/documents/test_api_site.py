"""The API reference as a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.documents.api_site import write_site


def test_pages_of_some_modules(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("pdoc")
    first = write_site(tmp_path, ["datamodules.people", "body_models.camera"])
    assert first == tmp_path / "api" / "index.html"
    assert "datamodules/people.html" in first.read_text()
    page = (tmp_path / "api" / "datamodules" / "people.html").read_text()
    # Sections of a docstring, its tables, and its roles as code.
    assert "Arguments:" in page
    assert "<pre" in page and ":class:`" not in page and ":meth:`" not in page
    assert not [str(warning.message) for warning in recwarn if "annotation" in str(warning.message)]
