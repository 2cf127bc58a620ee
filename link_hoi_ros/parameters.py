"""The node's parameters: one table that gives the descriptors and `config/hoi.yaml`.

`python -m link_hoi_ros.parameters > config/hoi.yaml` writes the file anew.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

if TYPE_CHECKING:
    from rclpy.node import Node


@dataclass(frozen=True)
class Parameter:
    """One row of the table; what is not `hot` is read-only and takes effect at configure.

    Attributes:
        default: its type is the parameter's.
        range: smallest and largest number.
        choices: all allowed texts.
    """

    name: str
    default: Any
    description: str
    hot: bool = False
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()

    @property
    def constraint(self) -> str:
        """The allowed values in words."""
        if self.range:
            return f'{self.range[0]} to {self.range[1]}'
        return ', '.join(self.choices)

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(description=self.description, read_only=not self.hot)
        if self.range and isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.range[0], to_value=self.range[1])
            ]
        elif self.range:
            descriptor.integer_range = [
                IntegerRange(from_value=int(self.range[0]), to_value=int(self.range[1]))
            ]
        elif self.choices:
            descriptor.additional_constraints = f'one of {self.constraint}'
        return descriptor


PARAMETERS = (
    Parameter(
        'model',
        'boxes',
        "An embedded model, a checkpoint folder, a hub repository ('owner/name'), or "
        "'clip_zero_shot'.",
    ),
    Parameter(
        'backbone.weights',
        '',
        "File or folder with the weights of the model's backbone; '' for the published ones.",
    ),
    Parameter('device', 'auto', "'cpu', 'cuda', 'cuda:1', or 'auto': the GPU where there is one."),
    Parameter(
        'precision', 'fp32', 'Of the model and its backbone.', choices=('fp32', 'bf16', 'fp16')
    ),
    Parameter(
        'detections_type',
        'vision_msgs',
        'Type of the detections topic: vision_msgs/Detection2DArray, yolo_msgs/DetectionArray '
        "or link_hoi_msgs/HoiDetectionArray ('hoi'); 'builtin' runs the parameter detector on each "
        'image, and no topic is wanted.',
        choices=('vision_msgs', 'yolo_msgs', 'hoi', 'builtin'),
    ),
    Parameter(
        'detector',
        '',
        "For 'builtin': a detector's name, such as yolo11n, detr-r50 or onnx:/path/to/yolox.onnx.",
    ),
    Parameter(
        'detector.weights',
        '',
        "File or folder with the detector's weights; '' for the published ones.",
    ),
    Parameter(
        'detector.score_threshold',
        0.0,
        "What the built-in detector finds below it is left out; 0 for the detector's own choice.",
        range=(0.0, 1.0),
    ),
    Parameter(
        'score_exponent',
        0.0,
        "Exponent of the detector's confidence in a triplet's score (lambda): 2.8 for DETR, 1.7 "
        "for Deformable DETR, else 1; 0 for the built-in detector's own, and 1 for a topic.",
        range=(0.0, 10.0),
    ),
    Parameter(
        'detections.image_size',
        [0, 0],
        'Width and height of the image that the detector sees, where it is not the image topic; '
        '[0, 0] for the same size.',
    ),
    Parameter(
        'image_transport',
        'raw',
        "'compressed' subscribes to <image>/compressed (JPEG or PNG).",
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'matching.tolerance',
        0.0,
        'Largest difference in seconds between the stamps of an image and its detections; keep it '
        'below half the camera period.',
        range=(0.0, 10.0),
    ),
    Parameter(
        'matching.window',
        2.0,
        'How long in seconds an image waits for its detections.',
        range=(0.01, 60.0),
    ),
    Parameter('autostart', True, 'Whether the node configures and activates itself.'),
    Parameter(
        'score_threshold',
        0.2,
        'Triplets with a lower score are not published.',
        hot=True,
        range=(0.0, 1.0),
    ),
    Parameter(
        'max_triplets',
        100,
        'Largest number of triplets in a message, the best ones.',
        hot=True,
        range=(0, 10_000),
    ),
)


def declare(node: Node, overrides: dict[str, Any]) -> None:
    """Declare the table.

    Args:
        overrides: what the user set, by name.

    Raises:
        ValueError: there is no parameter of a name in `overrides`.
        rclpy.exceptions.ParameterException: a value has another type, or is out of range.
    """
    for parameter in PARAMETERS:
        node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
    for name in overrides:
        if not node.has_parameter(name) and not name.startswith('qos_overrides.'):
            names = [parameter.name for parameter in PARAMETERS]
            near = difflib.get_close_matches(name, names, n=1) or names
            raise ValueError(f'unknown parameter {name!r}, did you mean {" or ".join(near)}?')


def check(node: Node) -> None:
    """Raise ValueError if a value breaks a rule that a descriptor cannot state."""
    for parameter in PARAMETERS:
        value = node.get_parameter(parameter.name).value
        if parameter.choices and value not in parameter.choices:
            raise ValueError(
                f'parameter {parameter.name} is {value!r}, expected one of {parameter.constraint}'
            )
    kind, detector = (node.get_parameter(name).value for name in ('detections_type', 'detector'))
    if (kind == 'builtin') != bool(detector):
        raise ValueError(
            f"parameter detector is {detector!r} and detections_type is {kind!r}: 'builtin' needs "
            f'a detector, and no other type has one'
        )
    size = list(node.get_parameter('detections.image_size').value)
    if size != [0, 0] and (len(size) != 2 or min(size) <= 0):
        raise ValueError(
            f'parameter detections.image_size is {size}, expected [width, height] or [0, 0]'
        )


def to_yaml() -> str:
    """`config/hoi.yaml`: every parameter with its default, [DYNAMIC] where it is hot."""
    lines = [
        '# Parameters of hoi_node with their defaults. Those marked [DYNAMIC] can be changed while',
        '# it runs: ros2 param set /hoi/hoi_node score_threshold 0.5',
        '# Written by: python -m link_hoi_ros.parameters > config/hoi.yaml',
        '/**:',
        '  ros__parameters:',
    ]
    for parameter in PARAMETERS:
        mark = '[DYNAMIC] ' if parameter.hot else ''
        allowed = f'  # {parameter.constraint}' if parameter.constraint else ''
        indent = '    # '
        lines += textwrap.wrap(
            mark + parameter.description, 100, initial_indent=indent, subsequent_indent=indent
        )
        # JSON is YAML, and quotes no more than it must
        lines.append(f'    {parameter.name}: {json.dumps(parameter.default)}{allowed}')
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    print(to_yaml(), end='')
