"""NumPy and PyTorch for `pnpm bench --peers`: one line of JSON in, one line out.

NumPy has the formulas of the class this project started from, written into the same buffers every time. PyTorch has its own
kernels, which in CPU builds take no `out`: their results are new tensors, in memory that the allocator has had before.
"""

import json
import math
import os
import sys
import time


def attempt(load):
    try:
        return load(), None
    except Exception as error:  # whatever keeps a library from being imported is a reason to skip it
        return None, f"{type(error).__name__}: {error}"


numpy, numpy_missing = attempt(lambda: __import__("numpy"))
torch, torch_missing = attempt(lambda: __import__("torch"))

EPSILON = 1e-5


class Workload:
    """The arrays that Node wrote; channels on axis 1."""

    def __init__(self, folder, shape, dtype):
        def read(name, of):
            return numpy.fromfile(os.path.join(folder, name), dtype=of)

        self.folder = folder
        self.dtype = numpy.dtype(dtype)
        self.x, self.dy = (read(name, dtype).reshape(shape) for name in ("x", "dy"))
        vectors = ("gamma", "beta", "mean", "variance")
        self.gamma, self.beta, self.mean, self.variance = (read(name, "float64").astype(dtype) for name in vectors)


class NumPy:
    """The seed's formulas in the dtype of x. Only the temporary of `var` is new in each call: it takes no buffer."""

    engine, threads = "NumPy", 1

    def __init__(self, workload):
        x = workload.x
        self.p = workload
        self.axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        self.M = x.size // x.shape[1]
        wide = [1] * x.ndim
        wide[1] = x.shape[1]
        self.wide = tuple(wide)
        vector = lambda: numpy.empty(wide, x.dtype)
        self.mean, self.std, self.dgamma, self.dbeta, self.scale, self.term = (vector() for _ in range(6))
        self.xhat, self.y, self.dx, self.inference = (numpy.empty_like(x) for _ in range(4))
        self.gamma, self.beta = workload.gamma.reshape(wide), workload.beta.reshape(wide)
        self.running = (workload.mean.reshape(wide), numpy.sqrt(workload.variance.reshape(wide) + x.dtype.type(EPSILON)))

    def normalize(self, mean, std, y):
        numpy.subtract(self.p.x, mean, out=self.xhat)
        numpy.divide(self.xhat, std, out=self.xhat)
        numpy.multiply(self.gamma, self.xhat, out=y)
        numpy.add(y, self.beta, out=y)

    def forward_training(self):
        x = self.p.x
        numpy.mean(x, axis=self.axes, keepdims=True, out=self.mean)
        numpy.var(x, axis=self.axes, keepdims=True, out=self.std)
        numpy.add(self.std, x.dtype.type(EPSILON), out=self.std)
        numpy.sqrt(self.std, out=self.std)
        self.normalize(self.mean, self.std, self.y)

    def forward_inference(self):
        self.normalize(*self.running, self.inference)

    def backward(self):
        dy, dx = self.p.dy, self.dx
        numpy.sum(dy, axis=self.axes, keepdims=True, out=self.dbeta)
        numpy.multiply(dy, self.xhat, out=dx)
        numpy.sum(dx, axis=self.axes, keepdims=True, out=self.dgamma)
        numpy.divide(self.dgamma, self.M, out=self.term)
        numpy.multiply(self.xhat, self.term, out=dx)
        numpy.subtract(dy, dx, out=dx)
        numpy.divide(self.dbeta, self.M, out=self.term)
        numpy.subtract(dx, self.term, out=dx)
        numpy.divide(self.gamma, self.std, out=self.scale)
        numpy.multiply(dx, self.scale, out=dx)

    def results(self, operation):
        if operation == "forward-inference":
            return {"y": self.inference}
        return {"y": self.y, "dx": self.dx, "dgamma": self.dgamma, "dbeta": self.dbeta}


class PyTorch:
    engine = "PyTorch"

    def __init__(self, workload, threads):
        tensor = torch.from_numpy
        self.threads = threads
        self.x, self.dy = tensor(workload.x), tensor(workload.dy)
        self.gamma, self.beta = tensor(workload.gamma), tensor(workload.beta)
        # A training forward takes its batch into the running statistics; inference has a pair of its own.
        self.running = tensor(workload.mean.copy()), tensor(workload.variance.copy())
        self.constant = tensor(workload.mean), tensor(workload.variance)
        self.native = torch.native_batch_norm
        self.native_backward = torch.ops.aten.native_batch_norm_backward.default

    def forward_training(self):
        self.y, self.mean, self.inv_std = self.native(self.x, self.gamma, self.beta, *self.running, True, 0.1, EPSILON)

    def forward_inference(self):
        self.inference = self.native(self.x, self.gamma, self.beta, *self.constant, False, 0.1, EPSILON)[0]

    def backward(self):
        self.dx, self.dgamma, self.dbeta = self.native_backward(
            self.dy, self.x, self.gamma, *self.running, self.mean, self.inv_std, True, EPSILON, [True, True, True]
        )

    def results(self, operation):
        if operation == "forward-inference":
            return {"y": self.inference.numpy()}
        return {name: getattr(self, name).numpy() for name in ("y", "dx", "dgamma", "dbeta") if hasattr(self, name)}


class Worker:
    def __init__(self):
        self.release()

    def hello(self):
        def library(module, missing):
            return {"version": module.__version__} if module else {"missing": missing}

        # PyTorch gets its arrays through NumPy.
        return {
            "python": sys.version.split()[0],
            "libraries": {
                "numpy": library(numpy, numpy_missing),
                "torch": library(torch if numpy else None, torch_missing or numpy_missing),
            },
        }

    def workload(self, folder, shape, dtype):
        self.release()
        self.current = Workload(folder, shape, dtype)

    def prepare(self, contender, operations):
        threads = 2 if contender == "pytorch-2" else 1
        library = NumPy(self.current) if contender == "numpy" else PyTorch(self.current, threads)
        steps = {
            "forward-training": library.forward_training,
            "forward-inference": library.forward_inference,
            "backward": library.backward,
            "training-step": lambda: (library.forward_training(), library.backward()),
        }
        calls = []
        for operation in (one for one in steps if one in operations):
            use_threads(library)
            if operation == "backward":
                # After inference, xhat is that of inference.
                library.forward_training()
            begin = time.perf_counter()
            steps[operation]()
            calls.append({"operation": operation, "first": time.perf_counter() - begin})
            self.calls[f"{contender} {operation}"] = (library, operation, steps[operation])
            self.copies[f"{contender} {operation}"] = {
                name: values.copy() for name, values in library.results(operation).items()
            }
        return {"threads": threads, "engine": library.engine, "calls": calls}

    def results(self, id):
        copies = self.copies.pop(id)
        for name, values in copies.items():
            activation = name in ("y", "dx")
            values.astype(self.current.dtype if activation else "float64").tofile(os.path.join(self.current.folder, name))
        return list(copies)

    def sample(self, id, warmUp, sampleTime, totalTime):
        """Samples as benny takes them: so many calls that one takes `sampleTime` seconds, for `totalTime`."""
        library, operation, run = self.calls[id]
        use_threads(library)
        if operation == "backward":
            library.forward_training()

        def sample(calls):
            begin = time.perf_counter()
            for _ in range(calls):
                run()
            return time.perf_counter() - begin

        begin = time.perf_counter()
        while time.perf_counter() - begin < warmUp:
            run()
        calls = 1
        spent = sample(calls)
        while spent < sampleTime:
            calls = math.ceil(calls * min(10, max(1.1, 1.1 * sampleTime / max(spent, 1e-7))))
            spent = sample(calls)
        samples, total = [], 0
        while total < totalTime:
            spent = sample(calls)
            samples.append(spent / calls)
            total += spent
        return samples

    def release(self):
        self.current, self.calls, self.copies = None, {}, {}


def use_threads(library):
    if torch and isinstance(library, PyTorch):
        torch.set_num_threads(library.threads)


worker = Worker()
for line in sys.stdin:
    request = json.loads(line)
    method = request.pop("method")
    try:
        answer = {"result": getattr(worker, method)(**request)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
