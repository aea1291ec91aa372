"""Reading tables and arrays, and the quantiser that turns real features into int8."""

from qdeploy.data.dataset import Dataset
from qdeploy.data.quantizer import InputQuantizer

__all__ = ["Dataset", "InputQuantizer"]
