# Stands in for grafana/grafana where no image registry can be reached: it only says that it is well.
# What Grafana would read is checked by tests/container/test_compose.py against Prometheus itself.
ARG BASE
FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends busybox wget \
 && mkdir -p /srv/api /var/lib/grafana && echo '{"database": "ok"}' >/srv/api/health
CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/srv"]
