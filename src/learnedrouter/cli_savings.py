"""``learnedrouter savings``; parsing and printing only."""

import csv
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrouter.cli_options import DEFAULT_CONFIG, Config, Json, Ledger, Since, Until, moment
from learnedrouter.errors import ArtifactError, InputError
from learnedrouter.printing import dollars, number, percent, print_json, print_table

if TYPE_CHECKING:
    from learnedrouter.accounting.savings import Savings, Tally
    from learnedrouter.config import Settings

_GROUPS = ("tier", "model", "day", "key", "tag")
_CANNOT_KNOW = "What this cannot know: whether a cheaper answer was as good. It compares bills, on the same tokens."


def savings(
    ledger: Ledger = None,
    since: Since = None,
    until: Until = None,
    by: Annotated[str | None, typer.Option(help="Groups: tier, model, day, key or tag.")] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the groups, or the total, as CSV, to the last digit.")] = False,
) -> None:
    """Tell what the traffic cost, what it would have cost at the top tier, and what was saved; beside it, two other routers."""
    from learnedrouter.accounting.price_list import configured_prices
    from learnedrouter.accounting.savings import Controls, account
    from learnedrouter.accounting.traffic import Period, read_traffic
    from learnedrouter.config import load_settings

    if by is not None and by not in _GROUPS:
        raise InputError(f"--by {by!r}: expected one of {', '.join(_GROUPS)}")
    if as_json and as_csv:
        raise InputError("--json and --csv: expected one of them")
    settings = load_settings(config)
    controls = Controls([(tier.name, tier.models[0]) for tier in settings.tiers], configured_prices(settings))
    with read_traffic(ledger or settings.ledger.url, Period(moment("--since", since), moment("--until", until))) as events:
        found = account(events, controls, by)  # type: ignore[arg-type]  # checked above
    rate = settings.savings.router_usd_per_hour
    if as_csv:
        _print_csv(found, by, rate)
    elif as_json:
        print_json(_savings_json(found, rate) | {"quality": _quality_json(found, settings)})
    else:
        _show(found, by, rate)
        _show_quality(found, settings)


def _show(found: "Savings", by: str | None, rate: Decimal) -> None:
    total = found.total
    if not total.requests or found.first is None or found.last is None:
        print("No requests in that time.")
        return
    print(f"{total.requests:,} requests from {found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC")
    headers = (by or "", "requests", "spent, USD", "of it in vain", "cost unknown", "baseline, USD", "saved, USD", "saved")
    rows = [_row(name, tally, rate) for name, tally in found.groups.items()]
    print_table("what was spent and saved", headers, [*rows, _row("total", total, rate)])
    print(f"Baseline: the same tokens with {', '.join(found.baselines) or 'no model'}, at the prices of the time.")
    hours = total.decision_us / 3.6e9
    cost = f"{dollars(total.router_usd(rate))} USD, taken off what was saved" if rate else "at no price (savings.router_usd_per_hour)"
    print(
        f"The router's own time: {hours * 3600:,.1f} s of deciding, {total.decision_us / total.requests / 1000:.2f} ms a request, {cost}."
    )
    if total.unknown_costs:
        known = dollars(total.partial_usd)
        print(f"Cost unknown: {total.unknown_costs:,} requests; {known} USD of it are told and in what was spent, the rest is in no sum.")
    if total.not_compared:
        print(f"Baseline unknown: {total.not_compared:,} requests, spent but not compared.")
    if found.in_vain:
        told = [[outcome, f"{entry.attempts:,}", dollars(entry.usd), f"{entry.unaccounted:,}"] for outcome, entry in found.in_vain.items()]
        columns = ("outcome", "attempts", "USD", "cost not told")
        print_table("in vain: fallbacks, retries, discarded answers", columns, told)
    _show_controls(found)


def _row(name: str, tally: "Tally", rate: Decimal) -> list[str]:
    saved = tally.saved_usd(rate)
    share = saved / tally.baseline_usd if tally.baseline_usd else None
    counts = f"{tally.requests:,}", dollars(tally.spent_usd), dollars(tally.in_vain_usd), f"{tally.unknown_costs:,}"
    return [name, *counts, dollars(tally.baseline_usd), dollars(saved), percent(share)]


def _show_controls(found: "Savings") -> None:
    controls = found.controls
    rows = []
    for name, usd in _routers(found).items():
        saved = 1 - usd / controls.strongest_usd if controls.strongest_usd else None
        rows.append([name, dollars(usd), percent(saved)])
    title = f"other routers on the same {controls.requests:,} answers, at today's prices"
    print_table(title, ("router", "USD", "saved against the top tier"), rows)
    if controls.repriced:
        booked = dollars(controls.booked_usd)
        print(f"{controls.repriced:,} answers were booked at other prices than today's; as booked, all of them cost {booked} USD.")
    if controls.left_out:
        print(f"Left out of that: {controls.left_out:,} answers whose tokens, tier or prices are unknown.")


def _routers(found: "Savings") -> dict[str, Decimal]:
    controls = found.controls
    return {
        "this router": controls.router_usd,
        "random, same tier shares": controls.random_usd,
        "always cheapest": controls.cheapest_usd,
        "always strongest": controls.strongest_usd,
    }


def _show_quality(found: "Savings", settings: "Settings") -> None:
    quality = _quality_json(found, settings)
    print(_CANNOT_KNOW)
    if quality["expected_below"] is not None:
        print(
            f"By the classifier's own probabilities, {percent(quality['expected_below'])} of {found.doubt.requests:,} answered requests "
            "went below what they need."
        )
    tested = quality["evaluation"]
    if tested:
        rates = ", ".join(f"{tested[key]:.1%} {told}" for key, told in _RATES.items() if tested.get(key) is not None)
        print(
            f"Measured of {tested['artifact']} at the threshold {tested['threshold']}, on {tested['rows']:,} rows that it had not "
            f"seen: {rates}; "
            f"it decided {tested['decided']:,} of these requests."
        )
    else:
        print(f"No evaluation of what decided is at hand: {settings.artifact} holds none.")


_RATES = {"under_route": "sent below what they need", "over_route": "above"}


def _quality_json(found: "Savings", settings: "Settings") -> dict[str, Any]:
    doubt = found.doubt
    return {
        "cannot_know": _CANNOT_KNOW,
        "expected_below": doubt.expected_below / doubt.requests if doubt.requests else None,
        "answered": doubt.requests,
        "evaluation": _evaluation(settings.artifact, doubt.by_artifact),
    }


def _evaluation(artifact: Path, decided: dict[str, int]) -> dict[str, Any] | None:
    """Return what the artefact's test said of its routing; None where there is no artefact, or no such figure in it."""
    from learnedrouter.classifier.artifact import read_manifest

    try:
        manifest = read_manifest(artifact)
    except ArtifactError:
        return None
    rates = {key: manifest.metrics.get(key) for key in _RATES}
    if None in rates.values():
        return None
    return {
        "artifact": manifest.name,
        "threshold": manifest.judged_at,
        "rows": manifest.data.get("test", 0),
        "decided": decided.get(manifest.name, 0),
        **rates,
    }


def _savings_json(found: "Savings", rate: Decimal) -> dict[str, Any]:
    controls = found.controls
    return {
        "first": found.first.isoformat() if found.first else None,
        "last": found.last.isoformat() if found.last else None,
        "baseline_models": found.baselines,
        "router_usd_per_hour": float(rate),
        "total": {name: number(value) if isinstance(value, Decimal) else value for name, value in _figures(found.total, rate).items()},
        "groups": {
            group: {name: number(value) if isinstance(value, Decimal) else value for name, value in _figures(tally, rate).items()}
            for group, tally in found.groups.items()
        },
        "in_vain": {
            outcome: {
                "attempts": entry.attempts,
                "usd": number(entry.usd),
                "cost_not_told": entry.unaccounted,
            }
            for outcome, entry in found.in_vain.items()
        },
        "controls": {
            "requests": controls.requests,
            "left_out": controls.left_out,
            "booked_at_other_prices": controls.repriced,
            "booked_usd": number(controls.booked_usd),
            **{f"{name.partition(',')[0].replace(' ', '_')}_usd": number(usd) for name, usd in _routers(found).items()},
        },
    }


def _figures(tally: "Tally", rate: Decimal) -> dict[str, Decimal | int | None]:
    saved = tally.saved_usd(rate)
    return {
        "requests": tally.requests,
        "unanswered": tally.unanswered,
        "unknown_costs": tally.unknown_costs,
        "baseline_unknown": tally.not_compared,
        "unaccounted_attempts": tally.unaccounted_attempts,
        "spent_usd": tally.spent_usd,
        "in_vain_usd": tally.in_vain_usd,
        "partial_usd": tally.partial_usd,
        "compared_usd": tally.compared_usd,
        "baseline_usd": tally.baseline_usd,
        "router_usd": tally.router_usd(rate),
        "saved_usd": saved,
        "saved_share": saved / tally.baseline_usd if tally.baseline_usd else None,
        "decision_ms": tally.decision_us // 1000,
    }


def _print_csv(found: "Savings", by: str | None, rate: Decimal) -> None:
    rows = found.groups if by else {"total": found.total}
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([by or "", *_figures(found.total, rate)])
    for name, tally in rows.items():
        figures = _figures(tally, rate).values()
        writer.writerow([name, *("" if value is None else f"{value:f}" if isinstance(value, Decimal) else value for value in figures)])
