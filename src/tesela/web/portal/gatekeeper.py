"""Who asks: the token of a request, and patience with those that are wrong."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from sqlalchemy.engine import Connection
from starlette.requests import Request

from tesela.ledger import accounts
from tesela.ledger.accounts import Account

MOST_FAILURES: Final = 20
WITHIN_S: Final = 60.0
_ADDRESSES: Final = 4096
_TOKENS: Final = 4096
_HOW: Final = "send the header `Authorization: Bearer tsl_...` with a token from the operator"
_PROBLEMS: Final = {
    "unknown": (401, "this token is not known", "check it, or ask the operator for another"),
    "expired": (401, "this token has ended", "ask the operator for another"),
    "revoked": (401, "this token was revoked", "ask the operator for another"),
    "disabled": (403, "this account is disabled", "ask the operator why"),
}


class Refusal(Exception):
    """A request that is not answered.

    Parameters
    ----------
    status : int
        Of HTTP.
    message, do : str
        What is wrong, and what the client can do about it.
    wait_s : int
        After which it may ask again; 0: no matter.
    """

    def __init__(self, status: int, message: str, do: str, *, wait_s: int = 0) -> None:
        self.status, self.message, self.do, self.wait_s = status, message, do, wait_s
        super().__init__(message)


class Gatekeeper:
    """Knows the tokens that were good before, and who showed wrong ones lately.

    A token cannot be guessed. Patience ends nevertheless, so that trying costs the ledger nothing:
    an address with too many wrong tokens within a minute is told to wait, unless it shows one that
    was good before. So many users behind one address do not shut each other out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._good: OrderedDict[str, None] = OrderedDict()

    def account(self, conn: Connection, request: Request) -> Account:
        """The account whose token the request shows; raises `Refusal`."""
        token = token_of(request)
        address = request.client.host if request.client else ""
        digest = accounts.hash_of(token)
        wait_s = self._wait_s(address, digest)
        if wait_s:
            raise Refusal(
                429,
                f"{MOST_FAILURES} wrong tokens came from this address within a minute",
                f"wait {wait_s} s, then use one that is right",
                wait_s=wait_s,
            )
        holder = accounts.identify(conn, token)
        if holder.account is None:
            self._note_wrong(address, digest)
            raise Refusal(*_PROBLEMS[holder.problem])
        self._note_good(digest)
        return holder.account

    def _wait_s(self, address: str, digest: str) -> int:
        with self._lock:
            if digest in self._good:
                return 0
            times = self._wrong.get(address)
            oldest = self._clock() - WITHIN_S
            while times and times[0] <= oldest:
                times.popleft()
            if not times or len(times) < MOST_FAILURES:
                return 0
            return max(1, math.ceil(times[0] - oldest))

    def _note_wrong(self, address: str, digest: str) -> None:
        with self._lock:
            self._good.pop(digest, None)
            self._wrong.setdefault(address, deque(maxlen=MOST_FAILURES)).append(self._clock())
            self._wrong.move_to_end(address)
            if len(self._wrong) > _ADDRESSES:
                self._wrong.popitem(last=False)

    def _note_good(self, digest: str) -> None:
        with self._lock:
            self._good[digest] = None
            self._good.move_to_end(digest)
            if len(self._good) > _TOKENS:
                self._good.popitem(last=False)


def token_of(request: Request) -> str:
    """The token in the header of a request; raises `Refusal` if there is none, or several."""
    found = request.headers.getlist("authorization")
    if not found:
        raise Refusal(401, "no token", _HOW)
    scheme, _, token = found[0].partition(" ")
    if len(found) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "no token that is understood", _HOW)
    return token.strip()
