package command

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// workerConfig is what the properties of a worker of Kafka Connect say to a mesh.
type workerConfig struct {
	kafka  string
	rest   string
	common []string // arguments for every role
	roles  map[string][]string
	// ignored are the keys that mean nothing here, with the reason where there is one to tell.
	ignored map[string]string
}

// worker reads the properties.
type worker struct {
	in   map[string]string
	used map[string]bool
	out  workerConfig
}

// Why keys mean nothing: their state lies elsewhere here, or they are about the Java worker.
const (
	keptInEtcd = "connectors and their states are kept in etcd"
	ofJava     = "it is about Java classes"
	noFile     = "offsets are kept in Kafka, in topic connect-offsets unless offset.storage.topic names another"
)

// workerReasons say why keys mean nothing; names that end in a dot stand for all that begin so.
var workerReasons = map[string]string{
	"config.storage.": keptInEtcd, "status.storage.": keptInEtcd, "plugin.path": ofJava, "plugin.discovery": ofJava, "rest.extension.classes": "users of the REST API are named by --rest-users",
	"offset.storage.file.filename": noFile, "internal.": ofJava, "metric.reporters": ofJava, "admin.listeners": "loggers are changed on the same address",
	"topic.creation.enable": "topics that are missing are always made", "connector.client.config.override.policy": "overrides are always allowed",
	"consumer.": "nothing is consumed", "offset.flush.": "offsets are committed with the rows: rowmesh.commit.interval.ms of a connector",
}

// readWorker turns a worker's properties into arguments.
func readWorker(list []config.Property) (workerConfig, error) {
	w := worker{in: map[string]string{}, used: map[string]bool{}, out: workerConfig{roles: map[string][]string{}, ignored: map[string]string{}}}
	for _, p := range list {
		w.in[p.Key] = p.Value
	}
	w.providers()
	resolved, err := w.secrets().Resolve(w.in)
	if err != nil {
		return w.out, err
	}
	w.in = resolved
	if w.out.kafka = w.get("bootstrap.servers"); w.out.kafka == "" {
		return w.out, errs.E(errs.Invalid, "bootstrap.servers is not set: name the Kafka brokers, host:port[,host:port]")
	}
	w.storage()
	if err := w.listener(); err != nil {
		return w.out, err
	}
	w.converters()
	w.clients()
	w.leave()
	return w.out, nil
}

func (w *worker) get(key string) string {
	w.used[key] = true
	return strings.TrimSpace(w.in[key])
}

func (w *worker) add(role string, args ...string) {
	w.out.roles[role] = append(w.out.roles[role], args...)
}

// storage reads where offsets lie and what the group is called: two groups on one Kafka are two meshes.
func (w *worker) storage() {
	topic := cmp.Or(w.get("offset.storage.topic"), "connect-offsets")
	for _, role := range []string{"coordinator", "publisher"} {
		w.add(role, "-offsets-topic", topic)
	}
	for key, flag := range map[string]string{"offset.storage.partitions": "-offsets-partitions", "offset.storage.replication.factor": "-offsets-replication"} {
		if v := w.get(key); v != "" {
			w.add("publisher", flag, v)
		}
	}
	if group := w.get("group.id"); group != "" {
		for _, role := range []string{"coordinator", "publisher"} {
			w.add(role, "-mesh", "connect-cluster-"+group)
		}
		w.out.common = append(w.out.common, "-etcd-prefix", "/rowmesh/"+url.PathEscape(group))
	}
	w.get("exactly.once.source.support") // it always is
}

// listener reads where the REST API is served. A worker's default is all addresses; here that must be asked for, since configs hold passwords.
func (w *worker) listener() error {
	w.out.rest = "127.0.0.1:8083"
	host, port := w.get("rest.host.name"), w.get("rest.port")
	if host != "" || port != "" {
		w.out.rest = net.JoinHostPort(cmp.Or(host, "127.0.0.1"), cmp.Or(port, "8083"))
	}
	first, more, _ := strings.Cut(w.get("listeners"), ",")
	if more != "" {
		w.out.ignored["listeners"] = "only the first of them is served"
	}
	scheme := "http"
	if first = strings.TrimSpace(first); first != "" {
		u, err := url.Parse(strings.Replace(strings.ToLower(first), "://:", "://0.0.0.0:", 1))
		if err != nil || u.Port() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errs.E(errs.Invalid, "listeners=%s: it is http://HOST:PORT or https://HOST:PORT", first)
		}
		w.out.rest, scheme = net.JoinHostPort(u.Hostname(), u.Port()), u.Scheme
	}
	if scheme == "https" {
		store := cmp.Or(w.get("listeners.https.ssl.keystore.location"), w.get("ssl.keystore.location"))
		kind := cmp.Or(w.get("listeners.https.ssl.keystore.type"), w.get("ssl.keystore.type"))
		if store == "" || !strings.EqualFold(kind, "PEM") {
			return errs.E(errs.Invalid, "listeners=%s wants a certificate: set ssl.keystore.type=PEM and ssl.keystore.location to a PEM file with key and certificate; a Java key store cannot be read", first)
		}
		w.add("coordinator", "-rest-tls-cert", store, "-rest-tls-key", store)
	}
	if strings.EqualFold(w.get("rest.mask.secrets"), "true") {
		w.add("coordinator", "-rest-mask-secrets")
	}
	if name := w.get("rest.advertised.host.name"); name != "" {
		_, port, _ := net.SplitHostPort(w.out.rest)
		w.add("coordinator", "-rest-url", fmt.Sprintf("%s://%s", cmp.Or(w.get("rest.advertised.listener"), scheme), net.JoinHostPort(name, cmp.Or(w.get("rest.advertised.port"), port))))
	}
	return nil
}

// converters reads the worker's converters. Kafka Connect demands them for keys and values.
func (w *worker) converters() {
	for _, key := range slices.Sorted(maps.Keys(w.in)) {
		for _, option := range []string{"key.converter", "value.converter", "header.converter"} {
			if key == option || strings.HasPrefix(key, option+".") {
				w.out.common = append(w.out.common, "-converter", key+"="+w.get(key))
			}
		}
	}
}

// clients reads how to connect to Kafka: what stands at the top counts for all clients, what begins with producer. for the producers.
func (w *worker) clients() {
	top, producers := map[string]string{}, map[string]string{}
	for key := range w.in {
		java, ofProducers := strings.CutPrefix(key, "producer.")
		if ofProducers {
			producers[java] = w.get(key)
		} else if key == "security.protocol" || strings.HasPrefix(key, "sasl.") || strings.HasPrefix(key, "ssl.") {
			top[key] = w.get(key)
		}
	}
	for prefix, java := range map[string]map[string]string{"": top, "producer.": producers} {
		properties, ignored := config.ClientProperties(java)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			w.add("publisher", "-kafka-property", name+"="+properties[name])
			if prefix == "" {
				w.add("coordinator", "-kafka-property", name+"="+properties[name])
			}
		}
		for _, name := range ignored {
			if !w.tls(prefix + name) {
				w.out.ignored[prefix+name] = "librdkafka has no such property, or it is fixed"
			}
		}
	}
}

// tls reports whether a key of a key store was taken for the listener.
func (w *worker) tls(key string) bool {
	return strings.HasPrefix(key, "ssl.keystore.") && strings.Contains(strings.Join(w.out.roles["coordinator"], " "), "-rest-tls-cert")
}

// providerKinds are the providers that are spoken, by the last part of their class.
var providerKinds = map[string]string{"FileConfigProvider": "file", "DirectoryConfigProvider": "directory", "EnvVarConfigProvider": "env"}

// providers reads config.providers: what references in configs may name. Without a limit, everything, as in Kafka Connect.
func (w *worker) providers() {
	var roots []string
	env := ""
	for name := range strings.SplitSeq(w.get("config.providers"), ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		prefix := "config.providers." + name + "."
		class := w.get(prefix + "class")
		kind := providerKinds[class[strings.LastIndexByte(class, '.')+1:]]
		paths, pattern := w.get(prefix+"param.allowed.paths"), w.get(prefix+"param.allowlist.pattern")
		switch {
		case kind == "":
			w.out.ignored[prefix+"class"] = "file, directory and env providers are spoken"
		case name != kind && (name != "dir" || kind != "directory"):
			w.out.ignored["config.providers."+name] = fmt.Sprintf("references to a provider of this class are written ${%s:...}", kind)
		case kind == "env":
			env = cmp.Or(pattern, ".*")
		default:
			roots = append(roots, cmp.Or(paths, "/"))
		}
	}
	if roots != nil {
		w.out.common = append(w.out.common, "-secret-roots", strings.Join(roots, ","))
	}
	if env != "" {
		w.out.common = append(w.out.common, "-secret-env", env)
	}
}
