"""Sphinx configuration: MyST pages, the API from docstrings, no network."""

import re
from typing import Any

import mechdyn

project = "mechdyn"
author = "the mechdyn authors"
copyright = "2026, the mechdyn authors"
version = release = mechdyn.__version__

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_api/modules.rst"]
html_theme = "furo"
html_title = "mechdyn"
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

# A page a module, written afresh into docs/_api at each build.
apidoc_modules = [{"path": "../mechdyn", "destination": "_api", "separate_modules": True, "module_first": True, "max_depth": 1}]
autosummary_generate = False
autodoc_default_options = {"members": True, "member-order": "bysource", "undoc-members": True, "ignore-module-all": True}
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Docstrings write `code` with single backticks, as Markdown does.
default_role = "code"

_CODE_OR_BAR = re.compile(r"(``.*?``|`[^`]*`)|\|")


def keep_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take |A ∩ B| for what it is: reStructuredText reads bars as the name of a substitution."""
    lines[:] = [_CODE_OR_BAR.sub(lambda match: match[1] or r"\|", line) for line in lines]


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", keep_bars)
