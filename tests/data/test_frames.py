"""Nodes of configurations and of sources: exact, and serialised with all their fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.common.exceptions import ValidationError

from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, SourceData

pytestmark = pytest.mark.usefixtures('aiida_profile')


def water(energy: float = -14.2) -> Frames:
    forces = np.array([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0], [0.0, -3.0, -4.0]])
    return Frames.of_one([8, 1, 1], np.eye(3) / 3, np.eye(3) * 9, [True] * 3, energy, forces, info={'em': 1 / 3})


def test_attributes_are_facts_of_the_configuration() -> None:
    node = FramesData.from_frames(water(), {'entry_id': 'a'}).store()
    attributes = node.base.attributes.all
    assert attributes['formula'] == 'H2O'
    assert attributes['elements'] == ['H', 'O']
    assert (attributes['n_atoms'], attributes['n_frames']) == (3, 1)
    assert attributes['fmax_ev_per_ang'] == 5.0
    assert attributes['energy_per_atom_ev'] == pytest.approx(-14.2 / 3, rel=1e-13)
    assert node.entry_ids == ['a']
    assert node.frames.to_bytes() == water().to_bytes()
    (atoms,) = node.to_ase()
    assert atoms.get_potential_energy() == -14.2
    assert np.array_equal(atoms.get_forces(), water().forces)


def test_many() -> None:
    node = FramesData.from_frames(Frames.stack([water(), water(-15.0)]))
    assert node.n_frames == 2
    assert node.base.attributes.get('formula') == 'H2O'
    assert 'energy_ev' not in node.base.attributes.all


@pytest.mark.parametrize(
    'node',
    [
        lambda: FramesData.from_frames(
            water(), {'dataset': 'x', 'entry_id': 'a', 'split': 'val', 'properties': {'em': 1}}
        ),
        lambda: FramesData.from_frames(Frames.stack([water(), water()])),
        lambda: SourceData.from_manifest('x.zip', '0' * 64, [{'name': 'x.zip', 'size': 3, 'sha256': '0' * 64}]),
    ],
    ids=['entry', 'frames', 'source'],
)
def test_serialised_with_every_attribute(node: Any) -> None:
    stored = node().store()
    attributes = stored.serialize()['attributes']
    for name, value in stored.base.attributes.all.items():
        assert attributes[name] == value, name


def test_where_it_was_drawn_from_is_no_content() -> None:
    """A set that is deleted and imported again has other uuids; what was computed from a selection of it holds."""
    one, other = (FramesData.from_frames(water(), {'origins': [[uuid, 0]]}).store() for uuid in 'ab')
    assert one.base.caching.get_hash() == other.base.caching.get_hash()
    more = FramesData.from_frames(water(-14.3), {'origins': [['a', 0]]}).store()
    assert more.base.caching.get_hash() != one.base.caching.get_hash()


def test_without_configurations() -> None:
    with pytest.raises(ValidationError, match='build them with from_frames'):
        FramesData().store()
