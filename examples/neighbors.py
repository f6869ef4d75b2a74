"""The neighbour search of the layer, alone.

Finds the ten most similar vectors by cosine similarity, and compares the result
with a search by brute force in NumPy. Run it as: python examples/neighbors.py
"""

import numpy as np

from peernets_tf import nearest_neighbors

K = 10
rng = np.random.default_rng(0)
# As many as the pixels of 5 images of 14 x 14 pixels, and of 50 peers.
queries = rng.standard_normal((5 * 14 * 14, 16)).astype("float32")
keys = rng.standard_normal((50 * 14 * 14, 16)).astype("float32")


def brute_force(queries, keys, k):
    """Returns the indices (Q, k) of the most similar keys, best first."""
    similarities = normalized(queries) @ normalized(keys).T  # (Q, N)
    return np.argsort(-similarities, axis=1, kind="stable")[:, :k]


def normalized(vectors):
    """Returns vectors of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


found = np.asarray(nearest_neighbors(queries, keys, K))  # (Q, K), int32
expected = brute_force(queries, keys, K)

# Keys whose similarities are equal up to float32 rounding may change places.
agreement = np.mean(found == expected)
print(f"{K} neighbors of {len(queries)} queries among {len(keys)} keys")
print(f"Neighbors of the first query: {found[0].tolist()}")
print(f"Share of indices equal to NumPy's: {agreement:.2%}")
