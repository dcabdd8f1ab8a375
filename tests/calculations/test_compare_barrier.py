"""From a path to its images, and from their labels back to the barrier on single points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.functions.compare_barrier import CAVEAT, compare_barrier, profiles_from
from aiida_litraj.calculations.functions.extract_images import extract_images, images_of, read_choice
from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, PathData
from tests.fixtures.nodes import surface_path

HEIGHT, OTHER, SHIFT = 0.4, 0.6, 0.15
ALL, SOME = {'images': 'all'}, {'images': 'ends and saddle'}


def hill(x: np.ndarray, height: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n,) and forces (n, 1, 3) of V = height (1 + cos(pi (x - shift))) / 2."""
    forces = np.zeros((len(x), 1, 3))
    forces[:, 0, 0] = 0.5 * np.pi * height * np.sin(np.pi * (x - shift))
    return 0.5 * height * (1.0 + np.cos(np.pi * (x - shift))), forces


@pytest.fixture
def path(aiida_profile: Any) -> PathData:
    x = np.linspace(-1.0, 1.0, 7)
    positions = np.zeros((7, 1, 3))
    positions[:, 0, 0] = x
    energies, forces = hill(x, HEIGHT)
    labels = {'material_id': 'mp-1'}
    return PathData.from_arrays(
        ['Li'], positions, 9.0 * np.eye(3), [True] * 3, mobile=0, energies=energies, forces=forces, labels=labels
    )


def labelled(images: FramesData, *without: int, **level: Any) -> FramesData:
    """The images on the other hill, some left out as if their label had failed."""
    kept = [frame for frame in images.frames if frame.info[0]['image'] not in without]
    energies, forces = hill(np.array([frame.positions[0, 0] for frame in kept]), OTHER, SHIFT)
    made = [replace(f, energies=e[None], forces=g, info=f.info) for f, e, g in zip(kept, energies - 50.0, forces)]
    return FramesData.from_frames(Frames.stack(made), level)


def report(images: FramesData, *without: int) -> Dict:
    """As ``litraj.label`` reports it."""
    items = {
        f'c{index:05d}': {'index': index, 'label': None, 'reason': ''}
        if info['image'] not in without
        else {'index': index, 'label': 'ERROR_SCF_NOT_CONVERGED', 'reason': '50 steps'}
        for index, info in enumerate(images.frames.info)
    }
    return Dict({'items': items})


def test_images_are_those_of_the_path(path: PathData) -> None:
    images = extract_images(path, Dict(ALL))
    frames = images.frames
    assert [info['image'] for info in frames.info] == list(range(7))
    np.testing.assert_array_equal(frames.positions, path.get_positions()[:, 0])
    np.testing.assert_array_equal(frames.energies, path.energies)
    assert images.base.attributes.get('material_id') == 'mp-1'
    assert images.creator.process_type == 'aiida.calculations:litraj.extract_images'
    assert [info['image'] for info in extract_images(path, Dict(SOME)).frames.info] == [0, 3, 6]


def test_highest_image_at_an_end_is_taken_once(path: PathData) -> None:
    x = path.get_positions()
    downhill = PathData.from_arrays(['Li'], x, path.cell, path.pbc, energies=-x[:, 0, 0], forces=0 * x)
    images = images_of(downhill, read_choice({'images': 'ends and saddle'}))
    assert [info['image'] for info in images.frames.info] == [0, 6]


def test_path_without_energies_is_refused() -> None:
    with pytest.raises(ValueError, match='it has not been optimised'):
        images_of(surface_path(), read_choice({'images': 'all'}))
    with pytest.raises(ValueError, match=r"check\.images = 'some'"):
        read_choice({'images': 'some'})


def test_barrier_on_single_points(path: PathData) -> None:
    images = extract_images(path, Dict(ALL))
    found = compare_barrier(path, images, labelled(images, level={'functional': 'PBE'}), report(images)).get_dict()
    x = np.linspace(-1.0, 1.0, 7)
    (mine, mine_force), (other, other_force) = hill(x, HEIGHT), hill(x, OTHER, SHIFT)
    assert found['potential']['barrier_ev'] == pytest.approx(HEIGHT)
    top = int(other.argmax())
    assert found['reference']['barrier_ev'] == pytest.approx(other[top] - other[0])
    assert found['reference']['reverse_barrier_ev'] == pytest.approx(other[top] - other[-1])
    assert found['error']['range_ev'] == pytest.approx(np.ptp(mine) - np.ptp(other))
    assert found['rmse_force_mev_per_ang'] == pytest.approx(1e3 * np.sqrt(((mine_force - other_force) ** 2).mean()))
    assert found['images'][2]['reference_slope_ev_per_ang'] == pytest.approx(-other_force[2, 0, 0])
    way = found['reference_crest']['coordinate_ang'] - found['potential_crest']['coordinate_ang']
    assert way == pytest.approx(SHIFT, abs=0.01)
    assert (found['failed'], found['level'], found['caveat']) == ([], {'functional': 'PBE'}, CAVEAT)
    assert any('0.15 Ang further on' in warning for warning in found['warnings'])
    assert any('ends are not relaxed in the reference' in warning for warning in found['warnings'])


def test_profiles_are_those_that_were_measured(path: PathData) -> None:
    images = extract_images(path, Dict(ALL))
    found = compare_barrier(path, images, labelled(images, 1), report(images, 1)).get_dict()
    mine, other = profiles_from(found)
    np.testing.assert_allclose(mine.energies_ev, path.energies - path.energies[0])
    np.testing.assert_allclose(other.coordinate_ang, np.delete(mine.coordinate_ang, 1))
    assert found['failed'] == [{'image': 1, 'label': 'ERROR_SCF_NOT_CONVERGED', 'reason': '50 steps'}]
    assert found['reference'] is not None and found['reference_crest'] is None
    assert 'images without a label: 1 (50 steps)' in found['warnings']
    slope = 0.5 * np.pi * OTHER * np.sin(np.pi * SHIFT)
    said = f'the slope of the reference at the saddle is +{slope:.2f} eV/Ang: its own top lies further on'
    assert said in found['warnings']


@pytest.mark.parametrize('lacking', [0, 3, 6])
def test_without_what_a_barrier_needs_there_is_none(lacking: int, path: PathData) -> None:
    images = extract_images(path, Dict(ALL))
    found = compare_barrier(path, images, labelled(images, lacking), report(images, lacking)).get_dict()
    assert found['reference'] is None and found['error'] is None
    assert found['rmse_force_mev_per_ang'] > 0.0
    assert len(profiles_from(found)[1].coordinate_ang) == (0 if lacking == 0 else 6)  # above the first image
    assert f'there is no barrier on single points: image {lacking} is not labelled' in found['warnings']


def test_labels_of_other_configurations_are_refused(path: PathData) -> None:
    images = extract_images(path, Dict(ALL))
    moved = labelled(images).frames
    other = FramesData.from_frames(replace(moved, positions=moved.positions + 1e-3))
    with pytest.raises(ValueError, match='none of the images of the path'):
        compare_barrier(path, images, other, report(images))
