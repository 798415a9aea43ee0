package connect

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Users are the names and passwords of those who may use the API.
type Users map[string]string

// ReadUsers reads the file of Kafka Connect's basic auth extension: a line "name=password" for each user. No user at all is an error, where Kafka
// Connect would let everybody in.
func ReadUsers(r io.Reader) (Users, error) {
	u := Users{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		i := strings.IndexAny(line, "=:")
		if i <= 0 {
			return nil, errs.E(errs.Invalid, "line %d of the users' file is not name=password", n)
		}
		u[strings.TrimSpace(line[:i])] = strings.TrimSpace(line[i+1:])
	}
	if err := lines.Err(); err != nil {
		return nil, errs.E(errs.Invalid, "users' file: %w", err)
	}
	if len(u) == 0 {
		return nil, errs.E(errs.Invalid, "the users' file names nobody; write a line name=password for each user")
	}
	return u, nil
}

// Protect lets only users through to h. The answer to others is Kafka Connect's, with the header that makes browsers and clients ask for a password.
// Health stays open: probes know no password, and it tells nothing.
func (u Users) Protect(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		if strings.TrimSuffix(r.URL.Path, "/") == "/health" || u.know(name, password) {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="rowmesh"`)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "User cannot access the resource.") // a client that is gone needs no answer
	})
}

// know compares in a time that tells nothing about how much of a password is right, or whether the name is.
func (u Users) know(name, password string) bool {
	want, ok := u[name]
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && ok
}
