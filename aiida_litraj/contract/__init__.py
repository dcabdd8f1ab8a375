"""What the plugin and the engine agree on: models of every job and result file, exit codes, file names."""

from .arrays import pack_arrays, unpack_arrays, write_atomic
from .audit import Audit
from .base import SCHEMA_VERSION, Model
from .errors import BY_LABEL, SUCCESS, TABLE, ExitCode, LitrajError
from .neb import (
    AcceptanceParameters,
    ActiveItem,
    BandParameters,
    ExitReport,
    NebItem,
    NebItemResult,
    NebJob,
    NebParameters,
    NebResult,
    Progress,
    RelaxParameters,
    SaddleParameters,
)
from .potential import FamilyReport, PotentialReport, PotentialSpec, ProbeReport
from .runtime import Runtime

__all__ = (
    'BY_LABEL',
    'SCHEMA_VERSION',
    'SUCCESS',
    'TABLE',
    'AcceptanceParameters',
    'ActiveItem',
    'Audit',
    'BandParameters',
    'ExitCode',
    'ExitReport',
    'FamilyReport',
    'LitrajError',
    'Model',
    'NebItem',
    'NebItemResult',
    'NebJob',
    'NebParameters',
    'NebResult',
    'PotentialReport',
    'PotentialSpec',
    'ProbeReport',
    'Progress',
    'RelaxParameters',
    'Runtime',
    'SaddleParameters',
    'pack_arrays',
    'unpack_arrays',
    'write_atomic',
)
