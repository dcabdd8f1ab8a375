"""Has the environment, where the job ran, what it had when the code was set up."""

from __future__ import annotations

from .case import Case
from .finding import Answer, broken, ok, unchecked, warning


def check(case: Case) -> Answer:
    """Read what the engine said on the node, and compare it with what the probe said then."""
    from ..choose import report_of
    from ..probe import explain_failure, find_report

    code, ended = case.code, case.ended
    if ended is None or code is None:
        return unchecked('no job has come back')
    found = find_report(ended.stdout)
    if found is None:
        problem = explain_failure(code, case.there, ended.stdout, ended.stderr)
        return broken(problem.message, problem.remedy or '')
    facts = {'python': found.python, 'engine': found.engine_version, 'packages': found.packages, 'node': ended.node}
    there = {family.family: family for family in found.families if family.available}
    before = report_of(code)
    had = {} if before is None else {one.family: one for one in before.families if one.available}
    again = f'aiida-litraj setup --from FILE (or --name {code.label} ...)'
    for family, known in had.items():
        if family not in there:
            now = next((one for one in found.families if one.family == family), None)
            why = f' ({now.error})' if now is not None and now.error else ''
            return broken(
                f'the environment of {code.label} has lost the family {family}{why}',
                f'{found.python} -m pip install {known.package}; if that is as it shall be: {again}',
                **facts,
            )
    changed = [
        f'{family} {known.version} -> {there[family].version}'
        for family, known in had.items()
        if known.version != there[family].version
    ]
    if changed:
        return warning(
            f'packages have changed since the code was set up: {", ".join(changed)}',
            f'So that results of the two are told apart in the cache: {again}',
            **facts,
        )
    versions = ', '.join(f'{name} {family.version or ""}'.strip() for name, family in there.items())
    return ok(f'Python {found.python_version}, engine {found.engine_version}: {versions}', **facts)
