"""The documentation site: ``make docs`` builds it into ``build/docs``, every warning an error.

Its sources are those of the repository as they are, README and notebooks included: the folder that
Sphinx reads is the root, so that a link that is right on GitHub is right on the site.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "pyro_ssvae"
root_doc = "docs/index"
include_patterns = [
    "docs/**", "tutorials/*.ipynb", "studies/**", "benchmarks/*.md",
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md",
]
exclude_patterns = [".*", "build", "runs", "pyro_ssvae", "**/.ipynb_checkpoints"]
extensions = [
    "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "sphinx_copybutton", "myst_nb",
    "docstrings", "mathml", "spaces",
]

# Markdown, and notebooks: saved with their outputs, and executed by the tests.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # what a cell gives as Markdown may be a table
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# The reference. The types of arguments stand beside their descriptions.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = napoleon_numpy_docstring = False  # the extension docstrings reads them
napoleon_use_ivar = True

# What is not looked up: other libraries, for which a network would be needed, the aliases that
# annotations use, and constants, which docstrings name as code.
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|pyro|np|numpy|pd|pandas|matplotlib|optuna|collections|pathlib)\..*"),
    (r"py:class", r"Tensor|Module|nn\.Module|Size|ExpandedDistribution|Path|Array"),
    (r"py:class", r"Capture|Given|Gradient|KL|Learner|Measures|Precision|augment\.Kind"),
    (r"py:(data|attr)", r".*"),
]
linkcheck_timeout = 20

html_theme = "furo"
pygments_dark_style = "monokai"
html_title = "pyro_ssvae"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_extra_path = ["_root"]
html_css_files = ["site.css"]
html_copy_source = html_show_copyright = False
html_show_sphinx = False


def the_tour(app, page, source):
    """The README is a page among others here, and its heading says which."""
    if page == "README":
        source[0] = source[0].replace("# pyro_ssvae\n", "# The tour\n", 1)


def setup(app):
    app.connect("source-read", the_tour)
