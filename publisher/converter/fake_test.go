package converter

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeRegistry speaks as much of Confluent's API as converters ask for. What it answers is what a real registry does: registry_test.go runs the same
// questions against Apicurio's where there is one.
type fakeRegistry struct {
	*httptest.Server
	mu       sync.Mutex
	texts    []string // by id-1
	kinds    []string
	subjects map[string][]int
	requests []string
	// compatible answers whether a schema may follow; nil: any may.
	compatible func(subject, text string) bool
	// before may answer instead.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newFakeRegistry(t testing.TB) *fakeRegistry {
	f := &fakeRegistry{subjects: map[string][]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /subjects/{subject}/versions", f.register)
	mux.HandleFunc("POST /subjects/{subject}", f.lookup)
	mux.HandleFunc("GET /subjects/{subject}/versions/{version}", f.version)
	mux.HandleFunc("GET /schemas/ids/{id}", f.byID)
	mux.HandleFunc("POST /compatibility/subjects/{subject}/versions/{version}", f.check)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI())
		if f.before != nil && f.before(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

type schemaBody struct{ Schema, SchemaType string }

func (f *fakeRegistry) find(b schemaBody) int {
	for i, text := range f.texts {
		if text == b.Schema && f.kinds[i] == b.SchemaType {
			return i + 1
		}
	}
	return 0
}

func (f *fakeRegistry) register(w http.ResponseWriter, r *http.Request) {
	var b schemaBody
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		answerError(w, 422, 42201, err.Error())
		return
	}
	subject := r.PathValue("subject")
	id := f.find(b)
	if f.compatible != nil && len(f.subjects[subject]) > 0 && !f.compatible(subject, b.Schema) {
		answerError(w, 409, 409, "Schema being registered is incompatible with an earlier schema for subject \""+subject+"\"")
		return
	}
	if id == 0 {
		f.texts, f.kinds = append(f.texts, b.Schema), append(f.kinds, b.SchemaType)
		id = len(f.texts)
	}
	f.subjects[subject] = append(f.subjects[subject], id)
	fmt.Fprintf(w, `{"id":%d}`, id)
}

func (f *fakeRegistry) lookup(w http.ResponseWriter, r *http.Request) {
	var b schemaBody
	_ = json.NewDecoder(r.Body).Decode(&b)
	subject := r.PathValue("subject")
	versions, ok := f.subjects[subject]
	if !ok {
		answerError(w, 404, 40401, "Subject '"+subject+"' not found.")
		return
	}
	for v, id := range versions {
		if id == f.find(b) {
			f.answer(w, subject, v+1, id)
			return
		}
	}
	answerError(w, 404, 40403, "Schema not found")
}

func (f *fakeRegistry) answer(w http.ResponseWriter, subject string, version, id int) {
	out := map[string]any{"subject": subject, "version": version, "id": id, "schema": f.texts[id-1]}
	if k := f.kinds[id-1]; k != "" {
		out["schemaType"] = k
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (f *fakeRegistry) version(w http.ResponseWriter, r *http.Request) {
	subject := r.PathValue("subject")
	versions := f.subjects[subject]
	if len(versions) == 0 {
		answerError(w, 404, 40401, "Subject '"+subject+"' not found.")
		return
	}
	f.answer(w, subject, len(versions), versions[len(versions)-1])
}

func (f *fakeRegistry) byID(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	if id < 1 || id > len(f.texts) {
		answerError(w, 404, 40403, "Schema not found")
		return
	}
	f.answer(w, "", 0, id)
}

func (f *fakeRegistry) check(w http.ResponseWriter, r *http.Request) {
	var b schemaBody
	_ = json.NewDecoder(r.Body).Decode(&b)
	ok := f.compatible == nil || f.compatible(r.PathValue("subject"), b.Schema)
	fmt.Fprintf(w, `{"is_compatible":%v}`, ok)
}

func answerError(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error_code": code, "message": message})
}

// text returns the schema of an id.
func (f *fakeRegistry) text(id int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id < 1 || id > len(f.texts) {
		return ""
	}
	return f.texts[id-1]
}

// asked returns how many requests so far begin so.
func (f *fakeRegistry) asked(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}
