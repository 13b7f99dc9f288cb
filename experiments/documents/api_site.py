"""The API reference: a static site from the docstrings, made by pdoc."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from jinja2 import pass_context
from jinja2.runtime import Context

from datamodules.pseudo_gt.formats import docstring_markdown

FOLDER = "api"


def write_site(out: Path, modules: Sequence[str]) -> Path:
    """Write the pages of modules and all below them; returns the first page.

    Args:
        out: folder to write into.
        modules: dotted names.
    """
    import pdoc.render  # here, as users do without it
    import pdoc.render_helpers

    @pass_context
    def to_markdown(context: Context, text: str) -> str:
        # pdoc knows Google's sections, but not the tables and roles of reStructuredText.
        return pdoc.render_helpers.to_markdown_with_context(context, docstring_markdown(text))

    pdoc.render.configure(docformat="google", footer_text="three-recipes", show_source=False)
    pdoc.render.env.filters["to_markdown"] = to_markdown
    with warnings.catch_warnings():
        # Of named tuples and dataclasses, whose types it then shows as they are written.
        warnings.filterwarnings("ignore", "Error parsing type annotation")
        pdoc.pdoc(*modules, output_directory=out / FOLDER)
    return out / FOLDER / "index.html"
