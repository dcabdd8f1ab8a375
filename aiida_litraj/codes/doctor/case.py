"""What is examined, and what one link hands on to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .finding import Limits

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

    from .job import Ended
    from .session import Session


@dataclass
class Case:
    """The profile by its name; for links of a computer or code also these, and the login that all of them share.

    :ivar ended: of the job on a compute node, once it has come back.
    """

    profile: str | None
    limits: Limits
    quick: bool = False
    computer: Computer | None = None
    session: Session | None = None
    code: AbstractCode | None = None
    ended: Ended | None = None

    @property
    def there(self) -> Computer:
        """The computer of a link that has one."""
        assert self.computer is not None
        return self.computer

    @property
    def login(self) -> Session:
        """The login of a link that has one."""
        assert self.session is not None
        return self.session

    @property
    def options(self) -> Mapping[str, Any]:
        """What the jobs of the code get where a launch says nothing else."""
        from ..register import OPTIONS

        assert self.code is not None
        return dict(self.code.base.extras.get(OPTIONS, {}))
