"""Why normalized numbers have mean 0 and variance 1: the lecture's two proofs, each line evaluated on real numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from playground.errors import PlaygroundError


@dataclass(frozen=True)
class ProofLine:
    """One line of a proof: what is written (KaTeX), what it comes to on the reader's numbers, and why it follows."""

    proof: str  # "mean" or "variance"
    latex: str
    value: float
    why: str


def normalized(x: np.ndarray) -> np.ndarray:
    """Numbers moved and stretched to mean 0 and variance 1.

    x (n,) -> (n,):  z[i] = (x[i] - mu) / sigma, with sigma² = 1/n * sum of (x[i] - mu)² (divided by n, not n - 1: the
    variance of these numbers, as in batch normalization, not an estimate of a larger set's).
    Raises PlaygroundError when all numbers are equal, since sigma is then 0.

    >>> normalized(np.array([2.0, 4.0, 6.0])).round(4).tolist()
    [-1.2247, 0.0, 1.2247]
    """
    sigma = x.std()
    if x.size == 0 or sigma == 0:
        raise PlaygroundError("All numbers are equal, so their standard deviation is 0 and they cannot be normalized: "
                              "change at least one of them.")
    z: np.ndarray = (x - x.mean()) / sigma
    return z


def proof_lines(x: np.ndarray) -> Iterator[ProofLine]:
    """The two proofs, a line at a time; every line's value is computed from the line as it is written.

    x (n,), not all equal. Lines of the proof "mean" all come to 0, those of "variance" all to 1, up to rounding.

    >>> [round(line.value, 9) + 0.0 for line in proof_lines(np.array([2.0, 4.0, 9.0]))]
    [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    z = normalized(x)
    n, mu, sigma = len(x), x.mean(), x.std()
    yield ProofLine("mean", r"\bar z = \frac1n \sum_{i=1}^n z_i", z.sum() / n, "what a mean is")
    yield ProofLine("mean", r"= \frac1n \sum_{i=1}^n \frac{x_i - \mu}{\sigma}", ((x - mu) / sigma).sum() / n,
                    "what z is")
    yield ProofLine("mean", r"= \frac{1}{n\,\sigma} \Big( \sum_{i=1}^n x_i - n\,\mu \Big)",
                    (x.sum() - n * mu) / (n * sigma), "1/σ is the same in every term; μ is added n times")
    yield ProofLine("mean", r"= \frac{1}{n\,\sigma} \left( n\,\mu - n\,\mu \right)", (n * mu - n * mu) / (n * sigma),
                    "the sum of all numbers is n times their mean")
    yield ProofLine("mean", r"= 0", 0.0, "whatever the numbers were")
    yield ProofLine("variance", r"\mathrm{var}(z) = \frac1n \sum_{i=1}^n (z_i - \bar z)^2",
                    ((z - z.mean()) ** 2).sum() / n, "what a variance is")
    yield ProofLine("variance", r"= \frac1n \sum_{i=1}^n z_i^2", (z**2).sum() / n, "z̄ = 0, just proved")
    yield ProofLine("variance", r"= \frac1n \sum_{i=1}^n \frac{(x_i - \mu)^2}{\sigma^2}",
                    ((x - mu) ** 2 / sigma**2).sum() / n, "what z is, squared")
    yield ProofLine("variance", r"= \frac{1}{\sigma^2} \cdot \frac1n \sum_{i=1}^n (x_i - \mu)^2",
                    ((x - mu) ** 2).sum() / n / sigma**2, "1/σ² is the same in every term")
    yield ProofLine("variance", r"= \frac{\sigma^2}{\sigma^2} = 1", sigma**2 / sigma**2,
                    "what is left is the variance of x, which is σ²")
