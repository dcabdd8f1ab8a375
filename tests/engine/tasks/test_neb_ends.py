"""Ends that several paths have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

PARITY = 1e-9
"""eV: the same steps in another order of summation."""
LOOSE = 0.05


def test_shared_end_is_relaxed_once(vacancy_hop: Any, vacancy_fan: Any, run_job: Any, neb_parameters: Any) -> None:
    """Three hops into one vacancy start from the same crystal: its relaxation is paid by the first alone."""
    hops = vacancy_fan(vacancy_hop(n_images=4), (0, 2, 5))
    settings = {'fmax_ev_per_ang': LOOSE, 'optimizer': 'fire'}
    parameters = neb_parameters(ends=settings, band=settings)
    together = run_job(hops, parameters)
    alone = {name: run_job({name: hop}, parameters) for name, hop in hops.items()}
    assert [together[name].source_shared_with for name in hops] == [None, 'from_0', 'from_0']
    assert [together[name].target_shared_with for name in hops] == [None, None, None]
    source_calls = together['from_0'].source_steps + 1
    assert source_calls > 5
    for name, hop in hops.items():
        found, expected = together[name], alone[name][name]
        assert expected.source_shared_with is None
        assert (found.n_steps, found.source_steps) == (expected.n_steps, expected.source_steps)
        saved = 0 if name == 'from_0' else source_calls
        assert found.endpoint_calls == expected.endpoint_calls - saved
        np.testing.assert_allclose(together.energies(name), alone[name].energies(name), atol=PARITY)
        np.testing.assert_allclose(
            together.arrays[f'{name}/positions'], alone[name].arrays[f'{name}/positions'], atol=1e-7
        )
        np.testing.assert_allclose(together.arrays[f'{name}/forces'], alone[name].arrays[f'{name}/forces'], atol=1e-6)
        assert np.abs(together.arrays[f'{name}/positions'][0] - hop.positions[0]).max() < 0.5  # in its own order
    assert together.calls == sum(ran.calls for ran in alone.values()) - 2 * source_calls
    assert together.calls == sum(item.band_calls + item.endpoint_calls for item in together.result.items)


def test_target_of_one_hop_is_source_of_the_next(vacancy_hop: Any, run_job: Any, neb_parameters: Any) -> None:
    """A chain, its second hop being the first one backward: two ends in all. Not so if they are relaxed differently."""
    hop = vacancy_hop(drop=(2,), noise=0.1)
    hops = {'forth': hop, 'back': hop.reversed()}
    loose = {'band': {'max_steps': 0}, 'acceptance': {'fmax_ev_per_ang': 1e3}}
    ran = run_job(hops, neb_parameters(**loose))
    assert (ran['back'].source_shared_with, ran['back'].target_shared_with) == ('forth', 'forth')
    assert ran['back'].endpoint_calls == 0
    assert (ran['back'].source_steps, ran['back'].target_steps) == (
        ran['forth'].target_steps,
        ran['forth'].source_steps,
    )
    np.testing.assert_array_equal(ran.energies('back'), ran.energies('forth')[::-1])
    ran = run_job(hops, neb_parameters(**loose, target={'fmax_ev_per_ang': 0.1}))
    assert (ran['back'].source_shared_with, ran['back'].target_shared_with) == (None, None)


def test_ends_of_one_path_can_be_one_configuration(vacancy_hop: Any, run_job: Any, neb_parameters: Any) -> None:
    """Two atoms that change places, however roughly: both ends are the same crystal, relaxed once."""
    hop = vacancy_hop(n_images=5, noise=0.1)
    exchanged = hop.positions[0].copy()
    exchanged[[0, 3]] = exchanged[[3, 0]]
    images = hop.positions[0] + np.linspace(0.0, 1.0, 5)[:, None, None] * (exchanged - hop.positions[0])
    images[1:-1, 0, 2] += 0.9
    images[1:-1, 3, 2] -= 0.9
    ran = run_job(
        {'exchange': hop.replace(positions=images)},
        neb_parameters(initial_path='shift', max_force_ev_per_ang=1e6, band={'max_steps': 0}),
    )
    item, energies = ran['exchange'], ran.energies('exchange')
    assert (item.source_shared_with, item.target_shared_with) == (None, 'exchange')
    assert item.endpoint_calls == item.source_steps + 1
    assert energies[0] == energies[-1]
    path = ran.arrays['exchange/positions']
    np.testing.assert_allclose(path[0][[0, 3]], path[-1][[3, 0]], atol=1e-12)
