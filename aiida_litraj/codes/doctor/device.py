"""Does torch see the GPU that was asked for."""

from __future__ import annotations

from .case import Case
from .finding import Answer, broken, ok, unchecked, warning
from .job import gpu_lines


def check(case: Case) -> Answer:
    """Compare what the code asks for with what the engine saw on the node."""
    from ..probe import find_report

    found = None if case.ended is None else find_report(case.ended.stdout)
    if found is None:
        return unchecked('no job has come back')
    device, lines = str(case.options.get('device') or 'auto'), gpu_lines(case.options)
    gpus = [name for name in found.devices if name.startswith('cuda')]
    facts = {'devices': found.devices, 'asked': [*lines, f'device: {device}']}
    if device.startswith('cuda') or (lines and device == 'auto'):
        if not gpus:
            where = f' on {case.ended.node}' if case.ended is not None and case.ended.node else ''
            asked = f'by {" ".join(lines)}' if lines else f'(device: {device})'
            why, remedy = _why(found.packages.get('torch'), found.python, bool(lines))
            return broken(f'a GPU was asked for {asked}, and torch sees none{where}: {why}', remedy, **facts)
        wanted = int(device.partition(':')[2] or 0) + 1
        if len(gpus) < wanted:
            return broken(
                f'{device} was asked for, and torch sees {len(gpus)} GPU(s): {"; ".join(gpus)}',
                'Number the GPUs of a job from cuda:0, and ask for as many as are used: setup --from FILE',
                **facts,
            )
    if lines and device == 'cpu':
        return warning(
            f'the job holds a GPU ({" ".join(lines)}), and computes on processors (device: cpu)',
            'Leave out gpus, or say options: {device: cuda}: setup --from FILE',
            **facts,
        )
    return ok('; '.join(gpus) or 'processors, as asked for', **facts)


def _why(torch: str | None, python: str, asked_of_scheduler: bool) -> tuple[str, str]:
    if torch is None:
        return f'{python} has no torch', f'{python} -m pip install torch, in a build with CUDA'
    if '+cpu' in torch:
        return f'its torch {torch} is a build without CUDA', f'{python} -m pip install torch, in a build with CUDA'
    driver = 'See what the node has: srun with the same options, nvidia-smi'
    if not asked_of_scheduler:
        return (
            f'torch {torch} can use one, but the scheduler was asked for none',
            f'Say how the site wants GPUs asked for, gpus: {{request: gres}}, in the file for setup --from. {driver}',
        )
    return f'torch {torch} finds no driver or no device', f'{driver}. A module may be missing: modules: [cuda]'
