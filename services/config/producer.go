package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const producerPrefix = "producer.override."

// producerOption says what one of the Java producer's options becomes.
type producerOption struct {
	name string // librdkafka's; empty: it has no effect and needs none
	kind string // INT or LONG where the Java producer parses it so
	why  string // not empty: it is not taken, for this reason
}

const fixed = "it is fixed, so that no record is lost, doubled or reordered"

// producerOptions are the options that need a word; others with the same name in both pass as they are.
var producerOptions = map[string]producerOption{
	"acks":                                  {why: fixed + " (all)"},
	"enable.idempotence":                    {why: fixed + " (true)"},
	"transactional.id":                      {why: fixed},
	"max.in.flight.requests.per.connection": {why: fixed},
	"retries":                               {kind: "INT", why: fixed},
	"key.serializer":                        {why: "converters write keys"},
	"value.serializer":                      {why: "converters write values"},
	"partitioner.class":                     {why: "Kafka's murmur2 partitioning is used"},
	"interceptor.classes":                   {why: "it names Java classes"},
	"batch.size":                            {name: "batch.size", kind: "INT"},
	"linger.ms":                             {name: "linger.ms", kind: "LONG"},
	"buffer.memory":                         {name: "queue.buffering.max.kbytes", kind: "LONG"},
	"max.request.size":                      {name: "message.max.bytes", kind: "INT"},
	"compression.type":                      {name: "compression.type"},
	"request.timeout.ms":                    {name: "request.timeout.ms", kind: "INT"},
	"delivery.timeout.ms":                   {kind: "INT"}, // a record is sent until its transaction ends
	"metadata.max.age.ms":                   {name: "metadata.max.age.ms", kind: "LONG"},
	"retry.backoff.ms":                      {name: "retry.backoff.ms", kind: "LONG"},
	"reconnect.backoff.ms":                  {name: "reconnect.backoff.ms", kind: "LONG"},
	"reconnect.backoff.max.ms":              {name: "reconnect.backoff.max.ms", kind: "LONG"},
	"connections.max.idle.ms":               {name: "connections.max.idle.ms", kind: "LONG"},
	"send.buffer.bytes":                     {name: "socket.send.buffer.bytes", kind: "INT"},
	"receive.buffer.bytes":                  {name: "socket.receive.buffer.bytes", kind: "INT"},
	"transaction.timeout.ms":                {kind: "INT", why: fixed},
	"bootstrap.servers":                     {name: "bootstrap.servers"},
	"client.id":                             {name: "client.id"},
	"client.rack":                           {name: "client.rack"},
	"security.protocol":                     {name: "security.protocol"},
	"sasl.mechanism":                        {name: "sasl.mechanisms"},
	"sasl.jaas.config":                      {name: "sasl.jaas.config"},
	"ssl.endpoint.identification.algorithm": {name: "ssl.endpoint.identification.algorithm"},
	"ssl.truststore.location":               {name: "ssl.ca.location"},
	"ssl.truststore.certificates":           {name: "ssl.ca.pem"},
	"ssl.keystore.certificate.chain":        {name: "ssl.certificate.pem"},
	"ssl.keystore.key":                      {name: "ssl.key.pem"},
	"ssl.key.password":                      {name: "ssl.key.password"},
	"ssl.truststore.type":                   {},
	"ssl.keystore.type":                     {},
	"ssl.protocol":                          {},
	"max.block.ms":                          {kind: "LONG"},
	"metadata.max.idle.ms":                  {kind: "LONG"},
}

// kafkaSerializers begins the names of the serializers that every worker has.
const kafkaSerializers = "org.apache.kafka.common.serialization."

var compressions = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// checkProducer checks the overrides as the Java producer parses them, and warns of those that are not taken.
func (p *parser) checkProducer() {
	for _, name := range p.keys() {
		java, ok := strings.CutPrefix(name, producerPrefix)
		if !ok {
			continue
		}
		o, known := producerOptions[java]
		v := trim(p.in[name])
		bits := map[string]int{"INT": 32, "LONG": 64}[o.kind]
		switch _, err := strconv.ParseInt(v, 10, max(bits, 32)); {
		case !known:
			p.warn(name, fmt.Sprintf("%s is an unknown option and is ignored", name))
		case bits > 0 && err != nil:
			p.fail(name, fmt.Sprintf("Invalid value %s for configuration %s: Not a number of type %s", v, java, o.kind))
		case strings.HasSuffix(java, ".serializer") && !strings.HasPrefix(v, kafkaSerializers):
			p.fail(name, fmt.Sprintf("Invalid value %s for configuration %s: Class %s could not be found.", v, java, v))
		case o.why != "":
			p.warn(name, fmt.Sprintf("%s is not honoured: %s", name, o.why))
		case java == "compression.type" && !contains(compressions, strings.ToLower(v)):
			p.warn(name, fmt.Sprintf("%s=%s is none of %s and is ignored", name, v, strings.Join(compressions, ", ")))
		case java == "bootstrap.servers" && v == "":
			p.warn(name, name+" is empty and is ignored")
		case java == "ssl.truststore.location" && !strings.HasSuffix(v, ".pem") && !strings.HasSuffix(v, ".crt"):
			p.warn(name, name+" is not honoured: a Java key store cannot be read; name a PEM file")
		case java == "sasl.jaas.config" && !jaas.MatchString(v):
			p.warn(name, name+` is not honoured: only username="..." and password="..." of the plain and SCRAM modules are read`)
		}
	}
}

var jaas = regexp.MustCompile(`(?s)username\s*=\s*"([^"]*)".*password\s*=\s*"([^"]*)"`)

// producer returns the overrides under librdkafka's names.
func (p *parser) producer() map[string]string {
	out := map[string]string{}
	for name, v := range p.in {
		if java, ok := strings.CutPrefix(name, producerPrefix); ok {
			addClientProperty(out, java, v)
		}
	}
	return out
}

// addClientProperty adds a property of a Java client to librdkafka's. It reports whether the property means something here.
func addClientProperty(out map[string]string, java, v string) bool {
	o, known := producerOptions[java]
	if !known || o.why != "" {
		return false
	}
	if o.name == "" {
		return true // it has no effect and needs none
	}
	v = trim(v)
	switch java {
	case "linger.ms":
		if strings.HasPrefix(v, "-") {
			return false
		}
	case "compression.type":
		if v = strings.ToLower(v); !contains(compressions, v) {
			return false
		}
	case "bootstrap.servers":
		if v == "" {
			return false
		}
	case "buffer.memory":
		n, _ := strconv.ParseInt(v, 10, 64)
		v = strconv.FormatInt(max(n/1024, 1), 10)
	case "ssl.truststore.location":
		if !strings.HasSuffix(v, ".pem") && !strings.HasSuffix(v, ".crt") {
			return false
		}
	case "ssl.endpoint.identification.algorithm":
		if v == "" {
			v = "none"
		}
	case "sasl.jaas.config":
		m := jaas.FindStringSubmatch(v)
		if m == nil {
			return false
		}
		out["sasl.username"], out["sasl.password"] = m[1], m[2]
		return true
	}
	out[o.name] = v
	return true
}

// ClientProperties turns properties of a Java producer into librdkafka's. ignored are those that mean nothing here, sorted.
func ClientProperties(java map[string]string) (properties map[string]string, ignored []string) {
	properties = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(java)) {
		if !addClientProperty(properties, name, java[name]) {
			ignored = append(ignored, name)
		}
	}
	return properties, ignored
}
