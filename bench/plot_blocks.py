#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what compare_blocks.py --json FILE measured: throughput relative to the unprotected guest, and
bytes on the wire for each byte that the guest read or wrote.

bench/plot_blocks.py FILE.json > docs/blocks.svg
"""

import json
import pathlib
import sys
from xml.sax.saxutils import escape

COLOURS = {"two unprotected": "#d8d8d8", "kemari+copy": "#909090", "kemari+replay": "#e0a030", "adaptive+copy": "#7aa6d8",
           "adaptive+replay": "#1f5fa8", "COLO+NBD": "#8d6e97"}
BAR, GAP, LEFT, PANEL, ABOVE = 16, 26, 48, 190, 46


class Svg:
    def __init__(self):
        self.parts = []

    def rectangle(self, x, y, width, height, colour, title=""):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                          f'height="{height:.1f}" fill="{colour}"><title>{escape(title)}'
                          '</title></rect>')

    def line(self, x1, y1, x2, y2):
        self.parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#d0d0d0"/>')

    def text(self, x, y, words, anchor="middle"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}'
                          '</text>')

    def whole(self, width, height):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                'font-family="sans-serif" font-size="11">\n'
                f'<rect width="{width}" height="{height}" fill="white"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def panel(svg, top, title, results, columns, value, largest, marks, unit):
    bottom = top + PANEL
    group = BAR * len(columns) + GAP
    width = group * len(results)
    svg.text(LEFT, top - 8, title, "start")
    for mark in marks:
        y = bottom - PANEL * mark / largest
        svg.line(LEFT, y, LEFT + width, y)
        svg.text(LEFT - 6, y + 4, f"{mark:g}{unit}", "end")
    for place, (row, result) in enumerate(results.items()):
        left = LEFT + place * group + GAP / 2
        for number, column in enumerate(column for column in columns if column in result):
            amount = value(result, column)
            if amount is None:  # not measured
                continue
            height = PANEL * min(amount, largest) / largest
            svg.rectangle(left + number * BAR, bottom - height, BAR - 2, height, COLOURS[column],
                          f"{row}, {column}: {amount:.3g}{unit}")
        svg.text(left + BAR * len(columns) / 2, bottom + 14, row)


def draw(results):
    columns = [name for name in COLOURS if any(name in result for result in results.values())]
    svg = Svg()
    for place, column in enumerate(columns):
        svg.rectangle(LEFT + place * 120, 8, 10, 10, COLOURS[column])
        svg.text(LEFT + place * 120 + 14, 17, column, "start")
    panel(svg, ABOVE, "throughput, percent of the unprotected guest's", results, columns,
          lambda result, column: 100 * result[column]["rate"] / result["unprotected"]["rate"],
          110, (0, 25, 50, 75, 100), " %")
    panel(svg, ABOVE + PANEL + 56, "bytes on the wire for each byte read or written (cut off at 2.5)",
          results, columns, lambda result, column: result[column]["wire"], 2.5, (0, 0.5, 1, 1.5, 2),
          " x")
    width = LEFT + (BAR * len(columns) + GAP) * len(results) + 10
    return svg.whole(max(width, LEFT + 120 * len(columns)), ABOVE + 2 * PANEL + 56 + 30)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    print(draw(json.loads(pathlib.Path(sys.argv[1]).read_text())), end="")
