"""What a night costs against the size of the ledger it comes into."""

from __future__ import annotations

from pathlib import Path

from ledger_measure import Measured

_DRAWN = {
    "a night taken in and planned": "s",
    "a task of it": "ms",
    "next work": "ms",
    "flag an image": "ms",
    "status": "ms",
}


def draw(found: list[Measured], path: Path) -> None:
    """Draw the costs on PostgreSQL as curves, the last value of each size."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "tesela"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    for what, unit in _DRAWN.items():
        points = {
            one.frames: one.value
            for one in found
            if one.what == what and one.database == "PostgreSQL"
        }
        if points:
            sizes = sorted(points)
            axes.plot(sizes, [points[size] for size in sizes], "o-", label=f"{what}, {unit}")
    axes.set(xscale="log", yscale="log", xlabel="frames in the ledger", ylabel="cost")
    measured = sorted({one.frames for one in found if one.database == "PostgreSQL"})
    axes.set_xticks(measured, [f"{size:,}" for size in measured])
    axes.set_yticks(values := [1, 2, 5, 10, 20, 50], [str(value) for value in values])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
