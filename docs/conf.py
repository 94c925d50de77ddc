"""Sphinx's configuration: `make docs`."""

from threadpool_lua import __version__

project = "threadpool_lua"
author = "the threadpool_lua authors"
version = release = __version__
copyright = f"2026, {author}"  # noqa: A001 - the name that Sphinx reads

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = f"threadpool_lua {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
pygments_dark_style = "github-dark"

myst_heading_anchors = 3
# The docstrings name our own things in single backquotes.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
