"""Names of the files in the working directory of a job: the wire between the plugin and the engine."""

JOB = 'job.json'
ARRAYS = 'arrays.npz'
RESULT = 'result.json'
RESULT_ARRAYS = 'result.npz'
PROGRESS = 'progress.json'
"""Rewritten by the engine every few seconds; what ``aiida-litraj status`` reads while a job runs."""
CHECKPOINT = 'checkpoint'
"""Folder of journals, one per unfinished task; copied into the next job by a restart."""
ITEMS = 'items'
"""Folder with ``<id>.json`` and ``<id>.npz`` of each finished item, written as soon as it is finished."""
STDOUT = 'litraj.out'
STDERR = 'litraj.err'
LOCK = 'engine.lock'
"""Held by the engine that works in the folder: a scheduler may have been given the same job twice."""
