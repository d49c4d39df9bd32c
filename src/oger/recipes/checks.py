"""The runner's own keys: each check returns the value as `Recipe` holds it, or raises `RecipeError`."""

from __future__ import annotations

from typing import Any

from oger.recipes.methods import load_method
from oger.runs.alarms import AlarmWatch
from oger.verification.formats import ANSWER_RULES
from oger.words import choose


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is one line that says what to do."""


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"{key} must be a text, got {value!r}")
    return value


def _description(key: str, value: Any) -> str:
    return "" if value in (None, "") else _text(key, value)


def _optional_text(key: str, value: Any) -> str | None:
    return None if value is None else _text(key, value)


def _test(key: str, value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecipeError(f"{key} must map names to sources, as in {{id: world:arithmetic/test}}; got {value!r}")
    return {str(name): _text(f"{key}.{name}", source) for name, source in value.items()}


def _rewards(key: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise RecipeError(f"{key} must be a list of reward names, got {value!r}")
    return tuple(_text(key, name) for name in names)


def _answer_rules(key: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise RecipeError(f"{key} must be a list of answer rules, got {value!r}")
    for name in names:
        choose(ANSWER_RULES, name, "answer rule")
    return tuple(names)


def _kinds(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RecipeError(f"{key} must be a list of package.module:function, got {value!r}")
    return tuple(_text(key, name) for name in value)


def _seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < float("inf"):
        raise RecipeError(f"{key} must be a number of seconds above 0, got {value!r}")
    return float(value)


def _optional_seconds(key: str, value: Any) -> float | None:
    return None if value is None else _seconds(key, value)


def _peft(key: str, value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise RecipeError(f"{key} must map arguments of LoraConfig to values, as in {{r: 16}}; got {value!r}")
    return value


def _alarms(key: str, value: Any) -> dict[str, float | None]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecipeError(f"{key} must map alarms to thresholds, as in {{truncated: 0.5}}; got {value!r}")
    AlarmWatch(value)
    return value


def _method(key: str, value: Any) -> str | None:
    return None if value is None else load_method(_text(key, value)).name


def _teachers(key: str, value: Any) -> int | tuple[str, ...] | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    if not isinstance(value, list) or not value:
        raise RecipeError(f"{key} must be a list of teachers' names or how many of them, got {value!r}")
    return tuple(_text(key, name) for name in value)


def _first(key: str, value: Any) -> dict[str, Any] | None:
    if value is not None and not (isinstance(value, dict) and value):
        raise RecipeError(f"{key} must map recipe keys to values, as in {{method: sft, max_steps: 60}}; got {value!r}")
    return value


def _share(key: str, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1):
        raise RecipeError(f"{key} must be a share of at least 0 and below 1, got {value!r}")
    return None if value is None else float(value)


def _count(minimum: int, *, optional: bool = False) -> Any:
    def check(key: str, value: Any) -> int | None:
        if optional and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise RecipeError(f"{key} must be a whole number of at least {minimum}, got {value!r}")
        return value

    return check


def _temperature(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < float("inf"):
        raise RecipeError(f"{key} must be a number of at least 0, got {value!r}")
    return float(value)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise RecipeError(f"{key} must be true or false, got {value!r}")
    return value


OWN_CHECKS: dict[str, Any] = {
    "model": _text,
    "train": _text,
    "validation": _optional_text,
    "test": _test,
    "rewards": _rewards,
    "answer_rules": _answer_rules,
    "kinds": _kinds,
    "verify_timeout": _seconds,
    "method": _method,
    "teachers": _teachers,
    "first": _first,
    "first_above": _share,
    "peft": _peft,
    "keep_last": _count(1),
    "max_generated_tokens": _count(1, optional=True),
    "max_train_seconds": _optional_seconds,
    "rollouts_every": _count(0),
    "probe_prompts": _count(0),
    "profile": _flag,
    "eval_samples": _count(1),
    "eval_limit": _count(1, optional=True),
    "eval_temperature": _temperature,
    "validation_limit": _count(1, optional=True),
    "alarms": _alarms,
    "description": _description,
}
