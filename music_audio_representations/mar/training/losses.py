"""Loss functions (paper, section 2.1), in `keras.ops` and float32 whatever they are given."""

import keras
from keras import ops

_SMALLEST_SQUARE = 1e-24  # of a norm: a zero vector has cosine similarity 0 with all others


def binary_crossentropy(labels, logits):
    """Binary cross-entropy of sigmoid outputs, averaged over the labels.

    Args:
        labels: `(n, labels)` in 0 to 1; mixtures lie in between.
        logits: `(n, labels)`, before the sigmoid.

    Returns:
        float32 `(n,)`.
    """
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    return ops.mean(ops.relu(logits) - logits * labels + ops.softplus(-ops.abs(logits)), axis=1)


def cosine_similarities(rows, columns):
    """Cosine similarity of each of `(r, d)` with each of `(c, d)`: float32 `(r, c)`."""
    return ops.matmul(_unit(rows), ops.transpose(_unit(columns)))


def pair_columns(pairs, all_pairs, first=0):
    """Which columns are an example itself and its partner.

    Rows are the anchors, then the positives, of `pairs` pairs, which are number `first` and up of
    all; columns are all anchors, then all positives.

    Returns:
        own and partners, int32 `(2 × pairs,)` each.
    """
    anchors = first + ops.arange(pairs, dtype="int32")
    positives = anchors + all_pairs
    return ops.concatenate([anchors, positives]), ops.concatenate([positives, anchors])


def similarity_crossentropy(similarities, own, partners, temperature):
    """Cross-entropy of finding each example's partner among all others but itself.

    Args:
        similarities: `(rows, columns)`.
        own: int `(rows,)`, the column that is the example itself.
        partners: int `(rows,)`, the column of its partner.
        temperature: divides the similarities.

    Returns:
        float32 `(rows,)`.
    """
    columns = ops.shape(similarities)[1]
    logits = ops.cast(similarities, "float32") / temperature
    others = ops.where(ops.one_hot(own, columns, dtype="bool"), -1e9, logits)
    partner = ops.squeeze(ops.take_along_axis(logits, partners[:, None], axis=1), 1)
    return ops.logsumexp(others, axis=1) - partner


def nt_xent(anchors, positives, temperature=0.1):
    """Normalised temperature-scaled cross-entropy of SimCLR (Chen et al., 2020).

    Each of the 2N examples is to find its partner among the 2N − 1 others. The paper sums over the
    examples; take the mean, so that the learning rate does not depend on N.

    Args:
        anchors: `(N, d)` projections.
        positives: `(N, d)`, their partners'.
        temperature: divides the cosine similarities.

    Returns:
        float32 `(2N,)`: the losses of the anchors, then of the positives.
    """
    pairs = ops.shape(anchors)[0]
    examples = ops.concatenate([anchors, positives])
    own, partners = pair_columns(pairs, pairs)
    return similarity_crossentropy(
        cosine_similarities(examples, examples), own, partners, temperature
    )


class NTXent:
    """`nt_xent` of the pairs of all replicas.

    Args:
        temperature: divides the cosine similarities.
    """

    def __init__(self, temperature=0.1):
        self.temperature = temperature

    def __call__(self, anchors, positives):
        """The losses of a replica's own pairs among those of all replicas.

        The mean over each replica's values, averaged over the replicas, is that of the whole batch;
        gradients flow through the gathered projections, so that the replicas' sum is right.

        Args:
            anchors: `(n, d)`: those of this replica, as many as of every other.
            positives: `(n, d)`, their partners'.

        Returns:
            float32 `(2n,)`, and the `Retrieval` that they were computed from.
        """
        retrieval = Retrieval(anchors, positives)
        return retrieval.crossentropy(self.temperature), retrieval


class Retrieval:
    """Similarities of a replica's examples with those of all replicas.

    Attributes:
        similarities: float32 `(2n, 2N)`.
        own: int32 `(2n,)`, the column of each example itself.
        partners: int32 `(2n,)`, the column of its partner.
    """

    def __init__(self, anchors, positives):
        pairs = ops.shape(anchors)[0]
        all_anchors, all_positives, replica = _gathered(anchors, positives)
        all_pairs = ops.shape(all_anchors)[0]
        self.own, self.partners = pair_columns(pairs, all_pairs, replica * pairs)
        self.similarities = cosine_similarities(
            ops.concatenate([anchors, positives]), ops.concatenate([all_anchors, all_positives])
        )

    def crossentropy(self, temperature):
        """Each example's loss, `(2n,)`."""
        return similarity_crossentropy(self.similarities, self.own, self.partners, temperature)

    def measures(self):
        """What is logged, as means over the examples, scalars by name.

        `accuracy`: partners that are nearer than any other example. `alignment` and `potential`
        (Wang and Isola, 2020): the mean squared distance of partners, and the mean over all pairs
        of distinct examples of exp(−2 · squared distance), whose logarithm is the uniformity.
        """
        rows, columns = ops.shape(self.similarities)
        itself = ops.one_hot(self.own, columns, dtype="float32")
        partner = ops.one_hot(self.partners, columns, dtype="float32")
        positive = ops.sum(self.similarities * partner, axis=1)
        negative = self.similarities * (1.0 - itself - partner)
        potential = ops.exp(4.0 * self.similarities - 4.0) * (1.0 - itself)
        found = ops.argmax(self.similarities - 3.0 * itself, axis=1)
        negatives = ops.cast(rows * (columns - 2), "float32")
        return {
            "accuracy": ops.mean(ops.cast(ops.equal(found, self.partners), "float32")),
            "positive_similarity": ops.mean(positive),
            "negative_similarity": ops.sum(negative) / ops.maximum(negatives, 1.0),
            "alignment": ops.mean(2.0 - 2.0 * positive),
            "potential": ops.sum(potential) / ops.cast(rows * (columns - 1), "float32"),
        }


def _unit(vectors):
    vectors = ops.cast(vectors, "float32")
    squares = ops.sum(ops.square(vectors), axis=1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, _SMALLEST_SQUARE))


def _gathered(anchors, positives):
    """Those of all replicas, and the number of this replica."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            every = context.all_gather(ops.stack([anchors, positives], axis=1), axis=0)
            return every[:, 0], every[:, 1], context.replica_id_in_sync_group
    return anchors, positives, 0
