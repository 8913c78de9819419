"""The report in a real browser: it asks for nothing, complains of nothing, and what moves moves."""

import json
import time

import pytest
from fake_results import METHODS, fake_pair

from amanda.report import write_report

FEW = METHODS[:4]
RESULTS = "#ie2msp-results table"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for source, target in (("ie", "msp"), ("msp", "ie")):
        fake_pair(folder, source, target, n=60, seeds=1, n_epochs=4, methods=FEW)
    out = folder / "report.html"
    write_report([folder / "ie2msp.json", folder / "msp2ie.json"], out)
    return out


@pytest.fixture
def page(browser, report):
    """The report, opened anew; afterwards nothing was complained of and nothing asked for."""
    browser.open(report)
    yield browser
    assert browser.console == []
    assert browser.requests == [report.as_uri()]


def scores(page):
    """The column of weighted F1 as shown, the rows that compete."""
    cells = f"document.querySelectorAll('{RESULTS} tbody:first-of-type tr')"
    return page.evaluate(f"[...{cells}].map(row => parseFloat(row.cells[1].textContent))")


def sorted_by(page):
    heads = f"[...document.querySelectorAll('{RESULTS} th')]"
    return page.evaluate(
        f"{heads}.map(head => head.getAttribute('aria-sort')).filter(order => order)"
    )


def shown(page):
    """The ids of parts of pairs that can be seen, and those that the contents list."""
    code = "[...document.querySelectorAll('{} [data-pair], {}[data-pair]')]"
    visible = ".filter(part => part.offsetParent !== null).map(part => part.dataset.pair)"
    return [page.evaluate(code.format(where, where + " ") + visible) for where in ("main", "nav")]


def choose(page, key):
    """Move through the selector as a person does without a mouse."""
    page.evaluate("document.getElementById('pair-choice').focus()")
    page.press(key)


def test_a_click_on_a_head_sorts_and_another_turns_it_round(page):
    before = scores(page)
    assert before not in (sorted(before), sorted(before, reverse=True))
    assert sorted_by(page) == []
    page.click(f"{RESULTS} thead th:nth-child(2)")
    assert scores(page) == sorted(before, reverse=True)
    assert sorted_by(page) == ["descending"]
    page.click(f"{RESULTS} thead th:nth-child(2)")
    assert scores(page) == sorted(before)
    assert sorted_by(page) == ["ascending"]


def test_the_upper_bound_stays_below_under_its_heading(page):
    page.click(f"{RESULTS} thead th:nth-child(2)")
    group = page.evaluate(
        f"[...document.querySelectorAll('{RESULTS} tbody:last-of-type tr')]"
        ".map(row => row.cells[0].textContent)"
    )
    assert group == ["Upper bound: trained with target labels", "Supervised"]


@pytest.mark.parametrize("key", ["Enter", " "])
def test_heads_are_reached_and_sort_by_the_keyboard(page, key):
    before = scores(page)
    page.evaluate(f"document.querySelector('{RESULTS} thead th').focus()")
    page.press("Tab")
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == "Weighted F1"
    at = page.evaluate("window.scrollY")
    page.press(key)
    assert scores(page) == sorted(before, reverse=True)
    assert sorted_by(page) == ["descending"]
    assert page.evaluate("window.scrollY") == at


def test_words_sort_from_a(page):
    page.click(f"{RESULTS} thead th:first-child")
    names = page.evaluate(
        f"[...document.querySelectorAll('{RESULTS} tbody:first-of-type th')]"
        ".map(cell => cell.textContent)"
    )
    assert names == sorted(names)
    assert sorted_by(page) == ["ascending"]


def test_one_pair_is_picked_and_all_come_back(page):
    assert shown(page) == [["ie2msp", "msp2ie"]] * 2
    choose(page, "End")
    assert page.evaluate("document.getElementById('pair-choice').value") == "msp2ie"
    assert shown(page) == [["msp2ie"]] * 2
    choose(page, "Home")
    assert shown(page) == [["ie2msp", "msp2ie"]] * 2


def test_a_link_into_a_pair_that_is_put_away_brings_it(page):
    choose(page, "End")
    page.evaluate(
        "document.getElementById('overview').insertAdjacentHTML("
        "'afterbegin', '<a id=\"to\" href=\"#ie2msp-results\">there</a>')"
    )
    page.click("#to")
    assert shown(page) == [["ie2msp"]] * 2
    assert page.evaluate("location.hash") == "#ie2msp-results"


def test_a_curve_tells_its_values_to_a_pointer_and_to_keys(page):
    svg = "#ie2msp-alignment svg[data-readout]"
    series = json.loads(page.evaluate(f"document.querySelector('{svg}').dataset.readout"))["series"]

    def told():
        return page.evaluate(
            "(box => box.hidden ? '' : [...box.children].map(row => row.textContent).join('; '))"
            "(document.querySelector('.readout'))"
        )

    def expected(epoch):
        values = [f"{name} {values[epoch - 1]}" for name, values in series.items()]
        return "; ".join([f"Epoch {epoch}", *values])

    assert told() == ""
    x, y = page.place(svg)
    page.move(x - 1000, y)
    page.move(x - 60, y)
    assert told() == expected(2)
    page.move(5, 5)
    assert told() == ""
    page.evaluate(f"document.querySelector('{svg}').focus()")
    assert told() == expected(4)
    page.press("ArrowLeft")
    assert told() == expected(3)
    page.press("Home")
    assert told() == expected(1)
    page.press("ArrowLeft")
    assert told() == expected(1)
    page.press("End")
    assert told() == expected(4)


def test_one_pair_needs_no_selector(browser, report, tmp_path):
    write_report([report.parent / "ie2msp.json"], tmp_path / "one.html")
    browser.open(tmp_path / "one.html")
    assert browser.evaluate("document.getElementById('pair-choice')") is None
    assert browser.evaluate("document.querySelectorAll('th[tabindex]').length") > 5
    assert browser.console == []


def test_without_script_everything_shows_and_nothing_is_offered(browser, report):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report)
        assert shown(browser) == [["ie2msp", "msp2ie"]] * 2
        assert not browser.evaluate("document.querySelector('.pick').checkVisibility()")
        assert browser.evaluate("document.querySelectorAll('[tabindex].sortable th').length") == 0
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_may_ask_for_nothing_and_run_nothing_else(browser, report):
    browser.open(report)
    browser.evaluate(
        "window.refused = []; document.addEventListener('securitypolicyviolation',"
        " event => refused.push(event.effectiveDirective));"
        "for (const tag of ['img', 'script']) {"
        "  const made = document.createElement(tag); made.src = 'http://127.0.0.1:9/x';"
        "  document.body.append(made); }"
        "const inline = document.createElement('script'); inline.textContent = 'window.ran = 1';"
        "document.body.append(inline);"
        "fetch('http://127.0.0.1:9/x').catch(() => refused.push('rejected')); 0"
    )
    until = time.monotonic() + 20
    while len(refused := browser.evaluate("refused")) < 5 and time.monotonic() < until:
        time.sleep(0.02)
    assert sorted(refused) == ["connect-src", "img-src", "rejected", *["script-src-elem"] * 2]
    assert browser.evaluate("window.ran") is None


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page, width, report):
    page.open(report, width=width)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth") <= page.evaluate(f"{root}.clientWidth") <= width


def test_no_figure_is_too_small_to_read_on_a_phone(page, report):
    page.open(report, width=390)
    drawn = "[...document.querySelectorAll('figure.plot svg')]"
    scales = page.evaluate(
        f"{drawn}.map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width)"
    )
    assert len(scales) > 3
    assert min(scales) >= 0.79  # letters of 10 are 8 pixels high


def test_it_prints_without_what_only_a_screen_can_use(page):
    page.send("Emulation.setEmulatedMedia", media="print")
    try:
        hidden = (
            "['nav', '.pick', '.readout'].map(s => document.querySelector(s).checkVisibility())"
        )
        assert page.evaluate(hidden) == [False] * 3
        head = f"getComputedStyle(document.querySelector('{RESULTS} thead th'), '::after').content"
        assert page.evaluate(head) == "none"
        assert shown(page)[0] == ["ie2msp", "msp2ie"]
    finally:
        page.send("Emulation.setEmulatedMedia", media="")
