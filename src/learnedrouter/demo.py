"""A dozen varied requests to a running service."""

from typing import Any

import httpx2

from learnedrouter.errors import InputError

ASKS = (
    "translate to French: the meeting is moved to Thursday",
    "fix the grammar: he dont know were the keys is",
    "What's the boiling point of water in Fahrenheit?",
    "Give me a title for this blog post about growing tomatoes on a balcony",
    'Extract name, date and amount as JSON: "Paid to Marta Ruiz on 3 May, 148.50 EUR, invoice 2231"',
    "Regex that matches dates like 2026-11-23 but not 2026-13-23",
    "Write SQL: table orders(id, customer_id, total, created_at); top ten customers by total this year",
    "Write a friendly email telling my landlord that the heating has been broken since Sunday",
    "Explain to a twelve-year-old why the moon has phases",
    "Write a Python function that merges overlapping intervals",
    "Prove that there are infinitely many primes congruent to 3 mod 4",
    "Our Go service deadlocks under load: two mutexes, a worker pool, a retry queue. Find a safe lock order and redesign the shutdown.",
)


def run_demo(url: str) -> list[dict[str, Any]]:
    """Send every ask to ``POST /route`` of the service at `url`, and return what came back.

    Returns
    -------
    One row an ask: ``ask``, ``tier``, ``confidence``, ``model``, ``cost_usd``, ``baseline_usd``; money is None where
    it is unknown.

    Raises
    ------
    InputError
        There is no service at `url`, or it answers with an error.
    """
    try:
        with httpx2.Client(base_url=url, timeout=130) as client:
            return [_row(ask, client.post("/route", json={"prompt": ask}).raise_for_status().json()) for ask in ASKS]
    except httpx2.HTTPStatusError as error:
        raise InputError(f"{url}: answered {error.response.status_code}: {error.response.text[:200]}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{url}: answers, but not as learnedrouter does ({type(error).__name__}: {error})") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InputError(f"{url}: no service answers there ({error}); start one with: make serve") from error


def _row(ask: str, answer: dict[str, Any]) -> dict[str, Any]:
    decision, cost = answer["decision"], answer["cost"]
    return {
        "ask": ask,
        "tier": decision["tier"],
        "confidence": decision["confidence"],
        "model": answer["model"],
        "cost_usd": cost["usd"],
        "baseline_usd": cost["baseline_usd"],
    }
