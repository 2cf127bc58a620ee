"""The report page in a real browser, from disk: it sorts, filters, draws, and asks for nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.evaluation.page import write_report

pytestmark = pytest.mark.slow
pytest.importorskip('jinja2')
webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')

RIDE = ([0, 0, 20, 40], [10, 20, 50, 60], 'ride bicycle')
HOLD = ([0, 0, 20, 40], [10, 20, 50, 60], 'hold bicycle')
CUP = ([60, 0, 80, 30], [30, 5, 40, 15], 'hold cup')
FACTS = {'benchmark': 'hico-det', 'protocol': 'default', 'boxes': 'ground-truth'}


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium without a window, with a profile of its own."""
    chromium, driver = shutil.which('chromium'), shutil.which('chromedriver')
    if not chromium or not driver:
        pytest.skip('no browser: apt install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--force-prefers-reduced-motion',
    ):
        options.add_argument(argument)
    options.add_argument(f'--user-data-dir={tmp_path_factory.mktemp("profile")}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    service = webdriver.ChromeService(driver)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv('no_proxy', '127.0.0.1,localhost')  # the driver is on this machine
        chrome = webdriver.Chrome(options, service)
        try:
            chrome.set_page_load_timeout(60)
            chrome.implicitly_wait(5)  # for an element that is not there yet
            yield chrome
        finally:
            chrome.quit()


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory, evaluation: Callable) -> Path:
    """A page on three images, with every part but the pictures."""
    made = evaluation(
        [[RIDE], [RIDE, CUP], [HOLD]],
        [(0, RIDE, 0.9), (1, RIDE, 0.3), (1, HOLD, 0.8), (2, HOLD, 0.7), (2, RIDE, 0.6)],
    )
    folder = tmp_path_factory.mktemp('report')
    images = made.benchmark.images
    counts = np.arange(600)[::-1]
    return write_report(
        folder, made.outcome, FACTS, images, made.predictions, made.benchmark, train_counts=counts
    )


@pytest.fixture
def page(browser: webdriver.Chrome, report: Path) -> Iterator[webdriver.Chrome]:
    """The page, just opened; nothing that a test does may give an error or ask the network."""
    browser.get('about:blank')  # lest the last test's document is still taken for the new one
    for log in ('browser', 'performance'):
        browser.get_log(log)
    browser.get(report.as_uri())
    yield browser
    assert browser.get_log('browser') == []
    events = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    asked = [e['params']['request'] for e in events if e['method'] == 'Network.requestWillBeSent']
    addresses = [request['url'] for request in asked if not request['url'].startswith('chrome')]
    assert [address for address in addresses if not address.startswith('data:')] == [
        report.as_uri()
    ]


def ask(page: webdriver.Chrome, script: str, *values: object) -> object:
    return page.execute_script(f'return {script}', *values)


def column(page: webdriver.Chrome, number: int) -> list[str]:
    """The cells of a column of the table of classes that are shown, from top to bottom."""
    return ask(
        page,
        "[...document.querySelectorAll('#class-table tbody tr')].filter(row => !row.hidden)"
        '.map(row => row.cells[arguments[0]].textContent.trim())',
        number,
    )


def test_sorts_by_every_column_both_ways(page: webdriver.Chrome) -> None:
    headings = page.find_elements('css selector', '#class-table thead th')
    names = [heading.text for heading in headings]
    assert names == ['Class', 'Group', 'AP', 'Annotated', 'Detected', 'Right', 'Training']
    before = column(page, 0)
    for number, heading in enumerate(headings):
        for direction in ('ascending', 'descending'):
            heading.find_element('css selector', 'button').click()
            assert heading.get_attribute('aria-sort') == direction
            cells = column(page, number)
            values = [float(c.replace(',', '')) for c in cells] if number > 1 else cells
            assert values == sorted(values, reverse=direction == 'descending')
        others = {other.get_attribute('aria-sort') for other in headings if other != heading}
        assert others == {'none'}
    assert sorted(column(page, 0)) == sorted(before) and len(before) == 600


def test_finds_classes_by_words_and_by_group(page: webdriver.Chrome) -> None:
    search = page.find_element('id', 'search')
    search.send_keys('Hold cup')
    assert column(page, 0) == ['hold cup']
    assert page.find_element('id', 'shown').text == '1 of 600 classes'
    search.clear()
    search.send_keys('no interaction b')  # names have underscores
    assert {name.split()[0] for name in column(page, 0)} == {'no_interaction'}
    search.clear()
    search.send_keys('no such thing')
    assert column(page, 0) == []
    search.clear()
    search.send_keys(' ')
    page.find_element('css selector', '#group option:last-child').click()
    assert set(column(page, 1)) == {'Rare'} and len(column(page, 1)) == 138


def test_draws_the_curve_of_the_chosen_class(page: webdriver.Chrome) -> None:
    def curve() -> str:
        return ask(page, "document.querySelector('#curve .step')?.getAttribute('d')")

    def text() -> str:
        return page.find_element('id', 'curve-text').text

    chosen = page.find_element('id', 'class')
    assert ask(page, 'arguments[0].selectedOptions[0].text', chosen) == 'ride bicycle'  # most pairs
    first = curve()
    assert first.startswith('M') and 'Recall ends at 100.0 %' in text()
    rows = page.find_elements('css selector', '#class-table .choose')
    hold = next(row for row in rows if row.text == 'hold bicycle')
    hold.send_keys('\n')  # by the keyboard
    assert ask(page, 'arguments[0].selectedOptions[0].text', chosen) == 'hold bicycle'
    assert curve() not in (None, first)
    assert 'hold bicycle' in page.find_element('css selector', 'tr.chosen').text
    cup = ask(page, "[...arguments[0].options].find(o => o.text === 'hold cup')", chosen)
    cup.click()
    assert curve() is None
    assert 'Nothing right was detected' in text()


def test_shows_mistakes_of_one_kind(page: webdriver.Chrome) -> None:
    gallery = page.find_element('id', 'false-positives')
    cards = gallery.find_elements('css selector', '.card')
    verb = gallery.find_element('css selector', '.filter[data-kind="wrong verb"]')
    assert all(card.is_displayed() for card in cards)
    verb.click()
    kinds = {card.get_attribute('data-kind') for card in cards if card.is_displayed()}
    assert kinds == {'wrong verb'}
    assert verb.get_attribute('aria-pressed') == 'true'
    verb.click()
    assert all(card.is_displayed() for card in cards)
    misses = page.find_element('id', 'misses')
    assert misses.find_elements('css selector', '.card')


def test_unfolds_published_rows(page: webdriver.Chrome) -> None:
    part = page.find_element('css selector', '.published')
    other = part.find_element('css selector', '.others')
    more = part.find_element('css selector', '.more')
    assert (other.is_displayed(), more.get_attribute('aria-expanded')) == (False, 'false')
    more.click()
    assert (other.is_displayed(), more.get_attribute('aria-expanded')) == (True, 'true')


def test_tells_what_a_mark_means(page: webdriver.Chrome) -> None:
    bar = page.find_element('css selector', '#distribution .bar')
    webdriver.ActionChains(page).move_to_element(bar).perform()
    assert 'classes have an AP of' in page.find_element('id', 'tip').text


@pytest.mark.parametrize('width', [360, 768, 1280])
def test_fits_a_phone_and_a_screen(page: webdriver.Chrome, width: int) -> None:
    metrics = {'width': width, 'height': 800, 'deviceScaleFactor': 1, 'mobile': width < 600}
    page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    try:
        assert ask(page, 'document.documentElement.scrollWidth') <= width
    finally:
        page.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})


def test_is_dark_where_the_reader_wants_it(page: webdriver.Chrome) -> None:
    def brightness(scheme: str, of: str) -> float:
        features = [{'name': 'prefers-color-scheme', 'value': scheme}]
        page.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})
        colour = ask(page, f'getComputedStyle(document.body).{of}')
        return sum(map(int, colour.removeprefix('rgb(').removesuffix(')').split(','))) / 765

    try:
        assert brightness('light', 'backgroundColor') > 0.9 > 0.2 > brightness('light', 'color')
        assert brightness('dark', 'backgroundColor') < 0.2 < 0.9 < brightness('dark', 'color')
    finally:
        page.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': []})
