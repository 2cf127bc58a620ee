"""What the commands of all benchmarks share: sources of predictions, and where figures go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.data.json_files import read_json
from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.data.swig_hoi import read_swig_hoi
from link_hoi_core.data.v_coco import read_v_coco
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.prediction_files import write_predictions
from link_hoi_core.vocabulary import load_vocabulary

SIZE = {'width': 640, 'height': 480}


@pytest.fixture
def hico(tmp_path: Path, write_annotations: Callable[..., Path]) -> Path:
    return write_annotations(tmp_path / 'hico.json', 12)


@pytest.fixture
def v_coco(tmp_path: Path) -> Path:
    """Two images: somebody rides a horse, which no cut needs; somebody cuts a cake with a knife."""
    vocabulary = load_vocabulary('v-coco')
    verbs = [vocabulary.verbs.index(v) for v in ('ride instr', 'cut obj', 'cut instr')]
    objects = [1 + vocabulary.objects.index(o) for o in ('horse', 'cake', 'knife')]
    human, thing, other = [10, 10, 110, 210], [60, 80, 260, 300], [300, 20, 330, 90]
    content = {
        'annotations': [
            _v_coco_image(1, [human], [thing], verbs[:1], objects[:1]),
            _v_coco_image(2, [human] * 2, [thing, other], verbs[1:], objects[1:]),
        ],
        'images': [1, 2],
        'classes': list(vocabulary.verbs),
        'objects': ['background', *vocabulary.objects],
    }
    (tmp_path / 'v_coco.json').write_text(json.dumps(content))
    return tmp_path / 'v_coco.json'


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """The sizes of these images, as COCO gives them."""
    images = [{'file_name': _coco_name(number), **SIZE} for number in (1, 2)]
    (tmp_path / 'coco.json').write_text(json.dumps({'images': images}))
    return tmp_path / 'coco.json'


@pytest.fixture
def swig(tmp_path: Path) -> Path:
    """One image with one evaluated interaction."""
    vocabulary = load_vocabulary('swig-hoi')
    verb, object_ = vocabulary.hois[np.flatnonzero(vocabulary.evaluated)[0]].tolist()
    boxes = [([10, 10, 110, 210], vocabulary.person), ([60, 80, 260, 300], object_)]
    image = {
        'img_id': 7,
        'file_name': 'swig_7.jpg',
        **SIZE,
        'box_annotations': [{'bbox': box, 'category_id': label} for box, label in boxes],
        'hoi_annotations': [{'subject_id': 0, 'object_id': 1, 'action_id': verb}],
    }
    (tmp_path / 'swig.json').write_text(json.dumps([image]))
    return tmp_path / 'swig.json'


def _coco_name(number: int) -> str:
    return f'COCO_val2014_{number:012d}.jpg'


def _v_coco_image(number: int, boxes_h: list, boxes_o: list, verbs: list, objects: list) -> dict:
    return {
        'file_name': _coco_name(number),
        'boxes_h': boxes_h,
        'boxes_o': boxes_o,
        'actions': verbs,
        'objects': objects,
    }


def evaluate(tmp_path: Path, *arguments: object) -> dict:
    """The JSON of a command that must succeed."""
    assert main([*map(str, arguments), '--json', str(tmp_path / 'result.json')]) == 0
    return json.loads((tmp_path / 'result.json').read_text())


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence of a command that must fail."""
    assert main([*map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == '' and captured.err.count('\n') == 1
    return captured.err


def of_verbs(path: Path) -> ScoredPairs:
    """The annotated pairs of V-COCO, whose classes are its verbs."""
    images = read_v_coco(path)
    pairs = annotated_pairs(images)
    verb = np.concatenate([image.verb for image in images]).astype(np.int32)
    return ScoredPairs(**(vars(pairs) | {'hoi': verb}))


def test_perfect_predictions_of_every_benchmark(
    tmp_path: Path, hico: Path, v_coco: Path, swig: Path
) -> None:
    found = tmp_path / 'found.json'
    images = read_hico_det(hico)
    write_predictions(found, 'hico-det', images, annotated_pairs(images))
    result = evaluate(tmp_path, 'hico-det', '--annotations', hico, '--predictions', found)
    classes = len({hoi for image in images for hoi in image.hoi.tolist()})
    assert result['full'] == pytest.approx(100 * classes / 600)

    write_predictions(found, 'v-coco', read_v_coco(v_coco), of_verbs(v_coco))
    result = evaluate(tmp_path, 'v-coco', '--annotations', v_coco, '--predictions', found)
    assert result['labels'] == 'converted'
    assert result['ap_role_s1'] == result['ap_role_s2'] == result['map'] == pytest.approx(100)
    assert result['per_class_ap']['cut instr'] == pytest.approx(100)
    assert result['per_class_ap']['kick obj'] is None

    images = read_swig_hoi(swig)
    write_predictions(found, 'swig-hoi', images, annotated_pairs(images))
    result = evaluate(tmp_path, 'swig-hoi', '--annotations', swig, '--predictions', found)
    assert result['full'] == pytest.approx(100 / 5539)


def test_shards_are_one_file(tmp_path: Path, hico: Path) -> None:
    images = read_hico_det(hico)
    pairs = annotated_pairs(images)
    paths = [tmp_path / f'{part}.json' for part in ('whole', 'odd', 'even')]
    write_predictions(paths[0], 'hico-det', images, pairs)
    content = json.loads(paths[0].read_text())['images']
    for path, part in zip(paths[1:], (content[1::2], content[::2])):
        path.write_text(json.dumps({'images': part}))
    command = ['hico-det', '--annotations', hico, '--predictions']
    whole, shards = (evaluate(tmp_path, *command, *which) for which in (paths[:1], paths[1:]))
    assert shards.pop('predictions') == ['odd.json', 'even.json']
    assert whole.pop('predictions') == ['whole.json']
    assert shards == whole


def test_what_is_left_out_is_said_and_strict_stops(
    tmp_path: Path, hico: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = read_hico_det(hico)
    found = tmp_path / 'found.json'
    write_predictions(found, 'hico-det', images, annotated_pairs(images))
    content = json.loads(found.read_text())
    content['images'].append({'file_name': 'elsewhere.jpg', 'dets': []})
    found.write_text(json.dumps(content))
    command = ['hico-det', '--annotations', hico, '--predictions', found]
    result = evaluate(tmp_path, *command)
    assert any('elsewhere.jpg' in sentence for sentence in result['remarks'])
    assert 'elsewhere.jpg' in capsys.readouterr().err
    assert 'elsewhere.jpg' in refusal(capsys, *command, '--strict')


def test_several_detectors_are_rows_of_one_table(
    tmp_path: Path,
    hico: Path,
    small_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    vocabulary = load_vocabulary('hico-det')
    images = [image for image in read_hico_det(hico) if len(image.hoi)]
    exact = [RecordedImage(i.file_name, ground_truth_detections(i)) for i in images]
    write_recorded(tmp_path / 'exact.json', exact, vocabulary.objects)
    few = [RecordedImage(i.file_name, i.detections.take(np.arange(2))) for i in exact]
    write_recorded(tmp_path / 'few.json', few, vocabulary.objects)
    boxes = ['ground-truth', tmp_path / 'exact.json', tmp_path / 'few.json']
    command = ['hico-det', '--annotations', hico, '--model', small_checkpoint]
    rows = evaluate(tmp_path, *command, '--boxes', *boxes)['rows']
    assert [row['boxes'] for row in rows] == ['ground-truth', 'exact.json', 'few.json']
    assert rows[0]['full'] == pytest.approx(rows[1]['full'], rel=1e-6)  # nothing was there to cut
    assert rows[2]['detections'] < rows[1]['detections']
    table = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split()[0] for line in table] == ['Full', 'ground-truth', 'exact.json', 'few.json']


def test_lambda_goes_with_the_recorded_detector_unless_it_is_set(
    tmp_path: Path, hico: Path, small_checkpoint: Path
) -> None:
    vocabulary = load_vocabulary('hico-det')
    images = [image for image in read_hico_det(hico) if len(image.hoi)]
    found = [RecordedImage(i.file_name, ground_truth_detections(i)) for i in images]
    for image in found:
        image.detections.scores[:] = 0.5
    path = tmp_path / 'boxes.json'
    write_recorded(path, found, vocabulary.objects)
    content = json.loads(path.read_text())
    command = ['hico-det', '--annotations', hico, '--model', small_checkpoint, '--boxes', path]

    def best_score(*more: str) -> float:
        evaluate(tmp_path, *command, '--output', tmp_path / 'out', *more)
        content = read_json(tmp_path / 'out' / 'predictions.json.gz')
        return max(row[-1] for image in content['images'] for row in image['dets'])

    plain = best_score()  # of boxes that are sure by a half: times 0.5 ** 2
    assert best_score('--set', 'score_exponent=2.8') == pytest.approx(plain * 0.25**1.8)
    path.write_text(json.dumps({'detector': {'detector': 'detr-r50'}, **content}))
    assert best_score() == pytest.approx(plain * 0.25**1.8)
    assert best_score('--set', 'score_exponent=1.0') == plain


def test_another_data_sets_model_says_what_it_cannot_say(
    tmp_path: Path, v_coco: Path, coco: Path, small_checkpoint: Path
) -> None:
    command = ['v-coco', '--annotations', v_coco, '--sizes', coco, '--model', small_checkpoint]
    result = evaluate(tmp_path, *command, '--boxes', 'ground-truth')
    assert result['detections'] > 0
    assert 0 < result['ap_role_s1'] <= 100
    assert any('it cannot say' in sentence for sentence in result['remarks'])
    assert 'wear backpack' not in result['unmapped_source']
    assert 'wash bicycle' in result['unmapped_source']
    assert result['unmapped_target'] == []


def test_predictions_in_another_data_sets_classes(tmp_path: Path, v_coco: Path) -> None:
    """HICO's 'ride horse' is V-COCO's 'ride instr', and so on."""
    vocabulary = load_vocabulary('hico-det')
    wanted = (('ride', 'horse'), ('cut', 'cake'), ('cut_with', 'knife'))
    pairs = of_verbs(v_coco)
    hoi = [
        vocabulary.hoi_index[vocabulary.object_index(object_), vocabulary.verbs.index(verb)]
        for verb, object_ in wanted
    ]
    pairs = ScoredPairs(**(vars(pairs) | {'hoi': np.array(hoi, np.int32)}))
    images = read_v_coco(v_coco)
    write_predictions(tmp_path / 'found.json', 'v-coco', images, pairs)  # images have its names
    command = ['v-coco', '--annotations', v_coco, '--predictions', tmp_path / 'found.json']
    result = evaluate(tmp_path, *command, '--classes-of', 'hico-det')
    assert result['ap_role_s1'] == pytest.approx(100)


def test_robustness_begins_with_the_figures_of_the_boxes_as_they_are(
    tmp_path: Path, hico: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['hico-det', '--annotations', hico, '--model', small_checkpoint]
    result = evaluate(tmp_path, *command, '--boxes', 'ground-truth', '--robustness')
    assert [row['kind'] for row in result['robustness']] == ['shift', 'scale', 'copies']
    for row in result['robustness'][:2]:
        assert row['strengths'] == [0, 0.2, 0.4, 0.6, 0.8, 1]
        assert row['figures']['full'][0] == pytest.approx(result['full'])
    assert 'Box-shift' in capsys.readouterr().out


def test_written_predictions_give_the_same_figures(
    tmp_path: Path, hico: Path, v_coco: Path, coco: Path, small_checkpoint: Path
) -> None:
    output = tmp_path / 'output'
    model = ['--model', small_checkpoint, '--boxes', 'ground-truth', '--output', output]
    for command, official in (
        (['hico-det', '--annotations', hico], 'matlab/detections_80.mat'),
        (['v-coco', '--annotations', v_coco, '--sizes', coco], 'vsrl.pkl'),
    ):
        result = evaluate(tmp_path, *command, *model)
        again = evaluate(tmp_path, *command, '--predictions', output / 'predictions.json.gz')
        assert (output / official).is_file()
        headline = 'full' if command[0] == 'hico-det' else 'ap_role_s1'
        assert again[headline] == pytest.approx(result[headline], abs=1e-9)


def test_a_report_is_written_with_its_command(
    tmp_path: Path, hico: Path, small_checkpoint: Path, write_annotations: Callable[..., Path]
) -> None:
    pytest.importorskip('jinja2')
    train = write_annotations(tmp_path / 'train.json', 30, seed=3)
    command = ['hico-det', '--annotations', hico, '--model', small_checkpoint]
    options = ['--boxes', 'ground-truth', '--report', tmp_path / 'page']
    evaluate(tmp_path, *command, *options, '--train-annotations', train)
    page = (tmp_path / 'page' / 'index.html').read_text()
    assert 'python -m link_hoi_core.evaluate hico-det' in page


def test_options_that_do_not_go_together_are_one_sentence(
    tmp_path: Path, hico: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = read_hico_det(hico)
    found = tmp_path / 'found.json'
    write_predictions(found, 'hico-det', images, annotated_pairs(images))
    start = ['hico-det', '--annotations', hico]
    files, model = ['--predictions', found], ['--model', small_checkpoint, '--boxes']
    for arguments, message in (
        ((*files, '--robustness'), '--robustness goes with --model'),
        ((*files, '--set', 'select=true'), '--set goes with --model'),
        ((*files, '--classes-of', 'v-coco'), 'no map of classes from v-coco to hico-det'),
        ((*files, '--report', found), 'which is no folder'),
        ((*files, '--train-annotations', hico), '--train-annotations goes with --report'),
        ((*model, 'ground-truth', '--classes-of', 'v-coco'), '--classes-of goes with --predict'),
        ((*model, 'ground-truth', found, '--report', tmp_path / 'page'), 'one value of --boxes'),
        ((*model, 'ground-truth', '--set', 'selct=true'), 'did you mean select?'),
        ((*model, 'ground-truth', '--set', 'perturbation.shift=2'), 'shift is 2'),
        ((*model, tmp_path / 'none.json'), 'none.json: no such file'),
        ((*model, found), 'not a file of recorded detections'),
    ):
        assert message in refusal(capsys, *start, *arguments), arguments


@pytest.mark.slow
def test_a_model_without_training_is_evaluated_too(
    tmp_path: Path, hico: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CLIP with random weights, on grey pictures."""
    pytest.importorskip('open_clip')
    pil = pytest.importorskip('PIL.Image')
    for image in read_hico_det(hico):
        pil.new('RGB', (640, 480), 'gray').save(tmp_path / image.file_name)
    start = ['hico-det', '--annotations', hico, '--boxes', 'ground-truth', '--images', tmp_path]
    model = ['--model', 'clip_zero_shot:clip-vit-b32', '--backbone-weights', 'random']
    assert 'is for checkpoints' in refusal(capsys, *start, *model, '--set', 'zero_shot_filter=true')
    result = evaluate(tmp_path, *start, *model, '--device', 'cpu')
    assert result['pixels'] and result['detections'] > 0
