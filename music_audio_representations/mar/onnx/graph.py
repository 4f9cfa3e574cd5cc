"""ONNX graphs, written node by node. Needs the package `onnx`; running a graph does not."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 8  # what runtimes of 2022 read
STANDARD = (helper.make_opsetid("", OPSET),)
UNKNOWN = None  # shape of an input of any rank


class Graph:
    """Nodes and constants in the order in which they are written; tensors are known by their names.

        graph = Graph()
        graph.input("x", (None, 3))
        graph.output("y", graph("Relu", graph("MatMul", "x", np.eye(3, dtype=np.float32))))
        onnx.checker.check_model(graph.model())

    Args:
        prefix: of the names that it makes up: two graphs, of which one lies in the other, need two.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix, self._count = prefix, 0
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._known: dict[tuple, str] = {}

    def __call__(
        self, op_type: str, *inputs: Any, name: str | None = None, **attributes: Any
    ) -> str:
        """Adds a node of one output, whose name is returned.

        Args:
            op_type: ONNX's operator.
            *inputs: names, or arrays and numbers, which become constants; "" for one left out.
            name: of the node and its output; None for one that is made up.
            **attributes: of the operator.
        """
        return self.nodes_of(op_type, inputs, 1, name, attributes)[0]

    def nodes_of(
        self,
        op_type: str,
        inputs: Sequence[Any],
        outputs: int,
        name: str | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> list[str]:
        """Adds a node of several outputs, whose names are returned."""
        name = name or self._new(op_type)
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        made = [name, *(f"{name}:{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(op_type, names, made, name, **(attributes or {})))
        return made

    def constant(self, value: Any, name: str | None = None) -> str:
        """Adds an array or a number, once, and returns its name. Integers are int64."""
        array = np.asarray(value)
        if name is None and array.size < 64:
            key = (array.dtype.str, array.shape, array.tobytes())
            if key not in self._known:
                self._known[key] = self.constant(array, self._new("constant"))
            return self._known[key]
        name = name or self._new("constant")
        self.constants.append(numpy_helper.from_array(array.copy(order="C"), name))
        return name

    def input(self, name: str, shape: Any, kind: int = TensorProto.FLOAT) -> str:
        """Declares an input; of its shape, None or a name stand for any size."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(
        self, name: str, tensor: str, shape: Any = UNKNOWN, kind: int = TensorProto.FLOAT
    ) -> None:
        """Declares a tensor as an output."""
        self.nodes.append(helper.make_node("Identity", [tensor], [name], name=f"output {name}"))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def graph(self, name: str) -> onnx.GraphProto:
        """All of it, as an attribute of a node takes it."""
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)

    def model(self, opsets: Iterable[onnx.OperatorSetIdProto] = STANDARD) -> onnx.ModelProto:
        """All of it, as a file holds it.

        Args:
            opsets: that its operators are of.
        """
        return helper.make_model(
            self.graph("mar"), opset_imports=opsets, ir_version=IR, producer_name="mar"
        )

    def _new(self, stem: str) -> str:
        self._count += 1
        return f"{self._prefix}{stem}_{self._count}"
