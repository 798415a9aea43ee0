package converter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Bounds of one question to the registry. A lane waits for the answer with a transaction open and a producer that may be fenced, so the whole question ends in
// seconds; the lane then starts again with its own back-off, and its status says why. Confluent's defaults are 60 s for the connection and 60 s for the answer.
const (
	connectTimeout = 5 * time.Second
	readTimeout    = 10 * time.Second
	questionLimit  = 20 * time.Second
	// maxAnswerBytes bounds an answer. Schemas of tables with 1000 columns have about 300 KB.
	maxAnswerBytes = 8 << 20
	// maxSchemas is max.schemas.per.subject and schemas.cache.config: the default of both.
	maxSchemas = 1000
)

// registry asks a schema registry for ids. One goroutine uses it.
type registry struct {
	clients  []*sr.Client // one per URL; the first is asked first
	urls     []string     // without credentials, for errors
	strategy subjectStrategy
	option   string // the name of its option, for errors

	register  bool // auto.register.schemas
	latest    bool // use.latest.version
	strict    bool // latest.compatibility.strict or id.compatibility.strict
	useID     int  // use.schema.id; negative if there is none
	normalize bool // normalize.schemas

	tries      uint
	wait       time.Duration
	maxWait    time.Duration
	limit      time.Duration
	maxSchemas int

	known map[question]answer
	done  <-chan struct{} // ends questions
}

// question is what was asked, and answer what came back: the id, and the schema's text if it is not the one that was asked for.
type (
	question struct{ subject, text string }
	answer   struct {
		id   int
		text string
	}
)

func newRegistry(o options, key bool, done <-chan struct{}) (*registry, error) {
	urls := o.list("schema.registry.url")
	if len(urls) == 0 {
		return nil, errs.E(errs.Invalid, "Missing required configuration %q which has no default value: name the schema registry, as in http://registry:8081", o.name("schema.registry.url"))
	}
	r := &registry{
		register: o.is("auto.register.schemas", true), latest: o.is("use.latest.version", false), normalize: o.is("normalize.schemas", false),
		useID: int(o.number("use.schema.id", -1)), strict: o.is("latest.compatibility.strict", true),
		tries: uint(max(0, o.number("max.retries", 3))) + 1, wait: o.millis("retries.wait.ms", time.Second), maxWait: o.millis("retries.max.wait.ms", 20*time.Second),
		limit:      max(questionLimit, o.millis("http.connect.timeout.ms", 0)+o.millis("http.read.timeout.ms", 0)),
		maxSchemas: int(max(1, min(o.number("max.schemas.per.subject", maxSchemas), o.number("schemas.cache.config", maxSchemas)))),
		known:      map[question]answer{}, done: done,
	}
	if r.useID >= 0 {
		r.strict = o.is("id.compatibility.strict", true)
	}
	var err error
	if r.strategy, r.option, err = strategyOf(o, key); err != nil {
		return nil, err
	}
	transport, err := transportOf(o)
	if err != nil {
		return nil, err
	}
	auth, err := authOf(o)
	if err != nil {
		return nil, err
	}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, o.invalid("schema.registry.url", "%q is not the URL of a registry, as in http://registry:8081", redacted(text))
		}
		opts := append([]sr.ClientOpt{
			sr.HTTPClient(&http.Client{Transport: transport, Timeout: o.millis("http.read.timeout.ms", readTimeout)}), sr.UserAgent("rowmesh"),
		}, auth(u)...)
		u.User = nil
		cl, err := sr.NewClient(append(opts, sr.URLs(u.String()))...)
		if err != nil {
			return nil, o.invalid("schema.registry.url", "%w", err)
		}
		r.clients, r.urls = append(r.clients, cl), append(r.urls, u.String())
	}
	return r, nil
}

// redacted hides what may be a password in something that does not read as a URL.
func redacted(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "***" + text[i:]
	}
	return text
}

// id returns the id of a schema, and its text where another than the one given is to be written.
func (r *registry) id(subject string, kind sr.SchemaType, text string) (int, string, error) {
	q := question{subject, text}
	if a, ok := r.known[q]; ok {
		return a.id, a.text, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		select {
		case <-r.done:
			cancel()
		case <-answered:
		}
	}()
	if r.normalize {
		ctx = sr.WithParams(ctx, sr.Normalize)
	}
	s := sr.Schema{Schema: text, Type: kind}
	ask := r.registering
	switch {
	case r.useID >= 0 && !r.register:
		ask = r.byID
	case r.latest && !r.register:
		ask = r.latestOf
	case !r.register:
		ask = r.lookup
	}
	a, err := backoff.Retry(ctx, func() (answer, error) { return r.each(ctx, subject, s, ask) }, backoff.WithMaxTries(r.tries), backoff.WithMaxElapsedTime(r.limit),
		backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: r.wait, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: r.maxWait}))
	var known *errs.Error
	if err != nil && !errors.As(err, &known) { // the context's
		err = errs.E(errs.Unavailable, "schema registry %s, subject %s: no answer: %w", strings.Join(r.urls, ","), subject, err)
	}
	if err != nil {
		return 0, "", err
	}
	if a.id <= 0 {
		return 0, "", errs.E(errs.Unavailable, "schema registry %s answered for subject %s without an id: is it a schema registry?", strings.Join(r.urls, ","), subject)
	}
	if len(r.known) >= r.maxSchemas {
		clear(r.known)
	}
	r.known[q] = a
	return a.id, a.text, nil
}

type asking func(ctx context.Context, cl *sr.Client, subject string, s sr.Schema) (answer, error)

// each asks one registry after the other until one answers.
func (r *registry) each(ctx context.Context, subject string, s sr.Schema, ask asking) (answer, error) {
	var failed error
	for i, cl := range r.clients {
		a, err := ask(ctx, cl, subject, s)
		if err == nil {
			return a, nil
		}
		if err = r.classify(err, r.urls[i], subject); errs.KindOf(err) != errs.Unavailable {
			return answer{}, backoff.Permanent(err)
		}
		if failed == nil {
			failed = err
		}
	}
	return answer{}, failed
}

func (r *registry) registering(ctx context.Context, cl *sr.Client, subject string, s sr.Schema) (answer, error) {
	id, err := cl.RegisterSchema(ctx, subject, s, -1, -1)
	return answer{id: id}, err
}

func (r *registry) lookup(ctx context.Context, cl *sr.Client, subject string, s sr.Schema) (answer, error) {
	found, err := cl.LookupSchema(ctx, subject, s)
	return answer{id: found.ID}, err
}

func (r *registry) latestOf(ctx context.Context, cl *sr.Client, subject string, s sr.Schema) (answer, error) {
	found, err := cl.SchemaByVersion(ctx, subject, -1)
	if err != nil {
		return answer{}, err
	}
	if r.strict && found.Schema.Schema != s.Schema {
		ok, err := cl.CheckCompatibility(ctx, subject, -1, s)
		if err != nil {
			return answer{}, err
		}
		if !ok.Is {
			return answer{}, incompatible("latest.compatibility.strict", found.Type, strings.Join(ok.Messages, "; "))
		}
	}
	return answer{found.ID, found.Schema.Schema}, nil
}

func (r *registry) byID(ctx context.Context, cl *sr.Client, subject string, s sr.Schema) (answer, error) {
	found, err := cl.SchemaByID(ctx, r.useID)
	if err != nil {
		return answer{}, err
	}
	if found.Type != s.Type {
		return answer{}, incompatible("id.compatibility.strict", found.Type, "it is of another type")
	}
	return answer{r.useID, found.Schema}, nil
}

func incompatible(option string, kind sr.SchemaType, why string) error {
	return errs.E(errs.Invalid, "Incompatible schema of type '%s'. Set %s=false to disable this check: %s", kind, option, why)
}

// classify says what an error of the registry means to the lane, and what to do.
func (r *registry) classify(err error, at, subject string) error {
	var known *errs.Error
	if errors.As(err, &known) {
		return errs.E(known.Kind, "schema registry %s, subject %s: %w", at, subject, err)
	}
	var answered *sr.ResponseError
	if !errors.As(err, &answered) {
		// No connection, no answer in time, or one that is no JSON: a proxy's page, a server that is starting.
		return errs.E(errs.Unavailable, "schema registry %s, subject %s: %w; is the registry up, and is schema.registry.url right?", at, subject, shortened(err))
	}
	said := fmt.Sprintf("%.500s", answered.Error())
	switch code := answered.StatusCode; code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return errs.E(errs.Denied, "schema registry %s, subject %s: %d %s: set basic.auth.credentials.source and basic.auth.user.info to an account that may register there", at, subject, code, said)
	case http.StatusConflict: // what the compatibility level forbids
		return errs.E(errs.Invalid, "schema registry %s: the schema is incompatible with the versions of subject %s: %s: change the subject's compatibility level (PUT /config/%s), or undo the change of the table",
			at, subject, said, subject)
	case http.StatusNotFound:
		return errs.E(errs.Invalid, "schema registry %s: the schema is not registered under subject %s: %s: register it, or set auto.register.schemas=true", at, subject, said)
	case http.StatusUnprocessableEntity:
		return errs.E(errs.Invalid, "schema registry %s refuses the schema of subject %s: %s", at, subject, said)
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return errs.E(errs.Unavailable, "schema registry %s, subject %s: %d %s", at, subject, code, said)
	default:
		if code >= 500 {
			return errs.E(errs.Unavailable, "schema registry %s, subject %s: %d %s", at, subject, code, said)
		}
		return errs.E(errs.Invalid, "schema registry %s, subject %s: %d %s: is schema.registry.url the root of a registry that speaks Confluent's API?", at, subject, code, said)
	}
}

// shortened drops what net/http tells twice.
func shortened(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
