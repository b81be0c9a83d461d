"""The pages: what they hold, and in a browser that films play together and tables sort."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from geodesic_lightning.errors import UserError
from geodesic_lightning.report import sweep_page as index
from geodesic_lightning.report.charts import Line, chart
from geodesic_lightning.report.run_page import Run, render


class Links(HTMLParser):
    """All that a page refers to, and its pictures' texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.pictures, self.tags = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        held = dict(attributes)
        self.tags.append(tag)
        self.found += [held[key] for key in ("src", "href") if held.get(key)]
        if tag == "img":
            self.pictures.append(held.get("alt"))


SUMMARY = {
    "solver": "bvp", "model": "<b>m</b>", "u": [0, 0.5, 1], "log_density": [0, 1, 2],
    "log_density_start": [0, 0, 2], "residual": [0.1], "metric_speed": [1, 1, 1],
    "length": 1.0, "length_start": 2.0, "converged": True, "score_evaluations": 12,
    "unet_evaluations": 99, "seconds": {"solve": 1.0},
}  # fmt: skip


def test_what_is_put_in_is_escaped_and_nothing_is_fetched():
    page = render(Run(SUMMARY, command="python -m geodesic_lightning 'data.prompt=\"<script>\"'"))
    assert "<b>m</b>" not in page
    assert "<script>\"'" not in page
    assert all(link.startswith(("data:", "#")) for link in Links(page).found)
    assert page.count("<svg") == 3  # log density, speed, residual: no steps, no convergence


def test_colours_of_a_chart_are_the_pages():
    svg = chart([Line("a", [0, 1], [1, 2]), Line("b", [0, 1], [2, 1], dotted=True)], "A title")
    assert svg.startswith("<svg")
    assert "<title>A title</title>" in svg
    assert "var(--series-1)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#0\d0\d", svg)


def test_a_run_leaves_its_report(geodesic):
    done = geodesic("model=exact", "callbacks=video", "solver.frames=3")
    assert done.code == 0, done.err
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    links = Links(page)
    assert links.tags.count("video") == 2  # the path's and slerp's
    assert all(links.pictures)
    assert "callbacks=video" in page  # the command that makes it again
    said = json.loads((done.folder / "summary.json").read_text())
    assert f"{said['score_evaluations']:,}" in page
    assert len(page) < 3_000_000
    again = geodesic("model=exact", "callbacks=video")
    assert again.code == 1
    assert "already holds a run" in again.err


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two runs that are done and one that failed, as a sweep leaves them."""
    folder = tmp_path_factory.mktemp("sweep")
    for job, (length, words) in enumerate([(9.0, ["a=1"]), (10.0, ["a=2"]), (None, ["a=3"])]):
        home = folder / str(job)
        (home / ".hydra").mkdir(parents=True)
        (home / ".hydra" / "overrides.yaml").write_text(
            "\n".join(f"- {w}" for w in ["data=x", *words])
        )
        if length is None:
            (home / "failed.json").write_text('{"job": 2, "overrides": "", "error": "<i>no</i>"}')
        else:
            (home / "summary.json").write_text(json.dumps(SUMMARY | {"length": length}))
    return folder


def test_the_index_names_every_run(sweep):
    page = index.write(sweep).read_text(encoding="utf-8")
    assert page.index("a=1") < page.index("a=2") < page.index("a=3")
    assert "All with <code>data=x</code>" in page
    assert "&lt;i&gt;no&lt;/i&gt;" in page
    assert index.write(sweep)  # its own page may be made again


def test_the_index_keeps_other_pages(tmp_path, sweep):
    (tmp_path / "index.html").write_text("<html>mine</html>")
    with pytest.raises(UserError, match="nothing is overwritten"):
        index.write(tmp_path)
    (tmp_path / "index.html").unlink()
    with pytest.raises(UserError, match="holds no runs"):
        index.write(tmp_path)


def opened(browser, file, **options):
    page, errors = browser.new_page(**options), []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    return page, errors


@pytest.mark.browser
class TestBrowser:
    @pytest.mark.slow
    def test_films_play_together(self, browser, geodesic, tmp_path):
        done = geodesic("model=exact", "callbacks=video", "solver.frames=24")
        assert done.code == 0, done.err
        page, errors = opened(browser, done.folder / "report.html")
        times = "[...document.querySelectorAll('video')].map(v => v.currentTime)"
        page.wait_for_function(f"{times}.every(t => t > 0.3)", timeout=15000)
        first, other = page.evaluate(times)
        assert abs(first - other) < 0.25
        page.locator("#place").fill("500")  # the slider moves both, and stops them
        page.wait_for_timeout(300)
        duration = page.evaluate("document.querySelector('video').duration")
        assert page.evaluate(times) == pytest.approx([duration / 2] * 2, abs=0.05)
        assert page.evaluate("document.querySelector('video').paused")
        page.screenshot(path=tmp_path / "report.png", full_page=True)
        assert (tmp_path / "report.png").stat().st_size > 10_000
        assert errors == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_on_a_phone_nothing_sticks_out(self, browser, shown, scheme):
        options = {"viewport": {"width": 375, "height": 700}, "color_scheme": scheme}
        page, errors = opened(browser, shown / "report.html", **options)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        assert errors == []

    def test_the_table_sorts(self, browser, sweep):
        page, errors = opened(browser, index.write(sweep))
        lengths = (
            "[...document.querySelectorAll('#runs tbody tr')].map(r => r.cells[3].textContent)"
        )
        assert page.evaluate(lengths) == ["9", "10", "–"]
        page.get_by_role("button", name="length").click()
        page.get_by_role("button", name="length").click()
        assert [t for t in page.evaluate(lengths) if t != "–"] == ["10", "9"]
        assert errors == []
