"""A bar chart as SVG, drawn by hand so that the benchmark needs no plotting package."""

from html import escape

_WIDTH, _BAR, _GAP, _LABEL = 720, 22, 8, 170


def bars(values: dict[str, float]) -> str:
    """Horizontal bars, longest value to the full width, labelled in microseconds."""
    scale = (_WIDTH - _LABEL - 80) / max(values.values())
    height = len(values) * (_BAR + _GAP) + _GAP
    rows = []
    for row, (name, value) in enumerate(values.items()):
        top = _GAP + row * (_BAR + _GAP)
        color = "#1f6feb" if name.startswith("cache_aside") else "#8c959f"
        middle, length = top + _BAR * 0.7, value * scale
        rows += [
            f'<text x="{_LABEL - 8}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LABEL}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{color}"/>',
            f'<text x="{_LABEL + length + 6:.1f}" y="{middle:.0f}">{value:.0f} µs</text>',
        ]
    style = 'font-family="sans-serif" font-size="13" fill="#57606a"'
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n' + "\n".join(rows) + "\n</svg>\n"
