"""The trainer as scikit-learn estimators, for pipelines, grid search and cross-validation.

The ONNX file is the model: `save` and `load` go through it. Rows of weight w count as w equal rows,
to the last bit, because equal rows are merged before training.
"""

from qdeploy.estimators.base import EstimatorError
from qdeploy.estimators.classifier import QuantizedClassifier
from qdeploy.estimators.regressor import QuantizedRegressor

__all__ = ["EstimatorError", "QuantizedClassifier", "QuantizedRegressor"]
