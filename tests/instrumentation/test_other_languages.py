"""The recipes of docs/other-languages.md: taken out of the page, compiled, run, and held to the test vectors."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import order_trace_id

PAGE = (Path(__file__).parents[2] / "docs" / "other-languages.md").read_text(encoding="utf-8")
VECTORS: list[dict[str, Any]] = json.loads(
    files("ordertrace_instrumentation").joinpath("identity_vectors.json").read_text("utf-8")
)["vectors"]


def block(heading: str, language: str) -> str:
    """The first block of a language below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.M | re.S)
    assert found
    return found[1]


def asked() -> str:
    """The vectors as lines of hex, which each language reads without a JSON parser."""
    return "".join(
        f"{v['namespace'].encode().hex()} {v['order_id'].encode().hex() or '-'}\n" for v in VECTORS
    )


def need(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def run(*command: str, place: Path, said: str = "") -> str:
    ran = subprocess.run(
        command, cwd=place, input=said, capture_output=True, text=True, timeout=110, encoding="utf-8"
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def fetch(get: Callable[[], object]) -> None:
    """Bring a library from its registry; without one there is nothing to test."""
    try:
        get()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"the library cannot be had: {str(error)[:200]}")


def check(output: str) -> None:
    """A line of JSON for SO-1, and the trace ids of the vectors."""
    (line,) = (line for line in output.splitlines() if line.startswith("{"))
    traces = [line for line in output.splitlines() if not line.startswith("{")]
    record = flat(json.loads(line))
    assert (record["order.id"], record["order.trace_id"]) == ("SO-1", order_trace_id("SO-1"))
    assert (record["message"], record["service.name"]) == ("paid", "payment")
    assert record["log.level"].lower() == "info" and record["@timestamp"].startswith("20")
    assert dict(zip([v["what"] for v in VECTORS], traces, strict=True)) == {
        v["what"]: v["order_trace_id"] for v in VECTORS
    }


def flat(document: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return found


NODE = """
withOrder("SO-1", async () => {
  await null;
  log.info("paid");
  for (const line of require("fs").readFileSync(0, "utf8").trim().split("\\n")) {
    const [namespace, id] = line.split(" ").map((hex) => (hex === "-" ? "" : Buffer.from(hex, "hex").toString("utf8")));
    require("fs").writeSync(1, orderTraceId(id, namespace) + "\\n");
  }
});
"""


def test_node_pino(tmp_path: Path) -> None:
    node, npm = need("node"), need("npm")
    fetch(lambda: run(npm, "install", "--silent", "--no-audit", "--no-fund", "pino@9", place=tmp_path))
    (tmp_path / "main.js").write_text(block("Node: pino", "js") + NODE, encoding="utf-8")
    check(run(node, "main.js", place=tmp_path, said=asked()))


GO = """package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/text/unicode/norm"
)

func main() {
	OrderLogger(NewLogger(os.Stdout, "payment"), "SO-1").Info("paid")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		parts := strings.Fields(lines.Text())
		namespace, _ := hex.DecodeString(parts[0])
		id, _ := hex.DecodeString(strings.Trim(parts[1], "-"))
		fmt.Println(OrderTraceID(string(id), string(namespace)))
	}
}

"""


def test_go_slog(tmp_path: Path) -> None:
    go = need("go")
    (tmp_path / "main.go").write_text(GO + block("Go: slog", "go"), encoding="utf-8")
    run(go, "mod", "init", "recipe", place=tmp_path)
    fetch(lambda: run(go, "get", "golang.org/x/text@v0.21.0", place=tmp_path))
    check(run(go, "run", ".", place=tmp_path, said=asked()))


JAVA = """
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.text.Normalizer;
import java.util.*;
IMPORTS

public class Main {
    static String text(String hex) {
        return hex.equals("-") ? "" : new String(HexFormat.of().parseHex(hex), StandardCharsets.UTF_8);
    }
    public static void main(String[] args) {
        BINDER.with("SO-1", () -> LOGGER.info("paid"));
        for (Scanner lines = new Scanner(System.in); lines.hasNextLine(); ) {
            String[] parts = lines.nextLine().split(" ");
            System.out.println(OrderLog.traceId(text(parts[1]), text(parts[0])));
        }
    }
}
"""
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>recipe</groupId><artifactId>recipe</artifactId><version>1</version><dependencies>{}</dependencies></project>"""
LOGBACK = (
    ("ch.qos.logback", "logback-classic", "1.5.18"),
    ("co.elastic.logging", "logback-ecs-encoder", "1.6.0"),
)
LOG4J = tuple(
    ("org.apache.logging.log4j", name, "2.24.3") for name in ("log4j-core", "log4j-layout-template-json")
)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path with both; each recipe speaks to its own."""
    place = tmp_path_factory.mktemp("java")
    maven = need("mvn")
    wanted = "".join(
        f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>"
        for g, a, v in LOGBACK + LOG4J
    )
    (place / "pom.xml").write_text(POM.format(wanted), encoding="utf-8")
    fetch(
        lambda: run(maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", place=place)
    )
    return f"{place / 'lib'}/*"


def test_java_logback(tmp_path: Path, libraries: str) -> None:
    code = JAVA.replace("IMPORTS", "import org.slf4j.*;").replace("BINDER", "OrderLog")
    code = code.replace("LOGGER", 'LoggerFactory.getLogger("pay")') + block("Java: Logback", "java")
    java(tmp_path, libraries, code, "logback.xml", block("Java: Logback", "xml"))


def test_java_log4j2(tmp_path: Path, libraries: str) -> None:
    code = JAVA.replace("IMPORTS", "import org.apache.logging.log4j.*;").replace("BINDER", "OrderContext")
    code = code.replace("LOGGER", 'LogManager.getLogger("pay")')
    trace_id = block("Java: Logback", "java").split("    static void with")[0] + "}\n"
    java(
        tmp_path,
        libraries,
        code + trace_id + block("Java: Log4j2", "java"),
        "log4j2.xml",
        block("Java: Log4j2", "xml"),
    )


def java(place: Path, libraries: str, code: str, name: str, configuration: str) -> None:
    program, compiler = need("java"), need("javac")
    (place / name).write_text(configuration, encoding="utf-8")
    (place / "Main.java").write_text(code, encoding="utf-8")
    run(compiler, "-encoding", "UTF-8", "-cp", libraries, "Main.java", place=place)
    check(run(program, "-Dstdout.encoding=UTF-8", "-cp", f"{libraries}:.", "Main", place=place, said=asked()))
