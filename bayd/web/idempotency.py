"""Exactly once, from the finger on: a request is carried out once, however often and close together it comes.

The answer is committed together with what the request did, so the same key gives the same answer, also
after a crash. Refusals of the bay are kept like answers: the key names the press. A key belongs to whom it
came from; another's equal key is another key.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from bayd.core import events as e
from bayd.journal import Answer, AnswerExistsError, Journal, JournalUnavailableError, NotWrittenError
from bayd.runtime.bay import BayBusyError, Outcome, OutcomeUnknownError
from bayd.web.access import Caller
from bayd.web.problems import Problem, ProblemError, response_of

KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = "^[!-~]{1,200}$"
REPLAYED_HEADER = "Idempotent-Replayed"

NOT_RECORDED = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "not_recorded", "The disk refuses or hangs. Nothing has changed."
)
NOT_KNOWN = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "outcome_unknown",
    "Unknown: the disk did not answer in time. Do not repeat it: look at the bay before you try again.",
)
NOT_RECORDED_YET = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "outcome_unknown",
    "The disk did not answer in time. It counts all the same and will be recorded: do not repeat it.",
)
BUSY = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "busy",
    "Too much waits at this bay. Nothing has changed.",
    retry_after_s=1,
)


def key_of(request: web.Request, caller: Caller) -> str:
    """Raises ProblemError."""
    keys = request.headers.getall(KEY_HEADER, [])
    if len(keys) != 1 or re.fullmatch(KEY_PATTERN, keys[0]) is None:
        text = f"Every change needs one {KEY_HEADER} header of up to 200 visible ASCII characters."
        raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "idempotency_key_missing", text, KEY_HEADER))
    return f"{caller.name}/{keys[0]}"


def fingerprint_of(bay: str, act: str, body: str) -> str:
    """Tells requests under one key apart, without keeping what they said."""
    return hashlib.sha256("\0".join((bay, act, body)).encode()).hexdigest()


class KeyedRequests:
    """Carries requests out under their keys. `patience_s`: how long a disk may take to be asked."""

    def __init__(self, journal: Journal[e.Event], patience_s: float) -> None:
        self._journal = journal
        self._patience_s = patience_s
        self._taken: dict[str, asyncio.Future[None]] = {}

    async def carry_out(
        self, key: str, fingerprint: str, act: Callable[[], Awaitable[Outcome]]
    ) -> web.Response:
        """Raises ProblemError."""
        await self._until_free(key)
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken[key] = free

        def let_go(_settled: object = None) -> None:
            del self._taken[key]
            free.set_result(None)

        try:
            kept = await self._find(key)
            response = _replayed(kept, fingerprint) if kept else await _carried_out(act, fingerprint)
        except OutcomeUnknownError as error:
            # What has become durable may yet be expired: until the bay knows, nobody gets its answer.
            error.settled.add_done_callback(let_go)
            raise ProblemError(NOT_RECORDED_YET if error.lasts else NOT_KNOWN) from None
        except BaseException:
            let_go()
            raise
        let_go()
        return response

    async def _until_free(self, key: str) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                while key in self._taken:
                    await asyncio.shield(self._taken[key])
        except TimeoutError:
            raise ProblemError(NOT_KNOWN) from None

    async def _find(self, key: str) -> Answer | None:
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._journal.find_answer(key)
        except (TimeoutError, JournalUnavailableError):
            raise ProblemError(NOT_RECORDED) from None


async def _carried_out(act: Callable[[], Awaitable[Outcome]], fingerprint: str) -> web.Response:
    try:
        outcome = await act()
    except BayBusyError:
        raise ProblemError(BUSY) from None
    except AnswerExistsError as error:
        return _replayed(error.answer, fingerprint)
    except NotWrittenError:
        raise ProblemError(NOT_RECORDED) from None
    assert outcome.answer is not None
    return response_of(outcome.answer.status, outcome.answer.body)


def _replayed(kept: Answer, fingerprint: str) -> web.Response:
    if kept.fingerprint != fingerprint:
        text = "This key was used for another request."
        raise ProblemError(
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused", text, KEY_HEADER)
        )
    response = response_of(kept.status, kept.body)
    response.headers[REPLAYED_HEADER] = "true"
    return response
