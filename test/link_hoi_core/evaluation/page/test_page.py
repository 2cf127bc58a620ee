"""The written page: complete, self-contained, small, and safe whatever names are in the input."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.evaluation.page import write_report
from link_hoi_core.evaluation.robustness import Row

pytest.importorskip('jinja2')
RIDE = ([0, 0, 20, 40], [10, 20, 50, 60], 'ride bicycle')
HOLD = ([0, 0, 20, 40], [10, 20, 50, 60], 'hold bicycle')
FACTS = {'benchmark': 'hico-det', 'protocol': 'default', 'boxes': 'ground-truth', 'model': 'boxes'}


class Elements(HTMLParser):
    """Counts the elements of a page, and keeps the addresses that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v for k, v in attributes if k in ('src', 'href', 'xlink:href', 'action')]


@pytest.fixture
def write(tmp_path: Path, evaluation: Callable) -> Callable[..., str]:
    """Write a report of some predictions in two images; its text."""

    def make(names: list[str] | None = None, facts: dict | None = None, **options: object) -> str:
        found = [(0, RIDE, 0.9), (0, HOLD, 0.7), (1, HOLD, 0.8)]
        made = evaluation([[RIDE], [RIDE]], found, names)
        path = write_report(
            tmp_path / 'report',
            made.outcome,
            FACTS if facts is None else facts,
            made.benchmark.images,
            made.predictions,
            made.benchmark,
            **options,
        )
        assert path == tmp_path / 'report' / 'index.html'
        return path.read_text()

    return make


def test_page_needs_nothing_but_itself(write: Callable[..., str]) -> None:
    page = write()
    elements = Elements(page)
    assert all(address.startswith(('#', 'data:')) for address in elements.addresses)
    assert not re.search(r'@import|url\(|fetch\(|XMLHttpRequest|eval\(', page)
    assert elements.tags.count('section') == 7
    assert 'link' in elements.tags  # the icon, so that a browser asks for none


def test_page_shows_what_it_was_given(write: Callable[..., str]) -> None:
    rows = [
        Row('shift', 'original', (0.0, 0.5), {'full': (40.0, 30.0), 'mf1': (0.4, 0.3)}),
        Row('copies', 'original', (0, 2), {'full': (40.0, 39.0)}),
    ]
    page = write(
        facts={**FACTS, 'command': 'python -m link_hoi_core.evaluate hico-det --x', 'seed': 7},
        train_counts=np.arange(600),
        robustness=rows,
        remarks=['3 images are left out'],
    )
    for text in (
        '<title>HICO-DET evaluation: boxes</title>',
        'python -m link_hoi_core.evaluate hico-det --x',
        '3 images are left out',
        '<dt>seed</dt><dd>7</dd>',
        'Full at 0.5: 30.00',
        'copies of a box',
        'LINK, with a detector and pixels (Table 12)',
        'AP and training pairs',
        'ride bicycle: AP ',
        'not to be compared',
    ):
        assert text in page, text
    assert page.count('<tr data-class=') == 600
    assert 'mf1 at' not in page.lower()


def test_facts_are_words(write: Callable[..., str]) -> None:
    still = {'shift': 0.0, 'scale': 0.0, 'copies': 0, 'report': 'original'}
    page = write(
        facts={
            **FACTS,
            'select': True,
            'score_exponent': None,
            'unmapped_source': ('cup', 'dog'),
            'unmapped_target': tuple(f'class {i}' for i in range(1022)),
            'perturbation': still | {'scale': 0.5},
        }
    )
    facts = dict(re.findall('<dt>(.*?)</dt><dd>(.*?)</dd>', page))
    assert (facts['select'], facts['unmapped source']) == ('yes', 'cup, dog')
    assert facts['unmapped target'].endswith('class 18, class 19 and 1,002 more')
    assert facts['perturbation'] == 'scale 0.5'
    assert 'score exponent' not in facts
    assert '<dt>perturbation' not in write(facts={**FACTS, 'perturbation': still})


def test_page_without_what_is_not_given(write: Callable[..., str]) -> None:
    page = write()
    for text in ('Robustness', 'AP and training pairs', 'Remarks', '>Training<', '<pre>'):
        assert text not in page, text


def test_mistakes_stand_with_what_is_annotated(write: Callable[..., str]) -> None:
    page = write(['first.jpg', 'second.jpg'])
    cards = re.findall(r'<li class="card".*?</li>', page, re.DOTALL)
    assert [re.search('data-kind="(.*?)"', card)[1] for card in cards] == [
        'wrong verb',
        'wrong verb',
        'other interaction',
    ]
    assert 'annotated: ride bicycle' in cards[0] and 'second.jpg' in cards[0]
    assert 'predicted: hold bicycle 0.800' in cards[2]


def test_names_cannot_break_the_page(write: Callable[..., str]) -> None:
    name = '</script><script>alert(1)</script><img src=x>.jpg'
    page = write([name, '\'"&.jpg'], facts={**FACTS, 'model': name}, remarks=[name])
    tags = Elements(page).tags
    assert 'img' not in tags
    assert tags.count('script') == 2


def test_pictures_are_shown_where_they_are_at_hand(
    write: Callable[..., str], tmp_path: Path
) -> None:
    pil = pytest.importorskip('PIL.Image')
    pixels = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    pil.fromarray(pixels).save(tmp_path / '0.png')
    pil.fromarray(pixels[:50]).save(tmp_path / 'half.png')
    folder = ImageFolder(tmp_path)
    shown = write(['0.png', 'missing.png'], pictures=folder)
    assert shown.count('data:image/jpeg;base64,') == 1  # one card is of the other image's two
    assert shown.count('class="blank"') == 2
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    none = write(['half.png', 'broken.png'], pictures=folder)  # of another size; unreadable
    assert 'data:image/jpeg' not in none


def test_page_of_nothing_detected(tmp_path: Path, evaluation: Callable) -> None:
    made = evaluation([[RIDE], []], [])
    images, benchmark = made.benchmark.images, made.benchmark
    path = write_report(tmp_path, made.outcome, FACTS, images, made.predictions, benchmark)
    page = path.read_text()
    assert 'There are none.' in page
    assert page.count('<li class="card"') == 1
    assert not re.search(r'\bnan\b', page)
