"""How the service logs: to standard error, in colours on a terminal, else one JSON object a line.

Our own lines and those of the libraries take the same form and carry the ids of the request that they belong to. The last
step takes out whatever looks like a key, from tracebacks and messages of libraries too. What was asked is logged only
where the configuration says so.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import structlog
from pydantic import SecretStr
from structlog.typing import Processor, WrappedLogger

from learnedrouter.arrival import CURRENT
from learnedrouter.chat import ChatRequest
from learnedrouter.config import Settings

REDACTED = "[redacted]"

_KEYLIKE = (r"\b(?:[Bb]earer|BEARER) [^\s\"',]+", r"\bsk-[A-Za-z0-9_-]{8,}", r"(?<=://)[^\s:/@]+:[^\s/@]+(?=@)")
"""What secrets look like that nobody told us: a header; keys of OpenAI, Anthropic and DeepSeek; who logs in to a database's URL."""

_MARKS = ("sk-", "://", "earer ", "EARER ")
"""One of them is in every line that these patterns match: looking for them first spares nearly every line the patterns."""

_Event = MutableMapping[str, Any]


def configure_logging(settings: Settings) -> None:
    """Set up the logging of this process, as `settings.logging` has it; no secret of `settings` is ever logged."""
    wanted = settings.logging
    as_json = wanted.format == "json" or (wanted.format == "auto" and not sys.stderr.isatty())
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        # The plain traceback: the pretty ones show local variables, and prompts are among them.
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_request,
        *([structlog.processors.format_exc_info] if as_json else []),
    ]
    fields = dict(iter(settings))  # one of them is named keys: dict(settings) would take the whole for a mapping
    last: list[Processor] = [renderer, Redaction(secrets_of(fields))]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(wanted.level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)  # at lower levels the SDKs log bodies and headers


def add_request(logger: WrappedLogger, name: str, event: _Event) -> _Event:
    """Add the ids of the request that is being served; a structlog processor."""
    if arrival := CURRENT.get():
        event.setdefault("id", arrival.id)
        if arrival.request_id != arrival.id:
            event.setdefault("request_id", arrival.request_id)
    return event


def secrets_of(value: object) -> Iterator[str]:
    """Yield every secret in `value`, be it one or a collection of settings that holds some."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from secrets_of(part)


class Redaction:
    """Takes keys out of a line that is ready to be written; a structlog processor, the last.

    Parameters
    ----------
    secrets
        What to take out, beside what looks like a key.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {form for secret in secrets if secret for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1])}
        patterns = [*map(re.escape, sorted(known, key=len, reverse=True)), *_KEYLIKE]
        self._pattern, self._marks = re.compile("|".join(patterns)), (*known, *_MARKS)

    def __call__(self, logger: WrappedLogger, name: str, line: Any) -> str:
        """Return `line` without keys."""
        text = str(line)
        return self._pattern.sub(REDACTED, text) if any(mark in text for mark in self._marks) else text


def log_prompt(request: ChatRequest) -> None:
    """Log what was asked; only where the configuration wants that."""
    structlog.get_logger("learnedrouter").info("asked", turns=[{"role": turn.role, "text": turn.text} for turn in request.turns])
