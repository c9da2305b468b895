"""Networks: recurrence, sharing, precision, and errors at construction."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from p3o_jax.networks import ActorCritic, NetworkConfig, narrow_dot

OBS = jax.random.normal(jax.random.key(1), (6, 3, 4))
FIRST = jnp.zeros((6, 3), bool).at[0].set(True).at[3, 1].set(True)


def build(dtype=jnp.float32, **settings):
    network = ActorCritic(NetworkConfig(width=8, depth=1, **settings), 2, 1, 5, dtype)
    memory = network.init_memory(3)
    return network, jax.jit(network.init)(jax.random.key(0), OBS, FIRST, memory, memory), memory


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_parts_agree_with_the_whole(kind, shared):
    network, variables, memory = build(kind=kind, shared=shared)
    outputs, values = network.apply(variables, OBS, FIRST, memory, memory)
    assert outputs.shape == (6, 3, 3)
    assert values.shape == (6, 3, 5)
    np.testing.assert_array_equal(network.apply(variables, OBS, FIRST, memory, method="policy")[0], outputs)
    np.testing.assert_array_equal(network.apply(variables, OBS, FIRST, memory, method="value")[0], values)


def test_a_recurrent_policy_is_the_same_step_by_step_and_forgets_at_the_first_step():
    network, variables, memory = build(kind="gru")
    whole, _ = network.apply(variables, OBS, FIRST, memory, method="policy")
    state = memory
    for t in range(6):
        step, state = network.apply(variables, OBS[t : t + 1], FIRST[t : t + 1], state, method="policy")
        np.testing.assert_allclose(step[0], whole[t], atol=1e-6)  # two orders of summation
    changed, _ = network.apply(variables, OBS.at[:3].add(1.0), FIRST, memory, method="policy")
    np.testing.assert_array_equal(changed[3:, 1], whole[3:, 1])
    assert not np.allclose(changed[3:, 0], whole[3:, 0])


def test_convolutions_see_images_of_any_dtype():
    network = ActorCritic(NetworkConfig(kind="cnn", width=8, channels=2), 2, 0, 1)
    images = jax.random.randint(jax.random.key(1), (2, 3, 5, 5, 4), 0, 255).astype(jnp.uint8)
    first = jnp.zeros((2, 3), bool)
    variables = jax.jit(network.init)(jax.random.key(0), images, first, (), ())
    apply = jax.jit(network.apply)
    values = apply(variables, images, first, (), ())[1]
    assert values.shape == (2, 3, 1)
    np.testing.assert_array_equal(apply(variables, images.astype(jnp.float32), first, (), ())[1], values)
    turned = apply(variables, images[:, :, :, ::-1], first, (), ())[1]
    assert not np.allclose(turned, values)  # where a pixel stands matters


def test_bfloat16_computes_in_bfloat16_and_keeps_parameters_and_policy_in_float32():
    network, variables, memory = build(jnp.bfloat16)
    outputs, values = network.apply(variables, OBS, FIRST, memory, memory)
    assert outputs.dtype == jnp.float32
    assert values.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "lstm"}, "`kind` must be one of mlp, cnn, gru; got 'lstm'"),
        ({"activation": "sin"}, "`activation` must be one of relu, tanh, gelu, silu; got 'sin'"),
        ({"width": 0}, "`width` must be at least 1; got 0"),
    ],
)
def test_impossible_networks_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**settings)


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
def test_a_product_for_few_outputs_is_the_plain_one_with_its_gradients(shape):
    x, kernel = jax.random.normal(jax.random.key(2), (11, shape[0])), jax.random.normal(jax.random.key(3), shape)
    by_columns = (((1,), (0,)), ((), ()))

    def of(dot):
        return jax.jit(jax.value_and_grad(lambda x, kernel: jnp.sum(jnp.sin(dot(x, kernel))), (0, 1)))(x, kernel)

    actual, expected = of(lambda x, kernel: narrow_dot(x, kernel, by_columns)), of(jnp.matmul)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), actual, expected)


@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_a_batch_of_networks_never_makes_a_batched_lapack_call(kind):
    """Batched calls run on the threads that wait for them: several at once hang jaxlib 0.10 on few cores."""
    network, _, memory = build(kind=kind)
    init = jax.jit(jax.vmap(lambda key: network.init(key, OBS, FIRST, memory, memory)))
    lowered = init.lower(jax.random.split(jax.random.key(0), 3)).as_text()
    calls = re.findall(r"@lapack_\w+\(.*", lowered)
    assert calls
    assert not [call for call in calls if "tensor<3x" in call]
