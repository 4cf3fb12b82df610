"""One rank of a training, as `mlx.launch` starts it: says who it is, trains, and says how that ended."""

import json
import os
import sys

from joco_mlx.config import TrainConfig, resolve
from joco_mlx.errors import JocoError
from joco_mlx.train.backends.dispatch import resume, train

rank = os.environ.get("MLX_RANK", "0")
print(f"rank {rank} is process {os.getpid()}", flush=True)
try:
    if len(sys.argv) > 2:
        resume(sys.argv[2])
    else:
        train(resolve(TrainConfig, {}, environment={}, files={"the test": json.loads(sys.argv[1])}))
except JocoError as problem:
    print(f"{type(problem).__name__} {rank}: {problem.message} {problem.hint}", flush=True)
    sys.exit(problem.exit_code)
print(f"finished {rank}", flush=True)
