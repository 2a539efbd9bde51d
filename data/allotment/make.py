"""Make documents/frost-plan.pdf from frost-plan.txt: one page for each part, the same bytes each time.

python data/allotment/make.py            write it
python data/allotment/make.py --check    write nothing; fail where it is not up to date
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from reportlab.lib.pagesizes import A5
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).resolve().parent
SOURCE, TARGET = HERE / "frost-plan.txt", HERE / "documents" / "frost-plan.pdf"
FONT, SIZE, MARGIN = "Helvetica", 12, 50


def pdf() -> bytes:
    """The plan as a PDF, a page for each part of the text between empty lines."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A5, invariant=True)
    canvas.setTitle("Frost plan")
    for part in SOURCE.read_text(encoding="utf-8").strip().split("\n\n"):
        heading, _, text = part.partition("\n")
        lines = [heading + ".", *simpleSplit(text, FONT, SIZE, A5[0] - 2 * MARGIN)]
        for number, line in enumerate(lines):
            canvas.setFont(FONT + "-Bold" if number == 0 else FONT, SIZE)
            canvas.drawString(MARGIN, A5[1] - MARGIN - 18 * number, line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.is_file() and TARGET.read_bytes() == pdf() else f"{TARGET.name} is not up to date")
    TARGET.write_bytes(pdf())
