"""Are equal jobs taken from the cache."""

from __future__ import annotations

from ..profile import CACHED
from .case import Case
from .finding import Answer, ok, warning


def check(case: Case) -> Answer:
    """Ask AiiDA whether it would reuse a job of this plugin."""
    from aiida.manage.caching import get_use_cache
    from aiida.plugins import CalculationFactory

    if get_use_cache(identifier=CalculationFactory('litraj.neb').build_process_type()):
        return ok('equal jobs of this plugin are reused')
    name = case.profile
    return warning(
        'equal jobs of this plugin are computed again',
        f"verdi -p {name} config set --append caching.enabled_for '{CACHED}'; aiida-litraj -p {name} daemon restart",
    )
