"""docs/tutorial.ipynb: it runs from top to bottom as it stands, and is stored without what came out."""

import ast
import importlib
import re
from inspect import isfunction
from pathlib import Path

import nbformat
import pytest

import geodesic_lightning

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


@pytest.fixture
def tutorial() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def codes(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_stored_as_it_was_written(tutorial):
    nbformat.validate(tutorial)
    assert 5 <= len(codes(tutorial)) <= 12  # a tutorial, not a manual
    assert not any(cell.outputs or cell.execution_count for cell in codes(tutorial))
    assert not any("id" not in cell for cell in tutorial.cells)


def test_links_lead_somewhere(tutorial):
    words = "".join(cell.source for cell in tutorial.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)\s]+)\)", words)
    assert len(links) >= 3
    assert all((NOTEBOOK.parent / link).is_file() for link in links)


def test_what_it_imports_and_sets_is_there(tutorial):
    """The quick twin of the run: a name that has moved, a setting that is gone."""
    called = set()
    for cell in codes(tutorial):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                function = getattr(geodesic_lightning, node.func.id, None)
                if isfunction(function):
                    called.add(node.func.id)
                    settings = geodesic_lightning.Settings.__annotations__
                    known = {*settings, *function.__annotations__}
                    assert {word.arg for word in node.keywords if word.arg} <= known
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "solution":
                names = {
                    *dir(geodesic_lightning.Solution),
                    *geodesic_lightning.Solution.__annotations__,
                }
                assert node.attr in names
    assert called == {"interpolate", "through", "extrapolate"}


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tutorial, tmp_path):
    from nbclient import NotebookClient

    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(tutorial, timeout=600, kernel_name="python3", resources=place).execute()
    shown = [out.data for cell in codes(tutorial) for out in cell.outputs if "data" in out]
    films = [data["text/html"] for data in shown if "text/html" in data]
    assert len(films) == 5  # two pictures, a strength, a loop, a shot, one's own
    assert all(page.count("<img") == 2 for page in films)
    said = "".join(out.get("text", "") for cell in codes(tutorial) for out in cell.outputs)
    before, after = map(
        float, re.search(r": (-?[\d.]+) nats before .* (-?[\d.]+) after", said).groups()
    )
    assert before < after  # what the page says of the valley
    densities = [float(one) for one in re.findall(r"mean log density +(-?[\d.]+)", said)]
    assert densities == sorted(densities)
    assert len(densities) == 3
    assert "does not know pictures such as" in said
    assert not list(tmp_path.iterdir())  # whatever is written goes where the page says
