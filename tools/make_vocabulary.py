"""Make the tables of link_hoi_core/vocabulary/tables from the shared data folder.

    python tools/make_vocabulary.py --shared ../shared [--output DIR]

The result depends on the data alone: the same data gives the same tables.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

TABLES = Path(__file__).resolve().parents[1] / 'link_hoi_core' / 'vocabulary' / 'tables'

#: HICO's own -ing forms that are misspelt.
HICO_SPELLING = {'controling': 'controlling', 'spining': 'spinning'}

#: -ing phrase of each of V-COCO's "action role" classes, to stand before "a/an {object}".
V_COCO_PHRASES = {
    'hold obj': 'holding',
    'sit instr': 'sitting on',
    'ride instr': 'riding',
    'look obj': 'looking at',
    'hit instr': 'hitting with',
    'hit obj': 'hitting',
    'eat obj': 'eating',
    'eat instr': 'eating with',
    'jump instr': 'jumping with',
    'lay instr': 'lying on',
    'talk_on_phone instr': 'talking on',
    'carry obj': 'carrying',
    'throw obj': 'throwing',
    'catch obj': 'catching',
    'cut instr': 'cutting with',
    'cut obj': 'cutting',
    'work_on_computer instr': 'working on',
    'ski instr': 'skiing on',
    'surf instr': 'surfing on',
    'skateboard instr': 'skateboarding on',
    'drink instr': 'drinking with',
    'kick obj': 'kicking',
    'read obj': 'reading',
    'snowboard instr': 'snowboarding on',
}


def hico_det(data: Path) -> dict[str, Any]:
    """HICO-DET: 80 objects in COCO-80 order, 117 verbs, 600 HOIs, 138 of them rare."""
    annotations = _read(data / 'hicodet/instances_test2015.coco80.json.gz')
    rows = _read(data / 'hicodet/hico_hoi_table.json')['hoi']
    phrase_of = {row['verb_idx']: row['verb_ing'].replace('_', ' ') for row in rows}
    phrases = [phrase_of[i] for i in range(len(annotations['verbs']))]
    phrases = [HICO_SPELLING.get(phrase, phrase) for phrase in phrases]
    objects = annotations['objects']
    return {
        'objects': objects,
        'object_synonyms': [[] for _ in objects],
        'verbs': annotations['verbs'],
        'verb_phrases': phrases,
        'verb_prompts': [_verb_prompt(phrase) for phrase in phrases],
        'hois': [[verb, obj] for _, obj, verb in sorted(annotations['correspondence'])],
        'prompts': _read(data / 'hicodet/prompts.json'),
        'rare': _read(data / 'hicodet/hico_rare_hoi_ids.json'),
    }


def v_coco(data: Path) -> dict[str, Any]:
    """V-COCO: 80 objects in HICO's spelling, 24 "action role" classes, 26 official actions."""
    annotations = _read(data / 'vcoco/instances_vcoco_train.json.gz')
    objects = [name.replace(' ', '_') for name in annotations['objects'][1:]]
    verbs = annotations['classes']
    phrases = [V_COCO_PHRASES[verb] for verb in verbs]
    # The file's object 0 is the background.
    hois = [
        [verb, obj - 1]
        for verb, of_verb in enumerate(annotations['action_to_object'])
        for obj in sorted(of_verb)
    ]
    return {
        'objects': objects,
        'object_synonyms': [[] for _ in objects],
        'verbs': verbs,
        'verb_phrases': phrases,
        'verb_prompts': [_verb_prompt(phrase) for phrase in phrases],
        'hois': hois,
        'prompts': [_prompt(phrases[verb], objects[obj]) for verb, obj in hois],
        'actions': [
            {
                'name': action['action_name'],
                'roles': action['role_name'][1:],
                'objects': [
                    [name.replace(' ', '_') for name in names] for names in action['include'][1:]
                ],
            }
            for action in _read(data / 'vcoco/official/vcoco_train.json.gz')
        ],
    }


def swig_hoi(data: Path) -> dict[str, Any]:
    """SWiG-HOI: 1,000 objects, 407 actions (named by their -ing form), 14,130 interactions."""
    categories = _read(data / 'swig/swig_v1_categories.json.gz')
    interactions = _read(data / 'swig/swig_v1_interactions.json.gz')
    objects = [category['name'] for category in categories]
    verbs = [action['name'] for action in _read(data / 'swig/swig_v1_actions.json.gz')]
    hois = [[row['action_id'], row['object_id']] for row in interactions]
    return {
        'objects': objects,
        'object_synonyms': [
            [word for word in category['gloss'] if word != category['name']]
            for category in categories
        ],
        'verbs': verbs,
        'verb_phrases': verbs,
        'verb_prompts': [_verb_prompt(verb) for verb in verbs],
        'hois': hois,
        'prompts': [_prompt(verbs[verb], objects[obj]) for verb, obj in hois],
        'frequency': [row['frequency'] for row in interactions],
        'evaluated': [row['id'] for row in interactions if row['evaluation']],
    }


def zero_shot(data: Path) -> dict[str, Any]:
    """Unseen HICO-DET HOI ids by split."""
    splits = _read(data / 'zero_shot/zero_shot_splits.json')['splits']
    return {name: split['unseen'] for name, split in splits.items()}


def make_tables(shared: Path, output: Path) -> None:
    """Write the four tables into `output`."""
    data = shared / 'data'
    output.mkdir(parents=True, exist_ok=True)
    _write(output / 'hico_det.json', hico_det(data))
    _write(output / 'v_coco.json', v_coco(data))
    _write(output / 'swig_hoi.json.gz', swig_hoi(data))
    _write(output / 'zero_shot.json', zero_shot(data))


def _verb_prompt(phrase: str) -> str:
    """The verb without its object, in CMMP's words for HICO-DET; only 'no interaction' differs."""
    if phrase == 'no interaction':
        return 'a photo of a person and the object'
    return f'a photo of a person is {phrase} the object'


def _prompt(phrase: str, name: str) -> str:
    """One interaction in the words of HICO-DET's published prompts."""
    name = name.replace('_', ' ')
    article = 'an' if name[0].lower() in 'aeiou' else 'a'
    return f'A photo of a person {phrase} {article} {name}'


def _read(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == '.gz' else data)


def _write(path: Path, table: dict[str, Any]) -> None:
    """Write one key a line, so that a change shows in a diff; a gzip without name or time."""
    lines = [f'{json.dumps(key)}: {_compact(value)}' for key, value in table.items()]
    data = ('{\n' + ',\n'.join(lines) + '\n}\n').encode()
    temporary = path.with_name(path.name + '.tmp')
    temporary.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == '.gz' else data)
    os.replace(temporary, path)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--shared', type=Path, required=True, help='folder that holds data/')
    parser.add_argument('--output', type=Path, default=TABLES)
    arguments = parser.parse_args()
    if not (arguments.shared / 'data').is_dir():
        parser.error(f'{arguments.shared} has no data folder')
    make_tables(arguments.shared, arguments.output)


if __name__ == '__main__':
    main()
