"""Bands against a double loop in float64, and the identities that make lags and GAE special cases of them."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

from p3o_jax.ops import advantages, band_errors, bands
from p3o_jax.segment import make_segment

IMPLEMENTATIONS = ["reference", "xla", "interpret"]
FOR_IDENTITIES = ["reference", "xla", pytest.param("interpret", marks=pytest.mark.slow)]
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}  # float32 sums of up to K T = 84 terms of order 1
WIDTHS = bands.band_widths(7)
GPU = AbstractDevice(device_kind="NVIDIA H200", num_cores=132, platform="gpu")

band_advantage = jax.jit(bands.band_advantage, static_argnames="implementation")


def true_bands(segment, widths, tau, with_final=False):
    """Returns advantages, returns and targets from the recursion over (t, k), in float64."""
    mean, last, final, rewards, weights = (
        np.asarray(x, np.float64)
        for x in (segment.mean, segment.last_mean, segment.truncated_mean, segment.rewards, segment.weights)
    )
    terminated, truncated = np.asarray(segment.terminated), np.asarray(segment.truncated)
    num_steps = len(mean)

    @cache
    def error(t, b, k):
        flows = [(k, 1 - 1 / widths[k])] + ([(k - 1, 1 / widths[k - 1])] if k else [])
        own = (rewards[t, b] if k == 0 else 0.0) - mean[t, b, k]
        if terminated[t, b]:
            return own
        if truncated[t, b]:
            if with_final:
                return own + sum(share * final[t, b, i] for i, share in flows)
            return 0.0 if any(share > 0 for _, share in flows) else own
        if t == num_steps - 1:
            return own + sum(share * last[b, i] for i, share in flows)
        return own + sum(share * (mean[t + 1, b, i] + (1 - tau) * error(t + 1, b, i)) for i, share in flows)

    errors = np.array([error(*index) for index in np.ndindex(mean.shape)]).reshape(mean.shape)
    return errors @ weights, (errors + mean) @ weights, errors + mean


def estimate(segment, implementation, tau=0.1, widths=WIDTHS, with_final=False):
    final = segment.truncated_mean if with_final else None
    widths = jnp.asarray(widths, jnp.float32)
    head = segment.mean, widths, segment.weights
    return band_advantage(*head, *segment.outcome, segment.last_mean, tau, final, implementation=implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("with_final", [False, True])
def test_bands_are_the_double_loop(make_example, implementation, with_final):
    segment = make_example()
    for tau, widths in ((0.0, WIDTHS), (0.3, WIDTHS), (1.0, np.array([2.0, 1.0, 1.0, 3.5, 9.0, 1.0, 4.0]))):
        out = estimate(segment, implementation, tau, widths, with_final)
        for actual, truth in zip(out, true_bands(segment, widths, tau, with_final), strict=True):
            np.testing.assert_allclose(actual, truth, **TOLERANCE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("with_final", [False, True])
def test_bands_of_one_step_are_lags(make_example, implementation, with_final):
    segment = make_example(4, 3, 9)
    final = segment.truncated_mean if with_final else None
    out = estimate(segment, implementation, 0.2, np.ones(9), with_final)
    head = segment.mean, segment.weights
    lags = advantages.p3o_advantage(*head, *segment.outcome, segment.last_mean, 0.2, final, implementation="xla")
    np.testing.assert_allclose(out.advantages, lags.advantages, **TOLERANCE)
    np.testing.assert_allclose(out.returns, lags.returns, **TOLERANCE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("with_final", [False, True])
def test_one_band_is_gae(make_example, implementation, with_final):
    """Its width is 1 / (1 - gamma), its tau 1 - lambda; a truncation without a prediction is no error in both."""
    segment = make_example(12, 5, 1)._replace(weights=jnp.ones(1))
    out = estimate(segment, implementation, 1 - 0.8, np.array([10.0]), with_final)
    final = segment.truncated_mean[..., 0] if with_final else None
    one = segment.mean[..., 0], *segment.outcome, segment.last_mean[:, 0]
    expected = advantages.gae(*one, 0.9, 0.8, final)
    np.testing.assert_allclose(out.advantages, expected.advantages, **TOLERANCE)
    np.testing.assert_allclose(out.returns, expected.returns, **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_a_constant_reward_fills_every_band_to_its_width(make_example, implementation):
    """The fixed point of x = r e_0 + A x; predicted, it leaves no error, and without an end none is made."""
    segment = make_example(end_rate=0.0)
    right = 0.5 * jnp.broadcast_to(jnp.asarray(WIDTHS, jnp.float32), segment.mean.shape)
    segment = segment._replace(mean=right, last_mean=right[0], rewards=jnp.full_like(segment.rewards, 0.5))
    out = estimate(segment, implementation, 0.1)
    np.testing.assert_allclose(out.targets, right, rtol=1e-6)
    np.testing.assert_allclose(out.advantages, 0.0, atol=2e-5)  # sums over 32 steps of float32


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_no_reward_is_lost_on_its_way(make_example, implementation):
    """Monte Carlo, without predictions after the segment: what left the last band aside, bands sum to the return."""
    segment = make_example(6, 4, 7, end_rate=0.0)._replace(last_mean=jnp.zeros((4, 7)))
    widths = np.append(np.ones(6), 1e6)  # nothing leaves the last band in so few steps
    out = estimate(segment, implementation, 0.0, widths)
    plain_return = jnp.cumsum(segment.rewards[::-1], axis=0)[::-1]
    np.testing.assert_allclose(jnp.sum(out.targets, axis=2), plain_return, **TOLERANCE)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_nothing_after_an_end_matters(make_example, implementation):
    segment, other = make_example(end_rate=0.0), make_example(end_rate=0.0, seed=1)
    end = segment.terminated.at[6].set(True)
    changed = segment._replace(
        mean=segment.mean.at[7:].set(other.mean[7:]),
        rewards=segment.rewards.at[7:].set(other.rewards[7:]),
        last_mean=other.last_mean,
    )
    for kind in ("terminated", "truncated"):
        before = estimate(segment._replace(**{kind: end}), implementation)
        after = estimate(changed._replace(**{kind: end}), implementation)
        for actual, expected in zip(after, before, strict=True):
            np.testing.assert_array_equal(actual[:7], expected[:7])


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_a_truncation_is_not_a_terminal_but_both_are(make_example, implementation):
    segment = make_example(end_rate=0.0)
    end = segment.terminated.at[6].set(True)
    terminal = estimate(segment._replace(terminated=end), implementation)
    np.testing.assert_allclose(terminal.targets[6, :, 1:], 0.0, atol=1e-6)
    truncation = estimate(segment._replace(truncated=end), implementation)
    np.testing.assert_allclose(truncation.targets[6, :, 1:], segment.mean[6, :, 1:], **TOLERANCE)
    both = estimate(segment._replace(truncated=end, terminated=end), implementation, with_final=True)
    if implementation == "reference":  # jax 0.11 rounds its products of matrices otherwise in another program
        np.testing.assert_allclose(both.targets[:7], terminal.targets[:7], rtol=0, atol=1e-6)
        terminal = estimate(segment._replace(terminated=end), implementation, with_final=True)
    np.testing.assert_array_equal(both.targets[:7], terminal.targets[:7])


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_results_do_not_depend_on_the_batchs_layout(make_example, implementation):
    segment = make_example()
    order = jnp.array([3, 0, 4, 1, 2])
    names = "mean", "rewards", "terminated", "truncated"
    shuffled = segment._replace(**{name: getattr(segment, name)[:, order] for name in names})
    shuffled = shuffled._replace(last_mean=segment.last_mean[order])
    whole = estimate(segment, implementation)
    for actual, expected in zip(estimate(shuffled, implementation), whole, strict=True):
        np.testing.assert_allclose(actual, expected[:, order], rtol=1e-6, atol=1e-6)
    pair = jax.tree.map(lambda *x: jnp.stack(x), segment, make_example(seed=1))
    mapped = jax.vmap(lambda one: estimate(one, implementation))(pair)
    for actual, expected in zip(mapped, whole, strict=True):
        np.testing.assert_allclose(actual[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", FOR_IDENTITIES)
def test_bfloat16_inputs_are_summed_in_float32_and_no_gradient_flows(make_example, implementation):
    segment = make_example()
    low = segment._replace(mean=segment.mean.astype(jnp.bfloat16), last_mean=segment.last_mean.astype(jnp.bfloat16))
    rounded = low._replace(mean=low.mean.astype(jnp.float32), last_mean=low.last_mean.astype(jnp.float32))
    for actual, expected in zip(estimate(low, implementation), estimate(rounded, implementation), strict=True):
        assert actual.dtype == jnp.float32
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    total = lambda mean: jnp.sum(estimate(segment._replace(mean=mean), implementation).targets)  # noqa: E731
    np.testing.assert_array_equal(jax.grad(total)(segment.mean), 0.0)


def test_one_step_errors_are_the_errors_that_trust_the_next_prediction_alone(make_example):
    segment = make_example()
    widths = jnp.asarray(WIDTHS, jnp.float32)
    arguments = segment.mean, widths, make_segment(segment.mean, *segment.outcome), segment.last_mean, None
    targets = true_bands(segment, WIDTHS, 1.0)[2]
    np.testing.assert_allclose(band_errors.one_step_errors(*arguments), targets - np.asarray(segment.mean), **TOLERANCE)


def test_the_value_loss_is_each_band_and_their_sum(make_example):
    segment, targets = make_example(), make_example(seed=1).mean
    loss = bands.band_value_loss(segment.mean, targets, segment.weights, segment.std, 3.0)
    error = np.asarray(segment.mean, np.float64) - np.asarray(targets, np.float64)
    by_band = (error**2) @ np.asarray(segment.std, np.float64)
    total = error @ np.asarray(segment.weights, np.float64)
    np.testing.assert_allclose(loss, np.mean(by_band + 3.0 * total**2) / 2, rtol=1e-5)  # a float32 mean of 60


def test_widths_double_and_the_mean_over_a_band_is_that_of_its_steps():
    np.testing.assert_array_equal(bands.band_widths(6), [1, 1, 2, 4, 8, 16])
    np.testing.assert_array_equal(bands.band_widths(1), [1])
    triangle = 1 - np.arange(5) / 5
    np.testing.assert_allclose(bands.band_means(np.ones(5), triangle), triangle)
    # A number that is the same at all lags is its own mean: the shares of a band add up to its width.
    np.testing.assert_allclose(bands.band_means(bands.band_widths(6), np.full(2000, 0.7)), 0.7, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(32, 64, 9), (12, 6, 11)])
def test_the_pass_is_one_kernel_for_cuda_also_under_vmap(make_example, shape, dtype):
    segment = make_example(*shape)
    widths = jnp.asarray(bands.band_widths(shape[2]), jnp.float32)
    arguments = segment.mean, widths, segment.weights, *segment.outcome, segment.last_mean
    types = [
        jax.ShapeDtypeStruct(x.shape, dtype if x.ndim > 1 and x.dtype == jnp.float32 else x.dtype) for x in arguments
    ]
    two = [jax.ShapeDtypeStruct((2, *x.shape), x.dtype) for x in types]
    function = partial(bands.band_advantage, implementation="pallas")
    with_final = lambda *x: function(*x, truncated_mean=x[0])  # noqa: E731
    for lowered, given in ((function, types), (jax.vmap(function), two), (with_final, types)):
        with use_abstract_mesh(AbstractMesh((), (), abstract_device=GPU)):
            text = jax.jit(lowered).trace(*given).lower(lowering_platforms=("cuda",)).as_text()
        assert text.count("__gpu$xla.gpu.triton") == 1


def test_wrong_shapes_and_names_are_refused(make_example):
    segment = make_example()
    with pytest.raises(ValueError, match=r"`widths` must have shape \(7,\); got \(6,\)"):
        estimate(segment, "xla", widths=WIDTHS[1:])
    with pytest.raises(ValueError, match=r"`weights` must have shape \(7,\); got \(6,\)"):
        estimate(segment._replace(weights=segment.weights[1:]), "xla")
    with pytest.raises(ValueError, match=r"`last_mean` must have shape \(5, 7\); got \(5, 6\)"):
        estimate(segment._replace(last_mean=segment.last_mean[:, 1:]), "xla")
    with pytest.raises(ValueError, match=r"`tau` must have shape \(\); got \(7,\)"):
        estimate(segment, "xla", jnp.zeros(7))
    with pytest.raises(ValueError, match="`implementation` must be None or one of"):
        estimate(segment, "triton")
