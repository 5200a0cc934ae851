#!/bin/bash
# Succeeds when every model of models.config has a version that answers. Health check of compose.yaml and readiness of
# the Kubernetes deployment: the image of TensorFlow Serving has neither curl nor grpc_health_probe, but it has bash.
# The port alone would not do: it stays open, and the status page answers 200, when a model's last version is unloaded.
port=${1:-8501}
names=$(sed -n 's/^ *name: "\(.*\)"$/\1/p' "$(dirname "$0")/models.config")
[ -n "$names" ] || { echo "models.config names no model"; exit 1; }
for name in $names; do
  { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || { echo "nothing listens on port $port"; exit 1; }
  printf 'GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$name" >&3
  grep -Eq '"state": ?"AVAILABLE"' <&3 || { echo "no version of $name is available"; exit 1; }
  exec 3>&-
done
