"""A bag that is written, in a form that `ros2 bag` of every distribution from Humble on reads."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message

from link_hoi_core.optional import require
from link_hoi_ros.bags.reading import INSTALL, definitions_of
from link_hoi_ros.graph import type_name

STORAGES = ('mcap', 'sqlite3')
# Of metadata.yaml. Version 9 has Jazzy's form of the QoS profiles, which Humble and Iron cannot
# parse; all can parse that of version 8.
VERSION = 8


class Recording:
    """A new bag; a context manager. It has its name once it is whole, and else is not there."""

    def __init__(
        self,
        path: Path,
        topics: Mapping[str, type],
        latched: Collection[str] = (),
        storage: str = 'mcap',
    ) -> None:
        """Open it.

        Args:
            path: its folder, which must not be there yet.
            topics: the class of each topic's messages.
            latched: topics that a late subscriber gets as well when the bag is played.
            storage: one of STORAGES.

        Raises:
            OSError: `path` is there, or its parent is not, or it cannot be written.
            ImportError: rosbags is missing.
        """
        rosbag2 = require('rosbags.rosbag2', INSTALL, 'writing bags')
        if path.exists():
            raise FileExistsError(f'{path}: is there already, and is not overwritten')
        if not path.parent.is_dir():
            raise FileNotFoundError(f'{path.parent}: no such folder to write a bag to')
        self._path = path
        with _one_error(path), ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix=f'.{path.name}-', dir=path.parent)
            self._partial = Path(stack.enter_context(folder)) / path.name
            plugin = rosbag2.StoragePlugin[storage.upper()]
            self._writer = rosbag2.Writer(self._partial, version=VERSION, storage_plugin=plugin)
            self._writer.__enter__()
            types = typestore()
            self._connections = {
                topic: self._writer.add_connection(
                    topic,
                    type_name(message_type),
                    typestore=types,
                    offered_qos_profiles=[_qos(topic in latched)],
                )
                for topic, message_type in topics.items()
            }
            self._stack = stack.pop_all()

    def write(self, topic: str, time: int, message: Any) -> None:
        """Add a message, or its serialised bytes, under a time in nanoseconds.

        Raises:
            OSError: it cannot be written.
        """
        data = message if isinstance(message, bytes) else serialize_message(message)
        with _one_error(self._path):
            self._writer.write(self._connections[topic], time, data)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, error_type: type | None, *error: object) -> None:
        with _one_error(self._path), self._stack:
            self._writer.__exit__(error_type, *error)
            if error_type is None:
                self._partial.rename(self._path)


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """A full disk is an error of SQLite's own to SQLite, and names no file elsewhere."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise OSError(f'{path}: cannot be written ({error})') from error


def typestore(packages: Sequence[str] = ('link_hoi_msgs',)) -> Any:
    """The definitions of messages, which go into the bag: ROS's own, and those of packages."""
    typesys = require('rosbags.typesys', INSTALL, 'writing bags')
    types = typesys.get_typestore(typesys.Stores.LATEST)
    for package in packages:
        for file in sorted(definitions_of(package).glob('*.msg')):
            name = f'{package}/msg/{file.stem}'
            types.register(typesys.get_types_from_msg(file.read_text(), name))
    return types


def _qos(latched: bool) -> Any:
    """Reliable, depth 10; or latched, as `qos.latched`."""
    of = require('rosbags.interfaces', INSTALL, 'writing bags')
    unspecified = of.QosTime(0, 0)
    return of.Qos(
        history=of.QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=of.QosReliability.RELIABLE,
        durability=of.QosDurability.TRANSIENT_LOCAL if latched else of.QosDurability.VOLATILE,
        deadline=unspecified,
        lifespan=unspecified,
        liveliness=of.QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=unspecified,
        avoid_ros_namespace_conventions=False,
    )
