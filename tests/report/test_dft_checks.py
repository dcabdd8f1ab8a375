"""Figures of checks with DFT show the numbers that were found, where they belong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.analysis.barrier_check import PathCheck, check_path_energies
from aiida_litraj.analysis.barriers import EnergyProfile
from aiida_litraj.report.barrier_check import draw_barrier_check, sides
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.force_accuracy import draw_force_accuracy, series_of

CAPTION = Caption('Made up', 'of nothing')
X = np.linspace(-1.0, 1.0, 7)


def check(*without: int) -> PathCheck:
    """A hop over two hills, the second one higher and a little further on, some images without a label."""

    def hill(height: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
        forces = np.zeros((7, 1, 3))
        forces[:, 0, 0] = 0.5 * np.pi * height * np.sin(np.pi * (X - shift))
        return 0.5 * height * (1.0 + np.cos(np.pi * (X - shift))), forces

    positions = np.zeros((7, 1, 3))
    positions[:, 0, 0] = X
    (energies, forces), (others, other_forces) = hill(0.5, 0.0), hill(0.7, 0.1)
    others[list(without)], other_forces[list(without)] = np.nan, np.nan
    return check_path_energies(positions, energies, forces, others, other_forces)


def figure_of(found: PathCheck) -> Any:
    known = found.labelled
    mine = EnergyProfile(found.coordinate_ang, found.potential_ev, found.potential_slopes)
    other = EnergyProfile(found.coordinate_ang[known], found.reference_ev[known], found.reference_slopes[known])
    both = sides(('net', mine, found.potential_crest), ('PBE', other, found.reference_crest))
    barriers = [None if one is None else one.barrier_ev for one in (found.potential, found.reference)]
    return draw_barrier_check(both, barriers, CAPTION)


def test_both_profiles_and_their_slopes_are_drawn() -> None:
    found = check()
    energies, slopes = figure_of(found).axes
    drawn = {line.get_label(): line.get_xydata() for line in energies.lines if line.get_label()[0] != '_'}
    assert found.potential is not None and found.reference is not None
    mine = drawn[f'net: {found.potential.barrier_ev:.3f} eV']
    other = drawn[f'PBE: {found.reference.barrier_ev:.3f} eV']
    np.testing.assert_allclose(mine[:, 1], found.potential_ev)
    np.testing.assert_allclose(other, np.stack([found.coordinate_ang, found.reference_ev], axis=1))
    points = [line.get_ydata() for line in slopes.lines if line.get_marker() == 's']
    np.testing.assert_allclose(points[0], found.reference_slopes)
    # Both panels mark both tops, by a line of two equal abscissae.
    tops = {line.get_xdata()[0] for line in slopes.lines if line.get_linestyle() == ':'}
    assert found.potential_crest is not None and found.reference_crest is not None
    assert tops == {found.potential_crest.coordinate_ang, found.reference_crest.coordinate_ang}


def test_without_all_labels_there_is_no_curve_through_them() -> None:
    found = check(1, 2, 4, 5)
    energies, slopes = figure_of(found).axes
    curves = [line for line in energies.lines if len(line.get_xdata()) > 100]
    assert len(curves) == 1
    ticks = [line.get_xydata() for line in energies.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == '-']
    rises = [(end[1] - start[1]) / (end[0] - start[0]) for start, end in ticks if start[0] != end[0] and end[0] > 1.0]
    assert found.reference_slopes[[3, 6]] == pytest.approx([rises[-2], rises[-1]], abs=1e-9)
    assert [line for line in slopes.lines if line.get_linestyle() == ':'] != []


def test_without_a_barrier_the_names_stand_alone() -> None:
    energies, _ = figure_of(check(0, 3)).axes
    assert {line.get_label() for line in energies.lines if line.get_label()[0] != '_'} == {'net', 'PBE'}


def block(rmse: float, slope: float) -> dict[str, Any]:
    return {
        'n_frames': 2, 'rmse_force_mev_per_ang': rmse, 'rmse_force_mev_per_ang_interval': [rmse - 1, rmse + 2],
        'slope_force': slope, 'slope_force_interval': None, 'rmse_energy_mev_per_atom': None,
        'rmse_energy_mev_per_atom_interval': None,
    }  # fmt: skip


def content() -> dict[str, Any]:
    """Two repeats of one training and another potential, on four snapshots of two stages."""
    one = {name: {'melt': block(k * 100, 0.9), 'glass': block(k * 50, 0.8), 'all': block(k * 80, 0.85)}
           for name, k in (('a', 1), ('b', 3), ('c', 2))}  # fmt: skip
    mean = dict.fromkeys(('rmse_force_mev_per_ang', 'slope_force', 'rmse_energy_mev_per_atom'))
    stages = {
        stage: {**mean, 'rmse_force_mev_per_ang': {'mean': 2 * value, 'std': 1.5, 'n': 2}}
        for stage, value in (('melt', 100), ('glass', 50), ('all', 80))
    }
    return {
        'stages': ['melt', 'glass'], 'stage_of': ['melt', 'melt', 'glass', 'glass'], 'times_ps': [1.0, 2.0, 3.0, 4.0],
        'potentials': {
            name: {'stages': stages_of, 'snapshots': {'rmse_force_mev_per_ang': [1.0, None, 3.0, 4.0]}}
            for name, stages_of in one.items()
        },
        'ensembles': {'mean': {'members': ['a', 'b'], 'stages': stages}},
    }  # fmt: skip


def test_means_stand_in_the_place_of_their_members() -> None:
    found = series_of(content(), {'c': 'the other'})
    assert [(one.name, one.members) for one in found] == [('mean (mean of 2)', ('a', 'b')), ('the other', ('c',))]
    assert found[0].values['rmse_force_mev_per_ang', 'glass'] == (100, (98.5, 101.5))
    assert found[1].values['rmse_force_mev_per_ang', 'glass'] == (100, (99, 102))
    assert found[1].values['slope_force', 'all'] == (0.85, None)
    assert found[1].values['rmse_energy_mev_per_atom', 'all'] is None


def test_snapshots_and_stages_are_drawn() -> None:
    course, forces, slopes, energies = draw_force_accuracy(content(), {'c': 'the other'}, CAPTION).axes
    points = [line for line in course.lines if line.get_marker() in 'os']
    assert len(points) == 3  # both repeats and the other potential
    np.testing.assert_array_equal(points[0].get_xdata(), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(points[0].get_ydata(), [1.0, np.nan, 3.0, 4.0])
    assert [text.get_text() for text in course.texts] == ['melt', 'glass']
    assert [label.get_text() for label in forces.get_xticklabels()] == ['melt', 'glass', 'all']
    heights = sorted(line.get_ydata()[0] for line in forces.lines if line.get_marker() in ('o', 's'))
    assert heights == [100, 100, 160, 160, 200, 200]
    bars = [tuple(line.get_ydata()) for line in forces.lines if len(line.get_ydata()) == 2 and line.get_linewidth() > 1]
    assert (198.5, 201.5) in bars and (199, 202) in bars
    assert not [line for line in energies.lines if line.get_marker() in ('o', 's')]
    assert len([line for line in slopes.lines if line.get_marker() in ('o', 's')]) == 3


def test_snapshots_without_times_are_drawn_in_order() -> None:
    mixed = {**content(), 'times_ps': None, 'stage_of': ['melt', 'glass', 'melt', 'glass']}
    course = draw_force_accuracy(mixed, {}, CAPTION).axes[0]
    assert course.get_xlabel() == 'Snapshot'
    assert course.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert not course.texts  # stages that come in turns have no parts of the axis
