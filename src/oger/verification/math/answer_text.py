r"""One spelling for what an answer may be written in: LaTeX dressing, Unicode mathematics, Markdown, white space.

`clean` changes how an answer looks, never what it says: \dfrac becomes \frac, `−` becomes `-`, \text{ cm} becomes
` cm`, `√2` becomes \sqrt{2}. What it does not know it leaves alone.
"""

import re
import unicodedata

from oger.verification.math.dressing import undress

_SYMBOLS = str.maketrans(
    {
        **dict.fromkeys("−–—‒﹣－", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u200a\u202f\u3000\t\n\r\f\v", " "),
        **dict.fromkeys("“”„″", '"'),
        **dict.fromkeys("‘’‚′", "'"),
        **dict.fromkeys("×✕⨯", r"\times "),
        **dict.fromkeys("·⋅∙•", r"\cdot "),
        "÷": r"\div ",
        "∕": "/",
        "⁄": "/",
        "∞": r"\infty ",
        "±": r"\pm ",
        "∓": r"\mp ",
        "≤": r"\le ",
        "⩽": r"\le ",
        "≥": r"\ge ",
        "⩾": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "°": r"^\circ ",
        "º": r"^\circ ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "π": r"\pi ",
        "θ": r"\theta ",
        "α": r"\alpha ",
        "β": r"\beta ",
        "γ": r"\gamma ",
        "λ": r"\lambda ",
        "μ": r"\mu ",
        "φ": r"\phi ",
        "ω": r"\omega ",
    }
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR_FRACTION = re.compile("[¼-¾⅐-⅞↉]")

_SPACING = re.compile(
    r"\\\\|\\(?:[,;:!> ]|(?:quad|qquad|displaystyle|textstyle|scriptstyle|limits|left|right)(?![a-zA-Z]))|~"
    r"|\\[bB]igg?[lr]?(?![a-zA-Z])"
)
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox|operatorname\*?|boldsymbol|emph"
    r"|boxed|fbox|framebox|underline|ensuremath)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_TIMES = re.compile(r"(?<=[\d}])\s*\\(?:text|mathrm|rm|mbox)\s*\{\s*(min|sec)s?\s*\}")  # no minimum, no secant
_FUNCTION_NAMES = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"}
    | {"log", "ln", "exp", "min", "max", "gcd", "lcm", "det", "arg", "coth"}
    | {"arcsinh", "arccosh", "arctanh", "arsinh", "arcosh", "artanh"}
)
_TOKEN = (  # an argument without braces: \frac\pi4, \binom nk, \sqrt[3]2
    r"[0-9a-zA-Z]|\\(?:pi|theta|alpha|beta|gamma|delta|Delta|epsilon|varepsilon|lambda|mu|phi|varphi|omega|sigma|tau|rho"
    r"|ell)(?![a-zA-Z])"
)
_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_SAME_COMMANDS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\{,\}", ","),
        (r"\\%", "%"),
        (r"\\l(?:brace|eft\\\{)(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\(?:leqslant|leqq|leq)(?![a-zA-Z])", r"\\le"),
        (r"\\(?:geqslant|geqq|geq)(?![a-zA-Z])", r"\\ge"),
        (r"\\neq(?![a-zA-Z])|\\not\s*=", r"\\ne "),
        (r"<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (r"\+\s?/\s?-|\+-(?=\s*[\d\\])", r"\\pm "),
        (r"\\(?:varnothing|O)(?![a-zA-Z])", r"\\emptyset"),
        (r"\\tan\s*\^\s*\{\s*-1\s*\}", r"\\arctan "),
        (r"\\sin\s*\^\s*\{\s*-1\s*\}", r"\\arcsin "),
        (r"\\cos\s*\^\s*\{\s*-1\s*\}", r"\\arccos "),
        (r"\\degree(?:s)?(?![a-zA-Z])|\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])", r"^\\circ "),
        (r"\\log\s*_\s*(?:e(?![a-z])|\{\s*e\s*\})", r"\\ln "),
        (r"\\textdollar(?![a-zA-Z])", r"\\$"),
        (r"\\pounds(?![a-zA-Z])", "£"),
        (r"\\euro(?![a-zA-Z])", "€"),
        (r"\\[lr](?:vert)(?![a-zA-Z])", "|"),
        (r"\\(?:bar|overline)\s*\{(\d+)\}", r"\\overline{\1}"),
        (r"\*\*", "^"),
        (r"(?<![a-zA-Z\\])infinity(?![a-zA-Z])|(?<![a-zA-Z\\])inf(?![a-zA-Z])", r"\\infty "),
        (r"(?<![a-zA-Z\\])pi(?![a-zA-Z])", r"\\pi "),
        (r"√\s*(\d+(?:\.\d+)?|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"(?:√|\\?(?<![a-zA-Z])sqrt)\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"√\s*(?=\{)", r"\\sqrt"),
        (rf"\\sqrt\s*(\[[^\[\]]*\])?\s*({_TOKEN})", r"\\sqrt\1{\2}"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (rf"\\(frac|binom)\s*({_TOKEN})", r"\\\1{\2}"),
        (rf"\\(frac|binom)\s*({_BRACES})\s*({_TOKEN})", r"\\\1\2{\3}"),
        (r"(?<=\d)\s*\^\s*(?:\{\s*\\prime\s*\\prime\s*\}|\{\s*''\s*\})", "''"),
        (r"(?<=\d)\s*\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![a-zA-Z])|\{\s*'\s*\})", "'"),
    )
]
_LEAD = re.compile(
    r"^(?:(?:so|thus|therefore|hence)\b[, ]*)?(?:(?:the\s+|our\s+|my\s+)?(?:(?:final|only|unique|correct|such)\s+){0,3}"
    r"(?:answer|solution|solution set|value|function|result)s?(?:\s+(?:is|are)\b|\s*:|\s*=)\s*:?)\s*",
    re.I,
)
_ONLY_IN_FRONT = re.compile(r"^only\s+(?=\S)", re.I)
_ONLY_BEHIND = re.compile(
    r"(?<=\S)[\s,]+(?:only|is the (?:only|unique)(?: possible| such| real)? "
    r"(?:answer|solution|value|function|possibility|one))$",
    re.I,
)
_ALL_IN_FRONT = re.compile(r"^all\s+(?=[a-z]\s*(?:[<>]|\\(?:le|ge|ne|lt|gt)(?![a-zA-Z])))", re.I)
_DECIMAL_GOES_ON = re.compile(r"(\.\d+)\s*(?:\.{3,}|\\(?:ldots|cdots|dots)(?![a-zA-Z]))$")  # 3.14...: as far as written
_ELLIPSIS = re.compile(r"\.{3,}|\\(?:cdots|dots[a-z]?|hdots)(?![a-zA-Z])\s*")
_SPACES = re.compile(r" {2,}")
_MAX_NESTED_WRAPPERS = 8


def clean(text: str) -> str:
    r"""`text` in one spelling.

    >>> clean(r"$\dfrac{1}{2}\text{ cm}$.")
    '\\frac{1}{2} cm'
    >>> clean("−2√3")
    '-2\\sqrt{3}'
    """
    text = undress(_VULGAR_FRACTION.sub(_latex_fraction, text))
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + run[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + run[0].translate(_SUBSCRIPTS) + "}", text)
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS))
    text = "".join(filter(None, map(_visible, text)))
    text = _strip_dollars(_strip_dressing(text))
    text = _TIMES.sub(r" \1", _SPACING.sub(_spacing, text))
    for _ in range(_MAX_NESTED_WRAPPERS):
        text, count = _WRAPPER.subn(_unwrapped, text)
        if not count:
            break
    for pattern, replacement in _SAME_COMMANDS:
        text = pattern.sub(replacement, text)
    text = _SPACES.sub(" ", text).strip()
    text = _ONLY_BEHIND.sub("", _ONLY_IN_FRONT.sub("", _LEAD.sub("", text)))
    text = _ALL_IN_FRONT.sub("", text)
    text = _DECIMAL_GOES_ON.sub(r"\1", text)
    text = _ELLIPSIS.sub(r"\\ldots ", text).rstrip()
    while text.endswith((".", ",", ";", ":")) and len(text) > 1:
        text = text[:-1].rstrip()
    return _strip_dressing(text)


def _latex_fraction(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f"\\frac{{{top}}}{{{bottom}}}"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""  # zero-width and direction marks
    # A control character or a lone surrogate is no mathematics: it stays visible, so that it equals nothing.
    return "\ufffd" if category in ("Cc", "Cs", "Co", "Cn") else character


def _spacing(match: re.Match[str]) -> str:
    if match[0] == r"\\":
        return match[0]  # the end of a row
    return "" if match[0] == r"\!" else " "


def _unwrapped(match: re.Match[str]) -> str:
    content = match[1].strip()
    return f"\\{content} " if content in _FUNCTION_NAMES else f" {match[1]} "


def _strip_dressing(text: str) -> str:
    """Without surrounding space, quotes, back-ticks and Markdown stars."""
    text = text.strip()
    for mark in ("***", "**", "*", "```", "`", '"', "'"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    return text


def _strip_dollars(text: str) -> str:
    r"""Without the dollars that open and close mathematics; a dollar that stands for money becomes \$."""
    for opening, closing in ((r"\(", r"\)"), (r"\[", r"\]"), ("$$", "$$")):
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            text = text[len(opening) : len(text) - len(closing)].strip()
    pieces = re.split(r"(?<!\\)\$", text)
    if len(pieces) == 2:
        return "\\$".join(pieces)  # one dollar opens nothing: money
    return "".join(pieces)
