"""What this environment can do: families, packages, devices; and, when asked, what a potential is."""

from __future__ import annotations

import contextlib
import platform
import sys
from pathlib import Path

from pydantic import ValidationError

from .. import __version__
from ..contract.errors import LitrajError
from ..contract.potential import FamilyReport, PotentialReport, PotentialSpec, ProbeReport
from .models.devices import cuda_devices
from .models.registry import Found, discover, load, version_of

PACKAGES = ('numpy', 'pydantic', 'ase', 'torch', 'e3nn', 'matscipy')
"""Packages whose versions a result can depend on, beside those of the families."""


def packages() -> dict[str, str]:
    """Return the installed versions of what a result can depend on, by distribution."""
    wanted = [*PACKAGES, *(found.family.package for found in discover() if found.family is not None)]
    versions = {name: version_of(name) for name in dict.fromkeys(wanted)}
    return {name: version for name, version in versions.items() if version is not None}


def _describe(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'


def _family_report(found: Found) -> FamilyReport:
    """Return what is known of one family; nothing that is wrong with it is an error here."""
    if found.family is None:
        return FamilyReport(family=found.name, available=False, package=found.origin, error=found.error)
    family = found.family
    version = version_of(family.package)
    names: list[str] = []
    error = None
    if version is not None:
        try:
            names = family.names()
        except Exception as problem:
            error = _describe(problem)
    return FamilyReport(
        family=found.name,
        available=version is not None and error is None,
        package=family.package,
        version=version,
        error=error,
        names=names,
    )


def _devices() -> list[str]:
    try:
        gpus = cuda_devices()
    except Exception:  # a torch that does not match its driver: then there is no GPU to use
        gpus = []
    return ['cpu', *(f'{name} {product}' for name, product in gpus)]


def _potential_report(path: Path, device: str) -> tuple[PotentialReport | None, str | None]:
    """Return what the potential in the JSON file ``path`` is, or why it does not load; its checkpoint lies beside."""
    try:
        spec = PotentialSpec.model_validate_json(path.read_bytes())
        return load(spec, path.parent, device).report, None
    except OSError as error:
        return None, f'no readable file {path}: {error.strerror}'
    except ValidationError as error:
        return None, f'{path.name} does not describe a potential: {error}'
    except LitrajError as error:
        return None, f'{error.code.label}: {error}'
    except Exception as error:
        return None, _describe(error)


def probe(potential: Path | None = None, device: str = 'auto') -> ProbeReport:
    """Return what this environment can do; with ``potential``, a JSON file, also what that one is.

    Never fails because something is missing or broken: it is said in the report.
    """
    with contextlib.redirect_stdout(sys.stderr):  # libraries greet their user; stdout is for the report
        report, error = (None, None) if potential is None else _potential_report(potential, device)
        return ProbeReport(
            engine_version=__version__,
            python_version=platform.python_version(),
            python=sys.executable,
            platform=platform.platform(),
            packages=packages(),
            devices=_devices(),
            families=[_family_report(found) for found in discover()],
            potential=report,
            error=error,
        )
