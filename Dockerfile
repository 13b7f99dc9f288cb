# The project and all that it needs, in an image; nothing licensed is in it.
#
#   docker build -t three-recipes .                                                               CPU
#   docker build -t three-recipes --build-arg TORCH_INDEX=https://pypi.org/simple .                 CUDA
#   docker run --rm -v "$PWD":/work three-recipes run size=tiny name=tiny
#   docker run --rm --gpus all --shm-size 8g -v "$PWD":/work three-recipes run                      CUDA
#
# PyPI's torch brings its CUDA libraries along: of the machine it needs the driver and NVIDIA's container toolkit.
FROM python:3.11-slim

WORKDIR /app
COPY . .

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN python3 -m venv .venv
RUN .venv/bin/pip install -q --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
RUN .venv/bin/pip install -q -c constraints.txt .
RUN .venv/bin/three-recipes run size=tiny name=check --dry-run && rm -r cache data

# What the commands read and write lies in the folder that is mounted here.
WORKDIR /work
ENTRYPOINT ["/app/.venv/bin/three-recipes"]
