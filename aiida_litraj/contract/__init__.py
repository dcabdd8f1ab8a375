"""What the plugin and the engine agree on: models of every job and result file, exit codes, file names."""

from .arrays import pack_arrays, unpack_arrays, write_atomic
from .audit import Audit
from .base import SCHEMA_VERSION, Model
from .errors import BY_LABEL, SUCCESS, TABLE, ExitCode, LitrajError
from .job import Item, Job, Parameters
from .neb import (
    AcceptanceParameters,
    BandParameters,
    NebItem,
    NebItemResult,
    NebJob,
    NebParameters,
    NebResult,
    RelaxParameters,
    SaddleParameters,
)
from .potential import FamilyReport, PotentialReport, PotentialSpec, ProbeReport
from .result import ActiveItem, ExitReport, ItemResult, JobResult, Progress
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
    'Item',
    'ItemResult',
    'Job',
    'JobResult',
    'LitrajError',
    'Model',
    'NebItem',
    'NebItemResult',
    'NebJob',
    'NebParameters',
    'NebResult',
    'Parameters',
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
