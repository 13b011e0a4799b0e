"""Makes Elasticsearch or Kibana ready for ordertrace, once, in the containers of docker-compose.yml.

`python setup.py elasticsearch`: the password of Kibana's own user, the roles and users of the rules service and of
Fluentd, then templates, pipelines and indices (`ordertrace setup elasticsearch`).
`python setup.py kibana`: import of the saved objects.

Each step may be repeated: it runs at every `docker compose up`. Addresses and passwords come as the rules service
has them (ORDERTRACE_ES_URL, …); the other passwords are files in /run/secrets. Exit code 1 with the reason if a
step fails.
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROLES = HERE.parent / "elasticsearch"
SAVED_OBJECTS = HERE.parent / "kibana" / "ordertrace.ndjson"
SECRETS = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
USERS = {  # each has the role of its name: the file with it, and the secret with the password
    "ordertrace": ("role.json", "ordertrace_es_password"),
    "ordertrace_fluentd": ("role-fluentd.json", "fluentd_es_password"),
}
PATIENCE = 120.0  # seconds; a server that is up may still be busy with its own indices
BOUNDARY = "----ordertrace-saved-objects"


class SetupFailed(Exception):
    """A step that did not work; the text says which, and what the server said."""


def set_up_elasticsearch(url: str) -> None:
    """Users, each after its role; then what `ordertrace setup elasticsearch` brings."""
    _put(url, "/_security/user/kibana_system/_password", {"password": _secret("kibana_password")})
    for name, (file, secret) in USERS.items():
        _put(url, f"/_security/role/{name}", json.loads((ROLES / file).read_text(encoding="utf-8")))
        user = {"password": _secret(secret), "roles": [name], "full_name": f"{name}, by docker-compose.yml"}
        _put(url, f"/_security/user/{name}", user)
    done = subprocess.run(["ordertrace", "setup", "elasticsearch"], check=False)
    if done.returncode != 0:
        raise SetupFailed(f"`ordertrace setup elasticsearch` ended with exit code {done.returncode}")


def set_up_kibana(url: str) -> None:
    """Import the saved objects. They have fixed ids: those of an earlier version are replaced, others stay."""
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{SAVED_OBJECTS.name}"\r\n'
        "Content-Type: application/ndjson\r\n\r\n"
    ).encode() + SAVED_OBJECTS.read_bytes()
    answer = _ask(
        "POST",
        f"{url}/api/saved_objects/_import?overwrite=true",
        body + f"\r\n--{BOUNDARY}--\r\n".encode(),
        {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "kbn-xsrf": "ordertrace"},
    )
    if not answer.get("success"):
        raise SetupFailed(f"Kibana did not take all saved objects: {json.dumps(answer.get('errors'))[:2000]}")
    print(f"{answer['successCount']} saved objects imported", flush=True)


def _put(url: str, path: str, body: dict[str, Any]) -> None:
    _ask("PUT", url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    print(f"PUT {path}", flush=True)


def _ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """What the server answers. No connection, 429 and 5xx are tried again for a while."""
    user = f"elastic:{_secret('elastic_password')}".encode()
    headers = {**headers, "authorization": "Basic " + base64.b64encode(user).decode()}
    request = urllib.request.Request(url, body, headers, method=method)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            why = f"{error.code} {error.read(2000).decode(errors='replace')}"
            again = error.code == 429 or error.code >= 500
        except OSError as error:
            why, again = str(error), True
        if not again or time.monotonic() > deadline:
            raise SetupFailed(f"{method} {url}: {why}")
        time.sleep(2)


def _secret(name: str) -> str:
    return (SECRETS / name).read_text(encoding="utf-8").strip()


def main() -> None:
    steps = {
        "elasticsearch": (set_up_elasticsearch, "ORDERTRACE_ES_URL"),
        "kibana": (set_up_kibana, "ORDERTRACE_KIBANA_URL"),
    }
    step, variable = steps[sys.argv[1]]
    try:
        step(os.environ[variable].rstrip("/"))
    except SetupFailed as error:
        sys.exit(f"setup: {error}")


if __name__ == "__main__":
    main()
