"""The experiments of config/experiments: each can be run, and is what its name and row say."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from link_hoi_core.backbones import BACKBONES, Backbone, BackboneConfig, build_backbone
from link_hoi_core.configuration import from_dict, load_configuration, to_dict
from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.model.link import Link, LinkConfig
from link_hoi_core.training.experiment import DistillationConfig, Experiment
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_core.vocabulary.embeddings import EMBEDDING_SIZE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'config' / 'experiments'
NAMES = sorted(str(path.relative_to(FOLDER).with_suffix('')) for path in FOLDER.rglob('*.yaml'))
GUIDE = ROOT / 'docs' / 'training.md'
SHOTS = (1, 2, 4, 8, 16, 32)


@cache
def experiment(name: str) -> Experiment:
    """The file of that name, such as 'table6/a1'."""
    return load_configuration(Experiment, FOLDER / f'{name}.yaml')


STUDENTS = [name for name in NAMES if experiment(name).distillation.teachers]
WITH_PIXELS = [name for name in NAMES if experiment(name).model.backbone.name != 'none']
BACKBONE_CONFIGS = sorted(
    {experiment(name).model.backbone for name in WITH_PIXELS}, key=lambda config: config.name
)


@pytest.mark.parametrize('name', NAMES)
def test_every_experiment_loads_and_comes_back(name: str) -> None:
    found = experiment(name)
    assert from_dict(Experiment, to_dict(found)) == found


def test_the_table_of_experiments_lists_every_file() -> None:
    text = (FOLDER / 'README.md').read_text()
    assert set(re.findall(r'\]\(([\w/]+)\.yaml\)', text)) == set(NAMES)


@pytest.mark.parametrize('name', STUDENTS)
def test_a_student_learns_from_experiments_of_its_data_and_setting(name: str) -> None:
    student = experiment(name)
    for checkpoint in student.distillation.teachers:
        teacher = experiment(checkpoint.removeprefix('runs/').removesuffix('/checkpoint'))
        assert teacher.model.vocabulary == student.model.vocabulary
        assert teacher.setting == student.setting
        assert teacher.data.train == student.data.train


@pytest.mark.parametrize('name', [name for name in WITH_PIXELS if name.endswith('_student')])
def test_a_student_of_the_papers_tables_mirrors_its_teacher(name: str) -> None:
    """'The teacher and student use the same scale VLM' (LINK Table 4)."""
    student = experiment(name)
    (checkpoint,) = student.distillation.teachers
    teacher = experiment(checkpoint.removeprefix('runs/').removesuffix('/checkpoint'))
    assert student.model.adapter > 0 == teacher.model.adapter
    model = replace(student.model, adapter=0)
    assert replace(student, model=model, distillation=teacher.distillation) == teacher


@pytest.mark.parametrize('name', WITH_PIXELS)
def test_every_experiment_with_pixels_keeps_to_the_papers_recipe(name: str) -> None:
    """They differ in model, data, setting and teachers alone; LINK section 4 and A.4."""
    found, common = experiment(name), experiment('link_b')
    for part in ('augmentation', 'balance', 'optimiser', 'seed'):
        assert getattr(found, part) == getattr(common, part)
    settings = common.optimiser
    assert (settings.epochs, settings.learning_rate, settings.weight_decay) == (15, 1e-4, 1e-4)
    assert (settings.schedule, settings.drop_after, settings.drop) == ('steps', 10, 0.2)
    assert (found.data.most_images, found.distillation.tau) == (4, 2.0)


def test_full_distillation_has_the_papers_weights() -> None:
    found = experiment('table4/link_b_student').distillation
    weights = {'logits': 1.0, 'encoder': 0.5, 'latent': 1.0, 'native': 1.0, 'feature_map': 0.5}
    assert found == DistillationConfig(('runs/link_b/checkpoint',), **weights, tau=2.0)


@pytest.mark.parametrize(
    ('row', 'encoder', 'decoder'),
    [('a1', 'plain', 'plain'), ('a2', 'plain', 'linking'), ('a3', 'geometrical', 'plain')],
)
def test_the_architecture_rows_differ_in_encoder_and_decoder_only(
    row: str, encoder: str, decoder: str
) -> None:
    """Rows A1 to A3 of LINK Tables 6 and 7; A4 is the teacher itself."""
    for table, full in (('table6', 'link_l'), ('table7', 'table1/link_l_rf_uc_teacher')):
        last_row = experiment(full)
        model = replace(last_row.model, encoder=encoder, decoder=decoder)
        assert experiment(f'{table}/{row}') == replace(last_row, model=model)


@pytest.mark.parametrize(
    ('table', 'full'),
    [('table6', 'table4/link_l_student'), ('table7', 'table1/link_l_rf_uc_student')],
)
def test_the_distillation_rows_add_a_level_each(table: str, full: str) -> None:
    """Rows A5 to A7 of LINK Tables 6 and 7."""
    a7 = experiment(full)
    a6 = replace(
        a7,
        model=replace(a7.model, adapter=0),
        distillation=replace(a7.distillation, feature_map=0.0),
    )
    a5 = replace(a6, distillation=replace(a6.distillation, encoder=0.0, latent=0.0, native=0.0))
    assert experiment(f'{table}/a6') == a6
    assert experiment(f'{table}/a5') == a5
    assert a5.distillation.logits == 1.0


def test_the_last_row_has_two_teachers() -> None:
    """Row A8 of LINK Table 6: CLIP and SigLIP."""
    a7, a8 = experiment('table4/link_l_student'), experiment('table6/a8')
    names = ('link_l', 'figure4/siglip2_baseline')
    teachers = tuple(f'runs/{name}/checkpoint' for name in names)
    assert a8 == replace(a7, distillation=replace(a7.distillation, teachers=teachers))
    families = [BACKBONES[experiment(name).model.backbone.name].family for name in names]
    assert families == ['open_clip', 'siglip']


def test_zero_shot_files_are_of_the_split_in_their_name() -> None:
    named = {'rf_uc': 'RF-UC', 'nf_uc': 'NF-UC', 'uo': 'UO', 'uv': 'UV'}
    for name in NAMES:
        found = [split for key, split in named.items() if re.search(rf'(^|[_/]){key}_', name)]
        found += ['RF-UC'] if name.startswith('table7/') else []
        assert experiment(name).setting.split == (found[0] if found else None)


def test_few_shot_files_are_of_the_shots_in_their_name() -> None:
    for vocabulary in ('hico-det', 'v-coco'):
        for shots in SHOTS:
            for stage in ('teacher', 'student'):
                prefix = vocabulary.replace('-', '_')
                found = experiment(f'table3/{prefix}_{shots}_shot_{stage}')
                assert (found.model.vocabulary, found.setting.shots) == (vocabulary, shots)
    assert {name for name in NAMES if experiment(name).setting.shots} == {
        name for name in NAMES if name.startswith('table3/')
    }


def test_figure_4_has_six_models_with_and_without_link() -> None:
    others = {name.split('/')[1] for name in NAMES if name.startswith('figure4/')}
    models = ('blip', 'dinov2', 'dino', 'siglip2', 'florence2')  # CLIP's are link_l and its student
    assert others == {f'{model}_{stage}' for model in models for stage in ('baseline', 'link')}
    for model in models:
        with_link, without = (experiment(f'figure4/{model}_{end}') for end in ('link', 'baseline'))
        assert with_link.model.backbone == without.model.backbone
        assert with_link.distillation.teachers == ('runs/link_l/checkpoint',)


@pytest.mark.parametrize('config', BACKBONE_CONFIGS, ids=lambda config: config.name)
def test_every_model_can_be_built_in_full_size(config: BackboneConfig) -> None:
    """On the device 'meta', where tensors have shapes and no values."""
    pytest.importorskip('open_clip')
    pytest.importorskip('transformers')
    backbone = without_values(config)
    texts = backbone if config.text == 'own' else without_values(BackboneConfig(config.text))
    models = {experiment(name).model for name in WITH_PIXELS}
    for model in (model for model in models if model.backbone == config):
        build_on_meta(model, backbone.width, texts.text_width)


def without_values(config: BackboneConfig) -> Backbone:
    row = BACKBONES[config.name]
    with torch.device('meta'), torch.inference_mode():
        if row.family != 'open_clip':
            return build_backbone(replace(config, weights='random'))
        import open_clip

        from link_hoi_core.backbones.open_clip import OpenClip

        # The library's own way to an untrained model copies values, which there are none of.
        network = open_clip.CLIP(**open_clip.get_model_config(row.architecture))
        return OpenClip(config.name, network, config)


def build_on_meta(model: LinkConfig, width: int, text_width: int) -> None:
    vocabulary = load_vocabulary(model.vocabulary)
    with torch.device('meta'), torch.inference_mode():
        objects = torch.zeros(len(vocabulary.objects), EMBEDDING_SIZE)
        verbs = torch.zeros(len(vocabulary.verbs), text_width)
        link = Link(model, width, objects, verbs)
    assert (link.adapter is not None) == (model.adapter > 0)


def test_the_guide_names_experiments_that_exist() -> None:
    named = re.findall(r'experiments/([\w/]+)\.yaml', GUIDE.read_text())
    assert named and set(named) <= set(NAMES)


def test_the_guide_sets_keys_that_exist() -> None:
    named = re.findall(r"--set '?([a-z_.]+)=", GUIDE.read_text())
    assert named and [key for key in named if not has_key(experiment('link_b'), key)] == []


def test_the_guides_annotations_are_read(tmp_path: Path) -> None:
    """The sample for one's own data, a person who rides a bicycle."""
    sample = re.search(r'```json\n(.*?)```', GUIDE.read_text(), re.DOTALL)[1]
    (tmp_path / 'mine.json').write_text(sample)
    (image,) = read_hico_det(tmp_path / 'mine.json')
    vocabulary = load_vocabulary('hico-det')
    assert vocabulary.objects[image.object[0]] == 'bicycle'
    assert vocabulary.verbs[image.verb[0]] == 'ride'
    assert vocabulary.hois[image.hoi[0]].tolist() == [image.verb[0], image.object[0]]


def has_key(configuration: object, key: str) -> bool:
    first, _, rest = key.partition('.')
    if not hasattr(configuration, first):
        return False
    return not rest or has_key(getattr(configuration, first), rest)
