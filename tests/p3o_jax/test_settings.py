"""Settings that cannot be are refused when they are made."""

import pytest

from p3o_jax.settings import Config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 6, "num_minibatches": 4}, "`num_minibatches` must divide `num_envs`; got 4 and 6"),
        (
            {"num_minibatches": 3, "minibatches_of": "samples", "estimator": "gae"},
            "`num_minibatches` must divide `num_envs` x `segment_length`; got 3 and 8192",
        ),
        ({"horizon": 0}, "`horizon` must be at least 1; got 0"),
        ({"estimator": "td"}, "`estimator` must be one of p3o, original, gae; got 'td'"),
        ({"implementation": "cuda"}, "`implementation` must be None or one of"),
        ({"tau_rule": "learnt"}, "`tau_rule` must be one of noise, fixed, explained, precision; got 'learnt'"),
        ({"reward_scale": "std"}, "`reward_scale` must be one of rms, return, clip, none; got 'std'"),
        ({"minibatches_of": "samples"}, "`minibatches_of` must be environments unless .* got samples with p3o and mlp"),
        ({"segment_length": 2**14, "horizon": 2**14, "num_envs": 2**14}, "`horizon` must leave"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)
