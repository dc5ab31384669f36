"""Sphinx configuration: our own names are checked strictly, those of other libraries are not (there is no network while building)."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import cim  # noqa: E402

project = "CIM toolkit"
author = "The CIM toolkit developers"
project_copyright = "The CIM toolkit developers, Apache-2.0"
release = version = cim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "cim_help"]
exclude_patterns = ["_build", "_generated", "_ext"]
html_math_renderer = "mathml"
default_role = "code"  # docstrings write `name` for code
nitpicky = True
# Types of other libraries cannot be looked up without a network; type variables and aliases of signatures have no page.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!cim\.).*"),
    (
        r"py:class",
        r"cim\..*\.(Item|CitySettings|Finding|Check|PreparedSeries|RainSource|Built|marked_instant|checked_\w+|_\w+|\w+Parameters)",
    ),  # parts of a public type that nobody makes by hand
]
# ref.footnote: a docstring may name its sources at its end only
# ref.python: `bytes` and `type` of a signature are the builtins, not our attributes of that name
suppress_warnings = ["config.cache", "ref.footnote", "ref.python"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"CIM toolkit {release}"
html_static_path: list[str] = []
html_show_sphinx = False
html_last_updated_fmt = None


def _find_public(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Lead a name such as cim.model.city.City to the page of cim.model.City, where people import it from."""
    del app
    if node.get("refdomain") != "py":
        return None
    parts = node["reftarget"].split(".")
    domain = env.get_domain("py")
    for depth in range(len(parts) - 2, 0, -1):
        name = ".".join([*parts[:depth], parts[-1]])
        if parts[0] == "cim" and name in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], env.app.builder, "obj", name, node, contnode)
    return None


def _first_paragraph(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Of a module keep what it is; tables of its files are for people who read the source."""
    del app, name, obj, options
    if what == "module" and "" in lines:
        del lines[lines.index("") :]


def _own_footnotes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Number the references of each docstring for itself: several docstrings stand on one page."""
    del app, what, obj, options
    mark = name.replace(".", "-").replace("_", "-")
    lines[:] = [re.sub(r"(^\s*\.\. )?\[(\d+)\](?(1)(?= )|(?=_))", rf"\1[#{mark}-\2]", line) for line in lines]


_FIELDS = {"attribute", "data", "property"}
_MARK = "\N{RATIO}"  # stands for a colon while napoleon looks: it would take "Shape (3,)" of "Shape (3,): east" for a type


def _hide_colon(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    del app, name, obj, options
    if what in _FIELDS and lines:
        lines[0] = lines[0].replace(":", _MARK)


def _show_colon(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    del app, name, obj, options
    if what in _FIELDS:
        lines[:] = [line.replace(_MARK, ":") for line in lines]


def _copy_demo(app: Any, error: Exception | None) -> None:
    """Put the scene of the demo beside the pages; it is one file that needs nothing else."""
    source = HERE / "demo" / "index.html"
    if error is None and app.builder.name == "html" and source.is_file():
        target = Path(app.outdir) / "demo"
        target.mkdir(exist_ok=True)
        shutil.copyfile(source, target / "index.html")


def setup(app: Any) -> None:
    """Register the functions above."""
    app.connect("autodoc-process-docstring", _first_paragraph)
    app.connect("autodoc-process-docstring", _own_footnotes, priority=300)
    app.connect("autodoc-process-docstring", _hide_colon, priority=400)  # napoleon comes at 500
    app.connect("autodoc-process-docstring", _show_colon, priority=600)
    app.connect("missing-reference", _find_public)
    app.connect("build-finished", _copy_demo)
