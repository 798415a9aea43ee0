package connect

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// handle answers a request whose path, method and headers are good.
type handle func(*request) reply

// route is a path with its methods. A segment "*" stands for any name.
type route struct {
	path    []string
	methods map[string]handle
}

// request is a request on its way to its handler.
type request struct {
	*http.Request
	names  []string // what stands for the "*"s, decoded
	query  url.Values
	handle handle
	accept string // parameters of the accepted type, to be repeated in the answer's
}

func (h *Handler) table() []route {
	r := func(path string, methods map[string]handle) route {
		if get, ok := methods["GET"]; ok {
			methods["HEAD"] = get
		}
		return route{strings.Split(path, "/"), methods}
	}
	return []route{
		r("", map[string]handle{"GET": h.root}),
		r("health", map[string]handle{"GET": h.health}),
		r("connectors", map[string]handle{"GET": h.list, "POST": h.create}),
		r("connectors/*", map[string]handle{"GET": h.get, "DELETE": h.delete}),
		r("connectors/*/config", map[string]handle{"GET": h.getConfig, "PUT": h.putConfig, "PATCH": h.patchConfig}),
		r("connectors/*/status", map[string]handle{"GET": h.status}),
		r("connectors/*/pause", map[string]handle{"PUT": h.pause}),
		r("connectors/*/resume", map[string]handle{"PUT": h.resume}),
		r("connectors/*/stop", map[string]handle{"PUT": h.stop}),
		r("connectors/*/restart", map[string]handle{"POST": h.restart}),
		r("connectors/*/fence", map[string]handle{"PUT": internal}),
		r("connectors/*/tasks", map[string]handle{"GET": h.tasks, "POST": internal}),
		r("connectors/*/tasks/*/status", map[string]handle{"GET": h.taskStatus}),
		r("connectors/*/tasks/*/restart", map[string]handle{"POST": h.restartTask}),
		r("connectors/*/topics", map[string]handle{"GET": h.topics}),
		r("connectors/*/topics/reset", map[string]handle{"PUT": h.resetTopics}),
		r("connectors/*/offsets", map[string]handle{"GET": h.getOffsets, "PATCH": h.alterOffsets, "DELETE": h.resetOffsets}),
		r("connectors/*/snapshots", map[string]handle{"GET": h.listSnapshots, "POST": h.startSnapshot, "DELETE": h.stopSnapshot}),
		r("connectors/*/snapshots/*", map[string]handle{"GET": h.listSnapshots, "PATCH": h.steerSnapshot, "DELETE": h.stopSnapshot}),
		r("connector-plugins", map[string]handle{"GET": h.plugins}),
		r("connector-plugins/*/config", map[string]handle{"GET": h.pluginConfig}),
		r("connector-plugins/*/config/validate", map[string]handle{"PUT": h.validateConfig}),
		r("admin/loggers", map[string]handle{"GET": h.allLoggers}),
		r("admin/loggers/*", map[string]handle{"GET": h.getLogger, "PUT": h.setLogger}),
	}
}

// internal stands for what workers of Kafka Connect ask each other. Nobody has a key for it here.
func internal(*request) reply {
	return failure(http.StatusBadRequest, "Internal request missing required signature")
}

// route finds the handler, or refuses the request as Kafka Connect's HTTP server does.
func (h *Handler) route(r *http.Request) (*request, *reply) {
	segments, bad := split(r.URL.EscapedPath())
	if bad != "" {
		a := html(http.StatusBadRequest, bad)
		return nil, &a
	}
	for _, rt := range h.routes {
		names, ok := rt.match(segments)
		if !ok {
			continue
		}
		if r.Method == http.MethodOptions {
			a := rt.options()
			return nil, &a
		}
		f, ok := rt.methods[r.Method]
		if !ok {
			a := framework(http.StatusMethodNotAllowed)
			return nil, &a
		}
		query, _ := url.ParseQuery(r.URL.RawQuery) // what does not parse is left out
		return &request{Request: r, names: names, query: query, handle: f}, nil
	}
	a := framework(http.StatusNotFound)
	return nil, &a
}

// split decodes the segments of a path. bad says why the path is refused whatever it names: a client that sends such a path is more often
// attacking a proxy in front than asking for something.
func split(escaped string) (segments []string, bad string) {
	path := strings.TrimPrefix(escaped, "/")
	if strings.Contains("/"+path, "//") {
		return nil, "Ambiguous URI empty segment"
	}
	for _, s := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		raw, _, _ := strings.Cut(s, ";") // matrix parameters mean nothing
		name, err := url.PathUnescape(raw)
		switch {
		case err != nil:
			return nil, "Bad URI encoding"
		case !utf8.ValidString(name):
			return nil, "Bad UTF-8 encoding"
		case (name == "." || name == "..") && raw != name:
			return nil, "Ambiguous URI path segment"
		case strings.ContainsAny(name, `/\%`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return nil, "Suspicious path character"
		}
		segments = append(segments, name)
	}
	return segments, ""
}

func (rt route) match(segments []string) (names []string, ok bool) {
	if len(segments) != len(rt.path) {
		return nil, false
	}
	for i, want := range rt.path {
		switch {
		case want == "*" && segments[i] != "":
			names = append(names, segments[i])
		case want != segments[i]:
			return nil, false
		}
	}
	return names, true
}

// methodOrder is the order in which Kafka Connect lists methods.
var methodOrder = []string{"HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH"}

func (rt route) options() reply {
	var allowed []string
	for _, m := range methodOrder {
		if _, ok := rt.methods[m]; ok || m == http.MethodOptions {
			allowed = append(allowed, m)
		}
	}
	body := strings.Join(allowed, ", ")
	slices.Sort(allowed)
	return reply{status: http.StatusOK, kind: "text/plain", body: []byte(body), allow: strings.Join(allowed, ",")}
}

// location returns the URL of a connector. Kafka Connect leaves the reserved characters that a path segment may hold as they are.
func (h *Handler) location(r *request, name string) string {
	base := h.cfg.URL
	if base == "" {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		base = scheme + "://" + r.Host
	}
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(base, "/") + "/connectors/")
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
