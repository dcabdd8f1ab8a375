"""How fast the makers of data sets are: entries a second, bytes and peak memory, a line each.

    python tests/benchmarks/make_datasets.py --folder /tmp/made -n 100000

The first line is the one that matters: MPLiTrj with 96 atoms, from which benchmarks of the import are fed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from aiida_litraj.datasets.make import make

SETS: list[tuple[str, int, dict[str, Any]]] = [
    ('MPLiTrj', 0, {'atoms': 96}),
    ('MPLiTrj', 2000, {}),
    ('nebDFT2k', 60, {}),
    ('MPLiTrj_raw', 60, {}),
    ('BVEL13k', 2000, {}),
    ('nebBVSE122k', 2000, {}),
    ('LiPS-25', 2000, {}),
    ('OBELiX', 600, {}),
]


def main() -> None:
    """Make each set once and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-n', type=int, default=50_000, help='configurations of the first set')
    parser.add_argument('--folder', type=Path, help='where to put them; a temporary one by default')
    parser.add_argument('--first-only', action='store_true')
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    for name, size, options in SETS[: 1 if arguments.first_only else None]:
        n = size or arguments.n
        start, busy = time.perf_counter(), time.process_time()
        place = make(name, folder, n=n, **options)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        files = [place] if place.is_file() else [path for path in place.rglob('*') if path.is_file()]
        print(
            json.dumps(
                {
                    'set': name, **options, 'n': n,
                    'per_s': round(n / seconds), 'per_cpu_s': round(n / busy), 'seconds': round(seconds, 2),
                    'bytes_per_entry': round(sum(path.stat().st_size for path in files) / n),
                    'peak_memory_mb': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                }
            ),
            flush=True,
        )  # fmt: skip
    if arguments.folder is None:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
