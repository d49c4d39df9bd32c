"""`oger methods`: the list and one method in full."""

from oger.recipes.methods import all_methods


def test_every_method_is_listed_with_one_line(oger) -> None:
    out = oger("methods").out
    for name, method in all_methods().items():
        assert sum(line.split()[:1] == [name] and method.line in line for line in out.splitlines()) == 1


def test_one_method_is_shown_with_equation_source_deviations_and_options(oger) -> None:
    out = oger("methods", "luffy").out
    for part in ("A_i = R_i - mean R", "source: LUFFY", "deviations:", "replacement: fixed_slot"):
        assert part in out


def test_an_unknown_method_is_one_line_with_the_nearest(oger) -> None:
    result = oger("methods", "lufy")
    assert result.code == 2
    assert "did you mean 'luffy'" in result.err


def test_the_two_commands_of_a_method_have_their_remarks_below_one_another(oger) -> None:
    first, second = oger("methods", "sft_one").out.splitlines()[-2:]
    assert first.index("  # ") == second.index("  # ")


def test_a_word_that_is_like_no_method_gets_no_nearest_one(oger) -> None:
    result = oger("methods", "zebra")
    assert result.code == 2
    assert "did you mean" not in result.err
