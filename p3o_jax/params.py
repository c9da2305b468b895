"""`Params`: every number of a training that shapes nothing, traced."""

from dataclasses import fields

import jax
from flax import struct

Scalar = float | jax.Array


@struct.dataclass
class Params:
    """Traced settings: a new value is no new compilation, and `vmap` may run along any of them.

    Floats or arrays of them: an int is another type to `jit`, which compiles anew and refuses those beyond 2^31.

    Attributes:
        total_steps: Environment steps to train for, rounded up to whole updates.
        learning_rate: At the start.
        anneal: Fraction of the learning rate that is lost, linearly, until the end.
        update_epochs: Passes over each segment, rounded.
        clip: Bound of the policy's probability ratio, away from 1.
        entropy: Coefficient of the entropy bonus at the start; PPO is usually given .01.
        entropy_anneal: Fraction of that coefficient that is lost, linearly, until the end.
        value: Coefficient of the value loss; PPO is usually given .5.
        max_grad_norm: Largest global norm of a gradient.
        adam_b1: Decay of Adam's mean; Muon takes it as its momentum.
        adam_b2: Decay of Adam's mean square.
        adam_eps: What Adam and Muon add to a divisor.
        tau: Share of the one-step prediction in P3O's errors; 0 is Monte Carlo with bootstrap, 1 is one-step. It is the
            largest value that `Config.tau_rule` gives.
        floor: Smallest weight of a lag.
        weight_prior: How much the prior of the lags' weights counts, in units of explained variance; see `lag_weights`.
        aggregate: Weight of the sum over lags in P3O's value loss.
        spread_decay: How much of the older statistics of each lag an update keeps.
        puf: How much of the rewards' precision the original P3O subtracts.
        gamma: Discount, of "gae" and of the reward scale "return".
        gae_lambda: Weight of longer returns, of "gae".
        value_clip: Bound of the change of a value in an update, of "gae"; infinity is none.
    """

    total_steps: Scalar = 1e6
    learning_rate: Scalar = 5e-3
    anneal: Scalar = 1.0
    update_epochs: Scalar = 4.0
    clip: Scalar = 0.2
    entropy: Scalar = 0.02
    entropy_anneal: Scalar = 0.0
    value: Scalar = 0.1
    max_grad_norm: Scalar = 0.5
    adam_b1: Scalar = 0.9
    adam_b2: Scalar = 0.999
    adam_eps: Scalar = 1e-5
    tau: Scalar = 0.2
    floor: Scalar = 0.3
    weight_prior: Scalar = 5.0
    aggregate: Scalar = 3.0
    spread_decay: Scalar = 0.95
    puf: Scalar = 0.0
    gamma: Scalar = 0.99
    gae_lambda: Scalar = 0.95
    value_clip: Scalar = float("inf")


PARAM_NAMES = tuple(field.name for field in fields(Params))
