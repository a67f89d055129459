"""The report in a real browser, and Snakemake's own."""

import io
import re

import numpy as np
import pytest
import yaml
from astropy.io import fits
from browsing import needs_browser
from conftest import Project
from PIL import Image

#: Figures that a person cannot see, and how far the page is wider than the window.
LOOK = """() => (document.querySelectorAll("details").forEach((each) => (each.open = true)), {
  images: document.images.length,
  hidden: [...document.images].filter((each) => !each.naturalWidth || each.getBoundingClientRect().width < 200).length,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
})"""


@needs_browser
@pytest.mark.parametrize("width", [1300, 420])
def test_every_figure_is_visible_and_the_page_fits_the_window(finished, browser, width):
    page = browser.open(finished.path("report.html"), width)
    assert page.evaluate(LOOK) == {"images": 6 + 4 + 2, "hidden": 0, "overflow": 0}
    browser.keep(page, f"report-{width}")
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = false))")
    assert page.locator("table.rows:visible").count() == 2  # sets and lights; all else is folded, but for print
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0


@needs_browser
def test_tables_sort_search_and_copy(finished, browser):
    page = browser.open(finished.path("report.html"))
    assert not page.locator("#set-first table").first.is_visible()
    page.locator("nav a", has_text="first").click()  # a link into what is folded opens it
    table = page.locator("section#set-first .scroll", has=page.locator("th", has_text="cv rms, %")).first
    heads = table.locator("th").all_text_contents()
    column = heads.index("cv rms, %")

    def values():
        rows = table.locator("tbody tr:visible").all()
        return [row.locator("td").nth(column).text_content() for row in rows]

    before = [float(value) for value in values()]
    table.locator("th").nth(column).click()
    assert [float(value) for value in values()] == sorted(before) != before
    table.locator("th").nth(column).click()
    assert [float(value) for value in values()] == sorted(before, reverse=True)
    tools = table.locator("xpath=preceding-sibling::div[1]")
    tools.locator("input").fill("red polynomial")
    shown = table.locator("tbody tr:visible").all_text_contents()
    assert len(shown) == 7 and all("RED" in row and "polynomial" in row for row in shown)
    page.evaluate("document.execCommand = () => { window.copied = document.activeElement.value; return true; }")
    tools.locator("button").click()
    lines = page.evaluate("window.copied").splitlines()
    assert lines[0].split("\t") == heads and len(lines) == 8


@needs_browser
def test_maps_zoom_together_and_tell_their_values(finished, browser):
    """Values under the cursor, colours, profiles: against the FITS files."""
    page = browser.open(finished.path("first/interactive.html"), 1500, 1000)
    page.wait_for_selector("body[data-ready]", timeout=30_000)
    browser.keep(page, "interactive")
    model = "(name) => Bokeh.documents[0].get_model_by_name(name)"
    center = page.evaluate(f"""() => {{
        const view = Bokeh.index.roots[0], figure = ({model})("figure-1");
        const frame = [...function* walk(v) {{ yield v; for (const c of v.child_views || []) yield* walk(c); }}(view)]
            .find((each) => each.model === figure);
        const box = frame.canvas_view.el.getBoundingClientRect(), inner = frame.frame.bbox;
        return [box.x + inner.x + inner.width * 0.25, box.y + inner.y + inner.height * 0.25];
    }}""")
    page.mouse.move(*center)
    page.wait_for_function("!document.getElementById('place').textContent.startsWith('row 36, column 54')")
    row, column = (int(number) for number in re.findall(r"\d+", page.locator("#place").text_content()))
    assert abs(row - 18) <= 1 and abs(column - 27) <= 1
    shown = [float(text) for text in page.locator("td[data-map]").all_text_contents()]
    block = np.s_[(row // 2) * 2 : (row // 2) * 2 + 2, (column // 2) * 2 : (column // 2) * 2 + 2]
    subsets = [fits.getdata(finished.path(f"first/subsets/{name}.fits")) for name in "ABC"]
    for value, data in zip(shown, subsets, strict=False):
        assert value == pytest.approx(data[block].mean(dtype=float), abs=1.5)  # a sixteenth of the noise of a block
    percent = fits.getdata(finished.path("first/differences/A-B.fits"), "PERCENT")
    assert shown[3] == pytest.approx(percent[block].mean(dtype=float), abs=float(percent.std()) / 16)
    ends = "[f.x_range.start, f.x_range.end, f.y_range.start, f.y_range.end]"
    ranges = f"() => [0, 3, 6, 12].map((i) => {{ const f = ({model})(`figure-${{i}}`); return {ends}; }})"
    whole = page.evaluate(ranges)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"(before) => ({model})('figure-0').x_range.end < before", arg=whole[0][1])
    zoomed = page.evaluate(ranges)
    assert all(each == zoomed[0] for each in zoomed) and zoomed[0][1] - zoomed[0][0] < whole[0][1] - whole[0][0]
    page.locator("summary").click()
    before = page.evaluate(f"() => ({model})('mapper-1').high")
    page.locator('[data-group="1"] button[data-percent="80"]').click()
    assert 0 < page.evaluate(f"() => ({model})('mapper-1').high") < before
    for kind in ("column", "radius", "row"):
        page.locator(f'input[value="{kind}"]').check()
        lengths = page.evaluate(f"() => ({model})('profile-lines').data.xs.map((each) => each.length)")
        assert len(lengths) == 3 and min(lengths) > 30


@pytest.fixture
def monochrome(tmp_path):
    """A set of frames without colours that has run; before a browser is open, as no two loops of events run at once."""
    project = Project.create(tmp_path / "project")
    rng = np.random.default_rng(1)
    for kind, level in (("flats", 20000), ("bias", 1000), ("lights", 5000)):
        (project.folder / kind).mkdir()
        for number in range(3):
            hdu = fits.PrimaryHDU(rng.normal(level, level**0.5, (150, 160)).astype(np.uint16))
            hdu.header["TELESCOP"] = "<script>alert(2)</script>"
            hdu.writeto(project.folder / kind / f"{number}<B>.fits")
    project.configure(
        {
            "sets": {"mono": {"frames": "flats/*.fits", "bias": "bias/*.fits"}},
            "regions": {"center": {"size": 40}, "corner": {"size": 40}},
            "lights": {"night": {"frames": "lights/0*.fits", "flat": "mono"}},
        }
    )
    project.run()
    return project


@needs_browser
def test_page_of_a_monochrome_set(monochrome, browser):
    project = monochrome
    page = browser.open(project.path("report.html"))
    assert page.evaluate(LOOK) == {"images": 6, "hidden": 0, "overflow": 0}
    maps = browser.open(project.path("mono/interactive.html"))
    maps.wait_for_selector("body[data-ready]", timeout=30_000)
    # what is in files is text: the names of the telescope and of the frames
    assert "<script>alert(2)</script>" in page.locator("#frames").text_content()
    assert "0<B>" in page.locator("#lights").text_content() and not page.locator("main b").count()
    header = fits.getheader(project.path("mono/response.fits"))
    assert header["BIASFILE"] == "mono/bias.fits" and header["BLACKLVL"] == 0
    assert header["BIASSUM"] == fits.getheader(project.path("mono/bias.fits"))["DATASUM"]
    light = fits.getheader(project.path("lights/night/0<B>.fits"))
    assert (light["FLATFILE"], light["BIASFILE"]) == ("mono/response.fits", "mono/bias.fits")


def test_page_is_self_contained(finished):
    """It loads nothing; what it links to lies beside it."""
    page = finished.path("report.html").read_text()
    assert not re.search(r"""src\s*=\s*["'](?!data:)|url\((?!'data:)""", page) and "@import" not in page
    links = set(re.findall(r"""href\s*=\s*["'](?!data:|#)([^"']*)""", page))
    assert "lights/night/" in links and all((finished.path("") / link).exists() for link in links)
    assert str(finished.folder) not in page


@needs_browser
def test_a_light_before_and_after_is_compared(finished, browser):
    """The line at the left shows what was divided alone, at the right what was taken: the corners are dark there."""
    page = browser.open(finished.path("report.html"))
    shown = []
    for value in ("0", "100"):
        page.locator("#top .compared input").fill(value)
        picture = Image.open(io.BytesIO(page.locator("#top .compared").screenshot())).convert("L")
        values = np.asarray(picture, float)
        shown.append(values[8:24, 8:24].mean() / values.mean())
    after, before = shown
    assert before < 0.95 * after


def test_page_tells_what_went_in_and_how_it_was_made(finished):
    page = finished.path("report.html").read_text()
    assert "14 flat-field frames in 2 sets: all of them are used." in page
    for name in ("first", "second", "center", "corner", "sky", "rawpy", "normalise: center"):
        assert name in page


def test_text_from_files_and_configuration_is_escaped(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    title = "<script>alert(1)</script> & Söhne"
    project.change_config(lambda config: config["sets"]["first"].update(title=title))
    assert "14 flat-field frames in 2 sets: all of them are used." in project.run()  # the end of a run
    page = project.path("report.html").read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert "<script>alert" not in project.path("first/interactive.html").read_text()


def test_snakemakes_own_report(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.run("--report", "own.html")
    assert "Combined mosaics of the subsets" in (project.folder / "own.html").read_text()


def test_configuration_in_the_page_repeats_the_run(finished):
    page = finished.path("report.html").read_text()
    text = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)[1]
    shown = yaml.safe_load(text.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&"))
    own = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert shown["lights"]["night"].items() >= own["lights"]["night"].items()
    assert shown["sets"].keys() == own["sets"].keys() and shown["combine"]["method"] == "median"
