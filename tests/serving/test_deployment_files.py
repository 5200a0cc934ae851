"""The files for Docker Compose and Kubernetes: their shape, and that they agree with each other and with the image."""

import copy
import http.server
import json
import re
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from shape import check

from keras_vad_server.deployment import CONFIG_FILES, config_text, model_server_config
from keras_vad_server.protos import MonitoringConfig

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "serving" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
OBJECTS = [
    document
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text("utf-8"))
]

IMAGE = re.compile(r"tensorflow/serving:\d+\.\d+\.\d+")
# Flags of tensorflow_model_server that the files use; it refuses to start with one that it does not know.
FLAG = re.compile(
    r"--(port|rest_api_port|model_config_file|model_config_file_poll_wait_seconds|file_system_poll_wait_seconds"
    r"|allow_version_labels_for_unavailable_models|enable_model_warmup|enable_batching|batching_parameters_file"
    r"|monitoring_config_file|ssl_config_file|tensorflow_intra_op_parallelism|tensorflow_inter_op_parallelism)=.*"
)
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
DURATION = re.compile(r"\d+(s|m|h)")
CPU = re.compile(r"\d+")
MEMORY = re.compile(r"\d+(Mi|Gi)")

COMPOSE_SHAPE = {
    "name": NAME,
    "services": {
        "serving": {
            "image": IMAGE,
            "platform": "linux/amd64",
            "entrypoint": ["tensorflow_model_server"],
            "command": [FLAG],
            "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"},
            "ports": [re.compile(r"(\$\{\w+:-127\.0\.0\.1\}|127\.0\.0\.1):\d+:\d+")],
            "volumes": [re.compile(r"\$\{\w+:-\.{1,2}/\w+\}:/\w+:ro")],
            "healthcheck": {
                "test": [str],
                "interval": DURATION,
                "timeout": DURATION,
                "retries": int,
                "start_period": DURATION,
            },
            "deploy": {
                "resources": {
                    "limits": {"cpus": CPU, "memory": re.compile(r"\d+G")},
                    "reservations": {"memory": re.compile(r"\d+G")},
                }
            },
            "restart": "unless-stopped",
            "stop_grace_period": DURATION,
            "read_only": True,
            "tmpfs": [str],
            "cap_drop": ["ALL"],
            "cap_add": ["DAC_READ_SEARCH"],
            "security_opt": ["no-new-privileges:true"],
            "logging": {"driver": "json-file", "options": {"max-size": str, "max-file": str}},
        }
    },
}

META = {"name": NAME, "labels?": dict, "annotations?": dict}
TIMING = {"periodSeconds": int, "timeoutSeconds?": int, "failureThreshold": int}
TCP_PROBE = {"tcpSocket": {"port": str}, **TIMING}
EXEC_PROBE = {"exec": {"command": [str]}, **TIMING}
CONTAINER = {
    "name": NAME,
    "image": IMAGE,
    "command": ["tensorflow_model_server"],
    "args": [FLAG],
    "env": [{"name": str, "value": str}],
    "ports": [{"name": NAME, "containerPort": int}],
    "resources": {"requests": {"cpu": CPU, "memory": MEMORY}, "limits": {"cpu": CPU, "memory": MEMORY}},
    "startupProbe": TCP_PROBE,
    "readinessProbe": EXEC_PROBE,
    "livenessProbe": TCP_PROBE,
    "lifecycle": {"preStop": {"exec": {"command": [str]}}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "volumeMounts": [{"name": NAME, "mountPath": re.compile(r"/\w+"), "readOnly?": True}],
}
POD = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": int,
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": int,
        "runAsGroup": int,
        "fsGroup": int,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [CONTAINER],
    "volumes": [
        {
            "name": NAME,
            "persistentVolumeClaim?": {"claimName": NAME, "readOnly": True},
            "configMap?": {"name": NAME},
            "secret?": {"secretName": NAME, "optional": True},
            "emptyDir?": {"sizeLimit": MEMORY},
        }
    ],
}
SERVICE_PORT = {"name": NAME, "port": int, "targetPort": str}
SHAPES = {
    "Deployment": {
        "apiVersion": "apps/v1",
        "kind": str,
        "metadata": META,
        "spec": {
            "selector": {"matchLabels": dict},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": int}},
            "template": {"metadata": {"labels": dict, "annotations": dict}, "spec": POD},
        },
    },
    "Service": {
        "apiVersion": "v1",
        "kind": str,
        "metadata": META,
        "spec": {"type?": "ClusterIP", "clusterIP?": "None", "selector": dict, "ports": [SERVICE_PORT]},
    },
    "HorizontalPodAutoscaler": {
        "apiVersion": "autoscaling/v2",
        "kind": str,
        "metadata": META,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": int,
            "maxReplicas": int,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": int}},
                }
            ],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": int},
                "scaleDown": {
                    "stabilizationWindowSeconds": int,
                    "policies": [{"type": "Pods", "value": int, "periodSeconds": int}],
                },
            },
        },
    },
    "PodDisruptionBudget": {
        "apiVersion": "policy/v1",
        "kind": str,
        "metadata": META,
        "spec": {"minAvailable": int, "selector": {"matchLabels": dict}},
    },
    "PersistentVolumeClaim": {
        "apiVersion": "v1",
        "kind": str,
        "metadata": META,
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": MEMORY}}},
    },
}

SERVER = COMPOSE["services"]["serving"]
(DEPLOYMENT,) = (document for document in OBJECTS if document["kind"] == "Deployment")
POD_SPEC = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER_SPEC,) = POD_SPEC["containers"]


def flags(arguments):
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def test_compose_has_its_shape():
    check(COMPOSE, COMPOSE_SHAPE)


@pytest.mark.parametrize("document", OBJECTS, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}")
def test_kubernetes_objects_have_their_shapes(document):
    check(document, SHAPES[document["kind"]])


def test_all_kinds_of_objects_are_there():
    assert {document["kind"] for document in OBJECTS} == set(SHAPES)


def test_the_shapes_find_mistakes():
    for break_it, message in (
        (lambda server: server.update(helthcheck={}), "unknown keys {'helthcheck'}"),
        (lambda server: server.pop("healthcheck"), r"serving.healthcheck is missing"),
        (lambda server: server.update(image="tensorflow/serving:latest"), r"serving.image is .*latest"),
        (lambda server: server["command"].append("--enable_baching=true"), r"command\[\d+\] is .*baching"),
        (lambda server: server["deploy"]["resources"]["limits"].update(cpus=2), r"limits.cpus is 2, no string"),
    ):
        broken = copy.deepcopy(COMPOSE)
        break_it(broken["services"]["serving"])
        with pytest.raises(AssertionError, match=message):
            check(broken, COMPOSE_SHAPE)


def test_the_image_is_of_the_tensorflow_that_exports():
    assert SERVER["image"] == CONTAINER_SPEC["image"]
    assert SERVER["image"].split(":")[1].split(".")[:2] == tf.__version__.split(".")[:2]


def test_both_start_the_server_alike():
    compose, kubernetes = flags(SERVER["command"]), flags(CONTAINER_SPEC["args"])
    assert compose.pop("ssl_config_file") == "${VAD_SSL_CONFIG:-}"
    assert kubernetes.pop("ssl_config_file") == "$(SSL_CONFIG_FILE)"
    variables = {one["name"]: one["value"] for one in CONTAINER_SPEC["env"]}
    assert variables == {**SERVER["environment"], "SSL_CONFIG_FILE": ""}
    assert compose == kubernetes
    # Without it, the labels of models.config keep the server from starting.
    assert compose["allow_version_labels_for_unavailable_models"] == "true"


def test_threads_and_limits_agree():
    limits = SERVER["deploy"]["resources"]["limits"]
    for arguments, cpus in (
        (SERVER["command"], limits["cpus"]),
        (CONTAINER_SPEC["args"], CONTAINER_SPEC["resources"]["limits"]["cpu"]),
    ):
        assert flags(arguments)["tensorflow_intra_op_parallelism"] == cpus
        assert flags(arguments)["tensorflow_inter_op_parallelism"] == cpus
    assert f"{limits['memory']}i" == CONTAINER_SPEC["resources"]["limits"]["memory"]


def test_ports_agree():
    ports = {port["name"]: port["containerPort"] for port in CONTAINER_SPEC["ports"]}
    started = flags(CONTAINER_SPEC["args"])
    assert ports == {"grpc": int(started["port"]), "rest": int(started["rest_api_port"])}
    published = [port.rsplit(":", 2)[1:] for port in SERVER["ports"]]
    assert published == [[str(port)] * 2 for port in ports.values()]
    for service in (document for document in OBJECTS if document["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            assert port["port"] == ports[port["targetPort"]]
    for probe in ("startupProbe", "livenessProbe"):
        assert CONTAINER_SPEC[probe]["tcpSocket"]["port"] in ports
    annotations = DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]
    monitoring = text_format.Parse((CONFIG_FILES / "monitoring.config").read_text("utf-8"), MonitoringConfig())
    assert annotations["prometheus.io/port"] == str(ports["rest"])
    assert annotations["prometheus.io/path"] == monitoring.prometheus_config.path
    assert monitoring.prometheus_config.enable


def test_mounts_hold_what_the_flags_name():
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER_SPEC["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in POD_SPEC["volumes"]}
    assert all(len(volume) == 2 for volume in POD_SPEC["volumes"])  # a name and one source
    targets = {volume.rsplit(":", 2)[1] for volume in SERVER["volumes"]}
    assert targets == {mounts["zoo"], mounts["config"]} == {"/models", "/config"}
    made = {"models.config", "batching.config", "monitoring.config"}
    named = {value for key, value in flags(SERVER["command"]).items() if key.endswith("_file") and "ssl" not in key}
    assert named == {f"/config/{name}" for name in made}
    claims = [document["metadata"]["name"] for document in OBJECTS if document["kind"] == "PersistentVolumeClaim"]
    assert [v["persistentVolumeClaim"]["claimName"] for v in POD_SPEC["volumes"] if v["name"] == "zoo"] == claims


def test_objects_select_the_pods():
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    name = DEPLOYMENT["metadata"]["name"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == labels
    for document in OBJECTS:
        spec = document["spec"]
        if document["kind"] == "Service":
            assert spec["selector"] == labels
        elif document["kind"] == "PodDisruptionBudget":
            assert spec["selector"]["matchLabels"] == labels
        elif document["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] == name
            assert 1 <= spec["minReplicas"] <= spec["maxReplicas"]
    # The pod leaves the services before it ends, and has time for what has begun.
    pause = int(CONTAINER_SPEC["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause < POD_SPEC["terminationGracePeriodSeconds"]


def test_the_page_names_files_that_exist():
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    named = set(re.findall(r"\bserving/[\w./-]*\w", page))
    made = {f"serving/deploy/config/{name}.config" for name in ("models", "batching", "ssl")}
    copied = {f"serving/deploy/config/{file.name}" for file in CONFIG_FILES.iterdir()}
    assert made | copied | {"serving/deploy/config"} <= named
    assert {path for path in named - made - copied - {"serving/deploy/config"} if not (ROOT / path).exists()} == set()
    assert f"docker run --rm {SERVER['image']}" in page
    for name in re.findall(r"(?:secret generic|create configmap|deployment/)\s*([\w-]+)", page):
        sources = [volume.get("configMap", {}).get("name") for volume in POD_SPEC["volumes"]]
        sources += [volume.get("secret", {}).get("secretName") for volume in POD_SPEC["volumes"]]
        assert name in [*sources, DEPLOYMENT["metadata"]["name"]]


# --- The health check, as the container runs it: with bash, against an HTTP server ---


@contextmanager
def status_server(states):
    """Answers the status of models as TensorFlow Serving's REST API does. ``states``: model -> states of versions."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = states.get(self.path.removeprefix("/v1/models/"))
            body = {"error": "Could not find any versions of model"}
            if found is not None:
                status = {"error_code": "OK", "error_message": ""}
                versions = [{"version": str(n), "state": state, "status": status} for n, state in enumerate(found)]
                body = {"model_version_status": versions}
            text = json.dumps(body, indent=1).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ready(tmp_path):
    """Runs the health check's command in a folder with a real ``models.config``."""
    assert SERVER["healthcheck"]["test"][0] == "CMD"
    command = SERVER["healthcheck"]["test"][1:]
    assert CONTAINER_SPEC["readinessProbe"]["exec"]["command"] == command == ["bash", "/config/ready.sh"]
    (tmp_path / "ready.sh").write_bytes((CONFIG_FILES / "ready.sh").read_bytes())
    config = model_server_config({"street": [2, 9], "gate-2.x": [1]}, "/models")
    (tmp_path / "models.config").write_text(config_text(config, "made"))

    def run(port):
        script = [command[0], str(tmp_path / "ready.sh"), str(port)]
        done = subprocess.run(script, capture_output=True, text=True, timeout=20)
        assert done.stderr == ""
        return done.returncode, done.stdout

    return run


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"street": ["AVAILABLE", "AVAILABLE"], "gate-2.x": ["AVAILABLE"]}, (0, "")),
        ({"street": ["AVAILABLE", "LOADING"], "gate-2.x": ["END", "AVAILABLE"]}, (0, "")),
        ({"street": ["AVAILABLE"], "gate-2.x": ["LOADING"]}, (1, "no version of gate-2.x is available\n")),
        ({"street": ["END", "UNLOADING"], "gate-2.x": ["AVAILABLE"]}, (1, "no version of street is available\n")),
        ({"gate-2.x": ["AVAILABLE"]}, (1, "no version of street is available\n")),
    ],
)
def test_ready_is_a_server_whose_models_all_answer(ready, states, expected):
    with status_server(states) as port:
        assert ready(port) == expected


def test_not_ready_without_a_server_or_a_model(ready, tmp_path):
    with status_server({}) as port:
        pass  # it is closed again
    assert ready(port) == (1, f"nothing listens on port {port}\n")
    (tmp_path / "models.config").write_text("# nothing\n")
    assert ready(port) == (1, "models.config names no model\n")


def test_the_script_asks_the_port_that_the_server_listens_on():
    default = re.search(r"port=\$\{1:-(\d+)\}", (CONFIG_FILES / "ready.sh").read_text("utf-8"))
    assert default[1] == flags(SERVER["command"])["rest_api_port"]
