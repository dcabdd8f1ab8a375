"""Finding potential families and loading a potential, whatever its family."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

from ...contract.errors import LitrajError
from ...contract.potential import PotentialSpec
from .devices import resolve_device
from .interface import Evaluator, Family, LoadRequest
from .refusal import label_of, not_loaded, own_copy

ENTRY_POINTS = 'litraj.potential_families'
"""Group in which a third-party package offers a :class:`Family`."""

_BUILTIN = {
    'sevennet': 'sevennet',
    'mace': 'mace',
    'graph_pes': 'graph_pes',
    'chgnet': 'chgnet',
    'gpaw': 'gpaw',
    'ase': 'ase_calculator',
    'toy': 'toy',
}


@dataclass(frozen=True)
class Found:
    """A family that this environment announces: ``family`` is ``None`` where importing it failed with ``error``."""

    name: str
    origin: str
    family: Family | None
    error: str | None = None


def _describe(error: BaseException) -> str:
    return f'{type(error).__name__}: {error}'


@functools.cache
def discover() -> tuple[Found, ...]:
    """Return every family this environment announces, the broken ones too.

    An entry point cannot take the name of a built-in family: a result must not depend on what else is installed.
    """
    found: dict[str, Found] = {}
    for name, module in _BUILTIN.items():
        try:
            family = importlib.import_module(f'.{module}', __package__).FAMILY
            found[name] = Found(name, 'aiida-litraj', family)
        except Exception as error:  # a broken family must not hide the others
            found[name] = Found(name, 'aiida-litraj', None, _describe(error))
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        name = entry_point.name
        origin = entry_point.dist.name if entry_point.dist is not None else entry_point.value
        if name in found:
            continue
        try:
            family = entry_point.load()
            if not isinstance(family, Family):
                raise TypeError(f'{entry_point.value} is a {type(family).__name__}, not a Family')
            found[name] = Found(name, origin, family)
        except Exception as error:  # likewise
            found[name] = Found(name, origin, None, _describe(error))
    return tuple(found.values())


def families() -> dict[str, Family]:
    """Return the families that can be imported, by name; their packages may still be missing."""
    return {found.name: found.family for found in discover() if found.family is not None}


def version_of(package: str) -> str | None:
    """Return the installed version of a distribution, ``None`` if it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def get_family(name: str) -> Family:
    """Return the family called ``name``.

    :raises LitrajError: ``ERROR_FAMILY_MISSING`` if nothing offers it or its package is not installed,
        ``ERROR_ENVIRONMENT`` if what offers it is broken.
    """
    known = {found.name: found for found in discover()}
    if name not in known:
        package = f"the package that offers '{name}' in the entry-point group {ENTRY_POINTS}"
        raise LitrajError('ERROR_FAMILY_MISSING', family=name, package=package)
    family = known[name].family
    if family is None:
        raise LitrajError('ERROR_ENVIRONMENT', reason=f'family {name} of {known[name].origin}: {known[name].error}')
    if version_of(family.package) is None:
        raise LitrajError('ERROR_FAMILY_MISSING', family=name, package=family.package)
    return family


def load(
    spec: PotentialSpec, directory: Path, device: str = 'auto', dtype: str = 'native', kernels: str = 'plain'
) -> Evaluator:
    """Return the potential ``spec``, ready to evaluate on ``device``.

    ``dtype`` may be ``highest``: float64 where the potential offers it, else its own.

    A checkpoint lies in ``directory``; a copy of it is unpickled, once its bytes have the sha256 of ``spec``.

    :raises LitrajError: ``ERROR_FAMILY_MISSING``, ``ERROR_ENVIRONMENT``, ``ERROR_POTENTIAL_NOT_LOADED``,
        ``ERROR_POTENTIAL_CHECKSUM``, ``ERROR_DTYPE``, ``ERROR_DEVICE`` or ``ERROR_KERNELS``.
    """
    if dtype == 'highest':
        try:
            return load(spec, directory, device, 'float64', kernels)
        except LitrajError as error:
            if error.code.label != 'ERROR_DTYPE':
                raise
            return load(spec, directory, device, 'native', kernels)
    family = get_family(spec.family)
    resolved = resolve_device(device, family.devices)
    with contextlib.ExitStack() as stack:
        path = None if spec.file is None else stack.enter_context(own_copy(spec, directory / spec.file))
        request = LoadRequest(spec=spec, path=path, device=resolved, dtype=dtype, kernels=kernels)
        evaluator = _loaded(family, request)
    if spec.sha256 is not None and evaluator.report.sha256 != spec.sha256:
        raise LitrajError(
            'ERROR_POTENTIAL_CHECKSUM',
            potential=f'{spec.family}:{label_of(spec)}',
            found=evaluator.report.sha256,
            expected=spec.sha256,
        )
    return evaluator


def _loaded(family: Family, request: LoadRequest) -> Evaluator:
    """Return what a family makes of a request.

    :raises LitrajError: whatever goes wrong.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the engine's own output
            return family.load(request)
    except LitrajError:
        raise
    except ImportError as error:
        reason = f'the family {request.spec.family} needs {_describe(error)}'
        raise LitrajError('ERROR_ENVIRONMENT', reason=reason) from error
    except Exception as error:  # unpickling what is not a checkpoint can fail in any way
        raise not_loaded(request.spec, _describe(error)) from error
