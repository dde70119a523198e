"""Several processes behind one socket, as `learnedrouter serve --workers` starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from learnedrouter.errors import ConfigError
from learnedrouter.service.server import bound
from tests.conftest import ROOT

KEY = "sk-a-callers-key"
HEADERS = {"authorization": f"Bearer {KEY}"}


@dataclass
class Served:
    """A running `learnedrouter serve`: its process, its address, and the file that it logs to."""

    process: subprocess.Popen[bytes]
    log: Path
    folders: Path
    url: str = ""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def wait_for(self, event: str, count: int) -> list[dict[str, Any]]:
        """The log's lines about `event`, once there are `count`."""
        for _ in range(600):
            found = [line for line in self.lines() if line["event"] == event]
            if len(found) >= count or self.process.poll() is not None:
                return found
            time.sleep(0.1)
        raise AssertionError(f"no {count} lines about {event!r}: {self.log.read_text(encoding='utf-8')}")

    def connections(self) -> dict[int, httpx2.Client]:
        """One kept-alive connection to each worker, by its process id."""
        found: dict[int, httpx2.Client] = {}
        for _ in range(200):
            http = httpx2.Client(base_url=self.url, headers=HEADERS, timeout=30, limits=httpx2.Limits(max_connections=1))
            pid = http.get("/readyz?verbose").json()["pid"]
            found.setdefault(pid, http)
            if found[pid] is not http:
                http.close()
            if len(found) == 2:
                return found
        raise AssertionError("200 connections came to the same worker")


def serve(folder: Path, artifact: Path, *options: str) -> Served:
    """Start `learnedrouter serve`, offline, with a key that callers must show, and a folder of its own for what it leaves."""
    folders = folder / "tmp"
    folders.mkdir()
    config = folder / "router.toml"
    config.write_text((ROOT / "router.toml").read_text(encoding="utf-8"), encoding="utf-8")
    ledger = f"sqlite:///{folder / 'ledger.db'}"
    environment = {**os.environ, "LEARNEDROUTER_API_KEYS": KEY, "LEARNEDROUTER_LEDGER__URL": ledger, "TMPDIR": str(folders)}
    command = [sys.executable, "-m", "learnedrouter", "serve", "--config", str(config), "--artifact", str(artifact), "--offline", *options]
    with (folder / "log").open("wb") as log:
        return Served(subprocess.Popen(command, env=environment, stdout=log, stderr=log), folder / "log", folders)


@pytest.fixture(scope="module")
def served(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = serve(tmp_path_factory.mktemp("workers"), artifact_folder, "--port", "0", "--workers", "2")
    try:
        [banner] = served.wait_for("serving", 1)
        served.url = f"http://127.0.0.1:{banner['port']}"
        served.wait_for("ready", 2)
        yield served
    finally:
        served.process.kill()
        served.process.wait()


def metric(text: str, name: str) -> float:
    """The sum over all labels of a metric."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return sum(float(value) for _, _, value in lines)


def test_metrics_and_ledger_are_those_of_all_workers(served: Served) -> None:
    """Forty requests, shared between two workers, are forty in the metrics of either, which tell the same cost, and forty rows."""
    connections = served.connections()
    one, other = connections.values()
    answers = [
        (one, other)[number % 2].post("/route", json={"prompt": f"hello {number}"}).raise_for_status().json() for number in range(40)
    ]
    spent = sum(answer["cost"]["usd"] for answer in answers)
    scrapes = [http.get("/metrics").text for http in (one, other)]

    assert {http.get(f"/route/{answers[0]['id']}").json()["id"] for http in (one, other)} == {answers[0]["id"]}
    for text in scrapes:
        assert metric(text, "learnedrouter_requests_total") == 40
        assert metric(text, "learnedrouter_confidence_count") == 40
        assert metric(text, "learnedrouter_cost_dollars_total") == pytest.approx(spent)
        assert metric(text, "learnedrouter_ledger_rows_total") == 40
        assert metric(text, "learnedrouter_build_info") == 1
        assert metric(text, "learnedrouter_breaker_state") == 0


def test_a_dead_worker_is_replaced_and_what_it_counted_stays(served: Served) -> None:
    """Killed, it answers no more; another takes its place, and no request is counted less."""
    connections = served.connections()
    before = metric(next(iter(connections.values())).get("/metrics").text, "learnedrouter_requests_total")
    victim = next(iter(connections))
    os.kill(victim, signal.SIGKILL)
    died = served.wait_for("a worker died and is replaced", 1)
    served.wait_for("ready", 3)
    text = httpx2.get(f"{served.url}/metrics").text

    assert died[0]["pid"] == victim
    assert victim not in served.connections()
    assert metric(text, "learnedrouter_requests_total") == before
    assert metric(text, "learnedrouter_open_requests") == 1  # this very one; those of the dead are gone


def test_it_says_what_it_is_once_and_never_a_key(served: Served) -> None:
    """One banner however many workers, every line JSON, uvicorn's own too, and no key in any of them."""
    httpx2.post(f"{served.url}/route", json={"prompt": "hi"}, headers={"x-api-key": "sk-somebody-elses-key"})
    httpx2.post(f"{served.url}/route", json={"prompt": f"my key is {KEY}"}, headers=HEADERS)
    served.wait_for("refused", 1)
    with socket.create_connection(("127.0.0.1", httpx2.URL(served.url).port or 0)) as raw:
        raw.sendall(b"no HTTP at all\r\n\r\n")
        raw.recv(1_000)
    [odd] = served.wait_for("Invalid HTTP request received.", 1)

    assert (odd["logger"], odd["level"]) == ("uvicorn.error", "warning")
    assert [line["workers"] for line in served.lines() if line["event"] == "serving"] == [2]
    assert len([line for line in served.lines() if "OFFLINE" in line["event"]]) == 1
    assert "sk-" not in served.log.read_text(encoding="utf-8")


def test_it_stops_when_told(served: Served) -> None:
    """SIGTERM ends it and its workers, a request that had begun is answered first, and the folder of metrics is gone."""
    connections = served.connections()
    pids = set(connections)

    def body() -> Iterator[bytes]:
        yield b'{"prompt": "it began'
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        yield b' before"}'

    answer = next(iter(connections.values())).post("/route", content=body(), headers={"content-type": "application/json"})

    assert answer.status_code == 200
    assert served.process.wait(40) == 0
    assert list(served.folders.glob("learnedrouter-metrics-*")) == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_cannot_be_served_is_one_line(artifact_folder: Path, tmp_path: Path) -> None:
    """A missing artefact ends the service, however many workers find it missing, with one line and status 2."""
    served = serve(tmp_path, artifact_folder.parent / "missing", "--port", "0", "--workers", "2")

    assert served.process.wait(60) == 2
    last = served.log.read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("learnedrouter: ")
    assert "missing" in last


def test_a_port_that_is_taken_is_told() -> None:
    """With the address, before anything is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bound("127.0.0.1", port)
