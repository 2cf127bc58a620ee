"""The tables of docs/results.md that the benchmarks write themselves, between marks."""

from __future__ import annotations

from pathlib import Path

from link_hoi_core.data.json_files import write_whole

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'results.md'


def write_tables(name: str, tables: str) -> None:
    """Put Markdown between `<!-- name: begin -->` and `<!-- name: end -->`.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f'<!-- {name}: begin -->', f'<!-- {name}: end -->'
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f'{PAGE} lacks {begin} or {end}')
    write_whole(PAGE, f'{before}{begin}\n{tables}\n{end}{after}'.encode())
