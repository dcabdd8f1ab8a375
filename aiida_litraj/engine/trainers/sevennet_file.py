"""SevenNet potentials as files: of a checkpoint what a potential is, the same bytes for the same weights."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..models.elements import SYMBOLS

SHIFT, SCALE = 'rescale_atomic_energy.shift', 'rescale_atomic_energy.scale'
READOUT = ('readout_fcn_hidden_neurons', 'readout_fcn_activation')
"""Settings of a model that matter with ``readout_as_fcn`` alone: sevenn 0.13 has forgotten them in a process that has
loaded a checkpoint without."""
_NOT_OF_A_POTENTIAL = ('continue', 'device', 'csv_log')
"""Settings of a training that name places of one run."""


def plain(value: Any) -> Any:
    """Return a copy of plain numbers, strings, lists and dictionaries, equal strings being one object.

    A pickle refers back to objects that it has met: without this the bytes would depend on how they were made.
    """
    if isinstance(value, dict):
        return {plain(key): plain(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(content) for content in value]
    if isinstance(value, str):
        return sys.intern(str(value))
    return plain(value.tolist()) if hasattr(value, 'tolist') else value


def write_potential(config: Mapping[str, Any], state: Mapping[str, Any], target: Path) -> None:
    """Write a potential that sevenn loads: its architecture, the settings of its training, its weights; nothing else.

    :param config: of the checkpoint; shift, scale and denominators are taken from ``state``, the weights.
    """
    import sevenn
    import sevenn._keys as keys
    import torch
    from sevenn import _const

    of_elements = (
        keys.CHEMICAL_SPECIES,
        keys.CHEMICAL_SPECIES_BY_ATOMIC_NUMBER,
        keys.NUM_SPECIES,
        keys.TYPE_MAP,
        keys.MODEL_TYPE,
    )
    known = (
        *_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG,
        *_const.DEFAULT_TRAINING_CONFIG,
        *_const.DEFAULT_DATA_CONFIG,
        *of_elements,
        *READOUT,
    )
    kept = {name: config[name] for name in sorted(set(known)) if name in config and name not in _NOT_OF_A_POTENTIAL}
    if not kept.get('readout_as_fcn', False):
        kept = {name: value for name, value in kept.items() if name not in READOUT}
    kept[keys.SHIFT], kept[keys.SCALE] = state[SHIFT], state[SCALE]
    n_layers = kept[keys.NUM_CONVOLUTION]
    kept[keys.CONV_DENOMINATOR] = [state[f'{layer}_convolution.denominator'].item() for layer in range(n_layers)]
    kept['version'] = sevenn.__version__
    weights = {sys.intern(name): values.detach().cpu().clone().contiguous() for name, values in state.items()}
    stream = io.BytesIO()  # a file's name would be part of the bytes
    torch.save({'config': plain(kept), 'model_state_dict': weights}, stream)
    target.write_bytes(stream.getvalue())


def with_energies(
    config: Mapping[str, Any],
    state: Mapping[str, Any],
    given: Mapping[str, float] | None,
    offsets: Mapping[str, float] | None,
) -> dict[str, Any]:
    """Return the weights of a potential with other energies of the elements: ``given`` ones, or with ``offsets``."""
    changed = dict(state)
    kinds = {SYMBOLS[number]: kind for number, kind in config['_type_map'].items()}
    for name in (SHIFT, SCALE):  # one for all elements becomes one for each
        values = state[name].detach().clone()
        changed[name] = values.repeat(len(kinds)) if len(values) == 1 else values
    for symbol, energy in (given or {}).items():
        if symbol in kinds:
            changed[SHIFT][kinds[symbol]] = energy
    for symbol, energy in (offsets or {}).items():
        changed[SHIFT][kinds[symbol]] += energy
    return changed
