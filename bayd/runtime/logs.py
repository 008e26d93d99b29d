"""Logs on stderr, one event a line, secrets masked, repeats counted; under journald with priorities."""

import logging
import re
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from bayd.runtime.log_pipe import PRIORITIES, LogPipe, is_under_journald
from bayd.runtime.repeats import RepeatLimit

_LAST_WORDS_S = 1.0  # what the reader of the log has at the end of the process
_SECRET_FACTS = re.compile(r"(?i)(^|_)(pin|token|secret|password|key|phone|authorization)(_|$)")
_MASK = "***"


def configure(level: str = "info", environment: Mapping[str, str] | None = None) -> LogPipe:
    """From now on all that is logged goes through the pipe."""
    under_journald = is_under_journald(environment)
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
    pipe = LogPipe()
    handler = _PipedHandler(pipe)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
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
    return pipe


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level.upper())


class _PipedHandler(logging.Handler):
    """Python flushes it at the end of the process."""

    def __init__(self, pipe: LogPipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
        except Exception:  # noqa: BLE001 # a line that cannot be written must not fail what it tells of
            self.handleError(record)
            return
        if dropped := self._pipe.take_dropped():
            structlog.get_logger("bayd").warning("log_lines_dropped", lines=dropped)
        self._pipe.put(line)

    def flush(self) -> None:
        self._pipe.flush(_LAST_WORDS_S)


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
        priority = PRIORITIES.get(str(event.get("level")), 6)
        return f"<{priority}>{renderer(logger, method, event)}"

    return render
