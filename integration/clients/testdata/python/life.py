"""Takes a connector through its life with one of the Python clients of Kafka Connect: life.py CLIENT URL CONNECTOR CONFIG.json"""
import json
import subprocess
import sys
import time

client, url, name, file = sys.argv[1:5]
with open(file) as f:
    config = json.load(f)


def want(what, ok, got):
    if not ok:
        sys.exit(f"{what}: got {got!r}")


def until(what, f):
    end, last = time.time() + 30, None
    while time.time() < end:
        try:
            last = f()
            if last is True:
                return
        except Exception as e:  # a status that is not there yet raises with most of them
            last = e
        time.sleep(0.1)
    sys.exit(f"{what}: last {last!r}")


def runs(status):
    ok = status["connector"]["state"] == "RUNNING" and [t["state"] for t in status["tasks"]] == ["RUNNING"]
    return ok or status


def kafka_connect_py():
    from kafka_connect import KafkaConnect

    c = KafkaConnect(url)
    want("cluster", c.get_cluster_info()["version"], None)
    c.create_connector({"name": name, "config": config})
    until("running", lambda: runs(c.get_connector_status(name)))
    want("list", name in c.list_connectors(), c.list_connectors())
    want("running ones", name in c.list_connectors(expand="status", state="running"), c.list_connectors(expand="status"))
    want("config", c.get_connector_config(name) == {**config, "name": name}, c.get_connector_config(name))
    want("validation", c.validate_connector_config("MySqlConnector", {**config, "name": name})["error_count"] == 0, "errors")
    c.update_connector(name, {**config, "heartbeat.interval.ms": "60000"})
    want("updated", c.get_connector_config(name)["heartbeat.interval.ms"] == "60000", c.get_connector_config(name))
    until("running after the update", lambda: runs(c.get_connector_status(name)))
    want("tasks", len(c.list_connector_tasks(name)) == 1, c.list_connector_tasks(name))
    want("plugins", any(p["class"].endswith("MySqlConnector") for p in c.list_connector_plugins()), c.list_connector_plugins())
    c.list_connector_topics(name)
    c.reset_connector_topics(name)
    c.pause_connector(name)
    until("paused", lambda: c.get_connector_status(name)["connector"]["state"] == "PAUSED")
    c.resume_connector(name)
    c.restart_connector(name, include_tasks=True, only_failed=False)
    until("running again", lambda: runs(c.get_connector_status(name)))
    c.restart_connector_task(name, 0)
    c.delete_connector(name)
    want("deleted", name not in c.list_connectors(), c.list_connectors())


def kafkaconnect():
    # Without the module that its __init__ wants for Kafka's topics and that the REST API has nothing to do with.
    import types

    sys.modules["confluent_kafka"] = types.ModuleType("confluent_kafka")
    sys.modules["confluent_kafka.admin"] = types.ModuleType("confluent_kafka.admin")
    sys.modules["confluent_kafka.admin"].AdminClient = object
    sys.modules["confluent_kafka"].KafkaException = Exception
    from kafkaconnect.connect import Connect

    c = Connect(url)
    want("creation", "error" not in str(c.validate_and_create(name, json.dumps({**config, "name": name}))).lower(), "an error")
    until("running", lambda: runs(json.loads(c.status(name))))
    want("list", name in json.loads(c.list()), c.list())
    want("info", json.loads(c.info(name))["config"]["topic.prefix"] == config["topic.prefix"], c.info(name))
    c.create_or_update(name, json.dumps({**config, "heartbeat.interval.ms": "60000"}))
    want("updated", json.loads(c.config(name))["heartbeat.interval.ms"] == "60000", c.config(name))
    for get in (c.tasks, c.topics):
        get(name)
    c.plugins()
    c.pause(name)
    until("paused", lambda: json.loads(c.status(name))["connector"]["state"] == "PAUSED")
    c.resume(name)
    c.restart(name)
    until("running again", lambda: runs(json.loads(c.status(name))))
    c.remove(name)
    want("deleted", name not in json.loads(c.list()), c.list())


def kafka_connect_api():
    from kafka_connect_api.errors import GenericNotFound
    from kafka_connect_api.kafka_connect_api import Api, Cluster, Connector

    cluster = Cluster(Api(url=url))
    c = Connector(cluster, name)

    def absent():
        try:
            return not c.exists()
        except GenericNotFound:  # what it makes of 404 before it looks at the code
            return True

    want("absent", absent(), "it exists")
    c.config = config
    want("present", c.exists(), "it does not exist")
    until("running", lambda: runs(c.status))
    c.config = {**c.config, "heartbeat.interval.ms": "60000"}
    want("updated", c.config["heartbeat.interval.ms"] == "60000", c.config)
    until("running after the update", lambda: runs(c.status))
    want("tasks", [t.id for t in c.tasks] == [0], c.tasks)
    want("loggers", cluster.loggers["root"]["level"], cluster.loggers)
    cluster.root_logger = "INFO"
    want("connectors", name in cluster.connectors, cluster.connectors)
    c.cycle_connector()
    until("running again", lambda: runs(c.status))
    c.pause()
    until("paused", lambda: c.state == "PAUSED")
    c.resume()
    c.restart()
    until("running after the restart", lambda: runs(c.status))
    c.delete()
    want("deleted", absent(), "it exists")


def healthcheck():
    """kafka-connect-healthcheck looks at every connector; this one creates and changes it by hand and asks it what it sees."""
    import requests
    from kafka_connect_healthcheck import health

    requests.post(url + "/connectors", json={"name": name, "config": config}).raise_for_status()
    h = health.Health(url, "", ["FAILED", "UNASSIGNED"], "", 0, ["connector", "task"])
    until("healthy", lambda: h.get_health_result()["healthy"] or h.get_health_result())
    until("running", lambda: runs(requests.get(f"{url}/connectors/{name}/status").json()))
    want("healthy", h.get_health_result()["healthy"], h.get_health_result())
    requests.delete(f"{url}/connectors/{name}").raise_for_status()


def kc():
    """The command line of kafka-connect-py."""
    run = lambda *args: subprocess.run([sys.executable, "-c", "from kafka_connect.cli import cli; cli()", "--url", url, *args], capture_output=True, text=True)

    def ok(*args):
        r = run(*args)
        want(" ".join(args), r.returncode == 0, r.stdout + r.stderr)
        return r.stdout

    ok("update", name, "--config-file", file)
    until("running", lambda: runs(json.loads(ok("status", name))))
    want("list", name in ok("list"), "it is not listed")
    ok("pause", name)
    until("paused", lambda: json.loads(ok("status", name))["connector"]["state"] == "PAUSED")
    ok("resume", name)
    ok("restart", name)
    ok("delete", name)


{"kafka-connect-py": kafka_connect_py, "kafkaconnect": kafkaconnect, "kafka-connect-api": kafka_connect_api, "kafka-connect-healthcheck": healthcheck, "kc": kc}[client]()
print("done")
