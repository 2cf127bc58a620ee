"""V-COCO's official form: 26 actions with their roles, four of them without an object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from link_hoi_core.vocabulary.vocabulary import read_table


@dataclass(frozen=True)
class VCocoAction:
    """One action of s-gupta/v-coco (Gupta & Malik 2015).

    Attributes:
        name: e.g. 'hit'.
        roles: roles beside the agent, 'instr' and/or 'obj', in the official files' order.
        verbs: for each role, its index in `load_vocabulary('v-coco').verbs`; None for point's
            'instr', which the benchmark leaves out.
        objects: for each role, the objects that the official files allow; () is any object.
    """

    name: str
    roles: tuple[str, ...]
    verbs: tuple[int | None, ...]
    objects: tuple[tuple[str, ...], ...]


@cache
def v_coco_actions() -> tuple[VCocoAction, ...]:
    """The 26 actions in the official files' order; walk, stand, run and smile have no role."""
    table = read_table('v_coco.json')
    verb_of = {verb: i for i, verb in enumerate(table['verbs'])}
    return tuple(
        VCocoAction(
            name=action['name'],
            roles=tuple(action['roles']),
            verbs=tuple(verb_of.get(f'{action["name"]} {role}') for role in action['roles']),
            objects=tuple(tuple(names) for names in action['objects']),
        )
        for action in table['actions']
    )
