package connect

import (
	"mime"
	"net/http"
	"strings"
)

// negotiate refuses a request whose Content-Type is not JSON or whose Accept leaves JSON out. Clients send many variants; the rules are those of the
// recorded worker: a wrong type is refused even without a body, an absent one only with a body; quality values are not looked at.
func (r *request) negotiate() *reply {
	if a := r.contentType(); a != nil {
		return a
	}
	accepts := r.Header.Values("Accept")
	if len(accepts) == 0 {
		return nil
	}
	for _, part := range strings.Split(strings.Join(accepts, ","), ",") {
		kind, params, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/json":
			r.accept = withoutQuality(params)
			return nil
		case "*/*", "application/*":
			return nil
		}
	}
	a := framework(http.StatusNotAcceptable)
	return &a
}

func (r *request) contentType() *reply {
	given, present := r.Header["Content-Type"]
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return nil
	}
	if !present || len(given) == 0 {
		if r.ContentLength == 0 {
			return nil
		}
		a := failure(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return &a
	}
	kind, _, err := mime.ParseMediaType(given[0])
	switch {
	case err != nil && kind == "" || !strings.Contains(kind, "/"):
		a := html(http.StatusBadRequest, "Bad Request")
		return &a
	case kind != "application/json":
		a := framework(http.StatusUnsupportedMediaType)
		return &a
	}
	return nil
}

// withoutQuality returns the parameters of a media type but for its quality, each with a leading semicolon.
func withoutQuality(params string) string {
	var b strings.Builder
	for _, p := range strings.Split(params, ";") {
		p = strings.TrimSpace(p)
		if p != "" && !strings.HasPrefix(p, "q=") && !strings.HasPrefix(p, "Q=") {
			b.WriteString(";" + p)
		}
	}
	return b.String()
}
