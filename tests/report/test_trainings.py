"""Figures of fine-tuning, sweeps and learning curves have what the comparisons have, where they have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.analysis.parity import Parity
from aiida_litraj.report import finetune_words as words
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.finetune import draw_finetune
from aiida_litraj.report.log_axis import ReadableLog
from aiida_litraj.report.size_curve import draw_size_curve, power_law_of
from aiida_litraj.report.sweep import draw_sweep, front_of, named


def block(rmse: float, slope: float) -> dict[str, Any]:
    return {
        'rmse_force_mev_per_ang': rmse, 'rmse_force_mev_per_ang_interval': [0.9 * rmse, 1.2 * rmse],
        'slope_force': slope, 'slope_force_interval': [slope - 0.03, slope + 0.02],
        'rmse_energy_mev_per_atom': 0.05 * rmse, 'rmse_energy_mev_per_atom_interval': None,
    }  # fmt: skip


def finetuned(elsewhere: bool = True) -> dict[str, Any]:
    potentials = {
        'zero_shot': block(182.0, 0.76), 'seed_0': block(61.0, 0.96), 'seed_1': block(66.0, 0.97),
        'seed_2': block(63.5, 0.95), 'scratch_seed_0': block(120.0, 0.91), 'scratch_seed_1': block(135.0, 0.9),
    }  # fmt: skip
    beside = {'zero_shot': block(57.0, 0.9), 'seed_0': block(75.0, 0.93), 'seed_1': block(71.0, 0.94)}
    return {'test': {'potentials': potentials}, 'elsewhere': {'potentials': beside} if elsewhere else None}


def spread(mean: float, std: float | None) -> dict[str, Any]:
    return {'mean': mean, 'std': std, 'n': 3}


def swept() -> dict[str, Any]:
    rows = [(8, 120.0, 50.0, 0.004), (16, 90.0, 90.0, 0.007), (32, 95.0, 200.0, 0.006), (64, 60.0, 500.0, 0.05)]
    points = {
        f'point_{number}': {
            'changes': {'architecture.channels': channels}, 'rmse_force_mev_per_ang': spread(error, 4.0),
            'seconds_of_training': spread(making, 0.1 * making), 'seconds_per_evaluation': spread(use, None),
            'trainings': {'seed_0': {}, 'seed_1': {}, 'seed_2': {}},
        }
        for number, (channels, error, making, use) in enumerate(rows)
    }  # fmt: skip
    fronts = {
        'seconds_per_evaluation': ['point_0', 'point_2', 'point_1', 'point_3'],
        'seconds_of_training': ['point_0', 'point_1', 'point_3'],
    }
    return {'points': points, 'fronts': fronts}


def sized(parent: bool = True) -> dict[str, Any]:
    rows, rng = [], np.random.default_rng(0)
    for n in (6, 12, 25, 50, 100):
        trainings = {
            f'seed_{k}_n{n}': block(250.0 * n**-0.4 * float(np.exp(rng.normal(scale=0.06))), 1 - n**-0.7)
            for k in range(3)
        }
        means = {}
        for key in ('rmse_force_mev_per_ang', 'slope_force', 'rmse_energy_mev_per_atom'):
            values = [one[key] for one in trainings.values()]
            means[key] = spread(float(np.mean(values)), float(np.std(values, ddof=1)))
        rows.append({'n_train': n, **means, 'trainings': trainings})
    law = {'prefactor_mev_per_ang': 250.0, 'exponent': 0.4, 'exponent_error': 0.02}
    return {'sizes': rows, 'zero_shot': block(182.0, 0.76) if parent else None, 'power_law': law}


def markers(axes: Any) -> list[float]:
    return [
        float(line.get_ydata()[0]) for line in axes.lines if line.get_marker() == 'o' and len(line.get_xdata()) == 1
    ]


def test_finetune_has_every_potential_before_and_after() -> None:
    figure = draw_finetune(finetuned(), Caption('Li'))
    assert len(figure.axes) == 6
    assert sorted(markers(figure.axes[0])) == [61.0, 63.5, 66.0, 120.0, 135.0, 182.0]
    assert sorted(markers(figure.axes[4])) == [0.9, 0.93, 0.94]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ['parent', 'fine-tuned', 'from scratch']
    assert len(draw_finetune(finetuned(False), Caption('Li')).axes) == 3
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_finetune({'test': None, 'elsewhere': None}, Caption('Li'))


def test_predictions_before_and_after_share_their_limits() -> None:
    labels = np.linspace(-2.0, 2.0, 30)
    symbols, nothing = np.array(['Li'] * 30), np.zeros((0, 2))
    before, after = (
        Parity(np.zeros((0, 2)), False, np.stack([labels, slope * labels], axis=1), symbols, nothing)
        for slope in (0.76, 0.96)
    )
    figure = draw_finetune(finetuned(), Caption('Li'), {'zero_shot': before, 'seed_0': after})
    first, second, energy, _ = figure.axes[:4]
    assert first.get_xlim() == second.get_xlim() == second.get_ylim()
    said = [[text.get_text() for text in axes.texts] for axes in (first, second, energy)]
    assert 'RMSE 182 meV/Å' in said[0][0] and 'slope 0.76' in said[0][0] and 'slope 0.96' in said[1][0]
    assert said[2][0] == 'not compared', 'there may be labels, of which the offsets do not hold'
    assert [axes.get_title(loc='left') for axes in (first, second)] == ['Parent', 'Fine-tuned (seed_0)']
    assert [axes.get_ylabel() for axes in (first, energy)] == ['Potential (eV/Å)', 'Potential (eV/atom)']


def test_barriers_have_the_reference_and_each_potential() -> None:
    one = {'converged': True, 'barrier_ev': 0.4}
    lost = {'converged': False, 'barrier_ev': None}
    hops = {
        'a': {'reference': {'barrier_ev': 0.5, 'kind': 'path'}, 'potentials': {'zero_shot': one, 'seed_0': lost}},
        'b': {'reference': None, 'potentials': {'zero_shot': one, 'seed_0': {**one, 'barrier_ev': 0.45}}},
    }
    axes = draw_finetune({**finetuned(), 'barriers': {'hops': hops}}, Caption('Li')).axes[-1]
    assert sorted(value for value in markers(axes) if value) == [0.4, 0.4, 0.45]
    assert [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 2] == [[0.5, 0.5]]
    assert [text.get_text() for text in axes.texts] == ['1 without a path']


def test_the_parent_comes_first_and_seeds_by_their_numbers() -> None:
    names = ['scratch_seed_2', 'seed_10', 'seed_2', 'zero_shot', 'scratch_seed_1']
    assert words.ordered(names) == ['zero_shot', 'seed_2', 'seed_10', 'scratch_seed_1', 'scratch_seed_2']
    assert (words.called('zero_shot', '7net-0'), words.called('seed_2', '7net-0')) == ('parent (7net-0)', 'seed_2')


def test_the_repeat_that_is_drawn_is_the_one_nearest_to_the_mean() -> None:
    """Of 1, 2 and 9 the mean is 4, and so nearest to 2; of two both are as near, and it is said that they are two."""
    assert words.middle_of({'seed_0': 9.0, 'seed_1': 1.0, 'seed_2': 2.0}) == (
        'seed_2', 'seed_2, of 3 the nearest to their mean'
    )  # fmt: skip
    assert words.middle_of({'seed_7': 9.0, 'seed_1': 1.0}) == ('seed_1', 'seed_1, one of two')


def improved(ends: list[float] | None, unit: str, n_groups: int) -> dict[str, Any]:
    better, worse = (None, None) if ends is None else (ends[1] < 1.0, ends[0] > 1.0)
    force = {'ratio': 0.7, 'ratio_interval': ends, 'n_groups': n_groups, 'better': better, 'worse': worse}
    block = {'unit': unit, 'n_groups': n_groups, 'improvement': {'fine_tuned': {'force': force, 'energy': None}}}
    return finetuned()['test'] | block


def test_the_answer_says_ratio_interval_seeds_and_over_what() -> None:
    start = 'Force error fine-tuned / parent: 0.700'
    cases = [
        (([0.5, 0.9], 'frame', 5), 1, '[0.500, 0.900], better (3 seeds; {} 5 configurations of 1 material)'),
        (([1.5, 1.9], 'material', 8), 8, '[1.500, 1.900], worse (3 seeds; {} 8 materials)'),
        (([0.5, 1.1], 'frame', 5), None, '[0.500, 1.100], no difference shown (3 seeds; {} 5 configurations)'),
    ]  # fmt: skip
    for given, materials, told in cases:
        assert words.answer(improved(*given), materials, 0.95) == f'{start} {told.format("95 % interval over")}'
    few = words.answer(improved(None, 'material', 3), 3, 0.95)
    assert few == f'{start}, not known whether better (3 seeds; 3 materials: too few for an interval)'
    figure = draw_finetune(finetuned(), Caption('Li', 'detail'), answer=few)
    assert [text.get_text() for text in figure.texts][-2:] == [few, 'detail']


def test_what_energies_count_from_is_said() -> None:
    fitted = {'method': 'ridge', 'rank': 2, 'n_frames': 26}
    assert 'after offsets of the elements (ridge, fitted to the 26 configurations learnt)' in words.energies_text(
        fitted
    )
    for none in ({'method': 'none', 'rank': 0, 'n_frames': 26}, fitted | {'rank': 0}):
        assert 'without offsets' in words.energies_text(none)
    assert 'fitted (least squares) to the test set' in words.energies_of_test_text('least_squares')
    assert 'without offsets' in words.energies_of_test_text('none')


def test_front_goes_through_its_points() -> None:
    figure = draw_sweep(swept(), Caption('Li'))
    for axes, expected in zip(figure.axes, ([120.0, 95.0, 90.0, 60.0], [120.0, 90.0, 60.0]), strict=True):
        (front,) = [line for line in axes.lines if line.get_label() == 'Pareto front']
        assert list(front.get_ydata()) == expected
        assert sorted(markers(axes)) == [60.0, 90.0, 95.0, 120.0] and axes.get_xscale() == 'log'
    assert named({'architecture.channels': 8, 'epochs': 2}) == 'channels 8, epochs 2'
    nothing = {'points': {'a': swept()['points']['point_0'] | {'rmse_force_mev_per_ang': None}}, 'fronts': {}}
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_sweep(nothing, Caption('Li'))


def test_names_of_points_stand_under_the_panels() -> None:
    """In a panel there are numbers only, all within it: names ran out of it and over each other."""
    content = swept()
    for name, one in content['points'].items():
        one['changes'] = {'architecture.a_long_name': 'of some length', 'architecture.another': name}
    figure = draw_sweep(content, Caption('Li'))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        named(one['changes']) for one in content['points'].values()
    ]
    whole = figure.bbox
    for axes in figure.axes:
        assert sorted(text.get_text() for text in axes.texts) == ['1', '2', '3', '4']
        for text in axes.texts:
            box = text.get_window_extent()
            assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and box.y1 <= axes.bbox.y1
    assert all(
        whole.x0 <= text.get_window_extent().x0 < text.get_window_extent().x1 <= whole.x1 for text in legend.texts
    )


def test_no_front_of_costs_that_cannot_be_told_apart() -> None:
    """Of use they are within a fourteenth; of training 90 and 500 seconds remain, as 50 has a spread of 45."""
    content = swept()
    for one, use in zip(content['points'].values(), (0.0100, 0.0107, 0.0104, 0.0101), strict=True):
        one['seconds_per_evaluation'] = spread(use, None)
    content['points']['point_0']['seconds_of_training']['std'] = 45.0
    assert front_of(content, 'seconds_per_evaluation') == ([], 'costs within 7 % of each other: no front')
    assert front_of(content, 'seconds_of_training') == (['point_1', 'point_3'], '')
    use, training = draw_sweep(content, Caption('Li')).axes
    assert 'Pareto front' not in [line.get_label() for line in use.lines] and use.texts[-1].get_text().endswith(
        'no front'
    )
    (front,) = [line for line in training.lines if line.get_label() == 'Pareto front']
    assert list(front.get_ydata()) == [90.0, 60.0]


def test_a_sweep_without_a_cost_is_drawn_with_the_other() -> None:
    """An earlier version said seconds of a step instead of seconds of training."""
    content = swept()
    del content['fronts']['seconds_of_training']
    for one in content['points'].values():
        del one['seconds_of_training']
    (axes,) = draw_sweep(content, Caption('Li')).axes
    assert axes.get_title(loc='left') == 'Use'


def test_size_curve_has_means_repeats_and_the_parent() -> None:
    content = sized()
    figure = draw_size_curve(content, Caption('Li'))
    axes = figure.axes[0]
    (line,) = [line for line in axes.lines if line.get_linestyle() == '-' and len(line.get_xdata()) == 5]
    means = [one['rmse_force_mev_per_ang']['mean'] for one in content['sizes']]
    assert list(line.get_xdata()) == [6, 12, 25, 50, 100] and list(line.get_ydata()) == means
    assert axes.get_yscale() == 'log' and figure.axes[1].get_yscale() == 'linear'
    assert [[text.get_text() for text in one.texts] for one in figure.axes] == [
        ['parent 182'], ['parent 0.76'], ['parent 9.10']
    ]  # fmt: skip
    assert len(axes.get_legend_handles_labels()[1]) == 1, 'the power law'
    assert draw_size_curve(sized(False), Caption('Li')).axes[0].texts[:] == []


def test_no_power_of_a_single_seed() -> None:
    """Three points of one seed lie on a power law by chance as well."""
    content = sized()
    for one in content['sizes']:
        one['trainings'] = dict(list(one['trainings'].items())[:1])
    assert power_law_of(sized()) is not None and power_law_of(content) is None
    assert draw_size_curve(content, Caption('Li')).axes[0].get_legend() is None


@pytest.mark.parametrize(
    ('low', 'high', 'whole', 'expected'),
    [
        (29.0, 95.0, False, [30, 40, 50, 60, 80]),
        (8.0, 1500.0, False, [10, 20, 50, 100, 200, 500, 1000]),
        (160.0, 190.0, False, [160, 170, 180, 190]),
        (1.0, 3.2, True, [1, 2, 3]),
        (0.9, 45.0, True, [1, 2, 5, 10, 20]),
    ],
)  # fmt: skip
def test_a_short_logarithmic_axis_has_enough_labels(
    low: float, high: float, whole: bool, expected: list[float]
) -> None:
    assert ReadableLog(whole).tick_values(low, high) == pytest.approx(expected)
