import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx2

from learnedrouter.sinks.ledger import reading
from learnedrouter.sinks.ledger.database import engine_for
from tests.conftest import ROOT

ROUNDS = 10
CALLERS = 16
ANSWERED = 60
"""As many before the process is killed."""
MESSAGES = [{"role": "user", "content": "translate to French: the meeting is moved to Thursday"}]
KINDS = (
    ("/route", {"prompt": "What is the capital of Peru?"}, None),
    ("/route", {"prompt": "What is the capital of Peru?", "stream": True}, "event: done"),
    ("/v1/chat/completions", {"messages": MESSAGES}, None),
    ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}, "data: [DONE]"),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 50}, None),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 50, "stream": True}, "event: message_stop"),
)
"""Where, what, and the line that says that a streamed answer is complete."""


@contextmanager
def service(ledger: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The service in a process of its own, with the shipped model and the built-in provider, ready."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    command = [sys.executable, "-m", "learnedrouter", "serve", "--offline", "--port", str(port)]
    environment = {**os.environ, "LEARNEDROUTER_LEDGER__URL": ledger, "LEARNEDROUTER_LEDGER__WAIT_SECONDS": "60"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if httpx2.get(f"{url}/readyz").status_code == 200:
                        break
                except httpx2.HTTPError:
                    pass
                time.sleep(0.05)
            yield process, url
        finally:
            process.kill()


async def answered_until_killed(url: str, process: subprocess.Popen[bytes]) -> list[str]:
    """Ids of the requests whose callers had their whole answer when the process was killed under load."""
    whole: list[str] = []

    async def call(kinds: Iterator[tuple[str, dict[str, object], str | None]]) -> None:
        for path, body, end in kinds:
            async with http.stream("POST", path, json=body) as answer:
                assert answer.status_code == 200
                identity = answer.headers["x-learnedrouter-id"]
                if end is None:
                    json.loads(await answer.aread())
                    whole.append(identity)
                else:
                    async for line in answer.aiter_lines():
                        if line == end:
                            whole.append(identity)  # noqa: PERF401 (what came before the connection broke counts)

    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        callers = [asyncio.create_task(call(cycle(KINDS[place % 6 :] + KINDS[: place % 6]))) for place in range(CALLERS)]
        for _ in range(2_000):
            await asyncio.sleep(0.01)
            if len(whole) >= ANSWERED:
                break
        os.kill(process.pid, signal.SIGKILL)
        ends = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(end, httpx2.HTTPError) for end in ends), ends
    return whole


def test_no_answered_request_is_missing_after_kill_9(tmp_path: Path) -> None:
    """Whoever had the end of an answer, streamed or not, in whatever dialect, finds its row; ten times in a row.

    The process is killed in the middle of its work, with no chance to write anything; the next one goes on with the file.
    """
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    told: list[set[str]] = []
    for _ in range(ROUNDS):
        with service(ledger) as (process, url):
            told.append(set(asyncio.run(answered_until_killed(url, process))))

        kept = {event.id: event for event in reading.events(engine_for(ledger))}

        assert len(told[-1]) >= ANSWERED
        assert not set().union(*told) - kept.keys()
    assert all(event.outcome == "ok" for identity, event in kept.items() if identity in set().union(*told))
