"""Outcome rewards: is the answer of a trajectory right?

`verify_many` is the entry: a named rule finds the answer in the response (`formats`), a named kind compares it with the
gold answer (`kinds`) in a worker process that may be killed (`pool`), and the result is a `Verdict`: correct, wrong or
undecided. `rewards` wraps it as TRL-style reward functions; `probe` checks before a run that it works.
"""

from oger.verification.formats import ANSWER_RULES, DEFAULT_RULES, extract_answer
from oger.verification.golds import GOLD_RULES, GoldSurvey, read_gold, survey
from oger.verification.kinds import KINDS, Kind, check_kinds_of_rows, load_kind
from oger.verification.rewards import accuracy_reward, accuracy_verdicts, accuracy_with, format_reward
from oger.verification.self_test import probe, probe_rows
from oger.verification.verdict import Judgement, Verdict, VerifierError
from oger.verification.verifier import PoolStatistics, VerifierPool
from oger.verification.verify import close_pools, shared_pool, verify, verify_many

__all__ = [
    "ANSWER_RULES",
    "DEFAULT_RULES",
    "GOLD_RULES",
    "KINDS",
    "GoldSurvey",
    "Judgement",
    "Kind",
    "PoolStatistics",
    "Verdict",
    "VerifierError",
    "VerifierPool",
    "accuracy_reward",
    "accuracy_verdicts",
    "accuracy_with",
    "check_kinds_of_rows",
    "close_pools",
    "extract_answer",
    "format_reward",
    "load_kind",
    "probe",
    "probe_rows",
    "read_gold",
    "shared_pool",
    "survey",
    "verify",
    "verify_many",
]
