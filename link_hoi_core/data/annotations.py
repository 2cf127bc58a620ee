"""The annotations of any data set, by its name and the file's kind."""

from __future__ import annotations

from pathlib import Path

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.data.hico_mat import read_hico_mat
from link_hoi_core.data.swig_hoi import read_swig_hoi
from link_hoi_core.data.v_coco import read_v_coco

#: Names of the data sets, and of their vocabularies.
DATA_SETS = ('hico-det', 'v-coco', 'swig-hoi')
#: What stands in the place of a file of detections for the annotated boxes.
GROUND_TRUTH = 'ground-truth'


def read_annotations(path: Path, data_set: str, part: str = 'test') -> list[AnnotatedImage]:
    """Read every image of a file.

    Args:
        data_set: one of DATA_SETS; of V-COCO a converted file.
        part: 'train' or 'test'; HICO-DET's anno_bbox.mat holds both.

    Raises:
        FileNotFoundError, ValueError, ImportError: as of the data set's own reader.
    """
    if data_set == 'hico-det':
        return read_hico_mat(path, part) if path.suffix == '.mat' else read_hico_det(path)
    return {'v-coco': read_v_coco, 'swig-hoi': read_swig_hoi}[data_set](path)
