"""Extremely randomised trees as arrays: fitted by scikit-learn, evaluated inside jit."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

NUM_TREES = 60


@dataclasses.dataclass(frozen=True, eq=False)
class Forest:
    """A forest whose trees are padded to one length; a leaf is its own child.

    Attributes:
        feature: Coordinate that a node tests.
        threshold: A point goes left where its coordinate is at most this.
        children: Indices of the left and the right child.
        value: Prediction of a node.
        depth: Steps after which every point has reached its leaf.
    """

    feature: Int[Array, "trees nodes"]
    threshold: Float[Array, "trees nodes"]
    children: Int[Array, "trees nodes 2"]
    value: Float[Array, "trees nodes"]
    depth: int

    @classmethod
    def fit(cls, inputs: Float[np.ndarray, "n d"], targets: Float[np.ndarray, " n"], seed: int = 0) -> Forest:
        """Fit `NUM_TREES` extremely randomised trees of scikit-learn (extra `bench`)."""
        from sklearn.ensemble import ExtraTreesRegressor

        trees = [e.tree_ for e in ExtraTreesRegressor(NUM_TREES, random_state=seed).fit(inputs, targets).estimators_]
        size = max(tree.node_count for tree in trees)
        feature, threshold, value = (np.zeros((len(trees), size)) for _ in range(3))
        children = np.zeros((len(trees), size, 2), np.int32)
        for row, tree in enumerate(trees):
            nodes = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            feature[row, nodes] = np.where(leaf, 0, tree.feature)
            threshold[row, nodes] = np.where(leaf, 0.0, tree.threshold)
            value[row, nodes] = tree.value[:, 0, 0]
            children[row, nodes, 0] = np.where(leaf, nodes, tree.children_left)
            children[row, nodes, 1] = np.where(leaf, nodes, tree.children_right)
        return cls(
            jnp.asarray(feature, jnp.int32),
            jnp.asarray(threshold, float),
            jnp.asarray(children),
            jnp.asarray(value, float),
            max(tree.max_depth for tree in trees),
        )

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, ""]:
        """Mean prediction of the trees at one point; vmap for more."""
        trees = jnp.arange(self.feature.shape[0])

        def descend(_: int, node: Int[Array, " trees"]) -> Int[Array, " trees"]:
            goes_right = point[self.feature[trees, node]] > self.threshold[trees, node]
            return self.children[trees, node, goes_right.astype(jnp.int32)]

        leaf = jax.lax.fori_loop(0, self.depth, descend, jnp.zeros(trees.shape, jnp.int32))
        return jnp.mean(self.value[trees, leaf])
