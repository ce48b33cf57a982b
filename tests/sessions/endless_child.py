"""Records without end; writes the number of each step to its output as eight bytes once it was handed over."""

import os
import sys

import numpy as np

from convdebug_sessions import Recorder

path, width = sys.argv[1], int(sys.argv[2])
recorder = Recorder.create(path)
run = recorder.start_run("train")
losses = run.group(["train/loss"])
norms = run.group([f"gradient/{index}/norm" for index in range(width)])
row = np.zeros(width, np.float32)
step = 0
while True:
    row[:] = step
    losses.append(step, [step * 0.5])
    norms.append(step, row)
    os.write(1, step.to_bytes(8, "little"))
    step += 1
