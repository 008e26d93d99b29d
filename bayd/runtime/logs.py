"""Logs on stderr, one event a line, secrets masked, repeats counted; under journald with priorities."""

import logging
import os
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from bayd.runtime.repeats import RepeatLimit

# sd-daemon(3): a line that begins with <N> has this priority in the journal.
_PRIORITIES: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_SECRET_FACTS = re.compile(r"(?i)(^|_)(pin|token|secret|password|key|phone|authorization)(_|$)")
_MASK = "***"


def configure(level: str = "info", environment: Mapping[str, str] | None = None) -> None:
    environment = os.environ if environment is None else environment
    under_journald = "JOURNAL_STREAM" in environment
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        mask_secrets,
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
    ]
    if not under_journald:
        shared.insert(0, structlog.processors.TimeStamper(fmt="iso", utc=True))
    renderer = structlog.processors.LogfmtRenderer(
        key_order=["timestamp", "level", "event", "bay", "session"], drop_missing=True, bool_as_flag=False
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _flattened,
            _prioritised(renderer) if under_journald else renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            *shared,
            RepeatLimit(time.monotonic),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def mask_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A fact whose name says that it is secret is never shown, whoever logged it."""
    for name in event:
        if _SECRET_FACTS.search(name):
            event[name] = _MASK
    return event


def _flattened(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """logfmt wants one line and no nesting."""
    return {name: repr(value) if isinstance(value, (dict, list)) else value for name, value in event.items()}


def _prioritised(renderer: structlog.processors.LogfmtRenderer) -> structlog.typing.Processor:
    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        priority = _PRIORITIES.get(str(event.get("level")), 6)
        return f"<{priority}>{renderer(logger, method, event)}"

    return render
