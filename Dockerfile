# mar in a container: `mar` is the command.
#
#   docker build --tag mar .
#   docker run --rm --volume ~/Music:/music --volume "$PWD":/work mar embed --output embeddings/ /music
#
# With GPUs, the CUDA libraries come as Python packages, and the driver from the host:
#
#   docker build --tag mar:gpu --build-arg EXTRAS=gpu,tags .
#   docker run --rm --gpus all --volume … mar:gpu train --config small …
#
# Downloaded weights are kept in /cache: --volume mar-cache:/cache.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
ARG EXTRAS=tags
COPY . /source
RUN python -m venv /opt/mar \
    && /opt/mar/bin/pip install --no-cache-dir "/source[${EXTRAS}]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/mar /opt/mar
ENV PATH=/opt/mar/bin:$PATH \
    MAR_CACHE=/cache \
    NUMBA_CACHE_DIR=/cache/numba
RUN mkdir /cache /work && chmod 1777 /cache /work
WORKDIR /work
ENTRYPOINT ["mar"]
CMD ["--help"]
