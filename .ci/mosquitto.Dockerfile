# Stands in for eclipse-mosquitto where no image registry can be reached.
ARG BASE
FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mosquitto mosquitto-clients \
 && mkdir -p /mosquitto/config /mosquitto/data \
 && chown mosquitto /mosquitto/data
CMD ["mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
