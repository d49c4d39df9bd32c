"""Numbers that runs, stored responses and tables depend on: they are what they were."""

from oger.seeds import derived_seed, draw_key, draw_seed


def test_seeds_of_draws_within_a_run() -> None:
    assert draw_seed(0, 1, "2 + 2") == 7505389414132246850
    assert draw_seed(7, 3, [{"role": "user", "content": "é"}], 2) == 5797396069539653093
    assert draw_seed(7, 3, ("imitation", "x")) == 5174846105000991689


def test_seeds_of_responses() -> None:
    assert derived_seed(0, "problem", 3) == 1088758466
    assert derived_seed(5, [("a", 0), ("b", 1)]) == 1840022724
    assert derived_seed(1, "\ud800") == 1901094682
    assert derived_seed(4) == 270880354


def test_keys_of_a_random_order() -> None:
    assert draw_key(0, "prompt", "teacher", "text").hex() == "d2d0160ed71594c22284aff6c8cd6b11"
    assert draw_key(12, "a|b", "é", "x\ny").hex() == "903e8275dd70cd0d0d960f3510ba2872"
