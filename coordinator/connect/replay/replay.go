package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says what is replayed where.
type Config struct {
	// Dir holds the scenarios.
	Dir string
	// Base is the URL of the server.
	Base string
	// Vars are the values of the scenarios' placeholders (${NAME}), from the longest to the shortest: answers are compared with the placeholders
	// put back.
	Vars [][2]string
	// Departures are the answers that are otherwise on purpose, by step.
	Departures map[int]Departure
	// Live waits where the steps say so, and removes the scenario's connectors before and after.
	Live bool
}

// Departure is an answer that is not the recorded one, on purpose.
type Departure struct {
	Status   int // 0: the answer is as recorded
	Contains string
	Why      string
	NoWait   bool // what the step waits for does not come, for the same reason
	Maybe    bool // the answer may be the recorded one as well
}

// Difference is an answer that is not as it should be.
type Difference struct {
	Step         int
	Method, Path string
	Text         string
}

// String says it in one line.
func (d Difference) String() string {
	return fmt.Sprintf("step %d %s %s: %s", d.Step, d.Method, d.Path, d.Text)
}

// run is one run of a scenario.
type run struct {
	Config
	own   map[string]bool // names that a filtered list keeps
	masks []mask
}

// Run replays a scenario. It returns an error where the scenario cannot be read or the server does not answer at all.
func Run(ctx context.Context, name string, c Config) ([]Difference, error) {
	sc, want, err := load(c.Dir, name)
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, own: map[string]bool{}, masks: sc.Masks}
	for i, m := range r.masks {
		if r.masks[i].re, err = regexp.Compile(r.expand(m.Regex)); err != nil {
			return nil, fmt.Errorf("%s: mask %q: %w", name, m.Regex, err)
		}
	}
	for _, n := range sc.Connectors {
		r.own[r.expand(n)] = true
	}
	if c.Live {
		defer r.clean(context.WithoutCancel(ctx))
		if err := r.clean(ctx); err != nil {
			return nil, err
		}
	}
	var out []Difference
	for i, s := range sc.Steps {
		d := c.Departures[i]
		if d.NoWait {
			s.Await = nil
		}
		got, vain, err := r.step(ctx, s)
		if err != nil {
			return out, fmt.Errorf("%s: step %d %s %s: %w", name, i, s.Method, s.Path, err)
		}
		for _, text := range []string{vain, r.judge(s, want[i], got, d)} {
			if text != "" {
				out = append(out, Difference{i, s.Method, s.Path, text})
			}
		}
	}
	return out, nil
}

// judge compares an answer with the recorded one, or with the departure from it; empty means that it is right.
func (r *run) judge(s step, want, got answer, d Departure) string {
	diff := r.diff(s, want, got)
	switch {
	case d.Status == 0 || d.Maybe && diff == "":
		return diff
	case diff == "":
		return fmt.Sprintf("answers as recorded: the departure (%s) is no more", d.Why)
	case got.Status != d.Status || !strings.Contains(got.Body, d.Contains):
		return fmt.Sprintf("got %d %.600s, want %d with %q (%s)", got.Status, got.Body, d.Status, d.Contains, d.Why)
	}
	return ""
}

func (r *run) expand(s string) string {
	for _, v := range r.Vars {
		s = strings.ReplaceAll(s, "${"+v[0]+"}", v[1])
	}
	return s
}

func (r *run) collapse(s string) string {
	for _, v := range r.Vars {
		s = strings.ReplaceAll(s, v[1], "${"+v[0]+"}")
	}
	return s
}

// step waits as the step says and sends its request. vain says what was waited for and did not come.
func (r *run) step(ctx context.Context, s step) (got answer, vain string, err error) {
	if r.Live {
		if err := sleep(ctx, time.Duration(s.SleepMS)*time.Millisecond); err != nil {
			return answer{}, "", err
		}
		if s.Await != nil {
			if vain, err = r.await(ctx, *s.Await); err != nil {
				return answer{}, "", err
			}
		}
		if s.Watch != nil {
			got, err = r.watch(ctx, s)
			return got, vain, err
		}
	}
	got, err = r.send(ctx, s)
	return got, vain, err
}

// watch sends a step's request until its answer is the one watched for, or its time has passed.
func (r *run) watch(ctx context.Context, s step) (answer, error) {
	until, err := regexp.Compile(s.Watch.Until)
	if err != nil {
		return answer{}, err
	}
	for end := time.Now().Add(limit(s.Watch.TimeoutS)); ; {
		got, err := r.send(ctx, s)
		if err != nil || until.MatchString(got.Body) || time.Now().After(end) {
			return got, err
		}
		if err := sleep(ctx, time.Duration(max(s.Watch.EveryMS, 1))*time.Millisecond); err != nil {
			return answer{}, err
		}
	}
}

// awaitEvery is often enough that states of a tenth of a second are seen.
const awaitEvery = 50 * time.Millisecond

// await waits for a condition. vain holds the last answer where its time has passed.
func (r *run) await(ctx context.Context, a await) (vain string, err error) {
	matches, err := regexp.Compile(a.Matches)
	if err != nil {
		return "", err
	}
	for end := time.Now().Add(limit(a.TimeoutS)); ; {
		got, err := r.send(ctx, step{Method: http.MethodGet, Path: a.Path})
		if err != nil {
			return "", err
		}
		body := r.expand(got.Body)
		switch {
		case (a.Status == 0 || a.Status == got.Status) && strings.Contains(body, r.expand(a.Contains)) && matches.MatchString(body) &&
			(a.NotContains == "" || !strings.Contains(body, a.NotContains)):
			return "", nil
		case time.Now().After(end):
			return fmt.Sprintf("waited in vain for %+v, last %d %.600s", a, got.Status, got.Body), nil
		}
		if err := sleep(ctx, awaitEvery); err != nil {
			return "", err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clean removes the scenario's connectors.
func (r *run) clean(ctx context.Context) error {
	for n := range r.own {
		path := "/connectors/" + url.PathEscape(n)
		if _, err := r.send(ctx, step{Method: http.MethodDelete, Path: path}); err != nil {
			return err
		}
		if vain, err := r.await(ctx, await{Path: path + "/status", Status: http.StatusNotFound}); err != nil || vain != "" {
			return fmt.Errorf("remove connector %s: %s (%w)", n, vain, err)
		}
	}
	return nil
}

// text is a step's body as it is sent: a JSON string stands for its text, all else for itself in compact form.
func (s step) text() (string, error) {
	b := bytes.TrimSpace(s.Body)
	if len(b) > 0 && b[0] == '"' {
		var text string
		err := json.Unmarshal(b, &text)
		return text, err
	}
	var c bytes.Buffer
	if len(b) > 0 {
		if err := json.Compact(&c, b); err != nil {
			return "", err
		}
	}
	return c.String(), nil
}

// send sends the request of a step as it stands: paths are escaped already, some wrongly on purpose.
func (r *run) send(ctx context.Context, s step) (answer, error) {
	text, err := s.text()
	if err != nil {
		return answer{}, err
	}
	var body io.Reader
	if len(bytes.TrimSpace(s.Body)) > 0 {
		body = strings.NewReader(r.expand(text))
	}
	req, err := http.NewRequestWithContext(ctx, s.Method, r.Base, body)
	if err != nil {
		return answer{}, err
	}
	path, query, hasQuery := strings.Cut(r.expand(s.Path), "?")
	req.URL = &url.URL{Scheme: "http", Host: req.URL.Host, Opaque: "//" + req.URL.Host + path, RawQuery: query, ForceQuery: hasQuery && query == ""}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range s.Headers {
		if v == nil {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, *v)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req) // follows no redirects
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	got := answer{Status: res.StatusCode, Headers: map[string]string{}, Body: string(b)}
	for _, h := range []string{"Content-Type", "Location", "Allow"} {
		if v := res.Header.Get(h); v != "" {
			got.Headers[h] = r.collapse(v)
		}
	}
	if s.Filter {
		got.Body = r.filter(got.Body)
	}
	got.Body = r.collapse(got.Body)
	return got, nil
}

// filter keeps the scenario's own connectors of a list or of an object by name.
func (r *run) filter(s string) string {
	var names []string
	if json.Unmarshal([]byte(s), &names) == nil {
		names = slices.DeleteFunc(names, func(n string) bool { return !r.own[n] })
		slices.SortFunc(names, cmp.Compare)
		return marshal(names)
	}
	var byName map[string]json.RawMessage
	if json.Unmarshal([]byte(s), &byName) != nil || byName["error_code"] != nil {
		return s
	}
	for n := range byName {
		if !r.own[n] {
			delete(byName, n)
		}
	}
	return marshal(byName)
}

func marshal(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}
