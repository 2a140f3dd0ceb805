"""Files that nobody should be hurt by: `python -m tests.playground.inspection.hostile FOLDER` opens each of them in a
process of its own, as `inspection.worker` does, and prints how it ended. Forked: a start of Python each is a second."""

import json
import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

SECONDS = 4


def small(body: str, inputs: str = "float[1, 3, 8, 8] x", opset: str = '"" : 20', more: str = "") -> onnx.ModelProto:
    return parser.parse_model(f"<ir_version: 9, opset_import: [{opset}]> g ({inputs}) => (float y) {more} {{ {body} }}")


def sized(*sizes: int) -> str:
    """A constant s of whole numbers."""
    return f"s = Constant <value = int64[{len(sizes)}] {{{', '.join(map(str, sizes))}}}> ()"


def honest() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    model = small("a = Conv (x, w) b = Relu (a) c = GlobalAveragePool (b) d = Flatten (c) y = Gemm (d, v)")
    model.graph.initializer.extend([numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "w"),
                                    numpy_helper.from_array(rng.normal(size=(4, 5)).astype(np.float32), "v")])
    return model


def with_weight(dims: list[int], data: bytes = b"", kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    model = honest()
    tensor = model.graph.initializer[0]
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.raw_data = "w", kind, data
    tensor.dims.extend(dims)
    return model


def outside(where: str) -> onnx.ModelProto:
    model = with_weight([4, 3, 3, 3])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", where
    return model


def nested(depth: int) -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "g", [],
                              [helper.make_tensor_value_info("z", 1, None)])
    for _ in range(depth):
        inner = helper.make_graph([helper.make_node("If", ["c"], ["z"], then_branch=inner)], "g", [],
                                  [helper.make_tensor_value_info("z", 1, None)])
    model = small("y = Identity (x)")
    model.graph.node.append(helper.make_node("If", ["c"], ["q"], then_branch=inner))
    return model


def calling_itself() -> onnx.ModelProto:
    model = small("y = Identity (x)", opset='"" : 20, "own" : 1')
    body = [helper.make_node("f", ["a"], ["b"], domain="own")]
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], body, [helper.make_opsetid("own", 1)]))
    model.graph.node[0].op_type, model.graph.node[0].domain = "f", "own"
    return model


def doubling(times: int) -> onnx.ModelProto:
    """Functions that call each other twice: 2^times nodes when written out."""
    model = small("y = Identity (x)", opset='"" : 20, "own" : 1')
    ids = [helper.make_opsetid("own", 1), helper.make_opsetid("", 20)]
    first = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("own", "f0", ["a"], ["b"], first, ids))
    for k in range(1, times):
        body = [helper.make_node(f"f{k - 1}", ["a"], ["m"], domain="own"),
                helper.make_node(f"f{k - 1}", ["m"], ["b"], domain="own")]
        model.functions.append(helper.make_function("own", f"f{k}", ["a"], ["b"], body, ids))
    model.graph.node[0].op_type, model.graph.node[0].domain = f"f{times - 1}", "own"
    return model


def files() -> dict[str, bytes]:
    """Every one of them by what is wrong with it."""
    whole = honest().SerializeToString()
    found: dict[str, bytes] = {
        "empty": b"", "text": b"not a model at all\n" * 50, "html": b"<script>alert(1)</script>", "zip": b"PK\3\4" * 99,
        "png": b"\x89PNG\r\n\x1a\n" + bytes(500), "zeros": bytes(5000), "ones": b"\xff" * 5000,
        "pickle": b"\x80\x04\x95cos\nsystem\n.", "pure noise": np.random.default_rng(1).bytes(4000),
    }
    found |= {f"cut at {k} %": whole[:len(whole) * k // 100] for k in range(5, 100, 6)}
    rng = np.random.default_rng(2)
    for k in range(28):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 1 + 3 * k):
            damaged[place] = rng.integers(256)
        found[f"damaged {k}"] = bytes(damaged)
    models = {
        "weights without numbers": with_weight([4, 3, 3, 3]),
        "absurd weights": with_weight([2**40, 3, 3, 3]), "weights below zero": with_weight([-4, 3, 3, 3], bytes(432)),
        "weights beyond all": with_weight([2**62, 2**62], bytes(8)),
        "weights of no kind": with_weight([4], bytes(16), 99),
        "weights of strings": with_weight([4, 3, 3, 3], bytes(432), TensorProto.STRING),
        "weights not a number": with_weight([4, 3, 3, 3], np.full(108, np.nan, np.float32).tobytes()),
        "outside": outside("weights.bin"), "outside absolute": outside("/etc/passwd"),
        "outside above": outside("../../../../etc/passwd"), "outside nowhere": outside(""),
        "unknown operator": small("y = Frobnicate (x)"),
        "unknown domain": small("y = evil.Run (x)", opset='"" : 20, "evil" : 1'),
        "opset of the future": small("y = Relu (x)", opset='"" : 9999'),
        "no opset": small("y = Relu (x)", opset='"evil" : 1'),
        "a ring": small("a = Add (x, b) b = Relu (a) y = Relu (b)"),
        "from nowhere": small("y = Add (x, nowhere)"), "twice the name": small("y = Relu (x) y = Relu (x)"),
        "an empty terabyte": small(f"{sized(10**12)} z = ConstantOfShape (s) y = Add (x, z)"),
        "a large expansion": small(f"{sized(10**5, 3 * 10**5, 8, 8)} y = Expand (x, s)"),
        "a large tile": small(f"{sized(10**5, 1000, 100, 100)} y = Tile (x, s)"),
        "a large padding": small(f"{sized(0, 0, 0, 0, 0, 0, 2 * 10**9, 2 * 10**9)} y = Pad (x, s)"),
        "a large resize": small("s = Constant <value = float[4] {1, 1, 1000000, 1000000}> () "
                                "y = Resize <mode = \"linear\"> (x, , s)"),
        "a large range": small("a = Constant <value = float {0}> () b = Constant <value = float {1e30}> () "
                               "c = Constant <value = float {0.001}> () y = Range (a, b, c)"),
        "no group": small("y = Conv <group = 0> (x, x)"),
        "steps of zero": small("y = MaxPool <kernel_shape = [2, 2], strides = [0, 0]> (x)"),
        "a kernel of everything": small("y = MaxPool <kernel_shape = [1000000000, 1000000000]> (x)"),
        "padding below zero": small("y = MaxPool <kernel_shape = [2, 2], pads = [-9, -9, -9, -9]> (x)"),
        "an impossible shape": small("s = Constant <value = int64[2] {-5, -7}> () y = Reshape (x, s)"),
        "division by zero": small("z = Sub (x, x) y = Div (x, z)"),
        "an endless loop": small("m = Constant <value = int64 {9000000000000}> () c = Constant <value = bool {1}> () "
                                 "y = Loop (m, c, x) <body = b (int64 i, bool k, float[1, 3, 8, 8] v) => "
                                 "(bool k2, float[1, 3, 8, 8] v2) { k2 = Identity (k) v2 = Add (v, v) }>"),
        "a picture too large": small("y = Relu (x)", "float[1, 3, 900000, 900000] x"),
        "a picture of nothing": small("y = Relu (x)", "float[1, 3, 0, 0] x"),
        "five dimensions": small("y = Relu (x)", "float[1, 3, 8, 8, 8] x"),
        "no dimensions": small("y = Relu (x)", "float x"),
        "text for a picture": small("y = Relu (x)", "string[1, 3, 8, 8] x"),
        "two pictures": small("y = Add (x, z)", "float[1, 3, 8, 8] x, float[1, 3, 8, 8] z"),
        "nested 12": nested(12), "nested 22": nested(22), "a function of itself": calling_itself(),
        "functions doubling": doubling(24), "no nodes": onnx.ModelProto(ir_version=9),
    }
    for name, text in {"markup": "<img src=x onerror=alert(1)>", "a long name": "n" * 500_000, "a zero byte": "a\0b",
                       "a path": "../../x"}.items():
        model = honest()
        model.graph.node[0].name = model.graph.name = model.producer_name = text
        model.metadata_props.add(key=text, value=text * 2)
        model.metadata_props.add(key="labels", value="[" * 100_000)
        models[f"named with {name}"] = model
    many = small("y = Identity (x)")
    many.graph.node.extend([helper.make_node("Relu", ["x"], [f"r{k}"]) for k in range(20_000)])
    models["many nodes"] = many
    return found | {name: model.SerializeToString() for name, model in models.items()}


def opened(path: Path, name: str) -> dict[str, object]:
    """How one file ends: what the worker answers to every question that takes it as a classifier."""
    from playground.inspection import worker
    from playground.inspection.preparation import Preparation

    found = json.loads(worker.reply({"what": "report", "path": str(path)}, None))
    if "said" in found and found["said"]["preparation"]:
        prepared = Preparation.from_dict(found["said"]["preparation"])
        x = prepared.apply(np.zeros((9, 9, 3), np.uint8))
        found = json.loads(worker.reply({"what": "answers", "path": str(path), "input": prepared.input}, x))
        if "said" in found:
            found = json.loads(worker.reply({"what": "cut", "path": str(path), "target": os.devnull,
                                             "preparation": prepared.to_dict()}, None))
    return {"name": name, "sentence": found.get("sentence")}


def main(folder: Path) -> None:
    import playground.inspection.cutting
    import playground.inspection.report
    import playground.inspection.running  # noqa: F401 - before the forks, so that it is read once
    from playground.datasets import samples

    for name in samples.photo_names():
        samples.photo(name)
    for name, content in files().items():
        path = folder / "it.onnx"
        path.write_bytes(content)
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            try:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: the machine may be busy
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what it logs
                os.write(writing, json.dumps(opened(path, name)).encode())
            except BaseException as error:  # told to the test, which fails on it
                os.write(writing, json.dumps({"name": name, "raised": repr(error)[:2000]}).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        said = json.loads(answer) if answer else {"name": name, "ended": status}
        print(json.dumps(said | {"memory": most}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
