"""What a run is trained on: annotations of three data sets, images, boxes, and bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.data.hico_det import ground_truth_detections
from link_hoi_core.data.json_files import read_json
from link_hoi_core.data.splits import SettingConfig
from link_hoi_core.data.v_coco import read_v_coco
from link_hoi_core.model.link import LinkConfig
from link_hoi_core.training.data import TrainingData, load_training_data
from link_hoi_core.training.experiment import DataConfig, DistillationConfig, Experiment
from link_hoi_core.vocabulary import load_vocabulary, zero_shot_split

HICO = load_vocabulary('hico-det')
SEEN = int(np.flatnonzero(~np.isin(np.arange(600), zero_shot_split('RF-UC')))[40])
UNSEEN = int(zero_shot_split('RF-UC')[5])
WIDTH, HEIGHT = 64, 48
HUMAN, THING = [2, 3, 20, 40], [10, 10, 50, 45]  # 1-based
PIXELS = LinkConfig(backbone=BackboneConfig('timm:test_vit.r160_in1k', weights='random'))


def hico_file(path: Path, images: dict[str, Sequence[int]]) -> None:
    """Images by name with the HOI ids of their pairs; those without have no size, as published."""
    pairs = []
    for hois in images.values():
        verb, object_ = HICO.hois[list(hois)].reshape(-1, 2).T.tolist()
        boxes = {'boxes_h': [HUMAN] * len(hois), 'boxes_o': [THING] * len(hois)}
        pairs.append({**boxes, 'hoi': list(hois), 'object': object_, 'verb': verb})
    content = {
        'annotation': pairs,
        'filenames': list(images),
        'size': [[WIDTH, HEIGHT] if hois else None for hois in images.values()],
        'objects': list(HICO.objects),
    }
    path.write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Annotations in HICO-DET's schema, and their images in two folders."""
    pil = pytest.importorskip('PIL.Image')
    hico_file(tmp_path / 'train.json', {'a.jpg': [SEEN, SEEN], 'b.jpg': [], 'c.jpg': [UNSEEN]})
    hico_file(tmp_path / 'test.json', {'d.jpg': [SEEN], 'e.jpg': [], 'f.jpg': [UNSEEN]})
    for name in ('one/a.jpg', 'one/c.jpg', 'two/d.jpg', 'two/f.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pil.new('RGB', (WIDTH, HEIGHT)).save(tmp_path / name)
    return tmp_path


def load(root: Path, model: LinkConfig | None = None, **changes: object) -> TrainingData:
    """Keywords as of `DataConfig`, but `setting` and `distillation`, which are the experiment's."""
    others = {key: changes.pop(key) for key in ('setting', 'distillation') if key in changes}
    data = DataConfig(**{'root': str(root), 'train': 'train.json', 'test': 'test.json', **changes})
    experiment = Experiment(model=model or LinkConfig(), data=data, **others)
    return load_training_data(experiment, root / 'run', 'cpu')


def names(images: Sequence) -> list[str]:
    return [image.file_name for image in images]


def test_annotated_boxes_without_a_look_at_images(root: Path) -> None:
    data = load(root, images=('nowhere',))
    assert names(data.train) == ['a.jpg', 'c.jpg']  # nothing is learnt from one without a pair
    assert names(data.test) == ['d.jpg', 'e.jpg', 'f.jpg']
    assert data.hidden is None and data.folder is None
    for image, boxes in zip(data.train, data.boxes, strict=True):
        expected = ground_truth_detections(image)
        assert boxes.boxes.tolist() == expected.boxes.tolist()
        assert boxes.labels.tolist() == expected.labels.tolist()


def test_the_matlab_file_by_its_suffix(root: Path) -> None:
    scipy_io = pytest.importorskip('scipy.io')
    box = {'x1': 2, 'x2': 20, 'y1': 3, 'y2': 40}
    pair = {'id': 1, 'bboxhuman': box, 'bboxobject': box, 'connection': [[1, 1]], 'invis': 0}
    size = {'width': WIDTH, 'height': HEIGHT}
    for part in ('train', 'test'):
        entry = {'filename': f'{part}.jpg', 'size': size, 'hoi': pair}
        scipy_io.savemat(root / f'{part}.mat', {f'bbox_{part}': [entry, entry]})
    data = load(root, train='train.mat', test='test.mat')
    assert names(data.train) == ['train.jpg'] * 2 and names(data.test) == ['test.jpg'] * 2


def test_unseen_pairs_are_kept_from_training_but_not_from_the_test(root: Path) -> None:
    data = load(root, setting=SettingConfig(split='RF-UC'))
    assert names(data.train) == ['a.jpg'] and len(data.boxes) == 1
    assert names(data.test) == ['d.jpg', 'e.jpg', 'f.jpg']


def test_hidden_images_are_those_of_the_drawn_shots(root: Path) -> None:
    (root / 'one' / 'c.jpg').unlink()
    setting, folders = SettingConfig(shots=1), ('one', 'two')
    data = load(root, PIXELS, setting=setting, images=folders, most_faults=1)
    assert names(data.train) == names(data.hidden) == ['a.jpg']
    assert [len(image.hoi) for image in (*data.train, *data.hidden)] == [1, 1]


def test_a_split_that_leaves_no_pair(root: Path) -> None:
    hico_file(root / 'train.json', {'c.jpg': [UNSEEN]})
    with pytest.raises(ValueError, match='train.json has no image with a human-object .*RF-UC'):
        load(root, setting=SettingConfig(split='RF-UC'))


@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.parametrize('images', [{}, {'b.jpg': []}])
def test_no_pair_at_all(root: Path, part: str, images: dict) -> None:
    hico_file(root / f'{part}.json', images)
    with pytest.raises(ValueError, match=f'{part}.json has no image with a human-object pair to '):
        load(root)


@pytest.mark.parametrize(
    ('vocabulary', 'message'),
    [('v-coco', 'not a converted V-COCO'), ('swig-hoi', 'not a SWiG-HOI')],
)
def test_a_file_of_another_data_set(root: Path, vocabulary: str, message: str) -> None:
    with pytest.raises(ValueError, match=f'train.json: {message}'):
        load(root, LinkConfig(vocabulary=vocabulary))


def test_images_of_several_folders(root: Path) -> None:
    data = load(root, PIXELS, images=('one', 'two'))
    assert data.folder.read(data.train[0].file_name).shape == (HEIGHT, WIDTH, 3)
    assert names(data.train) == ['a.jpg', 'c.jpg'] and len(data.test) == 3


def test_faults_are_left_out_and_named_up_to_a_limit(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / 'one/a.jpg').write_text('<html>404</html>')
    (root / 'two/f.jpg').unlink()
    data = load(root, PIXELS, images=('one', 'two'), most_faults=2)
    assert (names(data.train), names(data.test)) == (['c.jpg'], ['d.jpg', 'e.jpg'])
    assert len(data.boxes) == 1
    said = capsys.readouterr().err
    assert '2 of 4 images are missing or broken: a.jpg, f.jpg' in said and said.count('\n') == 1
    with pytest.raises(ValueError, match='2 of 4 images .*: a.jpg, f.jpg .*; at most 1 may be'):
        load(root, PIXELS, images=('one', 'two'), most_faults=1)


def test_pixels_need_folders(root: Path) -> None:
    with pytest.raises(ValueError, match='names no folder of images, but model.backbone is timm'):
        load(root, PIXELS)
    with pytest.raises(ValueError, match='names no folder of images, but data.boxes is detector:x'):
        load(root, boxes='detector:x')
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder of images'):
        load(root, PIXELS, images=('one', 'nowhere'))


def test_teachers_may_look_at_the_images_that_are_named(root: Path) -> None:
    taught = DistillationConfig(teachers=('one',))
    assert load(root, images=('one', 'two'), distillation=taught).folder is not None
    assert load(root, distillation=taught).folder is None


def recorded_file(path: Path, images: dict[str, list], size: tuple[int, int]) -> None:
    """Detections [x1, y1, x2, y2, score, class] by name; classes: bicycle, robot, person."""
    entries = [
        {'file_name': name, 'width': size[0], 'height': size[1], 'dets': rows}
        for name, rows in images.items()
    ]
    path.write_text(json.dumps({'classes': ['bike', 'robot', 'person'], 'images': entries}))


BIKE, ROBOT, PERSON = [5, 5, 30, 30, 0.5, 0], [0, 0, 9, 9, 0.9, 1], [1, 1, 20, 40, 0.8, 2]
SAME_PERSON = [1, 1, 20, 39, 0.7, 2]


def test_recorded_boxes_by_name_as_the_predictor_chooses_them(root: Path) -> None:
    found = {'c.jpg': [BIKE], 'other.jpg': [], 'a.jpg': [BIKE, ROBOT, SAME_PERSON, PERSON]}
    recorded_file(root / 'boxes.json', found, (WIDTH, HEIGHT))
    first, second = load(root, boxes='boxes.json').boxes
    assert first.labels.tolist() == [HICO.person, HICO.object_index('bicycle')]
    assert first.boxes.tolist() == [PERSON[:4], BIKE[:4]]  # no robot, and each person once
    assert first.scores.tolist() == pytest.approx([0.8, 0.5])
    assert second.boxes.tolist() == [BIKE[:4]]


def test_recorded_boxes_that_do_not_fit(root: Path) -> None:
    path = root / 'boxes.json'
    recorded_file(path, {'a.jpg': [PERSON]}, (WIDTH, HEIGHT))
    with pytest.raises(ValueError, match="lacks 1 of 2 training images, the first is 'c.jpg'"):
        load(root, boxes='boxes.json')
    recorded_file(path, {'a.jpg': [PERSON], 'c.jpg': []}, (WIDTH, 100))
    with pytest.raises(ValueError, match='a.jpg is 64 x 48 pixels, .* of an image of 64 x 100'):
        load(root, boxes='boxes.json')
    recorded_file(path, {'a.jpg': [PERSON], 'c.jpg': [BIKE]}, (WIDTH, HEIGHT))
    with pytest.raises(ValueError, match='no image with a human-object pair .*boxes: boxes.json'):
        load(root, boxes='boxes.json')
    with pytest.raises(FileNotFoundError, match='gone.json'):
        load(root, boxes='gone.json')


def test_a_detector_records_the_training_images_once(shared: Path, root: Path) -> None:
    weights = shared / 'weights' / 'yolox_nano_coco.onnx'
    if not weights.is_file():
        pytest.skip(f'{weights} is absent')
    pytest.importorskip('onnxruntime')
    photo = shared / 'data' / 'images' / 'zidane.jpg'
    shutil.copyfile(photo, root / 'two' / photo.name)
    hico_file(root / 'train.json', {photo.name: [SEEN]})
    content = read_json(root / 'train.json')
    content['size'] = [[1280, 720]]
    (root / 'train.json').write_text(json.dumps(content))
    options = {'boxes': f'detector:onnx:{weights}', 'images': ('one', 'two')}
    (boxes,) = load(root, **options).boxes
    assert boxes.image_size == (720, 1280) and (boxes.labels == HICO.person).sum() >= 2
    file = root / 'run' / 'detections.json'
    before = file.stat().st_mtime_ns
    (again,) = load(root, **options).boxes
    assert again.boxes.tolist() == boxes.boxes.tolist() and file.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match='detections.json was made with onnx.*, not yolo: delete'):
        load(root, boxes='detector:yolo', images=('one', 'two'))


def test_an_unknown_detector(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match='nothing-of-the-kind did not record the training images'):
        load(root, boxes='detector:nothing-of-the-kind', images=('one', 'two'))
    assert 'nothing-of-the-kind' in capsys.readouterr().err


V_COCO = LinkConfig(vocabulary='v-coco')


@pytest.fixture
def v_coco(root: Path) -> Path:
    """Annotations in V-COCO's schema: in 'a.jpg' one verb with two objects, in 'c.jpg' another."""
    verbs = load_vocabulary('v-coco').verbs
    hold, sit = verbs.index('hold obj'), verbs.index('sit instr')
    cup, bottle, chair = (HICO.object_index(name) + 1 for name in ('cup', 'bottle', 'chair'))
    pairs = {'a.jpg': [(hold, cup), (hold, bottle)], 'c.jpg': [(sit, chair)], 'b.jpg': []}
    annotations = [
        {
            'file_name': name,
            'boxes_h': [HUMAN] * len(of_image),
            'boxes_o': [THING] * len(of_image),
            'actions': [verb for verb, _ in of_image],
            'objects': [object_ for _, object_ in of_image],
        }
        for name, of_image in pairs.items()
    ]
    content = {
        'annotations': annotations,
        'classes': list(verbs),
        'objects': ['background', 'person'] + ['thing'] * 79,
    }
    for part in ('train', 'test'):
        (root / f'{part}.json').write_text(json.dumps(content))
    return root


def test_sizes_of_v_coco_are_those_of_coco_or_of_the_pictures(v_coco: Path) -> None:
    sizes = [{'file_name': name, 'width': 70, 'height': 50} for name in ('a.jpg', 'c.jpg')]
    for number, entry in enumerate(sizes):
        (v_coco / f'sizes{number}.json').write_text(json.dumps({'images': [entry]}))
    data = load(v_coco, V_COCO, sizes=('sizes0.json', 'sizes1.json'))
    assert [image.size for image in data.train] == [(50, 70), (50, 70)] and data.folder is None
    seeing = LinkConfig(vocabulary='v-coco', backbone=PIXELS.backbone)
    with pytest.raises(ValueError, match='a.jpg is 64 x 48 pixels, but annotated as 70 x 50'):
        load(v_coco, seeing, sizes=('sizes0.json', 'sizes1.json'), images=('one',))
    data = load(v_coco, V_COCO, images=('one',))
    assert [image.size for image in data.train] == [(HEIGHT, WIDTH)] * 2
    assert [image.size for image in data.test] == [(HEIGHT, WIDTH)] * 2 + [None]  # no pair
    assert [boxes.image_size for boxes in data.boxes] == [(HEIGHT, WIDTH)] * 2
    with pytest.raises(ValueError, match='do not say how large the images are: set it, or data.si'):
        load(v_coco, V_COCO)
    with pytest.raises(ValueError, match="no size is known of 1 of 2 images, the first is 'c.jpg'"):
        load(v_coco, V_COCO, sizes=('sizes0.json',))


def test_shots_of_v_coco_are_of_its_verbs(v_coco: Path) -> None:
    data = load(v_coco, V_COCO, images=('one',), setting=SettingConfig(shots=1))
    assert sorted(image.verb.tolist() for image in data.train) == sorted(
        np.unique(image.verb).tolist() for image in read_v_coco(v_coco / 'train.json')[:2]
    )
    assert [len(image.hoi) for image in data.hidden] == [1, 0]


def test_swig_hoi(root: Path) -> None:
    vocabulary = load_vocabulary('swig-hoi')
    verb, object_ = vocabulary.hois[10000].tolist()
    boxes = [
        {'bbox': HUMAN, 'category_id': vocabulary.person, 'aux_category_id': []},
        {'bbox': THING, 'category_id': object_, 'aux_category_id': []},
    ]
    pair = {'subject_id': 0, 'object_id': 1, 'action_id': verb}
    entry = {'file_name': 'a.jpg', 'width': WIDTH, 'height': HEIGHT, 'box_annotations': boxes}
    for part in ('train', 'test'):
        content = [{**entry, 'hoi_annotations': [pair]}]
        (root / f'{part}.json').write_text(json.dumps(content))
    data = load(root, LinkConfig(vocabulary='swig-hoi'))
    assert data.train[0].hoi.tolist() == [10000]
    assert data.boxes[0].labels.tolist() == sorted([vocabulary.person, object_])


def test_real_photos_of_v_coco(shared: Path, tmp_path: Path) -> None:
    """Of the published test file, those of the photos that are here."""
    photos = shared / 'data' / 'images'
    content = read_json(shared / 'data/vcoco/instances_vcoco_test.json.gz')
    here = [i for i in content['annotations'] if (photos / i['file_name']).is_file()]
    for part in ('train', 'test'):
        (tmp_path / f'{part}.json').write_text(json.dumps({**content, 'annotations': here}))
    model = LinkConfig(vocabulary='v-coco', backbone=PIXELS.backbone)
    data = load(tmp_path, model, images=(str(photos),))
    assert len(data.train) == len(data.boxes) >= 10
    assert all(data.folder.size(image.file_name) == image.size for image in data.train)
