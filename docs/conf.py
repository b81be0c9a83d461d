"""The documentation site: `python -m sphinx -WEq docs docs/_build`, no network needed (CONTRIBUTING.md).

The pages are docs/*.md and the notebook docs/tutorial.ipynb, which is not run. The reference is made
from docstrings, a page a room, and always of what is there: `write_reference` lists the modules at
every build. Docstrings are plain text with formulas in indented blocks; `as_restructured_text` is all
that Sphinx has to be told about them.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from geodesic_lightning import __version__  # noqa: E402

project = "Geodesic Lightning"
author = "The Geodesic Lightning authors"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "jupyter_execute"]
nb_execution_mode = "off"  # `-D nb_execution_mode=force` runs the tutorial, and shows its films
nb_merge_streams = True
myst_heading_anchors = 3
highlight_language = "none"

autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_mock_imports = ["gradio", "peft", "pyiqa", "skia", "torchmetrics", "wandb_workspaces"]
autoclass_content = "class"
python_use_unqualified_type_names = True
add_module_names = False
# Every reference to this project has to resolve; other people's sites cannot be asked without a network.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!geodesic_lightning\.).*")]

html_theme = "furo"
html_title = f"Geodesic Lightning {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

# -- the reference ---------------------------------------------------------------------------------

# In the order of the method; rooms that are not named here follow.
ORDER = (
    *("data", "models", "score", "geometry", "functional", "problems", "integrators", "optimizers"),
    *("solvers", "decoding", "metrics", "report", "tracking", "trainer", "callbacks", "cli"),
)
HIDDEN = ("aliases", "__main__", "config", "train", "templates", "benchmark")


def rooms() -> Iterator[tuple[str, Path]]:
    """Name and folder of every room."""
    found = {f.parent.name: f.parent for f in ROOT.glob("geodesic_lightning/*/__init__.py")}
    found["callbacks"] = ROOT / "callbacks"
    for name in sorted(found, key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)):
        if name not in HIDDEN:
            yield name, found[name]


def modules(room: str, folder: Path) -> Iterator[str]:
    """Dotted names of a room's modules, the room itself first."""
    for file in sorted(folder.rglob("*.py"), key=lambda f: (f.parent, f.name != "__init__.py", f)):
        parts = file.relative_to(folder).with_suffix("").parts
        if not set(parts) & set(HIDDEN):
            rest = parts[:-1] if parts[-1] == "__init__" else parts
            yield ".".join(("geodesic_lightning", room, *rest))


def write_reference(app: Sphinx) -> None:
    """docs/reference: a page for the Python interface, one for every room."""
    files = sorted(f.stem for f in ROOT.glob("geodesic_lightning/*.py"))
    root = [
        f"geodesic_lightning.{f}" for f in files if f not in ("__init__", "__main__", "version")
    ]
    pages = {"interface": page("interface", root)}
    pages |= {name: page(name, list(modules(name, folder))) for name, folder in rooms()}
    contents = "\n".join(f"   {name}" for name in pages)
    pages["index"] = f"{REFERENCE}\n.. toctree::\n   :maxdepth: 1\n\n{contents}\n"
    target = HERE / "reference"
    target.mkdir(exist_ok=True)
    for name, text in pages.items():
        file = target / f"{name}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for file in target.glob("*.rst"):
        if file.stem not in pages:
            file.unlink()


REFERENCE = """\
Reference
=========

Made from the docstrings. One page for the interface, then one for every room of the method, in the
order in which a run passes them (:doc:`../overview`). Shapes stand in round brackets: (N, d) is N
vectors of d numbers.
"""


def page(title: str, names: list[str]) -> str:
    """Every module under a heading of its own; a room's first one under the page's."""
    text = [title, "=" * len(title), ""]
    for name in names:
        if name != f"geodesic_lightning.{title}":
            short = name.removeprefix("geodesic_lightning.")
            text += [short, "-" * len(short), ""]
        text += [f".. automodule:: {name}", ""]
    return "\n".join(text)


# -- docstrings ------------------------------------------------------------------------------------

SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises):$")
SPAN = re.compile(r"(`+)([^`]+)\1")
MARKUP = re.compile(r"[\\*|]|_(?!\w)")


def as_restructured_text(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Indented blocks after an empty line stand as they are; elsewhere only `code` is markup."""
    blocks: list[str] = []
    literal, section, before = False, False, ""
    for line in [*lines, ""]:
        indented = line.startswith(" ")
        if line and not indented:
            literal, section = False, bool(SECTION.match(line))
        if indented and not literal and not section and not before:
            literal = True
            blocks += ["::", ""]
        blocks.append(line if literal else f"\0{line}")
        before = line.strip()
    text = "\n".join(blocks)
    # Text is marked by \0 at the start of its lines, since `code` may go on in the next one.
    text = re.sub(r"(?:^\0.*\n?)+", lambda run: plain(run[0].replace("\0", "")), text, flags=re.M)
    lines[:] = text.splitlines()


def plain(text: str) -> str:
    """reStructuredText that shows the text: `code` as code, no other character as markup."""
    parts, end = [], 0
    for span in SPAN.finditer(text):
        parts += [MARKUP.sub(r"\\\g<0>", text[end : span.start()]), rf"\ ``{span[2]}``\ "]
        end = span.end()
    return "".join([*parts, MARKUP.sub(r"\\\g<0>", text[end:])])


def setup(app: Sphinx) -> None:
    """Before napoleon, whose priority is 500, makes lists of arguments."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
