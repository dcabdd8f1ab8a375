"""Costs worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.cli.usage import _notes
from aiida_litraj.usage.cost import Job, costs_of
from aiida_litraj.usage.sums import add_up

TWO_GPUS_7_S = (Path(__file__).parent / 'sacct' / 'two_gpus_7_s.txt').read_text()
ONE_CORE = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
FINISHED, UNFINISHED = {'status': 'finished', 'n_steps': 9}, {'status': 'unfinished', 'n_steps': 0}
"""Of dynamics: ten evaluations with that of the start."""


def audit(calls: int = 100, resumed: int = 0, seconds: float = 5.0, device: str = 'cuda:0') -> dict[str, Any]:
    return {
        'model_calls': calls, 'resumed_calls': resumed, 'wall_seconds': seconds, 'cpu_seconds': 2.0, 'device': device,
    }  # fmt: skip


def job(pk: int = 1, status: int | None = 0, **facts: Any) -> Job:
    given = {'kind': 'litraj.md', 'state': 'finished', 'scheduler': 'core.slurm', 'resources': ONE_CORE, **facts}
    return Job(pk=pk, uuid=str(pk), exit_status=status, **given)


def hours(seconds: float) -> Any:
    return pytest.approx(seconds / 3600.0, rel=1e-12)


def test_accounting_counts_what_was_allocated_and_the_engine_does_not_see() -> None:
    """Two GPUs and two cores for 7 s, though the engine ran 5 s and used one."""
    sums, total = add_up([job(audit=audit(), accounting=TWO_GPUS_7_S)], lambda _: ['a'])
    assert sums['a'].as_dict() == total.as_dict()
    assert (total.gpu_hours, total.core_hours, total.wall_hours) == (hours(14.0), hours(14.0), hours(7.0))
    assert (total.model_calls, total.sources) == (100, {'accounting': 1})


def test_without_accounting_the_longer_of_two_clocks_and_what_was_asked_for() -> None:
    """The engine does not see its start; the scheduler was last asked before the end."""
    known = {'directives': '#SBATCH --gres=gpu:3', 'last_look': {'wallclock_time_seconds': 6}, 'audit': audit()}
    _, total = add_up([job(**known)], lambda _: [])
    assert (total.gpu_hours, total.core_hours, total.sources) == (hours(18.0), hours(6.0), {'scheduler': 1})
    _, total = add_up([job(audit=audit())], lambda _: [])
    assert (total.gpu_hours, total.core_hours, total.sources) == (hours(5.0), hours(5.0), {'engine': 1})


def test_without_accounting_each_gpu_of_the_engine_counts() -> None:
    several = {**audit(), 'devices': ['cuda:0', 'cuda:1', 'cuda:2']}
    _, total = add_up([job(audit=several)], lambda _: [])
    assert (total.gpu_hours, total.wall_hours) == (hours(15.0), hours(5.0))


def test_accounting_of_a_site_that_does_not_count_its_gpus() -> None:
    told = 'JobID|Elapsed|AllocTRES|\n7|00:10|cpu=2,node=1|\n'
    _, total = add_up([job(audit=audit(), accounting=told)], lambda _: [])
    assert (total.gpu_hours, total.core_hours) == (hours(10.0), hours(20.0))


def test_nothing_is_allocated_without_a_queue() -> None:
    """The engine starts as many processes as there are cores, whatever was asked for: what they took is counted."""
    _, total = add_up([job(audit=audit(device='cpu'), scheduler='core.direct')], lambda _: [])
    assert (total.gpu_hours, total.core_hours, total.wall_hours) == (0.0, hours(2.0), hours(5.0))


def test_other_codes_have_no_evaluations() -> None:
    other = job(kind='quantumespresso.pw', own_clock_s=8.0, resources={**ONE_CORE, 'num_mpiprocs_per_machine': 4})
    _, total = add_up([other], lambda _: [])
    assert (total.gpu_hours, total.core_hours, total.model_calls) == (0.0, hours(32.0), 0)
    assert total.unknown == dict.fromkeys(total.unknown, 0)


def test_what_is_not_known_is_not_nothing() -> None:
    lost = job(1, None, state='killed', device='cuda')
    _, total = add_up([lost], lambda _: [])
    told = total.as_dict()
    assert [told[name] for name in ('gpu_hours', 'core_hours', 'wall_hours', 'model_calls')] == [None] * 4
    _, total = add_up([lost, job(2, audit=audit())], lambda _: [])
    assert total.as_dict()['gpu_hours'] == hours(5.0)
    assert total.unknown == {'wall': 1, 'gpu': 1, 'core': 1, 'model_calls': 1}


SLURM, DIRECT = 'core.slurm', 'core.direct'


@pytest.mark.parametrize(
    ('facts', 'known'),
    [
        ({'scheduler': SLURM}, True),  # a queue gives no GPU that nobody has asked for
        ({'scheduler': SLURM, 'device': 'cuda'}, False),  # a partition that brings them along
        ({'scheduler': SLURM, 'device': 'cpu'}, True),
        ({'scheduler': SLURM, 'directives': '#SBATCH --gres=gpu:1'}, False),
        ({'scheduler': DIRECT}, False),  # the engine takes what it finds
        ({'scheduler': DIRECT, 'without_gpu': True}, True),
        ({'scheduler': DIRECT, 'device': 'auto', 'without_gpu': True}, True),
        ({'scheduler': DIRECT, 'device': 'cpu'}, True),
        ({'scheduler': DIRECT, 'device': 'cuda:1', 'without_gpu': True}, False),
        ({'scheduler': None}, False),
    ],
)
@pytest.mark.parametrize(('state', 'status'), [('killed', None), ('waiting', None), ('excepted', None)])
def test_job_for_processors_that_left_no_account_had_no_gpu(
    facts: dict[str, Any], known: bool, state: str, status: int | None
) -> None:
    _, total = add_up([job(1, status, state=state, **facts)], lambda _: [])
    assert total.as_dict()['gpu_hours'] == (0.0 if known else None)
    assert total.as_dict()['wall_hours'] is None


def test_model_calls_that_were_lost_and_not_counted_are_not_none() -> None:
    killed = job(1, None, state='killed', last_look={'wallclock_time_seconds': 9})
    _, total = add_up([killed], lambda _: [])
    assert (total.as_dict()['lost_model_calls'], total.unknown_losses) == (None, 1)
    assert _notes(total.as_dict(), [])[0] == (
        'Lost: 0 GPU h, <0.01 core h, an unknown number of model calls (1 job did not tell), in jobs that were cut off '
        'or failed and not gone on from.'
    )
    crashed = job(2, 310, audit=audit(), items={'b': UNFINISHED})
    _, total = add_up([killed, crashed], lambda _: [])
    assert 'at least 100 model calls (1 job did not tell)' in _notes(total.as_dict(), [])[0]
    _, total = add_up([crashed], lambda _: [])
    assert ', 100 model calls, in' in _notes(total.as_dict(), [])[0]


def test_job_that_was_never_submitted_cost_nothing() -> None:
    _, total = add_up([job(1, None, state='excepted', submitted=False)], lambda _: [])
    told = total.as_dict()
    assert (told['gpu_hours'], told['core_hours'], told['model_calls'], told['failed_jobs']) == (0.0, 0.0, 0, 1)


def test_job_under_several_chains_counts_once_in_all() -> None:
    one = job(1, audit=audit(), callers=(10, 11))
    sums, total = add_up([one, one], lambda each: each.callers)
    assert [sums[pk].model_calls for pk in (10, 11)] == [100, 100]
    assert (total.jobs, total.model_calls) == (1, 100)


def test_job_from_the_cache_costs_nothing() -> None:
    copied = {'audit': audit(), 'accounting': TWO_GPUS_7_S, 'cached_from': 'its uuid'}
    _, total = add_up([job(**copied)], lambda _: [])
    assert (total.cached_jobs, total.gpu_hours, total.core_hours, total.model_calls) == (1, 0.0, 0.0, 0)
    assert (total.saved_gpu_hours, total.saved_model_calls, total.sources) == (hours(14.0), 100, {})


def test_cut_off_job_has_lost_what_the_next_did_not_take_up() -> None:
    """100 evaluations, 10 of an item that ended; of the other 90 the next job found 72 in the checkpoint."""
    items = {'a': FINISHED, 'b': UNFINISHED}
    first = job(1, 400, audit=audit(100), items=items)
    second = job(2, audit=audit(172, resumed=72), goes_on_from=1)
    _, total = add_up([first, second], lambda _: [])
    assert total.model_calls == 100 + 100
    assert total.lost_model_calls == 100 - 10 - 72
    assert total.lost_gpu_hours == hours(0.18 * 5.0)
    _, total = add_up([first], lambda _: [])
    assert total.lost_model_calls == 90
    _, total = add_up([first], lambda _: [], lineage=[second])
    assert (total.jobs, total.lost_model_calls) == (1, 18)


def test_job_that_runs_may_take_up_all() -> None:
    first = job(1, 400, audit=audit(100), items={'b': UNFINISHED})
    running = job(2, None, state='waiting', goes_on_from=1)
    _, total = add_up([first, running], lambda _: [])
    assert (total.lost_model_calls, total.running_jobs, total.failed_jobs) == (0, 1, 1)


def test_killed_job_has_made_what_the_next_took_up_from_it() -> None:
    """It left no word: of its evaluations are known those in its checkpoint, less those it had from the one before."""
    known = costs_of(
        [
            job(1, 400, audit=audit(40), items={'b': UNFINISHED}),
            job(2, None, state='killed', goes_on_from=1),
            job(3, audit=audit(200, resumed=90), goes_on_from=2),
        ]
    )
    assert [known[pk].model_calls for pk in (1, 2, 3)] == [40, 50, 110]
    assert known[2].wall_s is None


def test_verdict_of_physics_is_no_loss_and_a_crash_is() -> None:
    _, died = add_up([job(1, 510, audit=audit())], lambda _: [])
    assert (died.lost_model_calls, died.failed_jobs) == (0, 0)
    _, crashed = add_up([job(1, 310, audit=audit(), items={'b': UNFINISHED})], lambda _: [])
    assert (crashed.lost_model_calls, crashed.lost_gpu_hours, crashed.failed_jobs) == (100, hours(5.0), 1)
    _, other = add_up([job(1, 510, kind='ase.ase', last_look={'wallclock_time_seconds': 9})], lambda _: [])
    assert (other.failed_jobs, other.lost_core_hours) == (1, hours(9.0))


def test_training_is_gone_on_with_by_epochs() -> None:
    ended = {'status': 'finished', 'seconds_per_epoch': 3.0, 'n_epochs': 4}
    first = job(1, 400, kind='litraj.train', audit=audit(0), items={'seed_1': ended, 'seed_2': UNFINISHED})
    _, alone = add_up([first], lambda _: [])
    assert (alone.trainings, alone.seconds_of_training, alone.lost_gpu_hours) == (1, 12.0, 0.0)
    none = job(1, 312, kind='litraj.train', audit=audit(0), items={'seed_2': UNFINISHED})
    _, lost = add_up([none], lambda _: [])
    assert lost.lost_gpu_hours == hours(5.0)
    _, taken_up = add_up([none, job(2, kind='litraj.train', audit=audit(0), goes_on_from=1)], lambda _: [])
    assert taken_up.lost_gpu_hours == 0.0
