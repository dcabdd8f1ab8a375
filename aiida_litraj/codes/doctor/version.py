"""Has the daemon the plugin that is installed now."""

from __future__ import annotations

import time
from pathlib import Path

from .case import Case
from .daemon import workers_of
from .finding import Answer, ok, warning

ROOMS = ('calculations', 'contract', 'data', 'parsers', 'workflows', 'analysis', 'groups')
"""What workers import; the engine travels with the code, and the command line is new each time."""


def check(case: Case) -> Answer:
    """Compare when the workers were started with when the plugin's files were written."""
    from aiida.engine.daemon.client import get_daemon_client

    import aiida_litraj

    root = Path(aiida_litraj.__file__).parent
    workers = workers_of(get_daemon_client(case.profile), case.limits.answer_s)
    files = [path for room in ROOMS for path in (root / room).rglob('*.py')]
    newest = max(files, key=lambda path: path.stat().st_mtime)
    started, written = min(one.create_time() for one in workers), newest.stat().st_mtime
    if written > started:
        when = time.strftime('%Y-%m-%d %H:%M', time.localtime(started))
        return warning(
            f'a worker has run since {when}, and the plugin was changed since: {newest.relative_to(root)}',
            f'aiida-litraj -p {case.profile} daemon restart',
        )
    return ok(f'the workers are younger than the plugin, {aiida_litraj.__version__}')
