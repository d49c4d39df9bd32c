"""Words behind a number: what a counted thing looks like, where nothing but its form can say so."""

import re

_FILLER = frozenset(
    {"a", "an", "and", "are", "in", "is", "of", "the", "there", "total"}
    | {"altogether", "different", "distinct", "possible"}
)
_ONE_OR_MORE = frozenset(
    {"people", "men", "women", "children", "mice", "fish", "feet", "teeth", "geese", "sheep", "deer", "dice", "data"}
    | {"person", "way"}
)
# Plural in form, and yet no thing that is counted: parts of one, verbs, operations.
_NO_THING = re.compile(
    r".*(?:ths|thirds|halves|quarters|ss|us|is)|(?:minu|plu|time|squared|cube|hundred|thousand|million|billion|dozen|ten|"
    r"fail|work|doe|wa|ha|lose|exceed|remain|equal|divide|become|hold|give|goe|lie|exist|perhap|alway|sometime|other|"
    r"factorial|negative|positive|error|mean|need|seem|make|take|contradict|diverge|converge|look|sound|appear|percent|"
    r"root|power|exponent|inverse|reciprocal|log|logarithm|mod|modulo|base|multiple)s"
)
# Words that deny, compare, count or operate: with one of them a number says something else.
DENYING = frozenset(
    {"not", "no", "never", "none", "non", "wrong", "false", "incorrect", "impossible", "invalid", "undefined", "maybe"}
    | {"perhaps", "except", "without", "minus", "plus", "times", "less", "more", "fewer", "than", "over", "under"}
    | {"about", "around", "approximately", "nearly", "almost", "only", "negative", "positive", "squared", "cubed"}
    | {
        "factorial",
        "mod",
        "modulo",
        "base",
        "or",
        "if",
        "unless",
        "but",
        "does",
        "do",
        "did",
        "is",
        "was",
        "has",
        "had",
    }
    | {"can", "cannot", "could", "would", "should", "may", "might", "must", "will", "to", "half", "double", "triple"}
    | {"twice", "thrice", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "per"}
    | {"hundred", "thousand", "million"}
)
_NUMBER_AND_WORDS = re.compile(r"([^a-zA-Z]*\d[^a-zA-Z]*?)\s+([a-zA-Z]{3,}(?: [a-zA-Z]+){0,4})")
_LAST = frozenset(["left", "remaining", "each", "total", "altogether", "overall"])


def stems(noun: str) -> set[str]:
    """The words of a counted noun, without endings and without those that say nothing."""
    return {_stem(word) for word in re.findall(r"[a-z]+", noun.casefold())} - _FILLER


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s", "y"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending)
    return word


def may_stand_for(said: str, wanted: str) -> bool:
    """May `said` stand behind a number where `wanted` (perhaps nothing) stands behind the gold answer's?

    What the gold answer names may; so may adjectives with it, and a plural by itself.

    >>> [may_stand_for(*pair) for pair in (("red apples", "apples"), ("apples", ""), ("wrong", ""), ("tenths", ""))]
    [True, True, False, False]
    """
    named = stems(wanted)
    words = [word for word in re.findall(r"[a-z]+", said.casefold()) if word not in _FILLER]
    new = [word for word in words if _stem(word) not in named]
    if any(word in DENYING for word in new):
        return False
    if named and not (named <= stems(said) or stems(said) <= named):
        return False  # red balls and blue balls
    while words and words[-1] in _LAST:
        words.pop()
    if not words:
        return all(word in _LAST for word in new)
    if named:
        return _stem(words[-1]) in named or not new or all(word in _LAST for word in new)
    head = words[-1]
    return len(words) <= 4 and (
        head in _ONE_OR_MORE or (head.endswith("s") and len(head) > 3 and not _NO_THING.fullmatch(head))
    )


def without_named_noun(answer: str, question: str) -> str:
    """The answer without words behind its number that the question uses as well, and that deny nothing.

    >>> without_named_noun("5 coin", "How many coins are left?")
    '5'
    """
    found = _NUMBER_AND_WORDS.fullmatch(answer)
    if found is None:
        return answer
    words = set(re.findall(r"[a-z]+", found[2].casefold()))
    named = words and stems(found[2]) <= stems(question) and not words & DENYING
    return found[1] if named else answer
