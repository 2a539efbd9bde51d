"""Pictures that everyone can read: charts and drawings that carry their description with them.

An example:
    fig, ax = chart("Right answers by number of passages", x="passages in the prompt", y="right answers (%)")
    ax.bar(["1", "3", "6"], [98, 97, 95], color=COLOURS[0], hatch=HATCHES[0])
    show(fig, "Bar chart: 98 % right with 1 passage, 97 % with 3, 95 % with 6.")
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

IMAGES = Path(__file__).resolve().parents[2] / "images"

# Okabe and Ito's colours, told apart with any kind of colour vision. Never use a colour alone: the marker, the hatch
# and the line style of the same number go with it.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "--", "++")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))

STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 13,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "figure.figsize": (7.0, 3.8),
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.alpha": 0.35,
    "hatch.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.markersize": 7,
    "savefig.dpi": 110,
    "svg.hashsalt": "course",
}


def chart(title: str, x: str, y: str, **options: object) -> tuple[Figure, Axes]:
    """Start a chart in the course's style; `x` and `y` name the axes with their units."""
    for what, text in (("title", title), ("x", x), ("y", y)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"a chart needs a {what} in words, got {text!r}")
    with plt.rc_context(STYLE):
        fig, ax = plt.subplots(**options)
    ax.set(title=title, xlabel=x, ylabel=y)
    return fig, ax


def show(fig: Figure, alt: str) -> None:
    """Display a figure as a picture with a text alternative, and close it.

    `alt` says what the picture shows to someone who cannot see it: the kind of chart, then the numbers that matter.
    """
    with plt.rc_context(STYLE):
        buffer = io.BytesIO()
        # Without the version of matplotlib, the same figure gives the same bytes
        fig.savefig(buffer, format="png", metadata={"Software": None})
    width = round(fig.get_figwidth() * STYLE["savefig.dpi"])
    plt.close(fig)
    _display(buffer.getvalue(), "image/png", alt, width)


def picture(name: str, alt: str, width: int = 720) -> None:
    """Display a drawing from the course's images folder (an .svg or .png file) with a text alternative."""
    path = IMAGES / name
    kinds = {".svg": "image/svg+xml", ".png": "image/png"}
    if path.suffix not in kinds or not path.is_file():
        there = ", ".join(sorted(p.name for p in IMAGES.glob("*") if p.suffix in kinds))
        raise FileNotFoundError(f"there is no picture {name!r}; the images folder holds: {there or 'none'}")
    _display(path.read_bytes(), kinds[path.suffix], alt, width)


def _display(data: bytes, kind: str, alt: str, width: int) -> None:
    """Send a picture to the page, and its description to those who read the page as text."""
    if not isinstance(alt, str) or len(alt.split()) < 3:
        raise ValueError(f"a picture needs a text alternative of at least three words, got {alt!r}")
    alt = " ".join(alt.split())
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    page = f'<img src="{source}" alt="{html.escape(alt)}" width="{width}" style="max-width: 100%; background: white">'
    display({"text/html": page, "text/plain": f"Picture: {alt}"}, raw=True)
