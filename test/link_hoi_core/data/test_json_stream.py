"""Large JSON files: the entries that a whole parse would give, wherever the text is cut."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from link_hoi_core.data import json_stream
from link_hoi_core.data.json_stream import stream_json

CONTENT = {
    'classes': ['ride', 'naïve "quote" 人'],
    'images': [{'a': [1.5, -2e3, None, True, []]}, 7, 1234567, 'x', {}, [[1], [2]]],
    'note': {'nested': {'images': [1]}},
    'count': 1234567,
}


def collected(path: Path) -> dict:
    found: dict = {'images': []}
    for key, value in stream_json(path, 'images'):
        if key == 'images':
            found['images'].append(value)
        else:
            found[key] = value
    return found


@pytest.mark.parametrize('characters', [1, 2, 3, 7, 50, 1 << 22])
@pytest.mark.parametrize('indent', [None, 2])
def test_same_as_a_whole_parse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, characters: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_stream, '_CHARACTERS', characters)
    text = json.dumps(CONTENT, indent=indent, ensure_ascii=False) + '\n'
    (tmp_path / 'plain.json').write_text(text, encoding='utf-8')
    (tmp_path / 'packed.json.gz').write_bytes(gzip.compress(text.encode()))
    assert collected(tmp_path / 'plain.json') == CONTENT
    assert collected(tmp_path / 'packed.json.gz') == CONTENT


def test_every_truncation_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, '_CHARACTERS', 16)
    text = json.dumps(CONTENT)
    path = tmp_path / 'cut.json'
    for length in range(len(text)):
        path.write_text(text[:length])
        with pytest.raises(ValueError, match=f'^{path}: not valid JSON or truncated') as error:
            collected(path)
        assert '\n' not in str(error.value)
    packed = gzip.compress(text.encode())
    for length in range(1, len(packed), 7):
        (tmp_path / 'cut.json.gz').write_bytes(packed[:length])
        with pytest.raises(ValueError, match='cut.json.gz: '):
            collected(tmp_path / 'cut.json.gz')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[1, 2]', "expected an object with a list 'images'"),
        ('3', "expected an object with a list 'images'"),
        ('{"image": []}', "expected an object with a list 'images'"),
        ('{"images": {"0": 1}}', "expected an object with a list 'images'"),
        ('{"images": []} {}', 'extra data: character 15'),
        ('{"images": [1 2]}', "expected ',' or ']': character 14"),
        ('{"images": [1,]}', 'Expecting value: character 14'),
        ('{"images" [1]}', "expected ':': character 10"),
        ('{3: [1]}', 'a key is no string'),
        ('{"images": [nul]}', 'Expecting value: character 12'),
    ],
)
def test_other_content_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        collected(path)
    assert str(error.value).startswith(f'{path}: ')
    assert message in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='nowhere.json: no such file'):
        collected(tmp_path / 'nowhere.json')
    (tmp_path / 'plain.json.gz').write_text('{"images": []}')
    with pytest.raises(ValueError, match='cannot be read'):
        collected(tmp_path / 'plain.json.gz')
