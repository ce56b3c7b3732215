# A training step of PyTorch's float32 batch norm for each line of JSON; see accuracy.mjs.
import json
import sys

import torch

for line in sys.stdin:
    case = json.loads(line)
    tensor = lambda name: torch.tensor(case[name], dtype=torch.float32)
    last = lambda t: t.reshape(case["shape"]).movedim(case["axis"], 1).contiguous()
    x, dy, gamma, beta = last(tensor("x")), last(tensor("dy")), tensor("gamma"), tensor("beta")
    y, mean, inv_std = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.1, case["epsilon"])
    dx, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
        dy, x, gamma, None, None, mean, inv_std, True, case["epsilon"], [True, True, True]
    )
    back = lambda t: t.movedim(1, case["axis"]).reshape(-1).tolist()
    print(json.dumps({"y": back(y), "dx": back(dx), "dgamma": dgamma.tolist(), "dbeta": dbeta.tolist()}))
