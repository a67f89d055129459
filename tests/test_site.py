"""The site: what it is generated from is all in it, no link leads nowhere, and it holds on screens of any width."""

import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from browsing import needs_browser
from conftest import REPOSITORY, make_once

sys.path.insert(0, str(REPOSITORY / "tools"))
import build_site

SCHEMA = yaml.safe_load((REPOSITORY / build_site.SCHEMA).read_text())
NEEDS_SPHINX = pytest.mark.skipif(not find_spec("sphinx"), reason="needs what `make site` installs")


def all_keys(node):
    """Names of keys anywhere in a schema."""
    if isinstance(node, dict):
        properties = node.get("properties", {})
        yield from properties
        for inner in node.values():
            yield from all_keys(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from all_keys(inner)


def test_every_key_of_the_configuration_is_described():
    page = build_site.describe_configuration(SCHEMA)
    sections = dict(re.findall(r"^##+ `([\w.<>]+)`\n\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert {name.rpartition(".")[2] for name in sections} == set(all_keys(SCHEMA))
    assert "sets.<set>.subsets.<subset>.rotation" in sections
    assert not [name for name, text in sections.items() if not text.strip()]
    drift = sections["frame_tests.drift_percent"]
    assert "above 0" in drift and "default `10`" in drift
    assert "`channel`" in sections["combine.scale"]
    assert "default `[0, 0]`" in sections["sets.<set>.subsets.<subset>.aim"]


def test_every_page_is_in_the_navigation():
    listed = {page for pages in build_site.NAVIGATION.values() for page in pages}
    generated = {"demo.md", "gallery.md", "configuration.md", "library.md"}
    assert {page for page in listed if not (REPOSITORY / page).exists()} == generated


def test_links_follow_what_moved():
    """To the README, which is the front page, and to the schema, which is a page of keys."""
    text = build_site.relink("docs/own-camera.md")
    assert "(../index.md#your-own-frames)" in text and "(../configuration.md)" in text
    assert "(docs/tutorial.md)" in build_site.relink("README.md")


def test_only_a_site_is_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(build_site.ConfigurationError, match="no site"):
        build_site.main(str(tmp_path), "results")
    assert (tmp_path / "mine.txt").read_text() == "kept"


# Built


class Page(HTMLParser):
    """What a page refers to, and the places in it that can be referred to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.places |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links += [values[key] for key in ("href", "src") if values.get(key) and tag != "use"]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def site(finished, tmp_path_factory, worker_id):
    """The site with results that pass for the demo's, built once for all tests that run side by side."""

    def build(folder):
        results = folder / "results"
        shutil.copytree(finished.path(""), results)
        (results / "demo.tsv").touch()
        (results / "first").rename(results / "outdoors")
        tool = [sys.executable, REPOSITORY / "tools/build_site.py", "--output", folder / "site", "--results", results]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return make_once("site", build, tmp_path_factory, worker_id).folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    """Pages by path; those of results, which are tested elsewhere, are not read."""
    return {path: Page(path.read_text()) for path in site.rglob("*.html") if site / "demo" not in path.parents}


@NEEDS_SPHINX
def test_no_link_of_the_site_leads_nowhere(site, pages):
    assert len(pages) > 30
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme in ("https", "data"), f"{path}: {link}"
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.relative_to(site)}: {link}"
            if parts.fragment and target.resolve() in pages:
                assert unquote(parts.fragment) in pages[target.resolve()].places, f"{path.relative_to(site)}: {link}"


@NEEDS_SPHINX
def test_the_site_needs_no_other_host(site):
    """Nothing is loaded from elsewhere: fonts, scripts, styles."""
    loading = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"(https?:[^\"]+)\"")
    for path in site.rglob("*.html"):
        if site / "demo" not in path.parents:
            assert not loading.findall(path.read_text()), path


@NEEDS_SPHINX
def test_the_site_has_its_parts(site, pages):
    text = {path.relative_to(site).as_posix(): " ".join(" ".join(page.words).split()) for path, page in pages.items()}
    assert "Three commands" in text["index.html"]
    for name in (path.stem for path in (REPOSITORY / "docs").glob("*.md")):
        assert f"docs/{name}.html" in text
    assert "combine_subset" in text["library/combine.html"] and "rows, columns" in text["library/combine.html"]
    assert "combine_pixels" in text["library/combine.html"]  # a compiled kernel
    assert "at a time: they stay in the cache" in text["library/combine.html"]  # a constant, whose words have a colon
    assert (site / "demo/report.html").exists() and (site / "demo/outdoors/interactive.html").exists()
    assert 'src="demo/report.html"' in (site / "demo.html").read_text()
    figures = re.findall(r"<img[^>]+src=\"(\S+)\"", (site / "gallery.html").read_text())
    assert len(figures) > 8 and any("light" in figure for figure in figures)
    assert "drift_percent" in (site / "searchindex.js").read_text()


@NEEDS_SPHINX
@needs_browser
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_screen(site, browser, width, scheme):
    """No page is wider than the window (tables and code scroll by themselves), and colours are those of the system."""
    for name in ("index", "docs/tables", "configuration", "gallery", "library/combine"):
        page = browser.open(site / f"{name}.html", width)
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        red_green_blue = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
        assert (sum(map(int, red_green_blue)) > 384) == (scheme == "light"), name
        browser.keep(page, f"site-{Path(name).name}-{width}-{scheme}")
        page.close()


@NEEDS_SPHINX
@needs_browser
def test_search_finds_a_key(site, browser):
    """Served, as browsers let no page of a disk read others, from which the search quotes."""
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        page = browser.chromium.new_page()
        page.on("request", lambda request: browser.requests.append(request.url))
        page.goto(f"{address}search.html?q=exposure_span")
        page.wait_for_selector("#search-results li", timeout=20_000)
        assert "configuration.html" in page.inner_html("#search-results")
        assert all(url.startswith(address) for url in browser.requests), browser.requests
        browser.requests.clear()
        page.close()
        server.shutdown()
