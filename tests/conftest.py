"""Shared fixtures; shapes in signatures of `amanda` are checked while the tests run."""

import os
import signal
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook(["amanda", "extractors", "corpora"], "beartype.beartype")

# Commands that are sent Ctrl-C by tests must not inherit that it is ignored, as it is in a job of a
# shell's background.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of a few real recordings, named by AMANDA_REAL_DATA."""
    folder = os.environ.get("AMANDA_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("AMANDA_REAL_DATA names no folder of real recordings")
    return Path(folder).resolve()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser with one tab; see `browser.py`."""
    from browser import find_browser, open_browser

    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on this machine to open pages in")
    with open_browser(path, tmp_path_factory.mktemp("profile")) as opened:
        yield opened
