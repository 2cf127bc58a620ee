"""Which topics belong together is found where it can be, and asked for where it cannot."""

from __future__ import annotations

import pytest
from bag_files import START, image, jpeg, street, write_bag
from rosbags.rosbag2 import Writer

from link_hoi_ros.bags.cameras import Camera, find_cameras
from link_hoi_ros.bags.reading import Bag


def cameras(path, messages, **options) -> list[Camera]:
    with Bag(write_bag(path / 'bag', messages)) as bag:
        return find_cameras(bag, **options)


def test_the_only_camera_has_no_name_and_the_kinds_are_those_of_its_topics(tmp_path):
    (camera,) = cameras(tmp_path, street(1))
    assert camera.topics == {'image': '/camera/image_raw', 'detections': '/camera/detections'}
    assert (camera.name, camera.transport, camera.kind) == ('', 'raw', 'hoi')
    assert camera.key(START) == '1700000000_050000000'
    assert camera.output('triplets') == '/hoi/triplets'


def test_compressed_images_are_a_camera_too(tmp_path):
    (camera,) = cameras(tmp_path, street(1, make_image=jpeg))
    assert camera.transport == 'compressed'


def test_several_cameras_are_told_apart_by_their_namespaces(tmp_path):
    found = cameras(tmp_path, street(1, '/robot/front/rgb') + street(1, '/robot/rear/rgb'))
    assert [camera.name for camera in found] == ['front', 'rear']
    assert [camera.detections for camera in found] == [
        '/robot/front/rgb/detections',
        '/robot/rear/rgb/detections',
    ]
    assert found[1].key(START) == 'rear/1700000000_050000000'
    assert found[1].output('stats') == '/hoi/rear/stats'


def test_images_without_detections_of_their_own_are_asked_about(tmp_path):
    messages = [*street(1), ('/camera/depth/image', START, image(START))]
    with pytest.raises(ValueError, match='unclear which .*/camera/depth/image.*say --image'):
        cameras(tmp_path, messages)
    (camera,) = cameras(tmp_path / 'x', messages, images=['/camera/image_raw'])
    assert camera.detections == '/camera/detections'


def test_the_user_may_say_what_belongs_together(tmp_path):
    messages = street(1, '/a') + street(1, '/b')
    crossed = {'images': ['/a/image_raw', '/b/image_raw'], 'detections': ['/b/detections'] * 2}
    first, second = cameras(tmp_path, messages, **crossed)
    assert first.detections == second.detections == '/b/detections'
    with pytest.raises(ValueError, match='1 topics of detections for 2 of images'):
        cameras(tmp_path / 'x', messages, detections=['/a/detections'])
    with pytest.raises(ValueError, match='a topic comes twice'):
        cameras(tmp_path / 'y', messages, images=['/a/image_raw'] * 2)


def test_a_detector_of_the_nodes_own_needs_no_topic(tmp_path):
    images = [('/camera/image_raw', START, image(START))]
    (camera,) = cameras(tmp_path, images, builtin=True)
    assert (camera.detections, camera.kind) == (None, 'builtin')
    with pytest.raises(ValueError, match='no topic of detections.*detector=NAME'):
        cameras(tmp_path / 'x', images)


def test_names_of_classes_are_for_vision_msgs_alone(tmp_path):
    """The others have names of their own, and vision_msgs may not even be installed."""
    with Writer(tmp_path / 'bag', version=9) as writer:
        for topic, kind in (
            ('/a/image', 'sensor_msgs/msg/Image'),
            ('/a/boxes', 'vision_msgs/msg/Detection2DArray'),
            ('/a/labels', 'vision_msgs/msg/LabelInfo'),
            ('/b/image', 'sensor_msgs/msg/Image'),
            ('/b/boxes', 'link_hoi_msgs/msg/HoiDetectionArray'),
        ):
            connection = writer.add_connection(topic, kind, msgdef='bool x', rihs01='RIHS01_')
            writer.write(connection, START, b'\0\1\0\0\1')
    with Bag(tmp_path / 'bag') as bag:
        assert [camera.label_info for camera in find_cameras(bag)] == ['/a/labels', None]


def test_a_topic_that_is_not_there_or_is_something_else_is_named(tmp_path):
    with pytest.raises(ValueError, match='no topic /left; it has /camera/detections'):
        cameras(tmp_path, street(1), images=['/left'])
    with pytest.raises(ValueError, match='/camera/detections is link_hoi_msgs/.*expected images'):
        cameras(tmp_path / 'x', street(1), images=['/camera/detections'])
    with pytest.raises(ValueError, match='/camera/image_raw is .*expected detections'):
        cameras(tmp_path / 'y', street(1), detections=['/camera/image_raw'])
    only_detections = street(1)[1:]
    with pytest.raises(ValueError, match='no topic of images; it has /camera/detections'):
        cameras(tmp_path / 'z', only_detections)
