"""The report in a real browser, and Snakemake's own."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import yaml
from astropy.io import fits
from conftest import Project

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Says in the page's title what a person would see, and keeps what goes wrong.
PROBE = """
<script>
addEventListener("load", () => {
  const images = [...document.images];
  const hidden = images.filter(image => !image.naturalWidth || image.getBoundingClientRect().width < 200);
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  console.log(`PROBE images=${images.length} hidden=${hidden.length} overflow=${wide}`);
});
</script>
"""


def browse(path, tmp_path, width):
    """Open a page in headless Chromium; return what it logs on its console."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'chromium'}", f"--window-size={width},900", "--enable-logging=stderr"]
    command += ["--virtual-time-budget=10000", f"--screenshot={tmp_path / 'page.png'}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
@pytest.mark.parametrize("width", [1300, 420])
def test_every_figure_is_visible_and_nothing_fails(finished, tmp_path, width):
    page = finished.path("report.html").read_text()
    copy = tmp_path / "report.html"
    copy.write_text(page.replace("</body>", PROBE + "</body>"))
    console = browse(copy, tmp_path, width)
    assert len(console) == 1, console  # the probe's line and no other
    counts = dict(re.findall(r"(\w+)=(-?\d+)", console[0]))
    assert counts == {"images": str(6 + 4 + 2), "hidden": "0", "overflow": "0"}


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_page_of_a_monochrome_set(tmp_path):
    project = Project.create(tmp_path / "project")
    rng = np.random.default_rng(1)
    for kind, level in (("flats", 20000), ("bias", 1000), ("lights", 5000)):
        (project.folder / kind).mkdir()
        for number in range(3):
            data = rng.normal(level, level**0.5, (150, 160)).astype(np.uint16)
            fits.PrimaryHDU(data).writeto(project.folder / kind / f"{number}.fits")
    project.configure(
        {
            "sets": {"mono": {"frames": "flats/*.fits", "bias": "bias/*.fits"}},
            "regions": {"center": {"size": 40}, "corner": {"size": 40}},
            "lights": {"night": {"frames": "lights/0.fits", "flat": "mono"}},
        }
    )
    project.run()
    copy = tmp_path / "report.html"
    copy.write_text(project.path("report.html").read_text().replace("</body>", PROBE + "</body>"))
    console = browse(copy, tmp_path, 1300)
    assert console and "images=6 hidden=0 overflow=0" in console[0], console
    header = fits.getheader(project.path("mono/response.fits"))
    assert header["BIASFILE"] == "mono/bias.fits" and header["BLACKLVL"] == 0
    assert header["BIASSUM"] == fits.getheader(project.path("mono/bias.fits"))["DATASUM"]
    light = fits.getheader(project.path("lights/night/0.fits"))
    assert (light["FLATFILE"], light["BIASFILE"]) == ("mono/response.fits", "mono/bias.fits")


def test_page_is_self_contained(finished):
    page = finished.path("report.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert "url(" not in page and "@import" not in page
    assert str(finished.folder) not in page


def test_page_tells_what_went_in_and_how_it_was_made(finished):
    page = finished.path("report.html").read_text()
    assert "14 flat-field frames in 2 sets: all of them are used." in page
    for name in ("first", "second", "center", "corner", "sky", "rawpy", "normalise: center"):
        assert name in page


def test_text_from_files_and_configuration_is_escaped(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    title = "<script>alert(1)</script> & Söhne"
    project.change_config(lambda config: config["sets"]["first"].update(title=title))
    project.run()
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
