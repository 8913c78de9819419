"""The documentation in a real browser, on a phone and on a desk, light and dark."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
CLIPPED = """
[...document.querySelectorAll('article code .pre, article p, article li, article math')]
  .filter(part => part.getBoundingClientRect().right > innerWidth)
  .filter(part => {
    for (let box = part; box; box = box.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)
          && !box.matches('article, .content, .main')) return false;
    return true;
  })
  .map(part => part.textContent.slice(0, 60))
"""
"""What is cut off at the right edge and cannot be scrolled to."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every page, built as `make docs` builds them."""
    built = tmp_path_factory.mktemp("docs")
    options = ["-W", "--keep-going", "-q", "-b", "html", "-d", str(built / ".doctrees")]
    subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(built)],
        check=True,
    )
    found = [built / f"{page.stem}.html" for page in sorted((ROOT / "docs").glob("*.md"))]
    assert len(found) > 20
    return found


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_pages_fit_the_screen_and_ask_for_nothing(browser, pages, width, scheme):
    scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.send("Emulation.setEmulatedMedia", features=[scheme_feature])
    wrong = {}
    for page in pages:
        browser.open(page, width=width)
        found = [f"wider than the screen: {text}" for text in browser.evaluate(CLIPPED)]
        if browser.evaluate("document.documentElement.scrollWidth") > width:
            found.append("the page scrolls sideways")
        found += browser.console
        found += [url for url in browser.requests if not url.startswith(("file:", "data:"))]
        if found:
            wrong[page.name] = found
    assert wrong == {}


def test_equations_are_drawn_by_the_browser(browser, pages):
    browser.open(next(page for page in pages if page.name == "methods.html"))
    shown = browser.evaluate("document.querySelector('article').innerText")
    assert "\\" not in shown
    assert "$" not in shown
    drawn = "[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)"
    heights = browser.evaluate(drawn)
    assert len(heights) > 30
    assert min(heights) > 5
