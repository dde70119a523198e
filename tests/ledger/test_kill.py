import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import httpx2

from learnedrouter.sinks.ledger import reading
from learnedrouter.sinks.ledger.database import engine_for
from tests.conftest import ROOT
from tests.service.running import wait_until_ready

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


class Service:
    """The service in a process of its own, with the shipped model and the built-in provider."""

    def __init__(self, ledger: str) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
        environment = {**os.environ, "LEARNEDROUTER_LEDGER__URL": ledger, "LEARNEDROUTER_LEDGER__WAIT_SECONDS": "60"}
        command = [sys.executable, "-m", "learnedrouter", "serve", "--offline", "--port", str(port)]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)

    def wait_until_ready(self) -> None:
        with httpx2.Client(base_url=self.url) as http:
            wait_until_ready(http, seconds=60)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


async def answered_until_killed(service: Service) -> list[str]:
    """Ids of the requests whose callers had their whole answer when the service was killed under load."""
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

    async with httpx2.AsyncClient(base_url=service.url, timeout=20) as http:
        callers = [asyncio.create_task(call(cycle(KINDS[place % 6 :] + KINDS[: place % 6]))) for place in range(CALLERS)]
        for _ in range(2_000):
            await asyncio.sleep(0.01)
            if len(whole) >= ANSWERED:
                break
        service.kill()
        ends = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(end, httpx2.HTTPError) for end in ends), ends
    return whole


def test_no_answered_request_is_missing_after_kill_9(tmp_path: Path) -> None:
    """Whoever had the end of an answer, streamed or not, in whatever dialect, finds its row; ten times in a row.

    The process is killed in the middle of its work, with no chance to write anything; the next one goes on with the file.
    """
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    told: set[str] = set()
    with ExitStack() as stack:

        def start() -> Service:
            service = Service(ledger)
            stack.callback(service.kill)
            return service

        following = start()
        for number in range(ROUNDS):
            service, following = following, start() if number < ROUNDS - 1 else following  # the next starts meanwhile
            service.wait_until_ready()
            answered = asyncio.run(answered_until_killed(service))
            told |= set(answered)
            kept = {event.id: event for event in reading.events(engine_for(ledger))}

            assert len(answered) >= ANSWERED
            assert not told - kept.keys()
    assert {kept[identity].outcome for identity in told} == {"ok"}
