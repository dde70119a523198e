"""Every error that learnedrouter raises, by what the caller can do about it.

LearnedRouterError
├── InputError                  change what you passed: a file, an option, a request
│   ├── DatasetError            a line of a data file
│   ├── ConfigError             a key of router.toml or an environment variable
│   ├── ArtifactError           a missing, damaged or foreign artefact
│   └── RequestError            a field of a request (HTTP 4xx)
├── Overloaded                  too much waits already (HTTP 503)
├── InfeasibleError             no threshold keeps what was asked for
├── ProviderError               one call to one model failed
│   ├── ProviderTimeout         no answer in time                        (falls back)
│   ├── ProviderUnavailable     no connection, 5xx, 529, unreadable      (falls back)
│   ├── ProviderRateLimited     429                                      (falls back)
│   ├── ProviderDenied          401, 402, 403, 404: our key or our name  (falls back to other providers)
│   └── ProviderRejected        400, 413, 422: the request itself        (does not fall back)
├── NoModelAnswered             every model of the chain failed
└── BudgetError                 no provider was called, for the sake of a budget
    ├── BudgetExceeded          it does not cover the request                    (HTTP 429)
    └── BudgetsUnavailable      what was spent cannot be read or written now     (HTTP 503)
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from learnedrouter.chat import Usage


class LearnedRouterError(Exception):
    """Root of everything that learnedrouter raises on purpose."""


class InputError(LearnedRouterError):
    """What was passed in cannot be used; the message says what, where, and what was expected."""


class DatasetError(InputError):
    """A data file, or one line of it, cannot be used.

    Parameters
    ----------
    path
        The file.
    line
        Line number, from 1; None where the whole file is meant.
    problem
        What is wrong, and what was expected.
    """

    def __init__(self, path: Path | str, line: int | None, problem: str) -> None:
        where = f"{path}:{line}" if line else str(path)
        super().__init__(f"{where}: {problem}")
        self.path, self.line, self.problem = Path(path), line, problem


class ConfigError(InputError):
    """The configuration cannot be used."""


class ArtifactError(InputError):
    """A model artefact is missing, damaged, tampered with, or made for something else."""


class RequestError(InputError):
    """A request cannot be served as it stands.

    Parameters
    ----------
    message
        What is wrong, and what was expected.
    field
        The request's field, as a path (``messages[2].content``); None for the body as a whole.
    status
        HTTP status to answer with, 400 to 499.
    """

    def __init__(self, message: str, *, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.field, self.status = field, status


class Overloaded(LearnedRouterError):
    """More waits already than the configuration allows; the same request may succeed in a moment."""


class InfeasibleError(LearnedRouterError):
    """No threshold keeps the promise that was asked for; the message names the nearest one that can be kept."""


class ProviderError(LearnedRouterError):
    """One call to one model failed.

    Parameters
    ----------
    message
        What the provider said, with no key in it.
    status
        HTTP status of the provider's answer; None where there was none.
    retry_after_seconds
        What the provider asked us to wait; None where it did not say.

    Attributes
    ----------
    usage
        What the call used all the same, as far as the provider told before it failed; None where it told nothing.
    """

    code = "provider_error"

    def __init__(self, message: str, *, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_seconds = status, retry_after_seconds
        self.usage: Usage | None = None


class ProviderTimeout(ProviderError):
    """The provider did not answer within the time that an attempt may take."""

    code = "timeout"


class ProviderUnavailable(ProviderError):
    """No connection, a 5xx or 529, or an answer that cannot be read."""

    code = "unavailable"


class ProviderRateLimited(ProviderError):
    """429: the provider's limit on our key is reached."""

    code = "rate_limited"


class ProviderDenied(ProviderError):
    """401, 402, 403 or 404: the key or the model name that *we* configured; never the caller's fault."""

    code = "denied"


class ProviderRejected(ProviderError):
    """400, 413 or 422: the provider read the request and refused it."""

    code = "rejected"


class NoModelAnswered(LearnedRouterError):
    """Every model that could have served the request failed, or was not tried.

    Parameters
    ----------
    message
        One line that names the models and what each said.
    attempts
        What was tried, in order (``providers.trying.Attempt``).
    cause
        The error that decided the outcome; None where the chain was empty or every breaker was open.
    """

    def __init__(self, message: str, *, attempts: Sequence[Any], cause: ProviderError | None) -> None:
        super().__init__(message)
        self.attempts, self.cause = tuple(attempts), cause


class BudgetError(LearnedRouterError):
    """No provider was called, for the sake of a budget."""

    code = "budget"
    retry_after_seconds = 1.0


class BudgetExceeded(BudgetError):
    """A budget does not cover a request.

    Parameters
    ----------
    message
        Which budget, what was spent, its limit, and when it resets.
    budget
        Its name.
    resets_at
        When its next period begins.
    retry_after_seconds
        Until then, or less where requests under way may leave enough of it.
    """

    code = "budget_exceeded"

    def __init__(self, message: str, *, budget: str, resets_at: datetime, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.budget, self.resets_at, self.retry_after_seconds = budget, resets_at, retry_after_seconds


class BudgetsUnavailable(BudgetError):
    """What was spent cannot be read or written at the moment."""

    code = "budgets_unavailable"
