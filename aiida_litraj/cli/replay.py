"""Options by which what a potential knew is learnt beside what is new, of ``launch train`` and ``launch finetune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import set_override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..data.frames import FramesData


def replay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --replay and --replay-weight."""
    weight = click.option(
        '--replay-weight', type=click.FloatRange(0.0, min_open=True), metavar='W',
        help='Of each of those in the loss, beside 1 of what is new.  [default: 1]',
    )  # fmt: skip
    source = click.option(
        '--replay',
        metavar='SOURCE',
        help='What --potential knew, learnt beside so that it forgets less; by mace alone.',
    )
    return source(weight(command))


def set_replay(overrides: dict[str, Any], section: str, request: Mapping[str, Any]) -> None:
    """Put into a section of the overrides how --replay is learnt, if it is given.

    :raises click.UsageError: if its weight is given alone, or --override says the same.
    """
    source, weight = request['replay'], request['replay_weight']
    if source is not None:
        replay = {'set': 'replay', 'weight': 1.0 if weight is None else weight}
        set_override(overrides, [section, 'replay'], replay, f'--replay {source}')
    elif weight is not None:
        raise click.UsageError(f'--replay-weight {weight:g} is of --replay, which is not given: give that, or neither')


def load_replay(request: Mapping[str, Any]) -> FramesData | None:
    """Return the configurations of --replay, ``None`` without.

    :raises Refusal: if a file or node cannot be used.
    :raises ValueError: if there is no such data set.
    """
    from .train import labelled_source

    return None if request['replay'] is None else labelled_source(request['replay'])


def replay_text(sets: Sequence[FramesData]) -> str:
    """Return in words how many configurations are learnt beside, nothing of none."""
    return ''.join(f', {node.n_frames} that it knew beside' for node in sets)
