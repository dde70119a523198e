"""What the service costs beside a direct call to the provider: latency, throughput, first token, memory, start.

    python benchmarks/service.py [ARTIFACT] [--seconds 2]

Times are in milliseconds, to the whole answer or to the first token. CPU is the service's processor time a request, in milliseconds:
the one figure that neighbours on the machine hardly move. The ledger is there already when the service starts, as at every start
but the first: making its tables takes a tenth of a second and 11 MB more.

Provider, service and load generator are three processes, with the service on one core and the other two on another, where the machine has
two. Every figure stands beside the same load sent directly to the provider in the same run.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from load import Cell, Result

HERE = Path(__file__).parent
ROOT = HERE.parent
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ASKS = 50
"""So few that each was sent before the warm-up is over: only then has an ask that is not new been seen before."""

ASK_CHARACTERS = 120
"""The project's own test asks of at most so many characters, which is 20 to 30 tokens: what is long is measured by `decision.py`."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way for a request to go: directly, or through the service."""

    name: str
    path: str
    model: str
    connections: tuple[int, ...]
    stream: bool = False
    new: bool = False

    @property
    def direct(self) -> tuple[str, bool]:
        """What decides which direct call it is compared with."""
        return self.path, self.stream


WAYS = (
    Way("auto, ask never seen", CHAT, "auto", (1, 16, 64), new=True),
    Way("auto, ask seen before", CHAT, "auto", (1, 16, 64)),
    Way("auto, streamed, first token", CHAT, "auto", (1, 16), stream=True),
    Way("messages, model named", MESSAGES, "local-anthropic", (1, 16)),
    Way("messages, auto, crossing", MESSAGES, "auto", (1, 16)),
)

READY_IN_A_ROW = 40
"""Times that a service of several workers must say that it is ready: each time another of them may be asked."""

CREWS = (("1 worker, 1 core", 1, 0), ("1 worker, all cores", 1, None), ("4 workers, all cores", 4, None))
"""Workers that are compared: a name, how many, and the core that they run on."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table.

    Parameters
    ----------
    cpu_ms
        Processor time of the service a request, in milliseconds; None where the system does not tell.
    """

    way: Way
    connections: int
    direct: Result
    routed: Result
    cpu_ms: float | None


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    port: int
    pid: int
    ready_seconds: float

    def cpu_seconds(self) -> float | None:
        """Return the processor time that it has taken so far; None where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float | None:
        """Return the most memory that it ever held, in MB; None where the system does not tell."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return None
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


@contextmanager
def on_core(number: int | None) -> Iterator[None]:
    """Let the processes that the block starts run on one core, where the system can do that and has as many; None: on all."""
    if number is None or not hasattr(os, "sched_setaffinity") or number >= len(os.sched_getaffinity(0)):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def provider() -> Iterator[int]:
    """Run the local provider; gives its port."""
    with on_core(1):
        process = subprocess.Popen([sys.executable, HERE / "provider.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


@contextmanager
def service(artifact: Path, upstream: int, workers: int = 1, core: int | None = 0) -> Iterator[Service]:
    """Run ``learnedrouter serve`` in front of the local provider; gives it once all its workers are ready."""
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder) / "router.toml", Path(folder) / "log"
        config.write_text(router_toml(artifact, upstream, Path(folder) / "ledger.db"), encoding="utf-8")
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
        ours = [sys.executable, "-m", "learnedrouter"]
        subprocess.run([*ours, "migrate", "--config", str(config)], capture_output=True, check=True)
        command = [*ours, "serve", "--config", str(config), "--port", str(port), "--workers", str(workers)]
        began = time.perf_counter()
        with on_core(core), log.open("wb") as output:
            process = subprocess.Popen(command, env=os.environ | {"BENCH_KEY": "bench"}, stderr=output)
        try:
            in_a_row, wanted = 0, READY_IN_A_ROW if workers > 1 else 1
            while (in_a_row := in_a_row + 1 if ready(port) else 0) < wanted:
                if process.poll() is not None:
                    raise SystemExit(f"the service ended with status {process.returncode}: {log.read_text(encoding='utf-8')}")
                time.sleep(0.01)
            yield Service(port, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait()


def ready(port: int) -> bool:
    """Return whether the service can route."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def router_toml(artifact: Path, upstream: int, ledger: Path) -> str:
    """Return a configuration with a ledger, that has a model of OpenAI's dialect in each tier, and one of Anthropic's in the top tier."""
    tiers = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))["ladder"]
    url = f"http://127.0.0.1:{upstream}"
    lines = ["version = 1", f'artifact = "{artifact.resolve()}"', "[ledger]", f'url = "sqlite:///{ledger}"']
    for tier in tiers:
        names = [f"local-{tier}"] + (["local-anthropic"] if tier == tiers[-1] else [])
        lines += ["[[tiers]]", f'name = "{tier}"', f"models = {json.dumps(names)}"]
    for kind, base in (("openai", f"{url}/v1"), ("anthropic", url)):
        lines += [f"[providers.{kind}]", f'kind = "{kind}"', f'base_url = "{base}"', 'api_key_env = "BENCH_KEY"']
    for place, name in enumerate([*(f"local-{tier}" for tier in tiers), "local-anthropic"], 1):
        kind = "anthropic" if name == "local-anthropic" else "openai"
        price = f'{{ input_mtok = "{place}", output_mtok = "{place}" }}'
        lines += [f'[models."{name}"]', f'provider = "{kind}"', f"price = {price}"]
    return "\n".join(lines) + "\n"


def asks() -> tuple[str, ...]:
    """Return short asks of the project's own test split."""
    rows = (json.loads(line) for line in (ROOT / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines())
    return tuple(row["prompt"] for row in rows if 0 < len(row.get("prompt", "")) <= ASK_CHARACTERS)[:ASKS]


def send(cell: Cell) -> Result:
    """Return what came of a load, sent by a process of its own."""
    with on_core(1):
        command = [sys.executable, HERE / "load.py"]
        ran = subprocess.run(command, input=json.dumps(asdict(cell)), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"the load generator failed: {ran.stderr}")
    result = Result(**json.loads(ran.stdout))
    if result.failures:
        raise SystemExit(
            f"{cell.model} at {cell.path}: {result.failures} of {result.answered} requests failed; too few for {cell.seconds} s?"
        )
    return result


def measure(running: Service, upstream: int, ways: tuple[Way, ...], seconds: float) -> Iterator[Line]:
    """Yield a line for each way and number of connections; each number's direct calls are made in between."""
    texts = asks()
    for connections in sorted({number for way in ways for number in way.connections}):
        direct: dict[tuple[str, bool], Result] = {}
        for way in (way for way in ways if connections in way.connections):
            if way.direct not in direct:
                direct[way.direct] = send(Cell(upstream, way.path, "local-bulk", texts, connections, way.stream, False, seconds))
            before = running.cpu_seconds()
            routed = send(Cell(running.port, way.path, way.model, texts, connections, way.stream, way.new, seconds))
            after = running.cpu_seconds()
            cpu_ms = None if before is None or after is None else (after - before) * 1_000 / routed.answered
            yield Line(way, connections, direct[way.direct], routed, cpu_ms)


def table(lines: list[Line], running: Service) -> list[str]:
    """Return the table in Markdown."""
    head = ("way", "connections", "p50", "p95", "p99", "added p50", "p95", "p99", "to direct", "requests/s", "direct", "CPU ms")
    rows = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for line in lines:
        routed, direct = line.routed, line.direct
        cells = [f"{value:.2f}" for value in (routed.p50_ms, routed.p95_ms, routed.p99_ms)]
        cells += [f"{routed.p50_ms - direct.p50_ms:.2f}", f"{routed.p95_ms - direct.p95_ms:.2f}", f"{routed.p99_ms - direct.p99_ms:.2f}"]
        cells += [f"{routed.p50_ms / direct.p50_ms:.1f}x", f"{routed.requests_per_second:,.0f}", f"{direct.requests_per_second:,.0f}"]
        cells += ["-" if line.cpu_ms is None else f"{line.cpu_ms:.2f}"]
        rows.append(f"| {line.way.name} | {line.connections} | " + " | ".join(cells) + " |")
    peak = running.peak_mb()
    rows += ["", f"Ready {running.ready_seconds:.2f} s after the start; peak memory {'unknown' if peak is None else f'{peak:.0f} MB'}."]
    return rows


def report(artifact: Path, seconds: float) -> list[str]:
    """Measure an artefact's service, and return the table in Markdown."""
    with provider() as upstream, service(artifact, upstream) as running:
        return table(list(measure(running, upstream, WAYS, seconds)), running)


def workers(artifact: Path, seconds: float) -> list[str]:
    """Measure how many requests several workers on two cores answer against one on one core, and return a table in Markdown.

    Provider and load generator take their share of the second core.
    """
    ways = tuple(way for way in WAYS if way.path == CHAT and not way.stream)
    found: list[dict[str, float]] = []
    with provider() as upstream:
        for _, count, core in CREWS:
            with service(artifact, upstream, count, core) as running:
                cells = (Cell(running.port, way.path, way.model, asks(), 64, way.stream, way.new, seconds) for way in ways)
                found.append({way.name: send(cell).requests_per_second for way, cell in zip(ways, cells, strict=True)})
    rows = ["| requests/s at 64 connections | " + " | ".join(name for name, *_ in CREWS) + " | last to first |"]
    rows.append("|---|" + "---:|" * (len(CREWS) + 1))
    for way in ways:
        cells = [f"{each[way.name]:,.0f}" for each in found]
        rows.append(f"| {way.name} | " + " | ".join(cells) + f" | {found[-1][way.name] / found[0][way.name]:.2f}x |")
    return rows


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", nargs="?", type=Path, default=ROOT / "models" / "default")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    options = parser.parse_args()
    print("\n".join(report(options.artifact, options.seconds)))


if __name__ == "__main__":
    main()
