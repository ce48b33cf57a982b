"""The look of the window: colour tokens, fonts, icons and the style sheet made from them, switched live."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from PyQt6.QtCore import QObject, QSettings, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPalette
from PyQt6.QtWidgets import QApplication, QStyleFactory

HERE = Path(__file__).parent
SIZES = {"caption": 11, "text": 13, "title": 15}
READABLE = 4.5
SCALES = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True)
class Tokens:
    """The colours that the whole window is made from, as #rrggbb."""

    name: str
    ground: str
    panel: str
    line: str
    ink: str
    dim: str
    faint: str
    accent: str
    on_accent: str
    validation: str
    error: str
    warning: str
    good: str

    def readable(self, color: str) -> str:
        """The colour, as far towards the ink as letters in it need to be read on a panel."""
        shares = (step / 20 for step in range(20))
        found = (mixed for share in shares if contrast(mixed := mix(color, self.ink, share), self.panel) >= READABLE)
        return next(found, self.ink)

    def severity(self, severity: str) -> str:
        return {"error": self.error, "warning": self.warning, "info": self.accent}.get(severity, self.faint)

    @property
    def playhead(self) -> str:
        return self.error


DARK = Tokens(
    name="dark", ground="#14171c", panel="#1b1f26", line="#2a303a", ink="#dfe4ec", dim="#8b95a5", faint="#4a5362",
    accent="#4ea1ff", on_accent="#0b0e13", validation="#f2a65a", error="#ff6b5e", warning="#f2b84b", good="#57c98a",
)  # fmt: skip
LIGHT = Tokens(
    name="light", ground="#f3f4f6", panel="#ffffff", line="#dde1e7", ink="#1d2430", dim="#667085", faint="#b6bdc9",
    accent="#1f6feb", on_accent="#ffffff", validation="#d9731a", error="#d33a2c", warning="#b7791f", good="#2a9d5c",
)  # fmt: skip


def mix(first: str, second: str, share: float) -> str:
    """The colour that lies `share` of the way from the first to the second."""
    a, b = QColor(first), QColor(second)
    parts = ((1 - share) * x + share * y for x, y in zip(a.getRgb()[:3], b.getRgb()[:3], strict=True))
    return QColor(*(round(part) for part in parts)).name()


def contrast(first: str, second: str) -> float:
    """The ratio of contrast of two colours, 1 to 21, as WCAG 2 defines it."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = (part / 255 for part in QColor(color).getRgb()[:3])
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def with_alpha(color: str, alpha: float) -> QColor:
    result = QColor(color)
    result.setAlphaF(alpha)
    return result


class Theme(QObject):
    """Which tokens and which font scale are on screen; `changed` follows every switch."""

    changed = pyqtSignal()

    def __init__(self, app: QApplication, settings: QSettings) -> None:
        super().__init__(app)
        self._app, self._settings = app, settings
        self.choice = str(settings.value("theme/choice", "system"))
        self.scale = float(settings.value("theme/scale", 1.0))
        self.tokens = DARK
        hints = app.styleHints()
        assert hints is not None
        hints.colorSchemeChanged.connect(self._system_changed)

    def choose(self, choice: str) -> None:
        """`dark`, `light`, or `system` to follow the desktop."""
        self.choice = choice
        self._settings.setValue("theme/choice", choice)
        self.apply()

    def toggle(self) -> None:
        self.choose("light" if self.tokens is DARK else "dark")

    def enlarge(self, steps: int) -> None:
        """Walks `steps` up or down the font scales; 0 goes back to the usual size."""
        nearest = min(range(len(SCALES)), key=lambda index: abs(SCALES[index] - self.scale))
        index = SCALES.index(1.0) if steps == 0 else max(0, min(len(SCALES) - 1, nearest + steps))
        self.scale = SCALES[index]
        self._settings.setValue("theme/scale", self.scale)
        self.apply()

    def apply(self) -> None:
        self.tokens = self._wanted_tokens()
        self._app.setPalette(palette(self.tokens))
        self._app.setFont(self.font("text"))
        self._app.setStyleSheet(style_sheet(self.tokens, self.scale))
        self.changed.emit()

    def _wanted_tokens(self) -> Tokens:
        if self.choice in ("dark", "light"):
            return DARK if self.choice == "dark" else LIGHT
        hints = self._app.styleHints()
        light = hints is not None and hints.colorScheme() == Qt.ColorScheme.Light
        return LIGHT if light else DARK

    def _system_changed(self, _scheme: object = None) -> None:
        if self.choice == "system":
            self.apply()

    def pixels(self, size: float) -> int:
        """A length of the drawings at the present font scale."""
        return round(size * self.scale)

    def font(self, role: str = "text", *, bold: bool = False) -> QFont:
        """`caption`, `text` or `title` in the reading face; `number` and `small-number` in the monospaced one."""
        if role.endswith("number"):
            font = QFont(["JetBrains Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"])
            font.setPixelSize(self.pixels(11 if role.startswith("small") else 13))
            return font
        font = QFont(["Inter", "Segoe UI", "Helvetica Neue", "DejaVu Sans", "sans-serif"])
        font.setPixelSize(self.pixels(SIZES[role]))
        font.setBold(bold or role == "title")
        return font

    def icon(self, name: str, color: str = "ink") -> QIcon:
        """An icon of the Phosphor set, in the colour of a token (or any #rrggbb)."""
        return phosphor(name, getattr(self.tokens, color, color), self.tokens.faint)


def phosphor(name: str, color: str, disabled: str) -> QIcon:
    import qtawesome  # 150 ms: after the first frame where no icon is on it

    return qtawesome.icon(f"ph.{name}", color=color, color_disabled=disabled)


def palette(tokens: Tokens) -> QPalette:
    """The Qt palette for what no style sheet reaches."""
    roles = QPalette.ColorRole
    result = QPalette()
    pairs = {
        roles.Window: tokens.panel, roles.WindowText: tokens.ink, roles.Base: tokens.ground,
        roles.AlternateBase: tokens.panel, roles.Text: tokens.ink, roles.Button: tokens.panel,
        roles.ButtonText: tokens.ink, roles.Highlight: tokens.accent, roles.HighlightedText: tokens.on_accent,
        roles.ToolTipBase: tokens.ground, roles.ToolTipText: tokens.ink, roles.PlaceholderText: tokens.dim,
        roles.Link: tokens.accent, roles.LinkVisited: tokens.accent, roles.Mid: tokens.line, roles.Dark: tokens.line,
        roles.Light: tokens.line, roles.Midlight: tokens.line, roles.Shadow: tokens.ground,
    }  # fmt: skip
    for role, color in pairs.items():
        result.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.faint))
    return result


def style_sheet(tokens: Tokens, scale: float) -> str:
    """The style sheet of `style.qss` with the tokens and sizes filled in."""
    sizes = {name: f"{round(size * scale)}px" for name, size in SIZES.items()}
    shades = {
        "hover": mix(tokens.panel, tokens.ink, 0.07),
        "pressed": mix(tokens.panel, tokens.ink, 0.14),
        "accent_hover": mix(tokens.accent, tokens.ink, 0.12),
        "accent_soft": mix(tokens.panel, tokens.accent, 0.16),
        "edge": mix(tokens.line, tokens.ink, 0.16),
        "icons": (HERE / "icons" / tokens.name).as_posix(),
    }
    shades |= {f"{name}_ink": tokens.readable(getattr(tokens, name)) for name in ("error", "warning", "good")}
    lengths = {f"px{size}": f"{round(size * scale)}px" for size in (2, 3, 4, 5, 6, 8, 10, 12, 16, 18, 24, 28)}
    return Template((HERE / "style.qss").read_text()).substitute(asdict(tokens) | sizes | shades | lengths)


_current: Theme | None = None


def install(app: QApplication, settings: QSettings | None = None) -> Theme:
    """Gives the application its look; once per application."""
    global _current
    app.setStyle(QStyleFactory.create("Fusion"))
    for path in sorted((HERE / "fonts").glob("*.ttf")):
        QFontDatabase.addApplicationFont(str(path))
    _current = Theme(app, settings if settings is not None else QSettings())
    _current.apply()
    return _current


def theme() -> Theme:
    """The look of the running application."""
    global _current
    if _current is None:
        app = QApplication.instance()
        assert isinstance(app, QApplication), "the theme needs a QApplication first"
        return install(app)
    return _current
