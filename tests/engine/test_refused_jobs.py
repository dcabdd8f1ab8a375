"""Jobs that cannot be read are refused, and the message says what and where."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import files


def npz_of(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('hop/positions.npy', content)
    return stream.getvalue()


def npy_of_objects() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}], dtype=object), allow_pickle=True)
    return npz_of(stream.getvalue())


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        (files.JOB, None, 'job.json'),
        (files.JOB, b'', 'Expecting value'),
        (files.JOB, b'{"task": "cook"}', 'task'),
        (files.JOB, b'[1, 2]', 'object'),
        (files.ARRAYS, None, 'arrays.npz'),
        (files.ARRAYS, b'', 'arrays.npz is not a readable array file'),
        (files.ARRAYS, b'no archive', 'arrays.npz is not a readable array file'),
        (
            files.ARRAYS,
            b'\x93NUMPY' + b'\1\0v\0' + b"{'descr': '<f8', 'fortran_order': False, 'shape': ()}",
            'arrays.npz is not a readable array file',
        ),
        (files.ARRAYS, npz_of(pickle.dumps([1])), 'is no array'),
        (files.ARRAYS, npy_of_objects(), 'pickled objects'),
        (files.ARRAYS, npz_of(pickle.dumps([1]))[:-30], 'arrays.npz is not a readable array file'),
    ],
)
def test_unreadable_job_is_refused(
    name: str, content: bytes | None, message: str, vacancy_hop: Any, job_folder: Any, rerun: Any
) -> None:
    folder = job_folder({'hop': vacancy_hop()})
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    result = rerun(folder).result
    assert (result.exit.label, result.items) == ('ERROR_JOB_INVALID', [])
    assert message in result.exit.message


@pytest.mark.parametrize(
    ('where', 'value', 'message'),
    [
        (('parameters', 'band', 'climbing'), True, 'climbing'),
        (('parameters', 'band', 'fmax_ev_per_ang'), 0.0, 'fmax_ev_per_ang'),
        (('parameters', 'source', 'optimizer'), 'mdmin', 'optimizer'),
        (('schema_version',), 2, 'schema_version'),
        (('items',), [], 'items'),
        (('items',), [{'id': 'a', 'mobile': 0}] * 2, 'more than once: a'),
        (('items',), [{'id': '../a', 'mobile': 0}], 'pattern'),
        (('items',), [{'id': 'a', 'mobile': -1}], 'mobile'),
        (('potential', 'file'), 'x.pt', 'either a name or a file'),
    ],
)
def test_job_that_does_not_validate_is_refused_by_field(
    where: Any, value: Any, message: str, vacancy_hop: Any, job_folder: Any, rerun: Any
) -> None:
    folder = job_folder({'hop': vacancy_hop()})
    job = json.loads((folder / files.JOB).read_text())
    inner = job
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    (folder / files.JOB).write_text(json.dumps(job))
    result = rerun(folder).result
    assert result.exit.label == 'ERROR_JOB_INVALID'
    assert message in result.exit.message
