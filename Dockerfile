# The rules service from this checkout. `docker compose up` builds and runs it: see docs/compose.md.
# EXTRAS=demo adds what the demo shop needs.
FROM python:3.13-slim AS build
ARG EXTRAS=server
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[$EXTRAS]"

FROM python:3.13-slim
ARG EXTRAS=server
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "ordertrace[$EXTRAS]" \
    && useradd --system --create-home --home-dir /data ordertrace \
    && install --directory --owner ordertrace --group ordertrace /shop
USER ordertrace
WORKDIR /data
VOLUME /data
EXPOSE 8321 24224
ENTRYPOINT ["ordertrace"]
CMD ["serve"]
