"""A training in PyTorch that takes its settings from the command line and ends with a line of JSON.

    neocarbs run --space experiments/examples/torch.toml --trials 40 --command \\
      "python experiments/examples/train_torch.py --lr {lr} --width {width} --steps {steps} --seed {replicate}"

It knows nothing of NeoCARBS. Two spirals are to be told apart: the score is the share of unseen points that are, the
cost the seconds of training.
"""

import argparse
import json
import math
import time

import torch
from torch import nn


def spirals(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points on two noisy spirals, and which of the two each is on."""
    radius = torch.rand(count, generator=generator).sqrt()
    label = torch.randint(2, (count,), generator=generator)
    angle = 3 * math.pi * radius + math.pi * label
    points = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return points + 0.02 * torch.randn(points.shape, generator=generator), label


def main() -> None:
    """Train, and print what was reached and what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    inputs, labels = spirals(512, generator)
    unseen, truth = spirals(512, generator)
    network = nn.Sequential(
        nn.Linear(2, args.width), nn.Tanh(), nn.Linear(args.width, args.width), nn.Tanh(), nn.Linear(args.width, 2)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=args.lr)
    start = time.perf_counter()
    for _ in range(round(args.steps)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    cost = time.perf_counter() - start
    with torch.no_grad():
        accuracy = (network(unseen).argmax(1) == truth).float().mean().item()
    print(json.dumps({"score": accuracy, "cost": cost}))


if __name__ == "__main__":
    main()
