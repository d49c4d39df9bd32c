"""The methods as a page, for docs/methods.md (`python -m oger.recipes.methods.page`)."""

from __future__ import annotations

import textwrap

from oger.io import yaml as yaml_dialect
from oger.recipes.methods import all_methods
from oger.terminal.grid import render

_INTRODUCTION = """\
# Methods

Every method is one small file under `src/oger/recipes/methods/`: a declaration, over the same trainer, of which rows
are trained on, what they are paid, and what the two streams of the loss weigh:

    L = a L_policy + b L_imitation

- `L_policy` is the mixed objective over rollout groups, in which teachers may hold rows ([method.md](method.md)).
- `L_imitation` is the likelihood of teacher trajectories that stand beside the groups: token mean over the whole
  optimiser step, whatever the accumulation and the number of processes
  (`tests/training/objective/test_imitation.py`). Its rows share the forward of the policy rows. With b = 0 nothing of
  it is left, to the last bit.
- Guided rollouts begin as a teacher trajectory does and are continued by the policy ([method.md](method.md)); their own
  tokens are online tokens like any others.

`oger methods` lists them, `oger methods NAME` shows one. `oger train NAME` trains one on the embedded world, and
`method=NAME` puts it into any recipe: on the command line it replaces the recipe's own method with every key that
belongs to one; in a recipe file, keys that stand beside `method` win over it. `oger train RECIPE method=...` is
therefore a comparison in which data, policy, lengths, optimiser and seeds stay. `learning_rate` belongs to no method:
compare methods each at its own, chosen on validation ([study.md](study.md)).

Two more keys of a recipe serve them: `teachers` (names, or how many of those with most trajectories) and `first` (keys
of a stage that is trained before, into RUN/first; its best policy is where the run starts).

The paper leaves baselines' details open; `deviations` says what is assumed, and how far a declaration is from the
public code of its method ("there"), read in November 2026: LUFFY, AMPO, HPT and SRFT in Unify-Post-Training, CHORD in
Trinity-RFT, Prefix-RFT, DAPO in verl, Dr. GRPO in understand-r1-zero, DARLING, DIVER. For POPE and BREAD no code was at
hand; they follow what is written about their papers. The code of LUFFY and HPT sums over the rows of a GPU where this
package divides by them, so that a weight 1.0 of a token mean beside the sum is 1/64 here for each micro-batch, 2/64 as
the recipes are ([method.md](method.md#luffys-scale)). LUFFY's on-policy and SFT-then-RL scripts clip at 0.2; LUFFY
itself, its RL with an SFT loss and HPT do not clip.

ReLIFT is not among them. Its code runs LUFFY's on-policy RL without a clip, puts each prompt without a correct rollout
into a buffer and, whenever that holds 128, takes one step on their teacher trajectories, a token mean, with an AdamW of
its own at a rate of its own (1e-6, as for the RL). No option here has a buffer or a second optimiser. What is left
without them is `hpt`: a failed group has no policy gradient in either, and its trajectory is imitated at once, at 2/64
beside the RL loss instead of in a whole Adam step for every 128 of them.

This page is written by `python -m oger.recipes.methods.page > docs/methods.md`.
"""


def markdown() -> str:
    """Introduction, one line for each method, then each in full."""
    methods = all_methods().values()
    grid = [("method", "what it does"), *((f"[`{method.name}`](#{method.name})", method.line) for method in methods)]
    parts = [_INTRODUCTION, render(grid, "markdown") + "\n"]
    for method in methods:
        options = textwrap.indent(yaml_dialect.dump(dict(method.options)), "    ")
        equation = textwrap.indent(method.equation.rstrip(), "    ")
        parts.append(
            f"## {method.name}\n\n{equation}\n\nSource: {method.source}. Deviations: {method.deviations}.\n\n{options}"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    print(markdown(), end="")
