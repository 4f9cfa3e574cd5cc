"""Loss functions (paper, section 2.1), in `keras.ops` and float32 whatever they are given.

Arrays and tensors are those of the Keras backend.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

_SMALLEST_SQUARE = 1e-24  # of a norm: a zero vector has cosine similarity 0 with all others


def binary_crossentropy(labels: Any, logits: Any) -> Any:
    """Binary cross-entropy of sigmoid outputs, averaged over the labels.

    Args:
        labels: `(n, labels)` in 0 to 1; mixtures lie in between.
        logits: `(n, labels)`, before the sigmoid.

    Returns:
        float32 `(n,)`.
    """
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    return ops.mean(ops.relu(logits) - logits * labels + ops.softplus(-ops.abs(logits)), axis=1)


class Similarities(NamedTuple):
    """How near the examples of a replica are to those of all replicas.

    Rows are the replica's n anchors, then its n positives; columns the N anchors of all replicas,
    then the N positives. Of two replicas with one pair each, the second has

        rows  a1 p1      columns  a0 a1 p0 p1      own  [1, 3]      partners  [3, 1]

    Hard negatives of all replicas are columns behind these, and no rows.

    Attributes:
        cosines: float32 `(2n, 2N)`; with h hard negatives of each pair `(2n, (2 + h) N)`.
        own: int32 `(2n,)`, the column of each example itself.
        partners: int32 `(2n,)`, the column of its partner.
    """

    cosines: Any
    own: Any
    partners: Any


def nt_xent(
    anchors: Any, positives: Any, temperature: float = 0.1, negatives: Any = None
) -> tuple[Any, Similarities]:
    """Normalised temperature-scaled cross-entropy of SimCLR (Chen et al., 2020).

    Each example is to find its partner among all others but itself. The paper sums over the
    examples; take the mean, so that the learning rate does not depend on their number.

    In a replica of a `tf.distribute` strategy, the others are those of all replicas: the mean over
    each replica's losses, averaged over the replicas, is that of the whole batch. Gradients flow
    through the gathered projections, so that the replicas' sum is right.

    Hard negatives are "forced into every batch" (paper, section 2.3): as SimCLR takes all other
    examples of the batch for negatives, each anchor and each positive has those of all pairs among
    its others. They have no partner to find, and so no loss of their own.

    Args:
        anchors: `(n, d)` projections, in each replica as many.
        positives: `(n, d)`, their partners'.
        temperature: divides the cosine similarities.
        negatives: `(n, h, d)`, hard negatives of each pair; None: there are none.

    Returns:
        float32 `(2n,)`: the losses of the anchors, then of the positives; and the similarities
        that they were computed from.
    """
    similarities = _similarities(anchors, positives, negatives)
    columns = ops.shape(similarities.cosines)[1]
    logits = similarities.cosines / temperature
    others = ops.where(ops.one_hot(similarities.own, columns, dtype="bool"), -1e9, logits)
    partner = ops.squeeze(ops.take_along_axis(logits, similarities.partners[:, None], axis=1), 1)
    return ops.logsumexp(others, axis=1) - partner, similarities


def supervised_nt_xent(
    anchors: Any, positives: Any, labels: Any, temperature: float = 0.1, known: Any = None
) -> tuple[Any, Similarities]:
    """Supervised contrastive loss (Khosla et al., 2020, their L_out), for any number of labels.

    Each example is to find all examples of its labels, as far as the labels agree: the weight of
    another is their Tanimoto coefficient, `a·b / (a·a + b·b - a·b)`, the share of common labels
    where each is there or not. That of the partner is 1. Without labels it is `nt_xent`, with one
    label each Khosla's. Over replicas it behaves as `nt_xent` does.

    Args:
        anchors: `(n, d)` projections, in each replica as many.
        positives: `(n, d)`, their partners'.
        labels: `(n, 2, labels)` in 0 to 1, of the anchors and of the positives; mixtures lie in
            between.
        temperature: divides the cosine similarities.
        known: float32 `(n, 2)`, 1 where the labels are known and 0 where they are not, which
            agree with none then; None: all are known.

    Returns:
        float32 `(2n,)`: the losses of the anchors, then of the positives; and the similarities
        that they were computed from.
    """
    similarities = _similarities(anchors, positives, None)
    columns = ops.shape(similarities.cosines)[1]
    logits = similarities.cosines / temperature
    itself = ops.one_hot(similarities.own, columns, dtype="bool")
    log_shares = logits - ops.logsumexp(ops.where(itself, -1e9, logits), axis=1, keepdims=True)
    of_views = ops.unstack(ops.cast(labels, "float32"), axis=1)
    agreement = _tanimoto(ops.concatenate(of_views), ops.concatenate(_of_all_replicas(of_views)[0]))
    if known is not None:
        views_known = ops.unstack(known, axis=1)
        rows_known, columns_known = views_known, _of_all_replicas(views_known)[0]
        agreement *= ops.concatenate(rows_known)[:, None] * ops.concatenate(columns_known)
    partner = ops.one_hot(similarities.partners, columns, dtype="bool")
    weights = ops.where(partner, 1.0, ops.where(itself, 0.0, agreement))
    return -ops.sum(weights * log_shares, axis=1) / ops.sum(weights, axis=1), similarities


def huber(errors: Any) -> Any:
    """Huber's loss: half the square up to 1, and linear from there; of any shape."""
    sizes = ops.abs(errors)
    within = ops.minimum(sizes, 1.0)
    return within * (sizes - 0.5 * within)


def retrieval_measures(similarities: Similarities) -> dict[str, Any]:
    """How well partners are found, as means over the examples, scalars by name.

    Returns:
        `accuracy`: partners that are nearer than any other example.
        `positive_similarity`, `negative_similarity`: mean cosines of partners, and of others.
        `alignment` and `potential` (Wang and Isola, 2020): the mean squared distance of partners,
        and the mean over all pairs of distinct examples of exp(−2 · squared distance), whose
        logarithm is the uniformity.
    """
    cosines, own, partners = similarities
    rows, columns = ops.shape(cosines)
    itself = ops.one_hot(own, columns, dtype="float32")
    partner = ops.one_hot(partners, columns, dtype="float32")
    positive = ops.sum(cosines * partner, axis=1)
    negative = cosines * (1.0 - itself - partner)
    potential = ops.exp(4.0 * cosines - 4.0) * (1.0 - itself)
    nearest = ops.argmax(cosines - 3.0 * itself, axis=1)
    negatives = ops.cast(rows * (columns - 2), "float32")
    return {
        "accuracy": ops.mean(ops.cast(ops.equal(nearest, partners), "float32")),
        "positive_similarity": ops.mean(positive),
        "negative_similarity": ops.sum(negative) / ops.maximum(negatives, 1.0),
        "alignment": ops.mean(2.0 - 2.0 * positive),
        "potential": ops.sum(potential) / ops.cast(rows * (columns - 1), "float32"),
    }


def _similarities(anchors, positives, negatives):
    views = [anchors, positives]
    if negatives is not None:
        views += ops.unstack(negatives, axis=1)
    views_of_all, replica = _of_all_replicas(views)
    pairs = ops.shape(anchors)[0]
    own = replica * pairs + ops.arange(pairs, dtype="int32")
    partners = own + ops.shape(views_of_all[0])[0]
    rows = _unit(ops.concatenate([anchors, positives]))
    columns = _unit(ops.concatenate(views_of_all))
    return Similarities(
        ops.matmul(rows, ops.transpose(columns)),
        ops.concatenate([own, partners]),
        ops.concatenate([partners, own]),
    )


def _tanimoto(rows, columns):
    """`(n, labels)` and `(N, labels)` to `(n, N)`; 0 without labels."""
    common = ops.matmul(rows, ops.transpose(columns))
    lengths = [ops.sum(ops.square(labels), axis=1) for labels in (rows, columns)]
    return common / ops.maximum(lengths[0][:, None] + lengths[1] - common, 1e-6)


def _unit(vectors):
    vectors = ops.cast(vectors, "float32")
    squares = ops.sum(ops.square(vectors), axis=1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, _SMALLEST_SQUARE))


def _of_all_replicas(views):
    """The same views, but of all replicas, and the number of this replica."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            examples = context.all_gather(ops.stack(views, axis=1), axis=0)
            views = [examples[:, view] for view in range(len(views))]
            return views, context.replica_id_in_sync_group
    return views, 0
