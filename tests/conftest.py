"""Fixtures of all tests. Those for AiiDA exist only where aiida-core does: the engine is tested without it too."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest

HAVE_AIIDA = importlib.util.find_spec('aiida') is not None
AIIDA_ROOMS = (
    'calculations', 'chaos', 'cli', 'codes', 'data', 'datasets', 'e2e', 'groups', 'parsers', 'report', 'usage',
    'workflows',
)  # fmt: skip
HERE = Path(__file__).parent
STORAGE = {
    'data': 'nodes as they come back: attributes, arrays, hashes, queries, archives',
    'groups': 'sets: names, queries, selections, exports, checks, removal',
    'datasets/ingest': 'rows by COPY and in which order, packs and locks, kills in between, archives',
    'calculations/test_select_entries.py': 'a selection asks the database for its candidates',
    'cli/dataset': 'all of this as a person does it',
    'codes/test_locks.py': 'only SQLite needs help with locks',
    'codes/test_potentials.py': 'potentials are found again by queries',
    'codes/test_register.py': 'so are codes',
    'workflows/test_packed.py': 'and items that jobs of before have finished',
    'workflows/test_resume.py': 'and jobs to go on from',
    'workflows/test_submission.py': 'and children that a killed worker has submitted',
    'e2e/test_daemon.py': 'several processes write at once',
}
"""What of these tests depends on the database, and why; single tests elsewhere have the marker ``storage``.

The rest makes inputs, parses folders and follows chains: that calls AiiDA, which is tested on PostgreSQL by itself.
"""

pytest_plugins = (
    [
        'aiida.tools.pytest_fixtures',
        'tests.fixtures.profiles',
        'tests.fixtures.nodes',
        'tests.fixtures.testbed',
        'tests.fixtures.toy_labels',
        'tests.fixtures.training',
    ]
    if HAVE_AIIDA
    else []
)
# aiida-core looks for the ``verdi`` of its daemon when it is imported; the environment need not be activated.
os.environ['PATH'] = os.pathsep.join([sysconfig.get_path('scripts'), os.environ.get('PATH', '')])
collect_ignore = [] if HAVE_AIIDA else list(AIIDA_ROOMS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        '--storage',
        choices=('sqlite', 'postgresql'),
        default='sqlite',
        help='database behind the AiiDA profile of the tests; postgresql starts a throw-away server',
    )
    parser.addoption(
        '--broker',
        choices=('zeromq', 'rabbitmq'),
        default='zeromq',
        help='what brings tasks to the daemon of the tests; rabbitmq starts a throw-away server',
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = [HERE / name for name in STORAGE]
    if missing := [str(place) for place in places if not place.exists()]:
        raise pytest.UsageError(f'STORAGE in {__file__} names what is not there: {", ".join(missing)}')
    for item in items:
        if any(place == item.path or place in item.path.parents for place in places):
            item.add_marker(pytest.mark.storage)
