"""A recorded bag: MCAP or sqlite3, compressed or not, one file or several; no ROS distro is needed.

Messages are deserialised by rclpy, as in the running node.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message

from link_hoi_core.optional import require
from link_hoi_ros.matching import NANOSECONDS

INSTALL = "pip install 'rosbags>=0.11'"
_CDR_HEADER = 4  # bytes before the message; the second one tells the byte order
_STAMP = 8  # bytes


@dataclass(frozen=True)
class Recorded:
    """A serialised message of a bag; `time` is when it was recorded, in nanoseconds."""

    topic: str
    time: int
    data: bytes


class Bag:
    """A bag that is open for reading; a context manager.

    Attributes:
        path: its folder, or a single file.
        types: of each topic, such as 'sensor_msgs/msg/Image'.
        start, end: recorded times of its first and last message, in nanoseconds.
    """

    def __init__(self, path: str | Path) -> None:
        """Open it.

        Raises:
            FileNotFoundError: there is no such bag.
            ValueError: it cannot be read, or has no message; one sentence.
            ImportError: rosbags is missing.
        """
        self.path = Path(path)
        rosbag2 = require('rosbags.rosbag2', INSTALL, 'reading bags')
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such bag')
        if self.path.is_dir() and not (self.path / 'metadata.yaml').is_file():
            raise ValueError(
                f'{path}: no bag, for it has no metadata.yaml; if its recording was cut off, '
                f'ros2 bag reindex {path} writes one'
            )
        with _one_sentence(self.path):
            self._reader = rosbag2.Reader(self.path)
            self._reader.open()
            if self.path.is_dir():
                _as_metadata_say(self._reader)
        if not self._reader.message_count:
            self.close()
            raise ValueError(f'{path}: the bag has no message')
        self.types = {name: info.msgtype for name, info in self._reader.topics.items()}
        self.start, self.end = self._reader.start_time, self._reader.end_time - 1

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._reader.close()

    def beside(self, suffix: str) -> Path:
        """Where something that is made of it goes: '<bag>_<suffix>' in the same folder."""
        path = self.path.resolve()
        return path.with_name(f'{path.name if path.is_dir() else path.stem}_{suffix}')

    def count(self, topic: str) -> int:
        """How many messages a topic has."""
        return self._reader.topics[topic].msgcount

    def check_type(self, topic: str) -> type:
        """The class of a topic's messages.

        Raises:
            ValueError: the bag has no such topic, or it was recorded with another definition of
                the type than is installed here.
            ImportError: the type's package is not installed.
        """
        if topic not in self.types:
            raise ValueError(f'{self.path}: no topic {topic}; it has {", ".join(self.types)}')
        message_type = message_class(self.types[topic])
        installed = _installed_hash(self.types[topic])
        for connection in self._reader.topics[topic].connections:
            if installed and connection.digest not in ('', installed):
                raise ValueError(
                    f'{self.path}: {topic} was recorded with another definition of '
                    f'{self.types[topic]} ({connection.digest}) than the one installed here'
                )
        return message_type

    def messages(self, topics: Collection[str]) -> Iterator[Recorded]:
        """The messages of topics in the order in which they were recorded.

        Raises:
            ValueError: the bag is broken, or holds fewer messages than it says.
        """
        wanted = [item for item in self._reader.connections if item.topic in topics]
        missing = sum(item.msgcount for item in wanted)
        found = self._reader.messages(wanted) if wanted else iter(())
        while True:
            with _one_sentence(self.path):
                item = next(found, None)
            if item is None:
                break
            missing -= 1
            connection, time, data = item
            yield Recorded(connection.topic, time, data)
        if missing > 0:
            raise ValueError(
                f'{self.path}: broken or incomplete, {missing} messages of '
                f'{", ".join(sorted(topics))} are missing'
            )


def message_class(type_name: str) -> type:
    """The class of 'sensor_msgs/msg/Image'.

    Raises:
        ImportError: its package is not installed, or has no such type.
    """
    package, _, name = type_name.partition('/msg/')
    install = f'apt install ros-$ROS_DISTRO-{package.replace("_", "-")}'
    module = require(f'{package}.msg', install, f'a topic of {type_name}')
    if not hasattr(module, name):
        raise ImportError(f'{package} as it is installed has no type {type_name}')
    return getattr(module, name)


def deserialised(recorded: Recorded, message_type: type) -> Any:
    """The message.

    Raises:
        ValueError: its bytes are not of this type.
    """
    try:
        return deserialize_message(recorded.data, message_type)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{recorded.topic}: the message recorded at {recorded.time} ns is broken: {error}'
        ) from error


def stamp_of(recorded: Recorded) -> int:
    """The stamp in nanoseconds of a message that begins with a header.

    Raises:
        ValueError: it is too short to have one.
    """
    data = recorded.data
    if len(data) < _CDR_HEADER + _STAMP:
        raise ValueError(
            f'{recorded.topic}: the message recorded at {recorded.time} ns is broken: '
            f'{len(data)} bytes'
        )
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, _CDR_HEADER)
    return seconds * NANOSECONDS + nanoseconds


def definitions_of(package: str) -> Path:
    """The installed folder of a package's definitions of messages.

    Found from where its Python module lies, for the wheels set no AMENT_PREFIX_PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    spec = importlib.util.find_spec(package)
    for parent in Path(spec.origin).parents if spec else ():
        folder = parent / 'share' / package / 'msg'
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f'the definitions of {package} are not installed')


def _as_metadata_say(reader: Any) -> None:
    """Let the files' topics have the QoS that metadata.yaml tells.

    rosbags takes a topic of a file for one of the metadata only where the QoS of both are equal,
    and else reads nothing. In bags that were converted, merged or edited they differ.
    """
    told = {(item.topic, item.msgtype): item.ext for item in reader.connections}
    for file in reader.storage.storages:
        file.connections[:] = [
            item._replace(ext=told.get((item.topic, item.msgtype), item.ext))
            for item in file.connections
        ]


def _installed_hash(type_name: str) -> str | None:
    """RIHS01 of a type as it is installed; None before ROS 2 Iron, which has no such hashes."""
    package, _, name = type_name.partition('/msg/')
    try:
        hashes = json.loads((definitions_of(package) / f'{name}.json').read_text())['type_hashes']
    except FileNotFoundError:
        return None
    return next(item['hash_string'] for item in hashes if item['type_name'] == type_name)


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a broken bag makes rosbags raise into one sentence.

    It is not bounded which errors those are: besides its own, those of YAML, SQLite, zstd, LZ4
    and struct, and IndexError, KeyError or AssertionError where a file lies about itself.
    """
    try:
        yield
    except Exception as error:
        cause = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(f'{path}: not a bag that can be read, or truncated ({cause})') from error
