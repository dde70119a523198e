"""What the pictures share: one style, one colour a tier, and the plots that several notebooks and commands draw.

matplotlib is imported by the functions that draw, so that nothing needs it but a notebook, or a command that is asked for a picture.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnedrouter.training.threshold import Point

COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#CC79A7", "#009E73")
"""One a tier, cheapest first, from the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), which colour-blind
people can tell apart: cold for the cheap ones, warm for the strong ones."""

STYLE: Mapping[str, Any] = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
}


def use_style() -> None:
    """Make `STYLE` the style of every picture that follows."""
    import matplotlib.pyplot as plt

    plt.style.use(dict(STYLE))


def stacked_shares(axes: "Axes", counts: Mapping[str, Mapping[str, int]], tiers: Sequence[str], title: str) -> None:
    """Draw a bar a name, whose parts are the shares of the tiers; the name's count stands beside it.

    Parameters
    ----------
    counts
        By name: rows of each tier; the first name is drawn at the top.
    """
    names = list(counts)
    numbers = np.array([[counts[name].get(tier, 0) for tier in tiers] for name in names], dtype=float)
    totals = numbers.sum(axis=1, keepdims=True)
    shares = numbers / np.maximum(totals, 1)
    left = np.zeros(len(names))
    for place, tier in enumerate(tiers):
        axes.barh(names, shares[:, place], left=left, color=COLOURS[place], label=tier, height=0.8)
        left += shares[:, place]
    for row, total in enumerate(totals[:, 0]):
        axes.text(1.01, row, f"{total:,.0f}", va="center", fontsize=8, color="#555555")
    axes.set(title=title, xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1], xticklabels=["0", "25 %", "50 %", "75 %", "100 %"])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)


def tier_scatter(
    axes: "Axes", points: npt.NDArray[np.floating[Any]], tiers: npt.NDArray[np.intp], names: Sequence[str], title: str
) -> None:
    """Draw points ``(n, 2)`` in the colours of their tiers ``(n,)``, in random order, so that no tier covers another."""
    order = np.random.default_rng(0).permutation(len(points))
    axes.scatter(points[order, 0], points[order, 1], c=[COLOURS[tier] for tier in tiers[order]], s=13, alpha=0.8, linewidths=0)
    for place, name in enumerate(names):
        axes.scatter([], [], color=COLOURS[place], s=30, label=name)
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(loc="upper right", ncols=len(names), columnspacing=1.0, handletextpad=0.2)


def pareto_curve(
    axes: "Axes", across: Sequence[float], under: Sequence[float], bound: Sequence[float], chosen: int, labels: tuple[str, str]
) -> None:
    """Draw what is under-routed over what it costs, ``(n,)`` each, the bound above it as a band, and the point that was chosen.

    Parameters
    ----------
    chosen
        Its place.
    labels
        Of the horizontal axis, and the title.
    """
    axes.plot(across, under, color=COLOURS[0], linewidth=1.8, label="under-routed on these rows")
    axes.fill_between(across, under, bound, color=COLOURS[0], alpha=0.2, linewidth=0, label="up to the confidence bound")
    axes.scatter([across[chosen]], [under[chosen]], color=COLOURS[3], s=60, zorder=3, label="chosen")
    axes.set(xlabel=labels[0], ylabel="share of requests under-routed", title=labels[1], ylim=(0, None))
    axes.legend()


def save_pareto(path: Path, across: Sequence[float], points: "Sequence[Point]", threshold: float, label: str, title: str) -> None:
    """Write the picture of a Pareto curve to a PNG file; see `pareto_curve`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.style import context

    with context(dict(STYLE)):
        figure = Figure(figsize=(9, 4.6))
        FigureCanvasAgg(figure)
        chosen = min(range(len(points)), key=lambda place: abs(points[place].threshold - threshold))
        under, bound = ([getattr(point, name) for point in points] for name in ("under_routed", "under_route_bound"))
        pareto_curve(figure.add_subplot(), across, under, bound, chosen, (label, f"Threshold {threshold}"))
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
        figure.savefig(path)
