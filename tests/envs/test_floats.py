"""Single precision that gives what C gives, against NumPy's."""

import jax
import numpy as np

from envs.floats import divided, rounded, scaled, scaled_sin_cos

SIZE = 100_000
f32 = np.float32


def test_a_rounded_product_is_not_contracted_with_the_sum_that_follows():
    a, b, c = np.random.default_rng(0).normal(size=(3, SIZE)).astype(f32)
    np.testing.assert_array_equal(jax.jit(lambda a, b, c: rounded(a * b) + c)(a, b, c), a * b + c)


def test_sine_and_cosine_are_those_of_double_precision_rounded_once():
    rng = np.random.default_rng(1)
    angle = np.append(rng.uniform(-1.3, 1.3, SIZE), [0.0, 1e-6, np.pi / 4]).astype(f32)
    speed = rng.choice(np.array([256, 320, 384, 448], f32), angle.size)
    sine, cosine = jax.jit(lambda a, s: scaled_sin_cos(a, s, 60.0))(angle, speed)
    wide = angle.astype(np.float64)
    np.testing.assert_array_equal(sine, (np.sin(wide) * speed / 60).astype(f32))
    np.testing.assert_array_equal(cosine, (np.cos(wide) * speed / 60).astype(f32))


def test_division_by_a_constant_is_rounded_correctly():
    x = np.random.default_rng(2).normal(size=SIZE).astype(f32) * f32(620)
    np.testing.assert_array_equal(jax.jit(lambda x: divided(x, 60.0))(x), x / f32(60))


def test_double_constant_times_a_speed_is_rounded_once():
    speed = np.arange(64, 512, 8).astype(f32)
    constant = float(np.sin(np.float64(f32(np.pi / 3.25)))) / 60
    np.testing.assert_array_equal(
        jax.jit(lambda s: scaled(constant, s))(speed), (constant * speed.astype(float)).astype(f32)
    )
