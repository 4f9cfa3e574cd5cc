from .audio.logmel import LogMel as LogMel
from .audio.logmel import standardize as standardize
from .audio.windows import Windows as Windows
from .data.augmentations import FrequencyMask as FrequencyMask
from .data.augmentations import PatchMask as PatchMask
from .data.augmentations import TimeMask as TimeMask
from .data.labelled_pairs import LabelledPairDataset as LabelledPairDataset
from .data.levels import BandLimit as BandLimit
from .data.levels import Equaliser as Equaliser
from .data.levels import Gain as Gain
from .data.levels import Noise as Noise
from .data.levels import OtherTracks as OtherTracks
from .data.mixup import Mixup as Mixup
from .data.pipelines import PairDataset as PairDataset
from .data.pipelines import SnippetDataset as SnippetDataset
from .data.warping import PitchShift as PitchShift
from .data.warping import TimeStretch as TimeStretch
from .embedding.analysis import Analysis as Analysis
from .embedding.catalogue import Catalogue as Catalogue
from .embedding.checking import check_folder as check_folder
from .embedding.embedder import Embedder as Embedder
from .embedding.embedder import Embedding as Embedding
from .embedding.store import Embeddings as Embeddings
from .errors import ConfigError as ConfigError
from .errors import InputError as InputError
from .models.loading import load_model as load_model
from .models.projectors import Projector as Projector
from .models.saving import front_end as front_end
from .models.saving import save as save
from .models.saving import save_waveform_model as save_waveform_model
from .models.sfnfnet import SfNfNetF0 as SfNfNetF0
from .optim.adam import ScoochAdam as ScoochAdam
from .optim.schedules import ScoochCosineDecay as ScoochCosineDecay
from .optim.schedules import WarmupSchedule as WarmupSchedule
from .probing.experiment import Probe as Probe
from .probing.head import Head as Head
from .probing.mlp import MLP as MLP
from .probing.outputs import ScoochAUC as ScoochAUC
from .probing.outputs import ScoochBinaryCrossentropy as ScoochBinaryCrossentropy
from .probing.outputs import ScoochCategoricalAccuracy as ScoochCategoricalAccuracy
from .probing.outputs import ScoochCategoricalCrossentropy as ScoochCategoricalCrossentropy
from .probing.outputs import ScoochMeanSquaredError as ScoochMeanSquaredError
from .probing.result import Result as Result
from .probing.results import Results as Results
from .records.reader import RecordReader as RecordReader
from .tasks import Task as Task
from .training.linear_probe import LinearProbe as LinearProbe
from .training.objectives import ContrastiveObjective as ContrastiveObjective
from .training.objectives import SupervisedObjective as SupervisedObjective
from .training.pair_objectives import JointObjective as JointObjective
from .training.pair_objectives import RelativeObjective as RelativeObjective
from .training.pair_objectives import (
    SupervisedContrastiveObjective as SupervisedContrastiveObjective,
)
from .training.pair_objectives import SupervisedPairObjective as SupervisedPairObjective
from .training.trainer import Trainer as Trainer

__version__: str
__all__: list[str]
