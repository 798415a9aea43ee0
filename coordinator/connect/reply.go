package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/rowmesh/rowmesh/services/errs"
)

// reply is an answer on its way out.
type reply struct {
	status   int
	kind     string // Content-Type; empty: none is sent
	params   string // of kind, where that is JSON
	body     []byte
	location string
	allow    string
	message  string // of an error, for the log
}

const jsonType = "application/json"

func (a reply) write(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head["Content-Type"] = nil // keeps net/http from guessing one
	if a.kind == jsonType {
		head.Set("Content-Type", jsonType+a.params)
	} else if a.kind != "" {
		head.Set("Content-Type", a.kind)
	}
	if a.location != "" {
		head.Set("Location", a.location)
	}
	if a.allow != "" {
		head.Set("Allow", a.allow)
	}
	if a.status != http.StatusNoContent {
		head.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		w.Write(a.body) // a client that is gone needs no answer
	}
}

// empty answers with a status alone.
func empty(status int) reply { return reply{status: status} }

// document answers with JSON.
func document(status int, body []byte) reply {
	return reply{status: status, kind: jsonType, body: body}
}

// failure answers with an error of ours.
func failure(status int, message string) reply {
	b := append([]byte(`{"error_code":`), strconv.Itoa(status)...)
	b = append(appendString(append(b, `,"message":`...), message), '}')
	return reply{status: status, kind: jsonType, body: b, message: message}
}

// framework answers with an error as the HTTP framework under Kafka Connect words it: it has JSON and no Content-Type.
func framework(status int) reply {
	a := failure(status, fmt.Sprintf("HTTP %d %s", status, http.StatusText(status)))
	a.kind = ""
	return a
}

// html answers with the kind of page that Kafka Connect's server shows for a request it does not even route.
func html(status int, why string) reply {
	page := fmt.Sprintf("<html>\n<head>\n<title>Error %[1]d %[2]s</title>\n</head>\n<body>\n<h2>HTTP ERROR %[1]d %[2]s</h2>\n</body>\n</html>\n", status, why)
	return reply{status: status, kind: "text/html;charset=iso-8859-1", body: []byte(page), message: why}
}

// failed turns an error of the mesh into an answer. missing is the text for a connector that does not exist.
func failed(err error, missing string) reply {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failure(http.StatusInternalServerError, "Request timed out")
	case errors.Is(err, context.Canceled):
		return failure(http.StatusInternalServerError, "Request was given up by the client")
	}
	switch errs.KindOf(err) {
	case errs.NotFound:
		return failure(http.StatusNotFound, missing)
	case errs.Exists:
		return failure(http.StatusConflict, err.Error())
	case errs.Stale:
		return failure(http.StatusConflict, "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)")
	case errs.Busy:
		return failure(http.StatusConflict, "Cannot complete request because of a conflicting operation: "+err.Error())
	case errs.Invalid:
		return failure(http.StatusBadRequest, err.Error())
	case errs.Denied:
		return failure(http.StatusForbidden, err.Error())
	case errs.Unavailable, errs.NotOwner:
		return failure(http.StatusServiceUnavailable, err.Error())
	}
	return failure(http.StatusInternalServerError, err.Error())
}
