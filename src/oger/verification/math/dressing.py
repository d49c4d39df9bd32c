r"""What may stand around an answer without saying anything: colours, sizes, tags, ticks, alignment, layout.

`undress` takes it away, writes matrices in one way (`\begin{matrix} ... \\ ... \end{matrix}`) and joins the thousands
of a number that is written in groups.
"""

import re

_GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_CONTROL_SPACE = re.compile(r"(?<!\\)\\\s+")
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:text|mathrm)\s*\{\s*,\s*\}(?=\d{3})", ","),
        (r"\\fontsize\s*\{[^{}]*\}\s*\{[^{}]*\}|\\selectfont(?![a-zA-Z])", ""),
        (r"\\fcolorbox\s*\{[^{}]*\}\s*\{[^{}]*\}", ""),
        (r"\\(?:textcolor|colorbox|color)\s*(?:\[[^\[\]]*\])?\s*\{[^{}]*\}", ""),
        (
            r"\\(?:tag\*?|label|phantom|hphantom|vphantom|hspace\*?|vspace\*?|rule(?:\[[^\]]*\])?\{[^{}]*\})\s*\{[^{}]*\}",
            " ",
        ),
        (
            r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bf|rm|it|sf|tt|bfseries"
            r"|boldmath|mathstrut|strut|nonumber|notag|noindent|centering|hfill|hline|checkmark|blacksquare|qed)(?![a-zA-Z])",
            " ",
        ),
        (r"[✓✔☑✅]|</?(?:b|i|u|em|strong|answer|span|p)>", " "),
        (r"\^\s*\{\s*\}|_\s*\{\s*\}", ""),
        (r"(?<![a-zA-Z}\]])\{\s*\}", ""),
        (r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in|mu|sp)\s*\]", r"\\\\"),
        (r"\\(?:cr|tabularnewline|newline)(?![a-zA-Z])", r"\\\\"),
        (r"\\begin\s*\{array\}\s*(?:\[[tcb]\])?\s*" + _GROUP, r"\\begin{matrix}"),
        (r"\\end\s*\{array\}", r"\\end{matrix}"),
        (r"\\begin\s*\{(?:small|[pbB])?matrix\*?\}(?:\s*\[[lcr]\])?", r"\\begin{matrix}"),
        (r"\\end\s*\{(?:small|[pbB])?matrix\*?\}", r"\\end{matrix}"),
        (r"\\left\s*\|\s*\\begin\{matrix\}(.*?)\\end\{matrix\}\s*\\right\s*\|", r"\\begin{vmatrix}\1\\end{vmatrix}"),
        (r"\\(?:[pbB]|small)?matrix\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\begin{matrix}\1\\end{matrix}"),
        (r"\\langle(?![a-zA-Z])", r"\\langle "),
    )
]
_SYSTEM = re.compile(  # x = 3 and y = 4 behind one brace
    r"\\begin\s*\{(?P<name>d?cases)\}(?P<cases>.*)\\end\s*\{(?P=name)\}"
    r"|\\left\s*\\\{\s*\\begin\s*\{(?P<other>matrix|aligned|gathered|split)\}(?P<rows>.*)\\end\s*\{(?P=other)\}\s*\\right\s*\.",
    re.DOTALL,
)
_ALIGNED = re.compile(
    r"\\(?:begin|end)\s*\{(?:aligned|alignedat|align\*?|gathered|gather\*?|equation\*?|split|multline\*?|center|displaymath|math)\}"
)
_THOUSANDS = [
    (re.compile(r"(?<=\d),\s*\\[!,:;]\s*(?=\d{3}(?!\d))"), ","),
    (re.compile(r"(?<=\.\d{3})(?:\\[,;:]|\\thinspace\s*)(?=\d)|(?<=\.\d{3}) (?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<=\d)(?:\\,|\\thinspace\s*|&thinsp;|\\;|\\:)(?=\d{3}(?!\d))"), " "),
    (re.compile(r"(?<![\d.,'’])\d{1,3}(?:['’]\d{3})+(?![\d'’])"), None),
    (re.compile(r"(?<![\d_.])\d{1,3}(?:\\?_\d{3})+(?![\d_])"), None),
]


def undress(text: str) -> str:
    r"""`text` without what says nothing.

    >>> undress(r"\textcolor{red}{5}\checkmark").strip()
    '{5}'
    >>> undress("11_111_100"), undress(r"11,\! 111")
    ('11111100', '11,111')
    """
    for pattern, replacement in _THOUSANDS:
        text = pattern.sub(replacement if replacement is not None else _digits, text)
    text = _CONTROL_SPACE.sub(" ", text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _SYSTEM.sub(_joined_equations, text)
    if _ALIGNED.search(text) and r"\begin{matrix}" not in text and r"\begin{cases}" not in text:
        bare = _ALIGNED.sub(" ", text).strip().removesuffix("\\\\")
        if "\\\\" not in bare:
            text = bare.replace("&", " ")
    return text


def _joined_equations(match: re.Match[str]) -> str:
    """The equations of a system, one behind the other; a function by cases, with conditions, stays as it is."""
    rows = [row for row in re.split(r"\\\\", match["cases"] or match["rows"] or "") if row.strip()]
    equations = [re.sub(r"\s*&\s*(?==)|(?<==)\s*&", "", row).strip().rstrip(",.;").strip() for row in rows]
    if any("&" in row or row.count("=") != 1 for row in equations):
        return match[0]
    return ", ".join(equations)


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"\D", "", match[0])
