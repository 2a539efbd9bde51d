"""Charts and drawings: always with words, and the same bytes for the same figure."""

from __future__ import annotations

import base64
import re

import matplotlib.pyplot as plt
import pytest
from expert import figures
from expert.figures import COLOURS, HATCHES, LINES, MARKERS, chart, picture, show


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What was sent to the page."""
    sent: list[dict] = []
    monkeypatch.setattr(figures, "display", lambda data, raw: sent.append(data))
    return sent


def draw() -> plt.Figure:
    fig, ax = chart("Right answers", x="passages", y="right (%)")
    ax.plot([1, 3, 6], [98, 97, 95], marker=MARKERS[0], color=COLOURS[0], linestyle=LINES[0])
    ax.bar([1, 3, 6], [50, 40, 30], color=COLOURS[1], hatch=HATCHES[1])
    return fig


def test_a_chart_carries_its_words(shown: list[dict]) -> None:
    show(draw(), 'Line chart: 98 % with 1 passage,\n    "<95 %" with 6.')
    (data,) = shown
    assert 'alt="Line chart: 98 % with 1 passage, &quot;&lt;95 %&quot; with 6."' in data["text/html"]
    assert data["text/plain"] == 'Picture: Line chart: 98 % with 1 passage, "<95 %" with 6.'
    (content,) = re.findall(r'src="data:image/png;base64,([^"]+)"', data["text/html"])
    png = base64.b64decode(content)
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    assert (width, height) == (770, 418)
    assert 'width="770"' in data["text/html"]
    assert not plt.get_fignums()  # closed: it is not shown a second time


def test_the_same_figure_gives_the_same_bytes(shown: list[dict]) -> None:
    for _ in range(2):
        show(draw(), "Line chart: three points.")
    assert shown[0] == shown[1]


def test_styles_can_be_told_apart_without_colour() -> None:
    for values in (COLOURS, MARKERS, HATCHES, LINES):
        assert len(set(values)) == len(values) == 7


@pytest.mark.parametrize("alt", ["", "  ", "a chart", None, 3])
def test_a_picture_without_words_is_refused(shown: list[dict], alt: object) -> None:
    with pytest.raises(ValueError, match="a picture needs a text alternative of at least three words, got"):
        show(draw(), alt)
    assert shown == []


def test_a_chart_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="a chart needs a y in words, got ''"):
        chart("Title", x="time (s)", y="")


def test_a_drawing_comes_from_the_images_folder(shown: list[dict]) -> None:
    picture("ladder.svg", "Drawing: four steps of a ladder.")
    assert shown[0]["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    with pytest.raises(FileNotFoundError, match=r"no picture 'nowhere.svg'; the images folder holds: .*ladder"):
        picture("nowhere.svg", "Drawing: nothing at all.")
