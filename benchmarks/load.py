"""Sends requests over keep-alive connections, each connection one after the other, and tells how long they took.

    python benchmarks/load.py < cell.json

The cell is a `Cell` as JSON, the answer a `Result` as JSON. A protocol over httptools without coroutines, so that the client costs little.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, cast

import httptools
import numpy as np
import uvloop

WARM_UP_SECONDS = 0.5
"""What is left out of the figures at the beginning of a cell."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is sent.

    Parameters
    ----------
    port, path
        Where to, on loopback.
    model
        As the requests name it.
    asks
        The prompts, sent in turn.
    connections
        How many requests are under way at any time.
    stream
        Whether answers are streamed; what is timed is then the first token.
    new
        Whether each ask is made one that was never sent before, by a number at its end.
    seconds
        How long.
    """

    port: int
    path: str
    model: str
    asks: tuple[str, ...]
    connections: int
    stream: bool
    new: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: times in milliseconds, to the whole answer or to the first token; `answered` counts the warm-up too."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_second: float
    answered: int
    failures: int


class Connection(asyncio.Protocol):
    """One connection: sends the next request as soon as an answer is whole."""

    def __init__(self, bodies: Iterator[bytes], cell: Cell, times: list[tuple[float, float, float]], failures: list[int]) -> None:
        self._bodies, self._cell, self._times, self._failures = bodies, cell, times, failures

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        body = next(self._bodies)
        head = (
            f"POST {self._cell.path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer bench\r\nanthropic-version: 2023-06-01\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._parser, self._first = httptools.HttpResponseParser(self), 0.0
        self._began = time.perf_counter()
        self._transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Note when the first token came: the first word of the local provider's answers."""
        if not self._first and b"alpha" in body:
            self._first = time.perf_counter()

    def on_message_complete(self) -> None:
        """Note when the answer was whole, and go on."""
        self._times.append((self._began, self._first, time.perf_counter()))
        if self._parser.get_status_code() != 200 or not self._first:
            self._failures.append(self._parser.get_status_code())
        self._send()


def bodies(cell: Cell) -> Iterator[bytes]:
    """Yield requests for ever."""
    for number in count():
        ask = cell.asks[number % len(cell.asks)]
        body: dict[str, Any] = {
            "model": cell.model,
            "max_tokens": 100,
            "messages": [{"role": "user", "content": f"{ask} ({time.time_ns()})" if cell.new else ask}],
        }
        yield json.dumps({**body, "stream": True} if cell.stream else body).encode()


async def run(cell: Cell) -> Result:
    """Send what `cell` says, and return how long it took."""
    times: list[tuple[float, float, float]] = []
    failures: list[int] = []
    loop, source = asyncio.get_running_loop(), bodies(cell)
    begins = time.perf_counter() + WARM_UP_SECONDS
    made = [
        await loop.create_connection(lambda: Connection(source, cell, times, failures), "127.0.0.1", cell.port)
        for _ in range(cell.connections)
    ]
    await asyncio.sleep(WARM_UP_SECONDS + cell.seconds)
    for transport, _ in made:
        transport.abort()
    counted = [(first if cell.stream else whole) - began for began, first, whole in times if began >= begins]
    p50, p95, p99 = np.quantile(counted, [0.5, 0.95, 0.99]) * 1_000 if counted else (0.0, 0.0, 0.0)
    return Result(float(p50), float(p95), float(p99), len(counted) / cell.seconds, len(times), len(failures))


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(Cell(**json.load(sys.stdin)))))))
