"""Outcome rewards: is the answer of a trajectory right?

`verify` is the one entry: a named rule finds the answer in the response (`formats`), a named kind compares it with the
gold answer (`kinds`), and the result is a `Verdict`. `rewards` wraps it as TRL-style reward functions.
"""

from oger.verification.formats import ANSWER_RULES, extract_answer
from oger.verification.kinds import KINDS
from oger.verification.rewards import accuracy_reward, format_reward
from oger.verification.verify import Verdict, verify

__all__ = ["ANSWER_RULES", "KINDS", "Verdict", "accuracy_reward", "extract_answer", "format_reward", "verify"]
