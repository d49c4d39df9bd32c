"""Words behind a number: which of them say what is counted, and which say something else."""

import re

_FILLER = frozenset(
    {"a", "an", "and", "are", "in", "is", "of", "the", "there", "total"}
    | {"altogether", "different", "distinct", "possible"}
)
# Everyday things that word problems count. Only these may stand behind a number where nobody named what is counted: a
# word that ends in s may as well be a verb (5 fails), a part (5 tenths) or an operation (5 squares).
_EVERYDAY = frozenset(
    re.findall(
        r"\w+",
        """
        acorns adults airplanes almonds angles animals ants apartments apples arcs arms arrangements atoms attempts
        aunts babies bacteria bagels bags balloons balls bananas barrels baskets batteries beads bears beds bees
        berries bicycles bikes bills birds biscuits blocks blueberries boats books bottles bowls boxes boys bracelets
        branches bricks bridges brothers buckets buildings bunches bundles bunnies buns burgers buses bushes
        butterflies buttons cabinets cakes calls calories cameras candidates candies candles cans caps cards carrots
        cars cartons carts cats cells chairs chapters cherries chickens children chips chocolates choices chords
        circles cities classes classmates classrooms clocks coats coconuts codes coins columns combinations committees
        computers containers contestants cookies copies countries couples cousins cows crates crayons crickets
        cucumbers cupcakes cups customers daisies dancers daughters days decades deer desks diagonals dice dimes
        dinners divisors doctors dogs dolls donuts doors doughnuts drawers drawings dresses drinks drivers ducks
        eagles earrings ears edges eggs electrons elements elephants emails employees envelopes erasers eyes faces
        families farmers feet fingers fish fleas flips floors flowers folders forks foxes friends frogs fruits
        functions games geese gifts giraffes girls glasses gloves goals goats grapes graphs groups guests hairs
        hamburgers hands handshakes hats hens hexagons homes horses hotdogs hotels hours houses insects integers
        intersections ions islands items jackets jars jobs juices kangaroos kids kites kittens knives lambs lamps laps
        leaves legs lemons lessons letters lilies limes lines lions loaves logs lollipops lunches magazines mangoes
        mangos marbles markers matrices meals medals melons members men messages mice minutes molecules monkeys months
        motorcycles moves movies muffins mugs necklaces neighbors neighbours neutrons newspapers nickels notebooks
        nurses nuts objects offices onions options oranges outcomes owls packages packets packs pages paintings
        pairings pairs pancakes pans pants parents particles partitions passengers passwords paths patients peaches
        peanuts pearls pears pebbles pencils penguins pennies pens pentagons people permutations persons petals pets
        phones photons photos pictures pieces pies pigeons pigs pilots pineapples pizzas planes plants plates players
        plums poems points polygons polynomials possibilities postcards potatoes pots presents primes prizes problems
        protons pumpkins pupils puppies puzzles quadrilaterals questions rabbits raspberries rectangles regions
        ribbons rides rings roads rocks rolls rooms roosters roses rounds routes rows rulers runners sailors samples
        sandwiches scarves schools scoops screens seats seeds segments selections sequences servings sharks sheep
        shells shelves ships shirts shoes shops shots siblings sides singers sisters skirts slices snacks snakes socks
        sodas sofas soldiers solutions songs sons spiders spoonfuls spoons squirrels stairs stamps stars states
        stations steps stickers sticks stones stores stories strawberries streets students subsets sweets swimmers
        tables tablespoons tacos tasks teachers teams teaspoons teenagers teeth televisions terms things throws
        tickets tigers tiles tires toes tokens tomatoes tourists towns toys trains trays trees triangles tricycles
        tries trips trophies trucks tulips tuples turtles uncles units values vegetables vertices videos villages
        visitors visits volunteers voters votes waffles wagons walls watermelons ways weeks whales wheels windows
        wolves women words workers years zebras
        """,
    )
) | {"way", "person"}
# Words that deny, compare, count or operate: with one of them a number says something else.
DENYING = frozenset(
    {"not", "no", "never", "none", "non", "wrong", "false", "incorrect", "impossible", "invalid", "undefined", "maybe"}
    | {"perhaps", "except", "without", "minus", "plus", "times", "less", "more", "fewer", "than", "over", "under"}
    | {"about", "around", "approximately", "nearly", "almost", "only", "negative", "positive", "squared", "cubed"}
    | {"factorial", "mod", "modulo", "base", "or", "if", "unless", "but"}
    | {"does", "do", "did", "is", "was", "has", "had"}
    | {"can", "cannot", "could", "would", "should", "may", "might", "must", "will", "to", "half", "double", "triple"}
    | {"twice", "thrice", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "per"}
    | {"hundred", "thousand", "million"}
)
_NUMBER_AND_WORDS = re.compile(r"([^a-zA-Z]*\d[^a-zA-Z]*?)\s+([a-zA-Z]{3,}(?: [a-zA-Z]+){0,4})")
_LAST = frozenset(["left", "remaining", "each", "total", "altogether", "overall", "old"])


def stems(noun: str) -> set[str]:
    """The words of a counted noun, without endings and without those that say nothing."""
    return {_stem(word) for word in re.findall(r"[a-z]+", noun.casefold())} - _FILLER


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending)
    return word


def may_stand_for(said: str, wanted: str) -> bool:
    """May `said` stand behind a number where `wanted` (perhaps nothing) stands behind the gold answer's?

    What the gold answer names may, with adjectives; else nothing but an everyday counted thing by itself.

    >>> [may_stand_for(said, wanted) for said, wanted in (("red apples", "apples"), ("apples", ""), ("tenths", ""))]
    [True, True, False]
    """
    named = stems(wanted)
    if " of " in said and named and " of " not in wanted:
        said = said.partition(" of ")[0]  # bags of apples are bags
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
    return len(words) == 1 and words[0] in _EVERYDAY


def without_named_noun(answer: str, question: str) -> str:
    """The answer without words behind its number that the question uses as well, and that deny nothing.

    >>> without_named_noun("5 coin", "How many coins are left?")
    '5'
    """
    found = _NUMBER_AND_WORDS.fullmatch(answer)
    if found is None:
        return answer
    words = set(re.findall(r"[a-z]+", found[2].casefold()))
    counted = words - _LAST - _FILLER
    named = counted and {_stem(word) for word in counted} <= stems(question) and not words & DENYING
    return found[1] if named else answer
