r"""What models, and people who want to harm, have put or could put into a box: (name, gold, response, may be correct).

`HOSTILE` names what each input attacks. Nothing in it equals its gold answer, except where `never_correct` is False.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hostile:
    """One input that no verifier should survive by luck."""

    name: str
    response: str
    gold: str = "12"
    kind: str = "math"
    rules: tuple[str, ...] = ("last_boxed",)


def _box(content: str) -> str:
    return f"\\boxed{{{content}}}"


def _nested(command: str, depth: int, core: str = "1", close: str = "}") -> str:
    return command * depth + core + close * depth


_INJECTION = "__import__('os').system('touch {marker}')"

_IN_A_BOX = {
    "tower of three": "10^{10^{10}}",
    "tower of four": "9^{9^{9^{9}}}",
    "tower without braces": "9^9^9^9",
    "python tower": "9**9**9**9",
    "tower of twenty": _nested("9^{", 20, "9"),
    "tower in a fraction": r"\frac{1}{10^{10^{10^{10}}}}",
    "difference of towers": r"9^{9^{9^{9}}}-9^{9^{9^{9}}}+13",
    "huge exponent": "10^{10000000}",
    "huge exponent of a decimal": "1.0000001^{10^{15}}",
    "huge negative exponent": "3^{-99999999999}",
    "huge fractional exponent": "2^{12345678901234567890.5}",
    "factorial of a power": "(10^{8})!",
    "factorial of factorials": "((9!)!)!",
    "plain huge factorial": "9999999!",
    "quotient of factorials": r"\frac{(10^9)!}{(10^9-1)!}",
    "binomial": r"\binom{10^{9}}{5\cdot 10^{8}}",
    "written-out binomial": r"\binom{1000000000}{500000000}",
    "endless sum": r"\sum_{n=1}^{10^{10}} n^{n}",
    "infinite sum": r"\sum_{n=1}^{\infty} \frac{\sin n}{n^{n^{n}}}",
    "endless product": r"\prod_{k=1}^{10^{9}} (1+\frac{1}{k})",
    "integral without end": r"\int_0^{\infty} \frac{\sin(x^{x^x})}{\ln(1+x^{\pi})} e^{-x^{e}} dx",
    "nested integrals": _nested(r"\int_0^1 ", 12, r"\sin(xy)", " dx"),
    "limit": r"\lim_{x \to \infty} (1+\frac{1}{x^x})^{x^{x^x}}",
    "derivative": r"\frac{d}{dx} x^{x^{x^{x^{x}}}}",
    "gcd": r"\gcd(10^{10^{8}}, 2^{10^{9}})",
    "lcm": r"\operatorname{lcm}(" + ",".join(str(n) for n in range(1, 300)) + ")",
    "modulus": r"3^{10^{18}} \bmod 10^{9}+7",
    "logarithm of a tower": r"\ln(\ln(9^{9^{9^{9}}}))",
    "floor of a tower": r"\lfloor \pi^{10^{9}} \rfloor",
    "trigonometry of a tower": r"\sin(10^{10^{10}})",
    "deep fractions": _nested(r"\frac{1}{1+", 300),
    "deep roots": _nested(r"\sqrt{", 280),
    "deep parentheses": _nested("(", 900, "1", ")"),
    "deep brackets": _nested("[", 900, "1", "]"),
    "deep braces": _nested("{", 900),
    "deep absolute values": _nested("|", 900, "1", "|"),
    "deep exponents of letters": _nested("x^{", 300, "x"),
    "deep functions": _nested(r"\sin(", 250, "1", ")"),
    "long sum of letters": "+".join(f"x_{{{n}}}^{{{n}}}" for n in range(150)),
    "large product to expand": "".join(f"(x+{n}y+z)" for n in range(1, 120)) + "^{50}",
    "large power to expand": "(a+b+c+d+e+f+g)^{200}",
    "large matrix": r"\begin{pmatrix}" + r"\\".join("&".join("9" * 1) for _ in range(300)) + r"\end{pmatrix}",
    "wide matrix": r"\begin{pmatrix}" + "&".join(["x^{x^x}"] * 200) + r"\end{pmatrix}",
    "power of a matrix": r"\begin{pmatrix}1&1\\1&0\end{pmatrix}^{10^{9}}",
    "list of many": ",".join(str(n) for n in range(400)),
    "unequal relations": r"x^{x^x} < x^{x^{x^x}} < 10^{10^{10}}",
    "equation to solve": "x^{17}-3x^{16}+y^{5}=z^{x}",
    "system of equations": ",".join(f"x_{{{n}}}^{{{n}}}+y=z_{{{n}}}" for n in range(60)),
    "injection": _INJECTION,
    "injection in a fraction": rf"\frac{{{_INJECTION}}}{{1}}",
    "injection by eval": "eval(\"__import__('pathlib').Path('{marker}').touch()\")",
    "injection by a lambda": "(lambda: open('{marker}', 'w'))()",
    "injection as a set": r"\{__import__('os').system('touch {marker}')\}",
    "NUL bytes": "1\x002\x00",
    "NUL between digits": "1\x00" + "2",
    "control characters": "".join(map(chr, range(1, 32))),
    "lone surrogates": "\ud800\udfff12\ud83d",
    "right-to-left override": "\u202e" + "21" + "\u202c 3",
    "combining marks": "1" + "\u0301" * 1500,
    "zero-width characters": "\u200b" * 1900,
    "mathematical letters": "𝟏𝟑" * 500,
    "digits of another script": "١٣",
    "emoji": "👩‍👩‍👧" * 300,
    "not a number": "nan",
    "division by zero": r"\frac{1}{0}",
    "zero to the zero": "0^0",
    "zero over zero": r"\frac{0}{0}",
    "huge decimal": "12." + "0" * 1800 + "1",
    "many points": "1.2" + ".3" * 900,
    "many commas": "1" + ",000" * 480,
    "many signs": "-" * 1901 + "12",
    "many factorials": "3" + "!" * 1900,
    "many percent signs": "12" + "%" * 1900,
    "many primes": "f" + "'" * 1900,
    "many backslashes": "\\" * 1900,
    "many carets": "2" + "^" * 1900 + "2",
    "many underscores": "x" + "_" * 1900 + "1",
    "many dollars": "$" * 1901,
    "many spaces in a number": "1 " * 950,
    "unknown commands": r"\foo\bar\baz" * 150,
    "macro definition": r"\def\x{\x\x}\x",
    "repeating decimal": r"0.\overline{" + "123456789" * 200 + "}",
    "exponent notation": "1e999999999",
    "negative exponent notation": "1e-999999999",
    "exponent of exponents": "1e9e9e9e9",
    "scientific with a tower": r"1.5 \times 10^{999999999999}",
    "regular-expression bomb": "answer is " * 150 + "!",
    "open text": r"\text{" * 300 + "a" + "}" * 300,
    "open environments": r"\begin{pmatrix}" * 120,
    "set-builder": r"\{x \mid " * 200 + r"\}" * 200,
    "unions": r"(1,2)\cup" * 180 + "(1,2)",
    "plus-minus chain": r"\pm 1" * 350,
}

_LONG = 1_000_000
_RAW = {
    "1 MB of open braces": "{" * _LONG,
    "1 MB of boxes": r"\boxed{" * (_LONG // 7),
    "1 MB of nested boxes": r"\boxed{" * (_LONG // 8) + "}" * (_LONG // 8),
    "1 MB of closing braces": "}" * _LONG,
    "1 MB of backslashes": "\\" * _LONG,
    "100,000 digits": _box("7" * 100_000),
    "100,000 nested fractions": _box(_nested(r"\frac{", 100_000, "1", "}{1}")),
    "deep roots, 5,000": _box(_nested(r"\sqrt{", 5000)),
    "1 MB of white space": r"\boxed{" + " " * (_LONG - 20) + "}",
    "unclosed box": r"\boxed{12",
    "more than the cap": _box("12") + " " * (3 * _LONG),
    "empty": "",
}
_OTHER_RULES = {
    "blanks after ####": Hostile("blanks after ####", "#### " + " " * _LONG, rules=("hash_answer",)),
    "open answer tags": Hostile("open answer tags", "<answer>" * (_LONG // 8), rules=("answer_tag",)),
    "answer phrases": Hostile("answer phrases", "the answer is " * (_LONG // 14), rules=("answer_phrase",)),
    "thoughts": Hostile("thoughts", "<think>" * (_LONG // 7), rules=("after_think", "last_boxed")),
}
_AS_GOLD = {
    "tower as gold": "9^{9^{9^{9}}}",
    "factorial as gold": "((9!)!)!",
    "sum as gold": r"\sum_{n=1}^{10^{10}} n^{n}",
    "fractions as gold": _nested(r"\frac{1}{1+", 300),
    "parentheses as gold": _nested("(", 900, "1", ")"),
    "injection as gold": _INJECTION,
    "NUL as gold": "\x00",
    "surrogate as gold": "\ud800",
    "unclosed as gold": r"\frac{",
    "blank as gold": " ",
}

HOSTILE: tuple[Hostile, ...] = (
    *(Hostile(name, _box(content)) for name, content in _IN_A_BOX.items()),
    *(Hostile(name, response) for name, response in _RAW.items()),
    *_OTHER_RULES.values(),
    *(Hostile(name, _box("12"), gold) for name, gold in _AS_GOLD.items()),
    Hostile("choice of surrogates", _box("\ud800" * 100), "B", "choice"),
    Hostile("choice of brackets", _box("(" * 1999), "B", "choice"),
    Hostile("choice of letters", _box("A or " * 390), "B", "choice"),
    Hostile("exact NUL", _box("\x00"), "B", "exact"),
)
