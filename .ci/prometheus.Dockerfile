# Stands in for prom/prometheus where no image registry can be reached.
ARG BASE
FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends prometheus wget \
 && mkdir -p /prometheus \
 && chown nobody /prometheus
USER nobody
ENTRYPOINT ["prometheus"]
