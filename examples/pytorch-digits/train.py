"""Trains the model of this example with PyTorch, and writes it with the logits that PyTorch gives for the test digits."""
import json
import struct
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from torch import nn

FOLDER = Path(__file__).parent
SEED, EPOCHS, MINIBATCH = 2015, 12, 60
# What a state dict does not hold. An eps other than PyTorch's default, so that whoever leaves it out sees it.
HYPERPARAMETERS = {"eps": 1e-3, "momentum": 0.1}
DTYPES = {"F32": numpy.float32, "I64": numpy.int64, "U8": numpy.uint8}


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    return {
        name: torch.tensor(numpy.frombuffer(body[slice(*of["data_offsets"])], DTYPES[of["dtype"]]).reshape(of["shape"]))
        for name, of in header.items()
        if name != "__metadata__"
    }


def write_safetensors(path, tensors, metadata):
    # Larger elements first, so that all are aligned.
    arrays = sorted(((name, t.numpy()) for name, t in tensors.items()), key=lambda item: (-item[1].itemsize, item[0]))
    names = {numpy.dtype(dtype): name for name, dtype in DTYPES.items()}
    header, end = {"__metadata__": metadata}, 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": names[array.dtype], "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for _, array in arrays))


def stage(number, inputs, outputs):
    return [
        (f"conv{number}", nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)),
        (f"bn{number}", nn.BatchNorm2d(outputs, **HYPERPARAMETERS)),
        (f"relu{number}", nn.ReLU()),
        (f"pool{number}", nn.MaxPool2d(2)),
    ]


torch.manual_seed(SEED)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
digits = read_safetensors(FOLDER / "results" / "digits.safetensors")
images, labels = digits["training_images"], digits["training_labels"].long()
test_images, test_labels = digits["test_images"], digits["test_labels"].long()

model = nn.Sequential(
    OrderedDict(
        [*stage(1, 1, 8), *stage(2, 8, 16), *stage(3, 16, 32), ("flatten", nn.Flatten()), ("output", nn.Linear(32, 10))]
    )
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
for epoch in range(EPOCHS):
    for rows in torch.randperm(len(labels)).split(MINIBATCH):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        loss.backward()
        optimizer.step()
    schedule.step()
    print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.4f}")

model.eval()
with torch.no_grad():
    logits = model(test_images)
correct = int((logits.argmax(1) == test_labels).sum())
print(f"{correct} of {len(test_labels)} test digits right")
write_safetensors(
    FOLDER / "model" / "model.safetensors",
    model.state_dict(),
    {"torch": torch.__version__, "batch_norms": json.dumps(HYPERPARAMETERS)},
)
write_safetensors(FOLDER / "model" / "logits.safetensors", {"logits": logits}, {"correct": str(correct)})
