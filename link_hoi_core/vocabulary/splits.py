"""Zero-shot splits of HICO-DET: the HOI classes that a model must not see in training."""

from __future__ import annotations

from functools import cache

import numpy as np

from link_hoi_core.vocabulary.vocabulary import check_name, read_table

#: Splits by name: rare first and non-rare first unseen combinations (Hou et al., VCL), unseen
#: objects, unseen verbs, five random sets of unseen combinations (Bansal et al.), unseen actions
#: (ConsNet, EoID).
ZERO_SHOT_SPLITS = ('RF-UC', 'NF-UC', 'UO', 'UV', 'UC0', 'UC1', 'UC2', 'UC3', 'UC4', 'UA')


@cache
def zero_shot_split(name: str) -> np.ndarray:
    """Unseen HICO-DET HOI ids of a split, e.g. 'RF-UC': sorted int64, 0-based, read-only.

    Raises:
        ValueError: there is no split of that name.
    """
    check_name(name, ZERO_SHOT_SPLITS, 'zero-shot split')
    unseen = np.array(read_table('zero_shot.json')[name], np.int64)
    unseen.setflags(write=False)
    return unseen
