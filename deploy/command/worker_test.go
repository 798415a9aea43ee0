package command

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// distributed is the file that Kafka ships, with what people change in it.
const distributed = `bootstrap.servers=${env:ROWMESH_TEST_KAFKA_OF_WORKER}
group.id=connect-cluster
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=true
value.converter.schemas.enable=false
offset.storage.topic=my-offsets
offset.storage.replication.factor=1
#offset.storage.partitions=25
config.storage.topic=connect-configs
config.storage.replication.factor=1
status.storage.topic=connect-status
offset.flush.interval.ms=10000
listeners=HTTP://127.0.0.1:18083
rest.advertised.host.name=connect.example
plugin.path=/usr/share/java
security.protocol=SASL_SSL
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";
ssl.truststore.location=/etc/ca.pem
producer.compression.type=lz4
producer.acks=1
consumer.max.poll.records=10
config.providers=file,dir,env,vault
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.file.param.allowed.paths=/etc/secrets
config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider
config.providers.dir.param.allowed.paths=/run/secrets
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern=^ROWMESH_.*
config.providers.vault.class=com.example.VaultConfigProvider
exactly.once.source.support=enabled
rest.mask.secrets=true
some.typo=1
`

func TestWorkerFile(t *testing.T) {
	t.Setenv("ROWMESH_TEST_KAFKA_OF_WORKER", "k1:9092,k2:9092")
	got, err := readWorker(config.Properties(distributed))
	if err != nil {
		t.Fatal(err)
	}
	if got.kafka != "k1:9092,k2:9092" || got.rest != "127.0.0.1:18083" {
		t.Errorf("kafka %s, REST %s", got.kafka, got.rest)
	}
	sasl := []string{"-kafka-property", "sasl.mechanisms=PLAIN", "-kafka-property", "sasl.password=p", "-kafka-property", "sasl.username=u",
		"-kafka-property", "security.protocol=SASL_SSL", "-kafka-property", "ssl.ca.location=/etc/ca.pem"}
	for role, want := range map[string][]string{
		"coordinator": append([]string{"-offsets-topic", "my-offsets", "-mesh", "connect-cluster-connect-cluster", "-rest-url", "http://connect.example:18083", "-rest-mask-secrets"}, sasl...),
		"publisher": append(append([]string{"-offsets-topic", "my-offsets", "-offsets-replication", "1", "-mesh", "connect-cluster-connect-cluster"}, sasl...),
			"-kafka-property", "compression.type=lz4"),
	} {
		have := slices.Clone(got.roles[role])
		slices.Sort(have)
		slices.Sort(want)
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
	common := strings.Join(got.common, " ")
	for _, w := range []string{"-etcd-prefix /rowmesh/connect-cluster", "-converter value.converter.schemas.enable=false", "-converter key.converter=org.apache.kafka.connect.json.JsonConverter",
		"-secret-roots /etc/secrets,/run/secrets", "-secret-env ^ROWMESH_.*"} {
		if !strings.Contains(common, w) {
			t.Errorf("%s lacks %s", common, w)
		}
	}
	text := got.warning()
	for _, key := range []string{"config.storage.topic, config.storage.replication.factor", "plugin.path", "producer.acks", "consumer.max.poll.records", "config.providers.vault.class", "some.typo", "offset.flush.interval.ms"} {
		for _, k := range strings.Split(key, ", ") {
			if !strings.Contains(text, k) {
				t.Errorf("%s does not name %s", text, k)
			}
		}
	}
	for _, key := range []string{"exactly.once", "bootstrap.servers", "value.converter", "sasl.", "listeners", "config.providers.file", "rest.mask"} {
		if strings.Contains(text, key) {
			t.Errorf("%s names %s, which works", text, key)
		}
	}
}

func TestWorkerFileRefused(t *testing.T) {
	for text, word := range map[string]string{
		"":                                   "bootstrap.servers",
		"bootstrap.servers=k:1\nlisteners=x": "listeners=x",
		"bootstrap.servers=k:1\nlisteners=https://:8443": "PEM",
		"bootstrap.servers=${env:A}\nconfig.providers=env\nconfig.providers.env.class=x.EnvVarConfigProvider\nconfig.providers.env.param.allowlist.pattern=B": "${env:A}",
	} {
		if _, err := readWorker(config.Properties(text)); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v", text, err)
		}
	}
	w, err := readWorker(config.Properties("bootstrap.servers=k:1\nlisteners=http://:8085,https://h:1"))
	if err != nil || w.rest != "0.0.0.0:8085" || !strings.Contains(w.warning(), "listeners") {
		t.Errorf("%+v %v", w, err)
	}
}
