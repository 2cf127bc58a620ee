"""Any bag is read, and of a broken one a sentence says so."""

from __future__ import annotations

import random
import shutil
import sqlite3

import pytest
import yaml
from bag_files import PERIOD, START, image, street, write_bag
from rosbags.rosbag2 import CompressionMode
from sensor_msgs.msg import Image

from link_hoi_msgs.msg import HoiDetectionArray
from link_hoi_ros.bags.reading import Bag, Recorded, deserialised, message_class, stamp_of

FORMS = [
    ('mcap', CompressionMode.NONE),
    ('mcap', CompressionMode.STORAGE),
    ('mcap', CompressionMode.MESSAGE),
    ('mcap', CompressionMode.FILE),
    ('sqlite3', CompressionMode.NONE),
    ('sqlite3', CompressionMode.MESSAGE),
    ('sqlite3', CompressionMode.FILE),
]
forms = pytest.mark.parametrize(
    ('storage', 'compression'), FORMS, ids=[f'{s}-{c.name.lower()}' for s, c in FORMS]
)
TOPICS = ['/camera/image_raw', '/camera/detections']


def read(path) -> list[tuple[str, int, object]]:
    with Bag(path) as bag:
        types = {topic: bag.check_type(topic) for topic in bag.types}
        return [(m.topic, m.time, deserialised(m, types[m.topic])) for m in bag.messages(types)]


@forms
@pytest.mark.parametrize('version', [8, 9])
def test_whatever_the_storage_and_the_compression_the_messages_are_the_same(
    tmp_path, storage, compression, version
):
    written = street(3)
    path = write_bag(tmp_path / 'bag', written, storage, compression, version)
    assert read(path) == sorted(written, key=lambda message: message[1])


@pytest.mark.parametrize(('storage', 'suffix'), [('mcap', '.mcap'), ('sqlite3', '.db3')])
def test_a_single_file_is_a_bag_too(tmp_path, storage, suffix):
    folder = write_bag(tmp_path / 'bag', street(2), storage)
    (file,) = folder.glob(f'*{suffix}')
    assert read(file) == read(folder)


def test_what_is_in_it_is_told_without_reading_it_all(tmp_path):
    with Bag(write_bag(tmp_path / 'bag', street(3))) as bag:
        assert bag.types['/camera/image_raw'] == 'sensor_msgs/msg/Image'
        assert sorted(bag.types) == sorted(TOPICS)
        assert bag.end == START + 2 * PERIOD + 41_000_000
        assert bag.start == START + 1_000_000
        assert bag.beside('hoi') == tmp_path / 'bag_hoi'
        assert bag.count('/camera/image_raw') == 3


def test_a_stamp_is_read_from_either_byte_order():
    stamp = (1_700_000_000).to_bytes(4, 'big') + (50_000_000).to_bytes(4, 'big')
    assert stamp_of(Recorded('/x', 0, b'\0\0\0\0' + stamp)) == START
    stamp = (1_700_000_000).to_bytes(4, 'little') + (50_000_000).to_bytes(4, 'little')
    assert stamp_of(Recorded('/x', 0, b'\0\1\0\0' + stamp)) == START
    with pytest.raises(ValueError, match='/x: the message recorded at 5 ns is broken'):
        stamp_of(Recorded('/x', 5, b'\0\1\0\0\0'))


def refusal(path) -> str:
    with pytest.raises((ValueError, OSError)) as refused:
        read(path)
    sentence = str(refused.value)
    assert '\n' not in sentence
    assert str(path) in sentence
    return sentence


def test_what_is_no_bag_is_refused_in_a_sentence(tmp_path):
    assert 'no such bag' in refusal(tmp_path / 'none')
    assert 'ros2 bag reindex' in refusal(tmp_path)
    for name in ('notes.txt', 'ros1.bag', 'made.up.mcap', 'made.up.db3'):
        file = tmp_path / name
        file.write_bytes(b'not a bag at all, but long enough to look into for a while')
        assert 'not a bag that can be read' in refusal(file)


def test_a_file_that_is_gone_is_named(tmp_path):
    path = write_bag(tmp_path / 'bag', street(1))
    (path / 'bag.mcap').unlink()
    assert 'bag.mcap' in refusal(path)


def test_an_empty_bag_is_refused(tmp_path):
    path = write_bag(tmp_path / 'bag', [])
    assert 'the bag has no message' in refusal(path)


@forms
def test_a_truncated_bag_is_refused(tmp_path, storage, compression):
    path = write_bag(tmp_path / 'bag', street(3), storage, compression)
    (file,) = (file for file in path.iterdir() if file.suffix != '.yaml')
    whole = file.read_bytes()
    for kept in (0, 20, len(whole) // 2, len(whole) * 9 // 10):
        file.write_bytes(whole[:kept])
        refusal(path)


def test_a_bag_whose_messages_are_gone_is_not_read_as_if_it_had_none(tmp_path):
    path = write_bag(tmp_path / 'bag', street(3), 'sqlite3')
    (file,) = path.glob('*.db3')
    with sqlite3.connect(file) as database:
        database.execute('DELETE FROM messages WHERE id > 2')
    assert 'messages of /camera/detections, /camera/image_raw are missing' in refusal(path)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_is_read_though_its_metadata_tell_another_qos_than_its_files(tmp_path, storage):
    """As of bags that were converted, or whose metadata.yaml was edited to play them otherwise."""
    path = write_bag(tmp_path / 'bag', street(2), storage, version=8)
    expected = read(path)
    content = yaml.safe_load((path / 'metadata.yaml').read_text())
    unspecified = '{sec: 0, nsec: 0}'
    for item in content['rosbag2_bagfile_information']['topics_with_message_count']:
        item['topic_metadata']['offered_qos_profiles'] = (
            '- {history: 1, depth: 5, reliability: 1, durability: 2, liveliness: 1, '
            f'deadline: {unspecified}, lifespan: {unspecified}, '
            f'liveliness_lease_duration: {unspecified}, avoid_ros_namespace_conventions: false}}'
        )
    (path / 'metadata.yaml').write_text(yaml.safe_dump(content))
    assert read(path) == expected


def test_another_definition_of_a_type_is_refused_and_not_misread(tmp_path):
    path = write_bag(tmp_path / 'bag', street(2))
    metadata = path / 'metadata.yaml'
    text = metadata.read_text()
    start = text.index('RIHS01_')
    metadata.write_text(text[:start] + 'RIHS01_' + '0' * 64 + text[start + 71 :])
    assert 'was recorded with another definition of' in refusal(path)


def test_a_topic_or_a_package_that_is_not_there_is_named(tmp_path):
    with Bag(write_bag(tmp_path / 'bag', street(1))) as bag:
        with pytest.raises(ValueError, match='no topic /depth; it has .*/camera/image_raw'):
            bag.check_type('/depth')
    with pytest.raises(ImportError, match='apt install ros-.*-no-such-msgs'):
        message_class('no_such_msgs/msg/Thing')
    assert message_class('sensor_msgs/msg/Image') is Image
    assert message_class('link_hoi_msgs/msg/HoiDetectionArray') is HoiDetectionArray


def test_a_message_of_other_bytes_is_refused(tmp_path):
    recorded = Recorded('/camera/image_raw', 7, b'\0\1\0\0' + b'\xff' * 40)
    with pytest.raises(ValueError, match='/camera/image_raw: the message recorded at 7 ns'):
        deserialised(recorded, Image)


@pytest.mark.parametrize('seed', range(4))
def test_random_bytes_anywhere_never_end_in_a_traceback(tmp_path, seed):
    chance = random.Random(seed)
    forms = [FORMS[seed], FORMS[(seed + 4) % len(FORMS)]]
    for storage, compression in forms:
        messages = [('/camera/image_raw', START, image(START)), *street(2)[1:]]
        source = write_bag(
            tmp_path / f'{storage}-{compression.name}', messages, storage, compression
        )
        broken = tmp_path / 'broken'
        for _ in range(40):
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(source, broken)
            file = chance.choice(sorted(broken.iterdir()))
            data = bytearray(file.read_bytes())
            for _ in range(chance.choice([1, 3, 30])):
                edge = min(1000, len(data))
                place = chance.choice([chance.randrange(edge), -1 - chance.randrange(edge)])
                data[place] = chance.randrange(256)
            file.write_bytes(data)
            try:
                read(broken)
            except (ValueError, OSError, ImportError) as error:
                assert '\n' not in str(error)
