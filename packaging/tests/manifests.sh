# The compose file and the Kubernetes manifests: that they harden what they start, and fit the image and its configuration.
# shellcheck shell=bash disable=SC2154

if ! python3 -c 'import yaml, tomllib' 2>/dev/null; then
    skip "apt-get install python3-yaml (and Python 3.11): the compose file and the manifests were not read"
    return
fi
python3 - packaging <<'END' || die "the above is missing in packaging/container"
import sys, tomllib, yaml
folder = f"{sys.argv[1]}/container"
config = tomllib.load(open(f"{folder}/aivonxd.toml", "rb"))
default = tomllib.load(open(f"{sys.argv[1]}/aivonxd.toml", "rb"))
files = {config["listen"][0][name] for name in ("tls_cert", "tls_key")} | {config["secrets"]["master_key"]}
port = int(config["listen"][0]["address"].split(":")[1])
host = config["access"]["allowed_hosts"][0]
descriptors = 2 * default["limits"]["connections"] + 256

compose = yaml.safe_load(open(f"{folder}/compose.yaml"))
service = compose["services"]["aivonx"]
assert service["user"] == "65532:65532" and service["read_only"] is True and service["privileged"] is False
assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and service["security_opt"] == ["no-new-privileges:true"]
assert not {"network_mode", "pid", "devices", "env_file", "environment"} & service.keys() and service["ipc"] == "private"
assert service["mem_limit"] == service["memswap_limit"] and service["cpus"] and service["pids_limit"]
assert service["ulimits"]["nofile"]["soft"] >= descriptors and service["ulimits"]["core"] == 0
assert service["healthcheck"]["test"] == ["CMD", "/usr/bin/aivonx", "status"]
assert set(service["networks"]) == set(compose["networks"]) and compose["networks"]["backend"]["internal"] is True
assert {secret["target"] for secret in service["secrets"]} == files
assert {secret["source"] for secret in service["secrets"]} == compose["secrets"].keys()
assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
assert service["ports"] == [f"{port}:{port}"] and service["volumes"][0] == "data:/data"
assert not any("docker.sock" in str(volume) for volume in service["volumes"])

objects = list(yaml.safe_load_all(open(f"{folder}/kubernetes.yaml")))
kinds = {one["kind"]: one for one in objects}
assert all(one["metadata"].get("namespace", "aivonx") == "aivonx" for one in objects)
assert kinds["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
assert kinds["ServiceAccount"]["automountServiceAccountToken"] is False and "Secret" not in kinds
pod = kinds["StatefulSet"]["spec"]["template"]
labels, pod = pod["metadata"]["labels"], pod["spec"]
assert kinds["StatefulSet"]["spec"]["replicas"] == 1
assert pod["automountServiceAccountToken"] is False
assert not any(pod[name] for name in ("hostNetwork", "hostPID", "hostIPC"))
context = pod["securityContext"]
assert context["runAsNonRoot"] is True and context["seccompProfile"] == {"type": "RuntimeDefault"}
assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 65532
[container] = pod["containers"]
assert container["securityContext"] == {
    "privileged": False, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}
assert {"cpu", "memory"} <= container["resources"]["limits"].keys() & container["resources"]["requests"].keys()
assert "@sha256:" in container["image"] and "env" not in container
assert container["ports"] == [{"name": "https", "containerPort": port}]
for probe, path in {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}.items():
    asked = container[probe]["httpGet"]
    assert (asked["path"], asked["port"], asked["scheme"]) == (path, "https", "HTTPS"), probe
assert container["readinessProbe"]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": host}]
mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
assert all(file.rpartition("/")[0] == mounts["secrets"]["mountPath"] for file in files)
assert all(mounts[name]["readOnly"] is True for name in ("secrets", "config"))
[secret] = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "secrets"]
assert secret["defaultMode"] == 0o440, oct(secret["defaultMode"])
assert not any("hostPath" in volume for volume in pod["volumes"])
policy = kinds["NetworkPolicy"]["spec"]
assert set(policy["policyTypes"]) == {"Ingress", "Egress"} and policy["podSelector"]["matchLabels"] == labels
assert all(rule["from"] for rule in policy["ingress"]) and all(rule["to"] for rule in policy["egress"])
assert kinds["Service"]["spec"]["selector"] == labels and host == kinds["Service"]["metadata"]["name"]
END
ok "the compose file and the manifests drop everything that can be dropped, and fit the image"
