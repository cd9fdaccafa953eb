"""A real llama.cpp: `engine.py MODEL PORT` serves a GGUF file on loopback until it is killed."""

import signal
import sys

import xllamacpp

model, port = sys.argv[1], int(sys.argv[2])
parameters = xllamacpp.CommonParams()
parameters.model.path = model
parameters.hostnames = ["127.0.0.1"]
parameters.port = port
parameters.n_ctx = 2048
parameters.n_parallel = 2
parameters.cpuparams.n_threads = 1
parameters.cpuparams_batch.n_threads = 1
parameters.warmup = False
parameters.offline = True
server = xllamacpp.Server(parameters)
signal.pause()
