"""The theme as CSS, for every page: one look, or both, chosen by what the reader's system asks for."""

from mechdyn.views.theme import DARK, FONT, LIGHT, MONO, Look

DARK_ASKED = "screen and (prefers-color-scheme: dark)"
"""The media query under which a page in both looks is dark; paper is white."""


def page_colors(dark: bool | None) -> str:
    """The look that was asked for as CSS variables; both where none was, the page then follows what the reader's system asks for."""
    scheme = "light dark" if dark is None else "dark" if dark else "light"
    return f":root {{ color-scheme: {scheme}; }}\n{_colors(dark)}"


def _colors(dark: bool | None) -> str:
    if dark is not None:
        return f":root {{ {_variables(DARK if dark else LIGHT)} }}"
    return f":root {{ {_variables(LIGHT)} }}\n@media {DARK_ASKED} {{ :root {{ {_variables(DARK)} }} }}"


def _variables(look: Look) -> str:
    colors = {
        "background": look.background,
        "ink": look.ink,
        "muted": look.muted,
        "line": look.line,
        "series": look.series[0],
        "accent": look.accent,
        "accent-text": look.accent if look is DARK else "#A8520A",
        **{f"scale-{index}": color for index, color in enumerate(look.scale)},
        **{f"below-{index}": color for index, color in enumerate(look.below)},
    }
    fonts = {"font": FONT, "mono": MONO}
    return " ".join(f"--{name}: {value};" for name, value in (colors | fonts).items())
