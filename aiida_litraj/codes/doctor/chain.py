"""The links in their order, what each needs, and the walk along them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import (
    accounting,
    broker,
    caching,
    clock,
    daemon,
    device,
    disk,
    engine,
    host,
    host_key,
    job,
    login,
    nodes,
    polling,
    processes,
    profile,
    scheduler,
    storage,
    submission,
    tasks,
    version,
    work_dir,
)
from .case import Case
from .deadline import TooSlow, deadline
from .finding import BROKEN, UNCHECKED, Answer, Finding, Limits, broken, unchecked, warning
from .session import Session

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

    from ..problems import SetupProblem

Scope = Literal['profile', 'computer', 'code']


@dataclass(frozen=True)
class Link:
    """A link of the chain.

    :ivar needs: links without which it cannot be looked at.
    :ivar only: scheduler or kind of transport without which there is no such link: ``ssh`` is all but core.local.
    :ivar patience: which of the limits counts, several times where the check asks several things.
    """

    name: str
    scope: Scope
    check: Callable[[Case], Answer]
    needs: tuple[str, ...] = ()
    only: str | None = None
    patience: Callable[[Limits], float] = lambda limits: 3 * limits.answer_s

    def is_on(self, computer: Computer) -> bool:
        """Return whether a computer has this link."""
        if self.only == 'ssh':
            return bool(computer.transport_type != 'core.local')
        return self.only is None or computer.scheduler_type == self.only


SLURM = 'core.slurm'
LINKS = (
    Link('profile', 'profile', profile.check),
    Link('storage', 'profile', storage.check, ('profile',)),
    Link('disk', 'profile', disk.check, ('profile',)),
    Link('caching', 'profile', caching.check, ('profile', 'storage')),
    Link('broker', 'profile', broker.check, ('profile',)),
    Link('daemon', 'profile', daemon.check, ('broker',)),
    Link('version', 'profile', version.check, ('daemon',)),
    Link('processes', 'profile', processes.check, ('storage',)),
    Link('tasks', 'profile', tasks.check, ('storage', 'daemon'), patience=lambda limits: 2 * limits.task_s + 30),
    Link('polling', 'computer', polling.check, ('storage',)),
    Link('host', 'computer', host.check, ('storage',), 'ssh'),
    Link('host_key', 'computer', host_key.check, ('host',), 'ssh'),
    Link('login', 'computer', login.check, ('storage', 'host_key')),
    Link('clock', 'computer', clock.check, ('login',), 'ssh'),
    Link('work_dir', 'computer', work_dir.check, ('login',)),
    Link('scheduler', 'computer', scheduler.check, ('login',)),
    Link('accounting', 'computer', accounting.check, ('scheduler',), SLURM),
    Link('nodes', 'code', nodes.check, ('scheduler',), SLURM),
    Link('submission', 'code', submission.check, ('nodes',), SLURM),
    Link(
        'job', 'code', job.check, ('tasks', 'work_dir', 'scheduler', 'submission'),
        patience=lambda limits: limits.job_s + 90,
    ),
    Link('engine', 'code', engine.check, ('job',)),
    Link('device', 'code', device.check, ('engine',)),
)  # fmt: skip
"""A link that a computer does not have is as good as one that holds."""

Say = Callable[[str], None]


def examine(
    name: str | None,
    codes: Sequence[str] = (),
    computers: Sequence[str] = (),
    limits: Limits | None = None,
    quick: bool = False,
    say: Say = lambda _: None,
) -> Iterator[Finding]:
    """Yield what is found of each link, in their order: the profile's, each computer's, each code's.

    :param name: of the profile; the default one if ``None``.
    :param codes: names of codes, and with them their computers; by default, as of ``computers``, all.
    :param say: told which link is looked at now.
    :raises SetupProblem: if a code or a computer of that name is not there.
    """
    limits = limits or Limits()
    case = Case(name, limits, quick)
    found: dict[tuple[str, str], Finding] = {}
    yield from _walk('profile', case, '', found, say)
    if found['storage', ''].status in (BROKEN, UNCHECKED):
        waits = found['storage', ''].waits_for or 'storage'
        yield Finding('computers', '', unchecked('codes and computers are in the storage'), waits)
        return
    yield from _places(case, codes, computers, found, say)


def _places(
    case: Case, names: Sequence[str], labels: Sequence[str], found: dict[tuple[str, str], Finding], say: Say
) -> Iterator[Finding]:
    chosen, there, lost = _choose(names, labels)
    for code, problem in lost:
        yield Finding('computer', code.label, broken(problem.message, problem.remedy or ''))
    if not chosen and not lost:
        remedy = 'aiida-litraj setup --template slurm-gpu > cluster.yml; aiida-litraj setup --from cluster.yml'
        yield Finding('codes', '', warning('no code of an engine is set up' + (' there' if labels else ''), remedy))
    for computer in there:
        session = Session(computer, case.limits.answer_s)
        try:
            place = Case(case.profile, case.limits, case.quick, computer, session)
            yield from _walk('computer', place, computer.label, found, say)
            for code in (code for code, where in chosen if where.pk == computer.pk):
                one = Case(case.profile, case.limits, case.quick, computer, session, code)
                yield from _walk('code', one, code.label, found, say)
        finally:
            session.close()


def _choose(
    names: Sequence[str], labels: Sequence[str]
) -> tuple[list[tuple[AbstractCode, Computer]], list[Computer], list[tuple[AbstractCode, SetupProblem]]]:
    """Return the codes with their computers, all computers, each once, and codes whose computer cannot be had."""
    from ..choose import choose_code, computer_of, list_codes
    from ..computers import find_computer
    from ..problems import SetupProblem

    there = [find_computer(label) for label in labels]
    codes = [choose_code(name, None) for name in names] if names else list_codes()
    chosen, lost = [], []
    for code in codes:
        try:
            chosen.append((code, computer_of(code)))
        except SetupProblem as problem:
            lost.append((code, problem))
    if labels and not names:
        chosen, lost = [one for one in chosen if one[1].pk in {computer.pk for computer in there}], []
    there += [where for _, where in chosen]
    return chosen, list({computer.pk: computer for computer in there}.values()), lost


def _walk(scope: Scope, case: Case, of: str, found: dict[tuple[str, str], Finding], say: Say) -> Iterator[Finding]:
    """Yield the findings of the links of one scope; :param found: all of before, to which they are added."""
    for link in LINKS:
        if link.scope != scope or (case.computer is not None and not link.is_on(case.computer)):
            continue
        waits_for = _in_the_way(link, case, found)
        if waits_for is not None:
            finding = Finding(link.name, of, unchecked(f'waits for {waits_for}'), waits_for)
        else:
            say(f'{link.name} of {of}' if of else link.name)
            begin = time.monotonic()
            answer = _look(link, case)
            finding = Finding(link.name, of, answer, None, round(time.monotonic() - begin, 2))
        found[link.name, of] = finding
        yield finding


def _in_the_way(link: Link, case: Case, found: dict[tuple[str, str], Finding]) -> str | None:
    """Return the broken link that stands at the beginning of what this one needs, ``None`` if nothing does."""
    for need in link.needs:
        for of in ('', case.computer.label if case.computer else '', case.code.label if case.code else ''):
            before = found.get((need, of))
            if before is None:
                continue
            if before.status == BROKEN:
                return before.name
            if before.status == UNCHECKED and before.waits_for is not None:
                return before.waits_for
            break
    return None


def _look(link: Link, case: Case) -> Answer:
    """Return what a check says; whatever it raises is a finding, too, and it cannot take for ever."""
    from ..problems import SetupProblem

    seconds = link.patience(case.limits)
    try:
        with deadline(seconds):
            return link.check(case)
    except TooSlow as error:
        return broken(f'{link.name}: {error}', f'Try again with more patience: --patience {2 * seconds:.0f}')
    except SetupProblem as problem:
        return broken(problem.message, problem.remedy or '')
    except Exception as error:
        # The doctor is called when something is wrong: one check that trips must not hide what the others find.
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        return broken(f'{link.name} could not be looked at: {type(error).__name__}: {text}', 'See: verdi status')
