r"""What math-verify's parser would read wrongly without a word: rewritten where that keeps the meaning, else refused.

The parser drops primes, quotes, dots of an ellipsis, a transposition and the subscript of a number, reads n!! as (n!)!,
dy/dx as the derivative of a constant, d\sqrt{2} and dc as a differential (a letter "dsqrt" or "dc"), an angle as the
product of its points, and takes the start of an unknown command for a known one (\pmod for \pm).
"""

import re
from math import prod

_MAX_DOUBLE_FACTORIAL = 1000
_LETTER = r"(?:[a-zA-Z]|\\[a-zA-Z]+\s*)"
_SUBSCRIPT = r"_\s*(?:\{([^{}]*)\}|(\w))"
_PRIMED = re.compile(
    rf"({_LETTER})(?:{_SUBSCRIPT})?\s*((?:'|\^\s*(?:\{{\s*(?:\\prime\s*)+\}}|\\prime\s*))+)(?:{_SUBSCRIPT})?"
)
_TRANSPOSED = re.compile(
    r"\^\s*(?:\{\s*(?:T|\\top|\\intercal|\\mathsf\s*T)\s*\}|T(?![a-zA-Z])|\\(?:top|intercal)(?![a-zA-Z]))"
)
_DOUBLE_FACTORIAL = re.compile(r"(?<![\d.])(\d{1,4})\s*!!(?!!)")
_ANGLE = re.compile(
    r"\\(?:angle|measuredangle)\s*(?:\{\s*(\w+)\s*\}|([A-Za-z](?:\s*[A-Za-z]\s*[A-Za-z])?)(?![a-zA-Z]))"
)
_D = r"(?:d|\\partial)\s*"
_ORDER = r"(?:\^\s*\{?\s*(\w)\s*\}?)?\s*"
_DERIVATIVE = re.compile(
    rf"\\frac\s*\{{\s*({_D}){_ORDER}({_LETTER})\s*\}}\s*\{{\s*{_D}({_LETTER})\s*{_ORDER}\}}"
    rf"|(?<![a-zA-Z\\])(d)()([a-zA-Z])\s*/\s*d([a-zA-Z])()(?![a-zA-Z])"
)
_CAPITAL_I = re.compile(r"(\\[a-zA-Z]+)|(?<!_)I")  # the parser takes every I for the imaginary unit, I_0 too
_SMALL_D = re.compile(
    r"(\\(?:mathfrak|text|operatorname|math[a-z]+|begin|end)\s*\{[^{}]*\}|_\s*\{[^{}]*\}|\\[a-zA-Z]+)|(?<!_)d"
)
_INTEGRAL = re.compile(r"\\i*o?int(?![a-zA-Z])")
_GAMMA = re.compile(r"\\(Gamma|gamma)(?![a-zA-Z])(?!\s*[(_])")  # both are a constant to the parser
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_DROPPED = re.compile(r"['\"]|!\s*!|\.\.\.|\\[#&@]|(?<![\d^{])\d+\s*_|(?<!\^)\{\s*\d+\s*\}\s*_|[⊥∥≅∼→⇒∧∨¬]")
_READ = frozenset(
    re.findall(
        r"\w+",
        "frac sqrt cdot times div ast pm mp le ge ne lt gt infty binom choose sum prod int lim to log ln lg exp min "
        "max gcd lcm det sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth arsinh "
        "arcosh artanh arcsinh arccosh arctanh asin acos atan lfloor rfloor lceil rceil overline bar vec "
        "overrightarrow hat widehat tilde widetilde dot ddot mathbb mathcal mathfrak mathscr begin end circ cup cap "
        "setminus in notin emptyset ell hbar partial approx mid vert lvert rvert Vert lVert rVert langle rangle "
        "operatorname text mathrm alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda "
        "mu nu xi pi varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi "
        "Pi Sigma Upsilon Phi Psi Omega triangle clubsuit diamondsuit heartsuit spadesuit nabla imath Re Im dx dy dt "
        "d boxed limits quad ",
    )
)


def protect(text: str) -> str:
    r"""`text` with the notation that the parser misreads put into symbols and numbers that it reads rightly.

    >>> protect("f'(x)")
    '\\mathfrak{fprime1}(x)'
    >>> protect("7!!")
    '105'
    >>> protect(r"\angle CBA") == protect(r"\angle ABC")
    True
    """
    text = _DERIVATIVE.sub(_derivative, text)
    text = _PRIMED.sub(_primed, text)
    text = _TRANSPOSED.sub(r"^{\\mathfrak{T}}", text)
    text = _DOUBLE_FACTORIAL.sub(_double_factorial, text)
    text = _ANGLE.sub(_angle, text)
    text = _GAMMA.sub(r"\\mathfrak{\1}", text)
    if not _INTEGRAL.search(text):
        text = _SMALL_D.sub(lambda match: match[1] or r"\mathfrak{d}", text)
    return _CAPITAL_I.sub(lambda match: match[1] or r"\mathfrak{I}", text)


def unread(text: str) -> str | None:
    """The first piece of a protected text that the parser would drop or misread; None when there is none."""
    if dropped := _DROPPED.search(text):
        return dropped[0]
    return next((match[0] for match in _COMMAND.finditer(text) if match[1] not in _READ), None)


def _symbol(letter: str, *marks: str) -> str:
    name = letter.strip().removeprefix("\\") + "".join(filter(None, marks))
    return f"\\mathfrak{{{name.replace('I', 'capitali')}}}"


def _primed(match: re.Match[str]) -> str:
    _, before, short_before, marks, after, short_after = match.groups()
    count = marks.count("'") + marks.count("prime")
    subscript = re.sub(r"\W", "", before or short_before or after or short_after or "")
    return _symbol(match[1], subscript, f"prime{count}")


def _double_factorial(match: re.Match[str]) -> str:
    n = int(match[1])
    return str(prod(range(n, 0, -2))) if n <= _MAX_DOUBLE_FACTORIAL else match[0]


def _angle(match: re.Match[str]) -> str:
    points = re.sub(r"\s", "", match[1] or match[2])
    arms = sorted((points[0], points[2])) if len(points) == 3 else []
    return _symbol(points[1] if arms else points, "angle", *arms)


def _derivative(match: re.Match[str]) -> str:
    d, order, of, by, _ = (match[index] or match[index + 5] for index in range(1, 6))
    kind = "partial" if "partial" in d else "d"
    return _symbol(of, kind, order or "1", "by", re.sub(r"\W", "", by))
