"""What is written is a bag to everybody, and not there before it is whole."""

from __future__ import annotations

import json
import resource

import pytest
import yaml
from bag_files import START

from link_hoi_msgs.msg import HoiTripletArray, HoiVocabulary
from link_hoi_ros.bags.reading import Bag, definitions_of, deserialised
from link_hoi_ros.bags.writing import Recording, typestore
from link_hoi_ros.graph import type_name

TOPICS = {'/hoi/triplets': HoiTripletArray, '/hoi/vocabulary': HoiVocabulary}
storages = pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])


def write(path, storage='mcap') -> None:
    with Recording(path, TOPICS, ['/hoi/vocabulary'], storage) as recording:
        recording.write('/hoi/triplets', START, HoiTripletArray(model='boxes'))
        recording.write('/hoi/vocabulary', START + 5, HoiVocabulary(verbs=['ride']))


@storages
def test_it_is_read_back(tmp_path, storage):
    write(tmp_path / 'bag', storage)
    with Bag(tmp_path / 'bag') as bag:
        messages = list(bag.messages(TOPICS))
        read = [deserialised(item, bag.check_type(item.topic)) for item in messages]
    assert [item.time for item in messages] == [START, START + 5]
    assert read == [HoiTripletArray(model='boxes'), HoiVocabulary(verbs=['ride'])]
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_the_hashes_of_our_types_are_those_that_are_installed():
    """Else `ros2 bag play` would take them for other types."""
    types = typestore()
    names = [file.stem for file in definitions_of('link_hoi_msgs').glob('*.msg')]
    assert len(names) == 7
    for name in names:
        installed = json.loads((definitions_of('link_hoi_msgs') / f'{name}.json').read_text())
        expected = {item['type_name']: item['hash_string'] for item in installed['type_hashes']}
        full = f'link_hoi_msgs/msg/{name}'
        assert types.hash_rihs01(full) == expected[full]


@storages
def test_its_metadata_is_what_rosbag2_documents_for_its_version(tmp_path, storage):
    """What rosbag2_storage's decoder of Humble to Rolling asks for, with the types it asks for."""
    write(tmp_path / 'bag', storage)
    content = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())
    about = content['rosbag2_bagfile_information']
    assert about['version'] == 8
    assert about['storage_identifier'] == storage
    assert about['message_count'] == 2
    assert about['duration'] == {'nanoseconds': 5}
    assert about['starting_time'] == {'nanoseconds_since_epoch': START}
    assert about['compression_format'] == about['compression_mode'] == ''
    assert isinstance(about['ros_distro'], str)
    (name,) = about['relative_file_paths']
    assert (tmp_path / 'bag' / name).is_file()
    (file,) = about['files']
    assert (file['path'], file['message_count']) == (name, 2)
    topics = {item['topic_metadata']['name']: item for item in about['topics_with_message_count']}
    assert topics.keys() == TOPICS.keys()
    for topic, item in topics.items():
        told = item['topic_metadata']
        assert item['message_count'] == 1
        assert told['type'] == type_name(TOPICS[topic])
        assert told['serialization_format'] == 'cdr'
        assert told['type_description_hash'].startswith('RIHS01_')
        # before version 9 a text, of whole numbers as in rmw/types.h
        (profile,) = yaml.safe_load(told['offered_qos_profiles'])
        latched = topic == '/hoi/vocabulary'
        assert (profile['reliability'], profile['durability']) == (1, 1 if latched else 2)
        assert (profile['history'], profile['depth']) == (1, 1 if latched else 10)
        assert profile['liveliness'] == 1
        assert profile['deadline'] == profile['lifespan'] == {'sec': 0, 'nsec': 0}


def test_where_writing_fails_nothing_is_left(tmp_path):
    with pytest.raises(RuntimeError, match='halfway'):
        with Recording(tmp_path / 'bag', TOPICS) as recording:
            recording.write('/hoi/triplets', START, HoiTripletArray())
            raise RuntimeError('halfway')
    assert not list(tmp_path.iterdir())


@storages
def test_a_full_disk_is_told_in_a_sentence_and_nothing_is_left(tmp_path, storage):
    """A limit on the size of files: to a writer the same, but for the words."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r'bag: cannot be written \(') as told:
            with Recording(tmp_path / 'bag', TOPICS, storage=storage) as recording:
                for number in range(2000):
                    recording.write('/hoi/triplets', number, HoiTripletArray(model='boxes' * 99))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert '\n' not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_no_folder_made_up(tmp_path):
    (tmp_path / 'bag').mkdir()
    with pytest.raises(FileExistsError, match='is there already'):
        Recording(tmp_path / 'bag', TOPICS)
    with pytest.raises(FileNotFoundError, match='no such folder to write a bag to'):
        Recording(tmp_path / 'no' / 'bag', TOPICS)
