"""``learnedrouter simulate``; parsing and printing only."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrouter.cli_options import DEFAULT_CONFIG, Config, Json, Ledger, Prices, Since, Until, moment
from learnedrouter.errors import InputError
from learnedrouter.printing import dollars, number, percent, print_json, print_table

if TYPE_CHECKING:  # at run time they are imported where they are used: a command should start at once
    from learnedrouter.accounting.history import Decide, History
    from learnedrouter.accounting.simulate import Mix, Simulation, Target
    from learnedrouter.config import Settings


def simulate(
    workload: Annotated[Path | None, typer.Argument(help="TOML: requests a day, tokens, shares of the tiers.")] = None,
    ledger: Ledger = None,
    since: Since = None,
    until: Until = None,
    config: Config = DEFAULT_CONFIG,
    prices: Prices = None,
    threshold: Annotated[float | None, typer.Option(help="Decide the ledger's traffic anew, at this threshold.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Decide it anew by this artefact; needs asks that were captured.")] = None,
    target: Annotated[str | None, typer.Option(help="Share to save, such as 0.7: say which mix of tiers reaches it.")] = None,
    against: Annotated[str | None, typer.Option(help="The model for all that savings are against.")] = None,
    as_json: Json = False,
) -> None:
    """Work out what requests cost: with one model for all, with the ladder, and with a perfect router. Calls nobody.

    The requests are those of a workload file, or of a ledger: then other prices, another threshold or another artefact can
    be tried on them.
    """
    if (workload is None) == (ledger is None):
        raise InputError("expected either a workload file or --ledger")
    if ledger is not None:
        from learnedrouter.accounting.traffic import Period

        history, needs = _history(ledger, Period(moment("--since", since), moment("--until", until)), config, prices, threshold, artifact)
        _show_history(history, needs, target, against, as_json)
        return
    if workload is None or threshold is not None or artifact is not None or since or until:
        raise InputError("--threshold, --artifact, --since and --until: are about --ledger, not a workload file")
    mix, compared, needs, sources = _workload(workload, config, prices)
    simulation, compared, targets = _worked_out(mix, (against,) if against else compared, target)
    if as_json:
        print_json({"prices": sources, "needs": needs, **_simulation_json(simulation, compared, targets)})
        return
    _show_costs(simulation, compared)
    _show_shares(mix, sources)
    print(f"Needs: {needs}.")
    _show_targets(mix, targets)


def _workload(path: Path, config: Path, prices: Path | None) -> tuple["Mix", tuple[str, ...], str, dict[str, str]]:
    from learnedrouter.accounting.price_list import load_prices
    from learnedrouter.accounting.simulate import priced
    from learnedrouter.accounting.workload import load_workload, models_without_price

    stated = load_prices(prices) if prices else {}
    missing = set(models_without_price(path)) - stated.keys()
    workload = load_workload(path, stated, load_prices(config) if missing else {})
    sources = {name: price.source for name, price in stated.items()} | {rung.model: rung.price.source for rung in workload.rungs}
    return priced(workload, stated), workload.compare_with, workload.needs, sources


def _history(
    ledger: str, period: Any, config: Path, prices: Path | None, threshold: float | None, artifact: Path | None
) -> tuple["History", str]:
    from learnedrouter.accounting.history import NEEDS, replay
    from learnedrouter.accounting.price_list import configured_prices, load_prices
    from learnedrouter.accounting.traffic import read_traffic
    from learnedrouter.config import load_settings

    settings = load_settings(config)
    known = configured_prices(settings) | (load_prices(prices) if prices else {})
    rungs = [(tier.name, tier.models[0]) for tier in settings.tiers]
    with read_traffic(ledger, period) as events:
        return replay(events, rungs, known, _decide(settings, threshold, artifact)), NEEDS


def _decide(settings: "Settings", threshold: float | None, artifact: Path | None) -> "Decide | None":
    from learnedrouter.accounting.history import by_artifact, by_threshold
    from learnedrouter.classifier.artifact import load

    if artifact is None:
        return None if threshold is None else by_threshold(settings.ladder, threshold)
    classifier = load(artifact)
    if classifier.ladder != settings.ladder:
        raise InputError(
            f"{artifact} was trained for the tiers {', '.join(classifier.ladder.names)}; "
            f"the configuration has {', '.join(settings.ladder.names)}"
        )
    return by_artifact(classifier, threshold)


def _worked_out(mix: "Mix", compared: tuple[str, ...], target: str | None) -> tuple["Simulation", tuple[str, ...], list["Target"]]:
    from learnedrouter.accounting.simulate import reach
    from learnedrouter.accounting.simulate import simulate as work_out

    if unknown := [model for model in compared if model not in mix.models]:
        raise InputError(f"--against {unknown[0]!r}: expected one of {', '.join(dict.fromkeys(mix.models))}")
    targets = [] if target is None else [reach(mix, _share(target), model) for model in compared]
    return work_out(mix), compared, targets


def _show_history(history: "History", needs: str, target: str | None, against: str | None, as_json: bool) -> None:
    served = history.as_served
    simulation, compared, targets = _worked_out(served, (against or served.models[len(served.tiers) - 1],), target)
    other = _worked_out(history.otherwise, compared, target) if history.otherwise else None
    if as_json:
        told = {
            "requests": history.requests,
            "left_out": dict(history.left_out),
            "first": history.first.isoformat() if history.first else None,
            "last": history.last.isoformat() if history.last else None,
            "days": float(served.days),
            "booked_usd": float(history.booked_usd),
            "needs": needs,
            "as_served": _simulation_json(simulation, compared, targets),
        }
        print_json(told | ({"changed": history.changed, "otherwise": _simulation_json(other[0], compared, other[2])} if other else {}))
        return
    print(
        f"{history.requests:,} requests from {history.first:%Y-%m-%d %H:%M} to {history.last:%Y-%m-%d %H:%M} UTC, taken as "
        f"{served.days:.2f} days; their answers were booked at {dollars(history.booked_usd)} USD."
    )
    for reason, count in history.left_out.items():
        print(f"Left out: {count:,} {reason}.")
    _show_costs(simulation, compared, "as served: ")
    _show_shares(served, {})
    if other and history.otherwise:
        print(f"Decided anew, {history.changed:,} requests go to another tier.")
        _show_costs(other[0], compared, "decided anew: ")
        _show_shares(history.otherwise, {})
        print("Not replayed: failures and fallbacks; limits of callers that made no difference then; what other models would have written.")
    print(f"Needs: {needs}.")
    _show_targets(history.otherwise or served, other[2] if other else targets)


def _show_costs(found: "Simulation", compared: tuple[str, ...], how: str = "") -> None:
    rows = []
    for option in found.options:
        name = f"{option.name} for all" if option.kind == "model" else option.name
        saved = [percent(found.saved(option, model)) for model in compared]
        rows.append([name, dollars(option.usd_per_day), dollars(option.usd_per_month), *saved])
    headers = ("router", "USD a day", "USD a month", *(f"saved against {model}" for model in compared))
    print_table(f"{how}{found.mix.requests / found.mix.days:,.0f} requests a day; a month is 30 days", headers, rows)


def _show_shares(mix: "Mix", sources: dict[str, str]) -> None:
    sent, needed = mix.shares("sent"), mix.shares("needed")
    rows = [
        [tier, model, percent(sent[tier]), percent(needed[tier]), *([sources[model]] if sources else [])]
        for tier, model in zip(mix.tiers, mix.models, strict=False)
    ]
    headers = ("tier", "model", "ladder", "perfect router", *(["price from"] if sources else []))
    print_table("shares of the requests", headers, rows)


def _show_targets(mix: "Mix", targets: list["Target"]) -> None:
    now = mix.shares("sent")
    for reached in targets:
        aim = f"To save {percent(reached.target)} against {reached.against} for all"
        if reached.feasible:
            print(f"{aim}, {percent(reached.moved)} of the requests move to the cheapest tier: {dollars(reached.usd_per_day)} USD a day.")
        else:
            print(f"{aim}: infeasible; the nearest is {percent(reached.saved)}, at {dollars(reached.usd_per_day)} USD a day.")
        rows = [[tier, percent(now[tier]), percent(share)] for tier, share in reached.shares.items()]
        print_table("", ("tier", "share now", "share then"), rows)
        if reached.below_need:
            print(f"{percent(reached.below_need)} of the requests would then go below what they need, as far as that is known.")


def _simulation_json(found: "Simulation", compared: tuple[str, ...], targets: list["Target"]) -> dict[str, Any]:
    mix = found.mix
    sent, needed = mix.shares("sent"), mix.shares("needed")
    return {
        "requests_per_day": float(mix.requests / mix.days),
        "days_a_month": 30,
        "shares": {tier: {"ladder": float(sent[tier]), "perfect": float(needed[tier])} for tier in mix.tiers},
        "options": [
            {
                "name": option.name,
                "kind": option.kind,
                "usd_per_day": float(option.usd_per_day),
                "usd_per_month": float(option.usd_per_month),
                "saved": {model: number(found.saved(option, model)) for model in compared},
            }
            for option in found.options
        ],
        "targets": [_target_json(reached) for reached in targets],
    }


def _target_json(reached: "Target") -> dict[str, Any]:
    return {
        "against": reached.against,
        "target": float(reached.target),
        "feasible": reached.feasible,
        "moved": float(reached.moved),
        "below_need": float(reached.below_need),
        "shares": {tier: float(share) for tier, share in reached.shares.items()},
        "usd_per_day": float(reached.usd_per_day),
        "saved": float(reached.saved),
    }


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(0)
    if not share.is_finite() or not 0 < share < 1:
        raise InputError(f"--target {text!r}: expected a share between 0 and 1, such as 0.7")
    return share
