from oger.terminal.errors import one_line


def test_an_error_is_one_line_of_a_length() -> None:
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert one_line(RuntimeError()) == "RuntimeError"
    assert one_line(OSError("x" * 300), 200) == "x" * 200
