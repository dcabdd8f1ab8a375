"""Checks that every family makes before it loads anything, each ending in an error of the table."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...contract.errors import LitrajError
from ...contract.potential import PotentialSpec
from .interface import LoadRequest


def label_of(spec: PotentialSpec) -> str:
    """Return how messages call a potential: its name, or its file."""
    return spec.name or str(spec.file)


def not_loaded(spec: PotentialSpec, reason: object) -> LitrajError:
    """Return the error for a potential that cannot be loaded for ``reason``."""
    return LitrajError('ERROR_POTENTIAL_NOT_LOADED', potential=f'{spec.family}:{label_of(spec)}', reason=reason)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify_checksum(spec: PotentialSpec, path: Path) -> str:
    """Return the sha256 of the checkpoint at ``path``.

    Called before anything is unpickled: a checkpoint is a pickle, and one can run any code.

    :raises LitrajError: ``ERROR_POTENTIAL_CHECKSUM`` if ``spec`` expects other bytes, ``ERROR_POTENTIAL_NOT_LOADED``
        if ``path`` is not a readable file.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise not_loaded(spec, f'no readable file {path.name}: {error.strerror}') from error
    if spec.sha256 is not None and found != spec.sha256:
        raise LitrajError(
            'ERROR_POTENTIAL_CHECKSUM', potential=f'{spec.family}:{label_of(spec)}', found=found, expected=spec.sha256
        )
    return found


@contextlib.contextmanager
def own_copy(spec: PotentialSpec, path: Path) -> Iterator[Path]:
    """Yield a copy of the checkpoint at ``path`` in a folder that nobody else can open, with the sha256 of ``spec``.

    What is opened is then what was checked, whatever becomes of ``path`` in between.

    :raises LitrajError: ``ERROR_POTENTIAL_CHECKSUM`` if ``spec`` expects other bytes, ``ERROR_POTENTIAL_NOT_LOADED``
        if it expects none, or ``path`` is not a readable file.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise not_loaded(spec, f'{path.name} is no regular file')
    if spec.sha256 is None and path.is_file():
        raise not_loaded(spec, f'a checkpoint can run code, so its sha256 is needed; it has {sha256_of(path)}')
    with contextlib.ExitStack() as stack:
        try:
            original = stack.enter_context(path.open('rb'))
        except OSError as error:
            raise not_loaded(spec, f'no readable file {path.name}: {error.strerror}') from error
        try:
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='litraj-')), path.name)
            with copy.open('xb') as target:
                while block := original.read(1 << 20):
                    target.write(block)
        except OSError as error:
            reason = f'{path.name} cannot be copied to {tempfile.gettempdir()} (TMPDIR): {error.strerror}'
            raise not_loaded(spec, reason) from error
        verify_checksum(spec, copy)
        yield copy


def resolve_dtype(request: LoadRequest, offered: Sequence[str]) -> str:
    """Return the floating-point type to evaluate in, ``offered`` having the native one first.

    :raises LitrajError: ``ERROR_DTYPE`` if the potential does not offer the type that was asked for.
    """
    dtype = offered[0] if request.dtype == 'native' else request.dtype
    if dtype not in offered:
        raise LitrajError(
            'ERROR_DTYPE',
            potential=f'{request.spec.family}:{label_of(request.spec)}',
            dtype=dtype,
            offered=', '.join(offered),
        )
    return dtype


def resolve_kernels(request: LoadRequest, offered: Sequence[str]) -> str:
    """Return the kernels to evaluate with.

    :raises LitrajError: ``ERROR_KERNELS`` if the family has no such kernels.
    """
    if request.kernels not in offered:
        raise LitrajError(
            'ERROR_KERNELS',
            kernels=request.kernels,
            reason=f'the family {request.spec.family} has only {", ".join(offered)}',
        )
    return request.kernels
