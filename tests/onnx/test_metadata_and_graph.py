"""A file whose graph is not the one that its metadata was written for."""

import numpy as np
import pytest
from onnx import numpy_helper

from qdeploy.errors import QDeployError
from qdeploy.model import Classes
from qdeploy.onnx import export, from_proto


def edited(model, change, **options):
    """The file of a model after `change` of its graph."""
    proto = export(model, **options)
    change(proto.graph)
    return proto


def test_weights_other_than_the_metadata_was_written_for_are_refused(random_model):
    def flip(graph):
        tensor = graph.initializer[1]
        tensor.raw_data = bytes(256 - b if b else 1 for b in tensor.raw_data)

    with pytest.raises(QDeployError, match="the weights in the graph are not those"):
        from_proto(edited(random_model(), flip))


def test_a_front_other_than_the_quantizer_is_refused(random_model):
    def nudge(graph):
        tensor = next(t for t in graph.initializer if t.name == "step")
        values = numpy_helper.to_array(tensor).copy()
        values[0] = np.nextafter(values[0], np.float32(1))
        tensor.CopyFrom(numpy_helper.from_array(values, "step"))

    with pytest.raises(QDeployError, match="not the front that the quantiser"):
        from_proto(edited(random_model(), nudge, front=True))


def test_a_front_without_metadata_is_refused(random_model):
    proto = export(random_model(), front=True)
    del proto.metadata_props[:]
    with pytest.raises(QDeployError, match="needs the quantiser in qdeploy's metadata"):
        from_proto(proto)


def test_a_tail_other_than_the_head_is_refused(random_model):
    def swap(graph):
        tensor = next(t for t in graph.initializer if t.name == "labels")
        tensor.string_data[0] = b"forged"

    with pytest.raises(QDeployError, match="the output 'label' is not the label"):
        from_proto(edited(random_model(outputs=3), swap, tail=True))


def test_a_core_stripped_of_its_metadata_is_a_bare_network(random_model):
    model = random_model(outputs=3)
    proto = export(model)
    del proto.metadata_props[:]
    bare = from_proto(proto)
    assert bare.head == Classes((0, 1, 2))
    x = np.arange(-20, 20, dtype=np.int8).reshape(8, 5)
    assert np.array_equal(bare.scores(x), model.scores(x))
