"""What a labelling is asked for, before anything is queued: which configurations can be labelled, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.common import NotExistent
from aiida.orm import AbstractCode
from ase.data import chemical_symbols

from ..analysis.crystals import closest_pair
from ..analysis.label_warnings import cutoff_warning
from ..calculations.functions.collect_label import of_index
from ..calculations.validation import OVERLAP_ANG, validated
from ..contract.frames import Frames
from ..contract.level import Level
from .backends import LabelBackend, Outcome, check_code, load
from .label_jobs import check_job_inputs, computer_of
from .label_sets import check_set

JOB_KEYS = ('options', 'computer', 'max_in_flight', 'keep_folders')
ALONE, QUEUED = 1, 10
"""Calculations under way at a time: where each has the machine to itself, and where a queue shares it out."""
WITHOUT_QUEUE = 'core.direct'
NO_VOLUME_ANG3 = 1e-6


def check_label_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs of which no label can come; those that are not there are not judged.

    Single configurations that cannot be labelled are items of the report, unless all are such.

    :raises ValueError: naming the input, its value and the remedy.
    """
    check_jobs(inputs.get('jobs', None) or {}, inputs.get('code', None))
    level = inputs.get('level', None)
    if level is not None:
        level = validated(level.get_dict(), Level, 'level', '; get_builder_from_protocol gives a full set')
    if inputs.get('backend', None) is None:
        return
    backend = load(inputs['backend'].value)
    settings = None if inputs.get('settings', None) is None else inputs['settings'].get_dict()
    code = inputs.get('code', None)
    if code is not None:
        check_code(backend, code)
    if settings is not None:
        backend.settings(settings)
    if inputs.get('frames', None) is None or settings is None or code is None or level is None:
        return
    backend.process()
    frames = inputs['frames'].shared_frames
    symbols = {chemical_symbols[number] for number in set(frames.numbers.tolist()) - {0}}
    backend.check(code, symbols, level, settings)
    if inputs.get('dataset', None) is not None:
        check_set(inputs['dataset'].value, inputs['frames'], backend, level, settings)
    faults = faults_of(frames, backend, code, settings)
    if len(faults) == len(frames):
        index, fault = next(iter(faults.items()))
        raise ValueError(f'frames: none of {len(frames)} can be labelled; {index}: {fault.reason}')
    sound = [frame for index, frame in enumerate(frames) if index not in faults]
    check_job_inputs(backend, code, sound, level, settings, inputs.get('jobs', None) or {})


def check_jobs(jobs: Mapping[str, Any], code: AbstractCode | None) -> None:
    """Refuse settings of jobs that are not known, and a code without a computer.

    :raises ValueError: naming the first that is at fault.
    """
    unknown = sorted(set(jobs) - set(JOB_KEYS))
    if unknown:
        raise ValueError(f'jobs.{unknown[0]} is not known; there are: {", ".join(JOB_KEYS)}')
    if not isinstance(jobs.get('options') or {}, Mapping):
        raise ValueError(f"jobs.options = {jobs['options']!r}; give a dictionary such as {{'withmpi': True}}")
    if not isinstance(jobs.get('keep_folders', False), bool):
        raise ValueError(f'jobs.keep_folders = {jobs["keep_folders"]!r}; give true or false')
    most = jobs.get('max_in_flight')
    if most is not None and (not isinstance(most, int) or most < 1):
        raise ValueError(f'jobs.max_in_flight = {most!r}; give a number of calculations, at least 1')
    try:
        computer = computer_of(jobs)
    except NotExistent as error:
        raise ValueError(
            f'jobs.computer = {jobs["computer"]!r}: there is none of that label; verdi computer list tells them'
        ) from error
    if code is not None and computer is None and getattr(code, 'computer', None) is None:
        raise ValueError(f'jobs.computer is missing: the code {code.full_label} is not bound to a computer')


def warnings_of(inputs: Mapping[str, Any]) -> list[str]:
    """Return what is odd about a level before anything is computed, and no reason to refuse it."""
    backend, symbols = load(inputs['backend'].value), inputs['frames'].base.attributes.get('elements')
    wanted = backend.wanted_cutoffs(inputs['settings'].get_dict(), symbols)
    told = cutoff_warning(inputs['level']['cutoff_ev'], wanted)
    return [] if told is None else [told]


def warning_of_level(level: Mapping[str, Any]) -> str | None:
    """Return what is odd about the level of labels that are there; ``None`` also where that is not known.

    :param level: fields of the attribute ``level`` of a label, and ``elements``.
    """
    settings = {key: level[key] for key in ('setups', 'pseudo_family') if key in level}
    try:
        wanted = load(level['code']).wanted_cutoffs(settings, level['elements'])
    except (KeyError, ValueError):  # a back end, or its family of pseudopotentials, that is not here
        return None
    return cutoff_warning(level['cutoff_ev'], wanted)


def in_flight(inputs: Mapping[str, Any]) -> int:
    """Return how many calculations may be under way at a time."""
    asked = inputs['jobs'].get('max_in_flight')
    if asked is not None:
        return int(asked)
    computer = computer_of(inputs['jobs']) or inputs['code'].computer
    return ALONE if computer.scheduler_type == WITHOUT_QUEUE else QUEUED


def faults_of(
    frames: Frames, backend: LabelBackend, code: AbstractCode, settings: Mapping[str, Any]
) -> dict[int, Outcome]:
    """Return, by index, why configurations cannot be labelled: by anything, or by this code."""
    symbols = {chemical_symbols[number] for number in set(frames.numbers.tolist()) - {0}}
    lacking = backend.lacking(code, symbols, settings)
    faults = ((index, fault_at(frame, lacking)) for index, frame in enumerate(frames))
    return {index: fault for index, fault in faults if fault is not None}


def fault_at(frame: Frames, lacking: Mapping[str, Outcome]) -> Outcome | None:
    """Return why a configuration cannot be labelled, by anything or without the elements that a code lacks."""
    reason = fault_of(frame)
    if reason is not None:
        return Outcome('ERROR_ITEM_INVALID', reason)
    return next((lacking[symbol] for symbol in symbols_of(frame) if symbol in lacking), None)


def symbols_of(frame: Frames) -> list[str]:
    """Return the elements of a configuration, sorted."""
    return sorted({chemical_symbols[number] for number in frame.numbers.tolist()})


def fault_of(frame: Frames) -> str | None:
    """Return why no code of plane waves can label a configuration; ``None`` if one can."""
    if not len(frame.numbers):
        return 'it has no atoms'
    if not frame.numbers.all():
        return f'atom {int(np.argmin(frame.numbers))} is X, which is no element; replace or remove it'
    if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cells).all()):
        return 'a position or lattice vector is not finite'
    if abs(np.linalg.det(frame.cells[0])) < NO_VOLUME_ANG3:
        return 'the cell has no volume; give it three lattice vectors, with room around what is not periodic'
    if not frame.pbc[0].all():
        return f'pbc = {frame.pbc[0].tolist()}: plane waves are periodic; put it in a cell with room around it'
    pair = closest_pair(frame.positions, frame.cells[0], frame.pbc[0], below=OVERLAP_ANG)
    if pair:
        return f'atoms {pair[0]} and {pair[1]} are on one place ({pair[2]:.3f} Ang apart); remove one of them'
    return None


def entry_id(inputs: Mapping[str, Any], index: int, key: str) -> str:
    """Return the identifier of a label: that of the entry it is of, or else its key.

    In a set keys of several inputs would be the same, so there the input's content stands before it.
    """
    frames = inputs['frames']
    known = of_index(frames, 'entry_id', 'entry_ids', index)
    if known is not None:
        return str(known)
    return f'{frames.base.repository.hash()[:8]}/{key}' if 'dataset' in inputs else key


def one_kind_of_kpoints(level: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a level in which a mesh that was asked for takes the place of the protocol's spacing, or the reverse.

    :param before: the same without what was asked for.
    """
    kinds = ('kpoint_mesh', 'kpoint_spacing_per_ang')
    given = [kind for kind in kinds if level.get(kind) is not None]
    changed = [kind for kind in given if before.get(kind) is None]
    if len(given) == len(kinds) and len(changed) == 1:
        return {**level, **{kind: None for kind in kinds if kind not in changed}}
    return dict(level)
