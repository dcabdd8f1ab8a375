"""Numpy in, dataclass out: hops and their supercells, barriers and energy profiles. Knows nothing of AiiDA."""

from .barriers import Barrier, EnergyProfile, energy_profile, measure_barrier
from .crystals import check_crystal, choose_repetition, closest_pair, shortest_translation
from .hops import Geometry, Hop, HopPath, build_between, build_hop, parse_hop, straight_line

__all__ = (
    'Barrier',
    'EnergyProfile',
    'Geometry',
    'Hop',
    'HopPath',
    'build_between',
    'build_hop',
    'check_crystal',
    'choose_repetition',
    'closest_pair',
    'energy_profile',
    'measure_barrier',
    'parse_hop',
    'shortest_translation',
    'straight_line',
)
