"""Makes fixtures/keras.json and fixtures/extras-pytorch.json: masks, residuals and ReLU, in double precision.

    python3 packages/conformance/scripts/extras.py

Needs NumPy and PyTorch (`pip install numpy torch`). With Keras beside them (`pip install keras`) what keras.json has is
held against Keras' own layer first.
"""

import json
import os
import pathlib

import numpy as np
import torch

rng = np.random.default_rng(20261128)
folder = pathlib.Path(__file__).parent.parent / "fixtures"


def float32(*shape, scale=1.0, offset=0.0):
    """Inputs that float32 has exactly, in float64."""
    return (offset + scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


def array(values):
    values = np.asarray(values)
    number = lambda value: int(value) if values.dtype == np.uint8 else float(value) if np.isfinite(value) else "NaN"
    return {"shape": list(values.shape), "data": [number(value) for value in values.reshape(-1)]}


def arrays(**named):
    return {name: array(value) for name, value in named.items() if value is not None}


def parameters(channels):
    return 1 + float32(channels, scale=0.3), float32(channels)


def along(vector, x, axis):
    return vector.reshape([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])


def keras_moments(x, mask, axis):
    """Weighted mean and variance, as Keras' BatchNormalization has them: sums of mask · x over the sum of the mask."""
    axes = tuple(d for d in range(x.ndim) if d != axis % x.ndim)
    weights = np.expand_dims(mask.astype(x.dtype), axis) * np.ones_like(x)
    count = weights.sum(axes, keepdims=True)
    mean = (weights * x).sum(axes, keepdims=True) / count
    variance = (weights * (x - mean) ** 2).sum(axes, keepdims=True) / count
    return mean.reshape(-1), variance.reshape(-1)


def keras_agrees(xs, masks, axis, epsilon, momentum):
    """The version of Keras, whose layer gives for these batches what the formula gives; None without Keras.

    To 1e-6: Keras adds 1e-7 to the sum of the mask, and its layer of float64 rounds to float32 on the way.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        return None
    layer = keras.layers.BatchNormalization(axis=axis, momentum=momentum, epsilon=epsilon, dtype="float64")
    layer.build(xs[0].shape)
    for x, mask in zip(xs, masks):
        y = layer(torch.from_numpy(x), training=True, mask=torch.from_numpy(mask.astype(bool))).detach().numpy()
        mean, variance = keras_moments(x, mask, axis)
        assert np.allclose(y, (x - mean) / np.sqrt(variance + epsilon), rtol=1e-6, atol=1e-6), "Keras gives another y"
    return keras.__version__


def keras_cases():
    """Statistics and y by the formula; its gradients by PyTorch's differentiation of it."""
    checked = None
    cases = []
    for name, why, shape, mask_shape, axis in [
        ("padded-4x7x3", "[N, T, C]: sequences that end early", (4, 7, 3), (4, 7), -1),
        ("images-3x4x5x2", "[N, H, W, C], with a mask of pixels", (3, 4, 5, 2), (3, 4, 5), -1),
        ("rows-11x4", "[N, C]: rows that are left out", (11, 4), (11,), -1),
    ]:
        epsilon, momentum, channels = 1e-3, 0.99, shape[axis]
        gamma, beta = np.ones(channels), np.zeros(channels)
        moving = np.zeros(channels), np.ones(channels)
        steps, xs, masks = [], [], []
        for _ in range(2):
            if name.startswith("padded"):
                lengths = rng.integers(1, shape[1] + 1, shape[0])
                mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.uint8)
            else:
                mask = (rng.random(mask_shape) < 0.6).astype(np.uint8)
            x, dy = float32(*shape, scale=2, offset=1), float32(*shape)
            x = np.where(np.expand_dims(mask, axis) == 1, x, 50 * x)
            mean, variance = keras_moments(x, mask, axis)
            moving = tuple(old * momentum + new * (1 - momentum) for old, new in zip(moving, (mean, variance)))
            y, dx, dgamma, dbeta = differentiated(x, mask, axis, gamma, beta, epsilon, dy)
            deviation = np.sqrt(along(variance, x, axis) + epsilon)
            assert np.allclose(y, (x - along(mean, x, axis)) / deviation, rtol=1e-12, atol=1e-12)
            results = arrays(y=y, dx=dx, dgamma=dgamma, dbeta=dbeta, runningMean=moving[0], runningVariance=moving[1])
            steps.append({"training": True, **arrays(x=x, mask=mask, dy=dy), **results})
            xs.append(x)
            masks.append(mask)
        checked = keras_agrees(xs, masks, axis, epsilon, momentum)
        options = {"numFeatures": channels, "axis": axis, "epsilon": epsilon, "momentum": momentum}
        cases.append({"name": name, "why": why, "options": options, "steps": steps})
    held = f", held against the layer of Keras {checked}" if checked else ""
    formula = f"Keras' formula of masked moments in NumPy {np.__version__}{held}"
    source = f"{formula}; gradients of it by PyTorch {torch.__version__}"
    return source, cases


def differentiated(x, mask, axis, gamma, beta, epsilon, dy):
    """y by weighted moments, and the gradients that automatic differentiation gives."""
    leaf = lambda values: torch.from_numpy(values.copy()).requires_grad_()
    tx, tgamma, tbeta = leaf(x), leaf(gamma), leaf(beta)
    channel = axis % x.ndim
    axes = [d for d in range(x.ndim) if d != channel]
    wide = [-1 if d == channel else 1 for d in range(x.ndim)]
    weights = torch.from_numpy(np.expand_dims(mask, axis).astype(np.float64)).expand(x.shape)
    count = weights.sum(axes, keepdim=True)
    mean = (weights * tx).sum(axes, keepdim=True) / count
    variance = (weights * (tx - mean) ** 2).sum(axes, keepdim=True) / count
    y = tgamma.reshape(wide) * (tx - mean) / torch.sqrt(variance + epsilon) + tbeta.reshape(wide)
    y.backward(torch.from_numpy(dy))
    return [values.detach().numpy() for values in (y, tx.grad, tgamma.grad, tbeta.grad)]


def torch_step(x, running, gamma, beta, axis, training, mask, residual, relu, momentum=0.1, epsilon=1e-5):
    """A forward and backward by torch.nn.functional.batch_norm, add and relu.

    Positions that count are gathered into rows, which PyTorch normalises. All others are normalised by the statistics of
    these rows, and gradients pass through them.
    """
    leaf = lambda values: torch.from_numpy(values.copy()).requires_grad_()
    tx, tgamma, tbeta = leaf(x), leaf(gamma), leaf(beta)
    tr = None if residual is None else leaf(residual)
    mean, variance = (torch.from_numpy(values) for values in running) if running else (None, None)
    last = tx.movedim(axis, -1)
    rows = last.reshape(-1, x.shape[axis])
    functional = torch.nn.functional
    if mask is None or not training:
        z = functional.batch_norm(rows, mean, variance, tgamma, tbeta, training, momentum, epsilon)
    else:
        counts = torch.from_numpy(mask.reshape(-1).astype(bool)).repeat_interleave(rows.shape[0] // mask.size)
        gathered = rows[counts]
        z = torch.empty_like(rows)
        z[counts] = functional.batch_norm(gathered, mean, variance, tgamma, tbeta, True, momentum, epsilon)
        deviation = torch.sqrt(gathered.var(0, unbiased=False) + epsilon)
        z[~counts] = tgamma * (rows[~counts] - gathered.mean(0)) / deviation + tbeta
    z = z.reshape(last.shape).movedim(-1, axis)
    z = z if tr is None else z + tr
    y = torch.relu(z) if relu else z
    dy = float32(*x.shape)
    if relu:
        # No rounding decides a gate.
        dy[np.abs(z.detach().numpy()) < 1e-3] = 0
    y.backward(torch.from_numpy(dy))
    results = dict(y=y.detach().numpy(), dx=tx.grad.numpy(), dgamma=tgamma.grad.numpy(), dbeta=tbeta.grad.numpy())
    if tr is not None:
        results["dresidual"] = tr.grad.numpy()
    if running:
        results.update(runningMean=running[0].copy(), runningVariance=running[1].copy())
    return {"training": training, **arrays(x=x, mask=mask, residual=residual, dy=dy), **arrays(**results)}


def torch_cases():
    cases = []
    for name, why, shape, axis, mask_shape, residual, relu in [
        ("relu-13x5", "ReLU behind BatchNorm1d", (13, 5), 1, None, False, True),
        ("residual-relu-4x5x3x2", "the end of a residual block", (4, 5, 3, 2), 1, None, True, True),
        ("residual-6x4", "an addition alone", (6, 4), 1, None, True, False),
        ("gathered-rows-17x4", "the rows that count, gathered", (17, 4), 1, (17,), False, False),
        ("whole-samples-6x3x5", "a mask of samples, of which trailing axes are left out", (6, 3, 5), 1, (6,), False, False),
        ("gathered-last-3x6x4", "positions of sequences, channels last", (3, 6, 4), 2, (3, 6), True, True),
    ]:
        channels = shape[axis]
        gamma, beta = parameters(channels)
        running = np.zeros(channels), np.ones(channels)
        steps = []
        for training in (True, True, False):
            x = float32(*shape, scale=2, offset=-1)
            mask = None if mask_shape is None or not training else (rng.random(mask_shape) < 0.6).astype(np.uint8)
            if mask is not None:
                mask.flat[1:3] = 1
            added = float32(*shape) if residual else None
            steps.append(torch_step(x, running, gamma, beta, axis, training, mask, added, relu))
        options = {"numFeatures": channels, "axis": axis, "runningVariance": "sample"}
        options["activation"] = "relu" if relu else "none"
        state = arrays(gamma=gamma, beta=beta)
        cases.append({"name": name, "why": why, "options": options, **state, "steps": steps})

    # NaN passes through ReLU, in both directions.
    gamma, beta = parameters(3)
    running = np.zeros(3), np.ones(3)
    residual = float32(4, 3)
    residual[1, 2] = np.nan
    state = arrays(gamma=gamma, beta=beta)
    step = torch_step(float32(4, 3), running, gamma, beta, 1, True, None, residual, True)
    options = {"numFeatures": 3, "runningVariance": "sample", "activation": "relu"}
    case = {"name": "nan-in-the-residual-4x3", "why": "ReLU lets NaN through, and its gradient"}
    cases.append({**case, "options": options, **state, "steps": [step]})
    pytorch = f"PyTorch {torch.__version__} in double precision"
    source = f"torch.nn.functional.batch_norm, add and relu of {pytorch}; masks by gathered rows"
    return source, cases


def write(name, made):
    source, cases = made
    where = {"source": source, "generator": "packages/conformance/scripts/extras.py", "rngSeed": 20261128}
    metadata = {"format": 2, "arithmetic": "float64", "inputs": "rounded to float32", **where}
    text = json.dumps({**metadata, "cases": cases}, allow_nan=False, separators=(",", ":"))
    (folder / name).write_text(text + "\n")
    print(f"{name}: {len(cases)} cases; {source}")


write("keras.json", keras_cases())
write("extras-pytorch.json", torch_cases())
