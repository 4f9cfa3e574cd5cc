from .audio.logmel import LogMel as LogMel
from .audio.logmel import standardize as standardize
from .audio.windows import Windows as Windows
from .data.mixup import Mixup as Mixup
from .data.pipelines import PairDataset as PairDataset
from .data.pipelines import SnippetDataset as SnippetDataset
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
from .probing.experiment import Result as Result
from .probing.outputs import ScoochAUC as ScoochAUC
from .probing.outputs import ScoochBinaryCrossentropy as ScoochBinaryCrossentropy
from .probing.outputs import ScoochCategoricalAccuracy as ScoochCategoricalAccuracy
from .probing.outputs import ScoochCategoricalCrossentropy as ScoochCategoricalCrossentropy
from .probing.outputs import ScoochMeanSquaredError as ScoochMeanSquaredError
from .probing.probe import MLP as MLP
from .probing.results import Results as Results
from .records.reader import RecordReader as RecordReader
from .tasks import Task as Task
from .training.objectives import ContrastiveObjective as ContrastiveObjective
from .training.objectives import SupervisedObjective as SupervisedObjective
from .training.trainer import Trainer as Trainer

__version__: str
__all__: list[str]
