"""A day of requests through the service, against a local provider that keeps its own book; then both books are compared.

    python benchmarks/savings_day.py --requests 20000 [--artifact models/default] [--config router.toml] [--ledger FILE]

The provider bills what it likes: cached input, cache writes for minutes and for an hour, requests past the edge from which
they are dearer as a whole. It fails, it cuts streams off before it has told what they cost, and it gives answers that do
not fit the schema, which are billed and thrown away. Its book is summed here by its own arithmetic: in fractions, from the
prices as they stand in the configuration's text, and knowing nothing of the ledger. `learnedrouter savings` must say the same
to the last digit; what the provider never told must be counted as unknown.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from learnedrouter.accounting.price_list import configured_prices
from learnedrouter.accounting.savings import Controls, Savings, account
from learnedrouter.accounting.traffic import Period, read_traffic
from learnedrouter.config import LedgerSettings, Settings, load_settings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.service.app import create_app

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
STEP = {"over_input_tokens": 272_000, "input_mtok": "6", "output_mtok": "18"}
"""Is added to GPT-5.5's price, so that long requests have one of their own."""


@dataclass
class Entry:
    """What the provider billed for one answer, and how much of it was told: of a stream that is cut, at most the input."""

    number: int
    model: str
    tokens: dict[str, int]
    told: dict[str, int]

    @property
    def whole(self) -> bool:
        """Whether all of it was told."""
        return self.told == self.tokens


@dataclass
class Provider:
    """Both dialects over HTTP; how it treats a request depends on the request's number and the model alone."""

    names: dict[str, str]
    book: list[Entry] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, and put down what it costs."""
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        body = json.loads(raw)
        number = int(json.dumps(body["messages"]).rpartition("(request ")[2].partition(")")[0])
        chance = random.Random(f"{number} {body['model']}")
        if chance.random() < 0.03:
            await _send(send, 500, b'{"error": {"message": "told to fail"}}', "application/json")
            return
        cut = bool(body.get("stream")) and chance.random() < 0.03
        tokens = _tokens(chance, anthropic="/messages" in scope["path"])
        told = tokens if not cut else tokens | {"output": 0} if "/messages" in scope["path"] else dict.fromkeys(tokens, 0)
        self.book.append(Entry(number, self.names[body["model"]], tokens, told))
        text = json.dumps({"n": number if chance.random() < 0.9 else "not a number"})
        write = _anthropic if "/messages" in scope["path"] else _openai
        content, kind = write(body, tokens, text, cut)
        await _send(send, 200, content, kind)


def _tokens(chance: random.Random, *, anthropic: bool) -> dict[str, int]:
    long = chance.random() < 0.02
    read, hour, minutes = (chance.choice((0, 0, chance.randrange(20_000))) for _ in range(3))
    written = {"write": minutes + hour, "hour": hour} if anthropic else {"write": 0, "hour": 0}
    return {
        "input": chance.randrange(280_000, 400_000) if long else chance.randrange(1, 8_000),
        "read": read,
        "output": chance.randrange(1, 3_000),
    } | written


def _openai(body: dict[str, Any], tokens: dict[str, int], text: str, cut: bool) -> tuple[bytes, str]:
    prompt = tokens["input"] + tokens["read"]
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": tokens["output"],
        "total_tokens": prompt + tokens["output"],
        "prompt_tokens_details": {"cached_tokens": tokens["read"]},
    }
    base = {"id": "c", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return json.dumps(base | {"object": "chat.completion", "choices": [choice], "usage": usage}).encode(), "application/json"
    chunk = base | {"object": "chat.completion.chunk"}
    said = [chunk | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]}]
    if not cut:
        said += [chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, chunk | {"choices": [], "usage": usage}]
    frames = [f"data: {json.dumps(part)}\n\n" for part in said] + ([] if cut else ["data: [DONE]\n\n"])
    return "".join(frames).encode(), "text/event-stream"


def _anthropic(body: dict[str, Any], tokens: dict[str, int], text: str, cut: bool) -> tuple[bytes, str]:
    usage = {
        "input_tokens": tokens["input"],
        "cache_read_input_tokens": tokens["read"],
        "cache_creation_input_tokens": tokens["write"],
        "cache_creation": {"ephemeral_1h_input_tokens": tokens["hour"], "ephemeral_5m_input_tokens": tokens["write"] - tokens["hour"]},
        "output_tokens": tokens["output"],
    }
    frame = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    if not body.get("stream"):
        content = frame | {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}
        return json.dumps(content).encode(), "application/json"
    said: list[dict[str, Any]] = [
        {"type": "message_start", "message": frame | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
    ]
    if not cut:
        said += [
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": tokens["output"]},
            },
            {"type": "message_stop"},
        ]
    return "".join(f"event: {part['type']}\ndata: {json.dumps(part)}\n\n" for part in said).encode(), "text/event-stream"


async def _send(send: Any, status: int, content: bytes, kind: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": content})


class Book:
    """The provider's book, summed in fractions from the prices as the configuration's text has them."""

    def __init__(self, prices: dict[str, dict[str, Any]]) -> None:
        self._prices = prices

    def usd(self, tokens: dict[str, int], model: str) -> Fraction:
        """Return what the tokens of one answer cost."""
        price = self._prices[model]
        step = price.get("steps", [{}])[0]
        if step and tokens["input"] + tokens["read"] + tokens["write"] > step["over_input_tokens"]:
            price = step
        paid = Fraction(price["input_mtok"])
        rates = {
            "input": paid,
            "read": Fraction(price.get("cache_read_mtok", paid)),
            "output": Fraction(price["output_mtok"]),
            "hour": Fraction(price.get("cache_write_1h_mtok", 2 * paid)),
            "minutes": Fraction(price.get("cache_write_mtok", paid)),
        }
        counts = tokens | {"minutes": tokens["write"] - tokens["hour"]}
        return sum((counts[kind] * rate for kind, rate in rates.items()), Fraction(0)) / 1_000_000


async def send_all(url: str, asks: list[str], count: int) -> None:
    """Send so many requests, sixteen at a time: each third streamed, each fifth with a schema, both dialects."""
    numbers = iter(range(count))

    async def worker(http: httpx2.AsyncClient) -> None:
        for number in numbers:
            prompt = f"{asks[number % len(asks)]}\n\n(request {number})"
            body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "max_tokens": 500}
            if number % 3 == 0:
                body["stream"] = True
            elif number % 5 == 0 and number % 2:
                body["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
            with suppress(httpx2.HTTPError):  # a stream that was cut ends so
                await http.post("/v1/chat/completions" if number % 2 else "/v1/messages", json=body)
            if number % 1_000 == 999:
                print(f"{number + 1:,} requests", file=sys.stderr)

    async with httpx2.AsyncClient(base_url=url, timeout=120) as http:
        await asyncio.gather(*(worker(http) for _ in range(16)))


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Serve `app` on loopback in a thread; gives its address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def configured(config: Path, artifact: Path | None, url: str, ledger: Path) -> Settings:
    """Return the configuration, its accounts at the local provider, with a step in GPT-5.5's price."""
    settings = load_settings(config, artifact=artifact)
    accounts = {
        name: place.model_copy(update={"base_url": f"{url}/v1" if place.kind == "openai" else url})
        for name, place in settings.providers.items()
    }
    models = dict(settings.models)
    price = models["gpt-5.5"].price
    assert price is not None, "the shipped configuration has one"
    stepped = type(price).model_validate(price.model_dump() | {"steps": [STEP]})
    models["gpt-5.5"] = models["gpt-5.5"].model_copy(update={"price": stepped})
    changes = {"providers": accounts, "models": models, "ledger": LedgerSettings(url=f"sqlite:///{ledger}"), "client_keys": ()}
    return settings.model_copy(update=changes)


def compare(book: Book, provider: Provider, found: Savings, top: str) -> bool:
    """Print both books, and return whether they are the same."""
    total = found.total
    told = sum((book.usd(entry.told, entry.model) for entry in provider.book), Fraction(0))
    answers = {entry.number: entry for entry in provider.book}
    baseline = sum((book.usd(entry.tokens, top) for entry in answers.values() if entry.whole), Fraction(0))
    untold = sum(not entry.whole for entry in answers.values())
    rows = [
        ("spent, USD", told, Fraction(total.spent_usd)),
        ("baseline, USD", baseline, Fraction(total.baseline_usd)),
        ("answers of unknown cost", Fraction(untold), Fraction(total.unknown_costs)),
    ]
    print(f"{total.requests:,} requests, {len(provider.book):,} answers billed, {total.in_vain_usd:.2f} USD of them in vain")
    for name, theirs, ours in rows:
        print(f"{name:<26} provider {float(theirs):>18,.6f}   savings {float(ours):>18,.6f}   {'equal' if theirs == ours else 'DIFFERENT'}")
    return all(theirs == ours for _, theirs, ours in rows)


def main() -> None:
    """Run the day, and compare."""
    options = argparse.ArgumentParser()
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--artifact", type=Path)
    options.add_argument("--ledger", type=Path, help="a new file to keep, for `learnedrouter savings --ledger`")
    options.add_argument("--config", type=Path, default=Path("router.toml"))
    chosen = options.parse_args()
    raw = tomllib.loads(chosen.config.read_text(encoding="utf-8"))
    prices = {name: model["price"] for name, model in raw["models"].items()}
    prices["gpt-5.5"]["steps"] = [STEP]
    for account_at in raw["providers"].values():
        os.environ[account_at["api_key_env"]] = "local"
    asks = [json.loads(line) for line in Path("data/test.jsonl").read_text(encoding="utf-8").splitlines()]
    provider = Provider({model.get("upstream_model", name): name for name, model in raw["models"].items()})

    def fail(error: LearnedRouterError) -> None:
        raise SystemExit(str(error))

    with tempfile.TemporaryDirectory() as folder, serving(provider, lifespan="off") as upstream:
        ledger = chosen.ledger or Path(folder) / "ledger.db"
        settings = configured(chosen.config, chosen.artifact, upstream, ledger)
        with serving(create_app(settings, fail)) as url:
            while httpx2.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.1)
            began = time.perf_counter()
            asyncio.run(send_all(url, [row["prompt"] for row in asks if "prompt" in row], chosen.requests))
            print(f"{chosen.requests:,} requests in {time.perf_counter() - began:,.0f} s", file=sys.stderr)
        controls = Controls([(tier.name, tier.models[0]) for tier in settings.tiers], configured_prices(settings))
        with read_traffic(str(ledger), Period()) as events:
            found = account(events, controls)
    sys.exit(0 if compare(Book(prices), provider, found, settings.tiers[-1].models[0]) else 1)


if __name__ == "__main__":
    main()
