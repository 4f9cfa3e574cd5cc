"""Pairs of snippets with the labels of their track."""

from mar.data.pipelines import Field, PairDataset


class LabelledPairDataset(PairDataset):
    """As `PairDataset`, and the labels of each track: `"labels"`, `(B, vocabulary)` float32.

    A track without any is one whose labels are not known.
    """

    def _batch(self, tracks, starts):
        return {**super()._batch(tracks, starts), "labels": self.manifest.multi_hot(tracks)}

    def _fields(self):
        labels = Field((len(self.manifest.header.vocabulary),), "float32")
        return {**super()._fields(), "labels": labels}
