"""Sphinx configuration: MyST pages, the API from docstrings, no network."""

import re
import sys
from pathlib import Path
from typing import Any

import mechdyn

sys.path.insert(0, str(Path(__file__).parent))  # for docs/reference.py

project = "mechdyn"
author = "the mechdyn authors"
copyright = "2026, the mechdyn authors"
version = release = mechdyn.__version__

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_build", "_api/modules.rst"]
html_theme = "furo"
html_title = "mechdyn"
html_static_path = ["_static"]
html_css_files = ["mechdyn.css"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

# A page a module, written afresh into docs/_api at each build.
apidoc_modules = [{"path": "../mechdyn", "destination": "_api", "separate_modules": True, "module_first": True, "max_depth": 1}]
autosummary_generate = False
autodoc_default_options = {"members": True, "member-order": "bysource", "undoc-members": True, "ignore-module-all": True}
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_use_ivar = True  # what a class explains under "Attributes:" is listed among its members already
napoleon_numpy_docstring = False

_CODE_OR_BAR = re.compile(r"(?P<literal>``.*?``|:\w+:`[^`]*`)|`(?P<code>[^`]+)`(?P<suffix>\w?)|\|", re.DOTALL)


def _as_restructured_text(match: re.Match[str]) -> str:
    if match["literal"]:
        return match["literal"]
    if match["code"]:
        # One line without blanks at its ends, or reStructuredText sees no end to it.
        return f"``{' '.join(match['code'].split())}``" + (f"\\ {match['suffix']}" if match["suffix"] else "")
    return r"\|"


def read_plain_docstrings(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings write `code` in single backticks and |A ∩ B| for a size: reStructuredText takes both for something else."""
    lines[:] = _CODE_OR_BAR.sub(_as_restructured_text, "\n".join(lines)).split("\n")


def keep_out_of_search(app: Any, docname: str, source: list[str]) -> None:
    """The pages of internal modules would swamp the search; their names are found all the same."""
    if docname.startswith("_api/"):
        source[0] = f":nosearch:\n\n{source[0]}"


def setup(app: Any) -> None:
    app.connect("source-read", keep_out_of_search)
    app.connect("autodoc-process-docstring", read_plain_docstrings)
