# The rules service from this checkout. `docker compose up` builds and runs it: see docker-compose.yml.
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[server]'

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'ordertrace[server]' \
    && useradd --system --create-home --home-dir /data ordertrace
USER ordertrace
WORKDIR /data
VOLUME /data
EXPOSE 8321 24224
ENTRYPOINT ["ordertrace"]
CMD ["serve"]
