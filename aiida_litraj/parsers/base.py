"""What all parsers of the engine's results share: exit codes with the engine's own words, and reading safely."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from aiida.engine import ExitCode
from aiida.parsers import Parser
from pydantic import BaseModel, ValidationError

from ..contract import files
from ..contract.arrays import AnyArray, unpack_arrays
from ..contract.base import SCHEMA_VERSION
from ..contract.errors import BY_LABEL, SUCCESS, LitrajError
from ..contract.result import ExitReport

ResultModel = TypeVar('ResultModel', bound=BaseModel)
_NO_ENGINE = re.compile(
    r'command not found|: not found|No such file or directory|Permission denied|cannot execute|Exec format error|'
    r'^(ModuleNotFoundError|ImportError):|^\S*python\S*: No module named |^litraj-engine: .* lacks '
)
"""What a shell or an interpreter says when it cannot run the engine at all."""


class LitrajParser(Parser):
    """Base of the parsers."""

    def exit_code(self, error: LitrajError | ExitReport) -> ExitCode | None:
        """Return the exit code for a line of the table, with the message it came with; ``None`` for success."""
        if isinstance(error, LitrajError):
            code, message = error.code, str(error)
        elif error.status == SUCCESS.status:
            return None
        else:
            code, message = BY_LABEL[error.label], error.message
        return ExitCode(code.status, message, invalidates_cache=code.invalidates_cache)

    def text(self, name: str) -> str:
        """Return the text of a retrieved file, empty if there is none."""
        try:
            return self.retrieved.base.repository.get_object_content(name, mode='rb').decode(errors='replace')
        except FileNotFoundError:
            return ''

    def read_result(self, model: type[ResultModel]) -> ResultModel:
        """Return the validated result file.

        :raises LitrajError: if it is missing, of another schema version, or does not validate.
        """
        content = self.text(files.RESULT)
        if not content:
            raise self.missing()
        try:
            found = json.loads(content)['schema_version']
        except (ValueError, KeyError, TypeError) as error:
            raise LitrajError('ERROR_RESULT_INVALID', reason=f'{files.RESULT} is no result: {error!r}') from error
        if found != SCHEMA_VERSION:
            raise LitrajError('ERROR_RESULT_SCHEMA', found=found, expected=SCHEMA_VERSION)
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise LitrajError('ERROR_RESULT_INVALID', reason=_short(error)) from error

    def read_arrays(self) -> dict[str, AnyArray]:
        """Return the arrays of the result.

        :raises LitrajError: if they are missing or unreadable.
        """
        try:
            with self.retrieved.base.repository.open(files.RESULT_ARRAYS, mode='rb') as handle:
                return unpack_arrays(handle)
        except FileNotFoundError as error:
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{files.RESULT_ARRAYS} is missing') from error
        except ValueError as error:
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=str(error)) from error

    def missing(self) -> LitrajError:
        """Return why there is no result: the engine could not run at all, or it was killed."""
        lines = [line.strip() for line in self.text(files.STDERR).splitlines() if line.strip()]
        # Only the last word counts: libraries complain about what they can do without, and go on.
        if lines and not self.text(files.PROGRESS) and _NO_ENGINE.search(lines[-1]):
            return LitrajError('ERROR_ENVIRONMENT', reason=lines[-1][-300:])
        return LitrajError('ERROR_RESULT_MISSING', file=files.RESULT, log=files.STDERR)


def _short(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    return f'{".".join(map(str, first["loc"]))}: {first["msg"]} ({error.error_count()} faults in all)'
