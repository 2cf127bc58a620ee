"""The node's parameters: one table for descriptors, `config/hoi.yaml` and the README.

See parameters.py for what is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


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
        'threads',
        1,
        'Threads of the CPU that the model computes with; 0 for as many as there are cores. More '
        'than one gains little, and collapses where other processes fill the cores.',
        range=(0, 256),
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
        'detections.classes',
        [''],
        "Class names by number, where the detector's messages say numbers of its own; [''] for "
        'names, for the numbers of COCO, and for what a topic label_info says.',
    ),
    Parameter(
        'image_transport',
        'raw',
        "'compressed' subscribes to <image>/compressed (JPEG or PNG).",
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'qos.image',
        'sensor_data',
        'What is asked of the camera: best effort, which any publisher offers, or reliable.',
        choices=('sensor_data', 'reliable'),
    ),
    Parameter(
        'qos.detections',
        'sensor_data',
        'What is asked of the detector, as qos.image.',
        choices=('sensor_data', 'reliable'),
    ),
    Parameter(
        'matching.policy',
        'exact',
        "Which detections belong to an image: those of its stamp ('exact'), or the nearest within "
        "matching.tolerance ('tolerance'), or as message_filters finds them ('approximate').",
        choices=('exact', 'tolerance', 'approximate'),
    ),
    Parameter(
        'matching.tolerance',
        0.01,
        'Largest difference in seconds between the stamps of an image and its detections; keep it '
        'below half the camera period. Without effect on exact matching.',
        range=(0.0, 10.0),
    ),
    Parameter(
        'matching.window',
        2.0,
        'How long in seconds an image waits for its detections.',
        range=(0.01, 60.0),
    ),
    Parameter(
        'snapshot.folder',
        '',
        "Where the service ~/snapshot writes; '' for link_hoi_snapshots in ROS's log folder.",
    ),
    Parameter('autostart', True, 'Whether the node configures and activates itself.'),
    Parameter(
        'verbs',
        [''],
        "Verbs to look for, any words; [''] for those that the model was trained on.",
        hot=True,
    ),
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
    Parameter(
        'max_pairs',
        435,
        'Largest number of human-object pairs that the model looks at, of the surest detections. '
        'LINK selects 15 humans and 15 objects at most, which are 435 pairs.',
        hot=True,
        range=(2, 435),
    ),
    Parameter(
        'event.start_score',
        0.3,
        'An interaction starts when its score stays at or above this.',
        hot=True,
        range=(0.0, 1.0),
    ),
    Parameter(
        'event.end_score',
        0.15,
        'It ends when its score stays below this; no higher than event.start_score.',
        hot=True,
        range=(0.0, 1.0),
    ),
    Parameter(
        'event.start_seconds',
        0.3,
        'How long it must stay there until its start is told.',
        hot=True,
        range=(0.0, 60.0),
    ),
    Parameter(
        'event.end_seconds',
        0.5,
        'How long it must stay away until its end is told.',
        hot=True,
        range=(0.0, 60.0),
    ),
    Parameter(
        'event.overlap',
        0.3,
        'Untracked boxes of one class are the same thing from image to image at this IoU.',
        hot=True,
        range=(0.01, 1.0),
    ),
    *(
        Parameter(f'publish.{topic}', True, f'Whether {what}.', hot=True)
        for topic, what in (
            ('events', 'starts and ends of interactions are published'),
            ('overlay', 'the annotated image is drawn where someone subscribes to it'),
            ('annotations', 'Foxglove gets its annotations where it subscribes to them'),
            ('markers', 'image markers are published where someone subscribes to them'),
        )
    ),
)
