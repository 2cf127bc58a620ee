"""Make or refresh `.venv`, in which the demo, the tests and the linter run: `make setup`.

Runs on Python 3.6 and later, so that it can say that 3.10 is needed.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036
    found = f'{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable})'
    sys.exit(f'setup: link_hoi needs Python 3.10 or newer, not {found}; name one: make PYTHON=...')

from environment import main  # noqa: E402 (an older Python could not even parse it)

if __name__ == '__main__':
    main()
