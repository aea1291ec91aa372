"""Reading tables and arrays, and the quantiser that turns real features into int8."""

from qdeploy.data.dataset import Dataset
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.data.reading import dataset_from_arrays, read_dataset, read_features
from qdeploy.data.splitting import split
from qdeploy.data.tasks import guess_task
from qdeploy.data.validation import DataWarning
from qdeploy.data.weighting import merge_rows, with_class_weight

__all__ = [
    "DataWarning",
    "Dataset",
    "InputQuantizer",
    "dataset_from_arrays",
    "guess_task",
    "merge_rows",
    "read_dataset",
    "read_features",
    "split",
    "with_class_weight",
]
