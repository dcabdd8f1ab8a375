"""Fixtures of all tests. Those for AiiDA exist only where aiida-core does: the engine is tested without it too."""

from __future__ import annotations

import importlib.util
import os
import sysconfig

import pytest

HAVE_AIIDA = importlib.util.find_spec('aiida') is not None
AIIDA_ROOMS = ('calculations', 'cli', 'codes', 'data', 'datasets', 'e2e', 'groups', 'parsers', 'report', 'workflows')

pytest_plugins = (
    ['aiida.tools.pytest_fixtures', 'tests.fixtures.profiles', 'tests.fixtures.nodes'] if HAVE_AIIDA else []
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
