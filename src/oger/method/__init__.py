"""The equations of the paper as pure functions on tensors: torch only, no trainer, no I/O, no global state.

In the order of the method: `divergence` and `confidence` measure a rollout, `hybrid_group` puts teacher trajectories
into the group, `reward` pays for confident exploration, `advantage` compares the rows of a group, `objective` (with
`shaping`) turns advantages into token losses and `aggregation` weighs the tokens of an optimiser step. `options` and
`checks` hold the error messages that all of them share.

A suffix names the axes of a tensor: G rows of one group, M teacher trajectories of its prompt, E embedding, B rows of
a batch, T tokens. Every option is a word in a table; an unknown one is a ValueError that names the nearest valid one.
"""
