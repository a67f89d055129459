"""Pages in a real browser."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Chromium asks nobody for anything but the page.
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
#: Screenshots, to be looked at by whoever changes a page.
ARTEFACTS = Path(__file__).parent.parent / "test-artefacts"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")


class Browser:
    """Opens pages; keeps what goes wrong in them and what they ask the network for."""

    def __init__(self, chromium):
        self.chromium, self.problems, self.requests = chromium, [], []

    def open(self, path, width=1300, height=900):
        page = self.chromium.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: message.type in ("error", "warning") and self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    def keep(self, page, name):
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


@pytest.fixture
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = Browser(chromium)
        yield opened
        chromium.close()
    assert not opened.problems
    assert all(url.startswith(("file:", "data:", "blob:")) for url in opened.requests), opened.requests
