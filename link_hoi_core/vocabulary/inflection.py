"""English forms of the words that users add: -ing forms of verbs, articles of objects."""

from __future__ import annotations

import re

#: Verbs of several syllables, the last one stressed, which double their last consonant.
DOUBLING = frozenset(
    'admit babysit begin commit control equip forget kidnap outrun patrol permit prefer refer '
    'regret reset submit transmit unclip unpin unplug unwrap unzip upset'.split()
)


def ing_form(verb: str) -> str:
    """The -ing form of a verb as people write it: 'sit_on' is 'sitting on', 'riding' stays.

    The first word is inflected; underscores are spaces.
    """
    first, *rest = verb.lower().replace('_', ' ').split()
    return ' '.join([_inflect(first), *rest])


def with_article(name: str) -> str:
    """'an apple', 'a hot dog'; underscores are spaces."""
    article = 'an' if name[0].lower() in 'aeiou' else 'a'
    return f'{article} {name.replace("_", " ")}'


def _inflect(verb: str) -> str:
    if re.search('[aeiouy].*ing$', verb):  # 'riding', but not 'swing'
        return verb
    if verb.endswith('ie'):  # tie, lie
        return f'{verb[:-2]}ying'
    if re.search('[aeiouy].*[^eoy]e$', verb):  # ride, but not see, hoe, dye or be
        return f'{verb[:-1]}ing'
    if verb.endswith('ic'):  # mimic
        return f'{verb}king'
    # One short vowel before one consonant: sit, stop, quit, but not eat, row or fix.
    if verb in DOUBLING or re.fullmatch('[^aeiou]*(qu)?[aeiou][bdfgklmnprstvz]', verb):
        return f'{verb}{verb[-1]}ing'
    return f'{verb}ing'
