package replay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// classes matches the classes that the validation recommends: the recorded worker had more of them, and some in two versions.
var classes = regexp.MustCompile(`("name":"(?:(?:key|value|header)\.converter|transforms\.[^".]*\.type)","value":(?:null|"[^"]*"),"recommended_values":)\[[^\]]*\]`)

// noValue matches the value of an option that the recorded worker leaves out by a defect, on which it then fails at creation.
var noValue = regexp.MustCompile(`("name":"internal\.legacy\.snapshot\.max\.threads","type"[^}]*\},"value":)(?:null|\{[^}]*\})`)

func (r *run) masked(s string) string {
	for _, m := range r.masks {
		s = m.re.ReplaceAllLiteralString(s, m.With)
	}
	s = classes.ReplaceAllString(s, "$1[]")
	return noValue.ReplaceAllString(s, "${1}null")
}

// diff compares; empty means equal.
func (r *run) diff(s step, want, got answer) string {
	if n := len(want.Seen); n > 0 {
		want.Status, want.Body = want.Seen[n-1].Status, want.Seen[n-1].Body
	}
	if want.Instead != nil {
		want.Status, want.Body = want.Instead.Status, want.Instead.Body
	}
	if s.Copy == "shape" && want.Status == 500 && got.Status == 400 {
		return "" // a client's mistake, told better
	}
	if want.Status != got.Status {
		return fmt.Sprintf("got status %d, want %d\n got %.500s\nwant %.500s", got.Status, want.Status, got.Body, want.Body)
	}
	if s.Copy == "status" {
		return ""
	}
	for _, k := range s.Keep {
		if !strings.Contains(got.Body, r.collapse(r.expand(k))) {
			return fmt.Sprintf("body lacks %q: %.500s", k, got.Body)
		}
	}
	if !reflect.DeepEqual(got.Headers, want.Headers) && (len(got.Headers) > 0 || len(want.Headers) > 0) {
		return fmt.Sprintf("got headers %v, want %v", got.Headers, want.Headers)
	}
	if s.Method == http.MethodHead {
		return ""
	}
	a, b := r.masked(got.Body), r.masked(want.Body)
	if s.Copy == "" || s.Copy == "exact" {
		if a != b {
			return fmt.Sprintf("body\n got %.1500s\nwant %.1500s", a, b)
		}
		return ""
	}
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		return fmt.Sprintf("got no JSON: %v: %.500s", err, a)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		return fmt.Sprintf("want no JSON: %v", err)
	}
	switch s.Copy {
	case "set":
		x, y = sorted(x), sorted(y)
	case "shape":
		return shape("", x, y)
	}
	return differ("", x, y)
}

// sorted sorts arrays at every depth.
func sorted(x any) any {
	switch x := x.(type) {
	case []any:
		for i := range x {
			x[i] = sorted(x[i])
		}
		slices.SortFunc(x, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	case map[string]any:
		for k := range x {
			x[k] = sorted(x[k])
		}
	}
	return x
}

// differ tells the first place at which two documents differ.
func differ(at string, x, y any) string {
	switch a := x.(type) {
	case map[string]any:
		b, ok := y.(map[string]any)
		if !ok || len(a) != len(b) {
			break
		}
		for k := range b {
			if d := differ(at+"/"+k, a[k], b[k]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		b, ok := y.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range b {
			if d := differ(fmt.Sprintf("%s/%d", at, i), a[i], b[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if reflect.DeepEqual(x, y) {
		return ""
	}
	return fmt.Sprintf("at %s got %.800v, want %.800v", at, x, y)
}

// shape compares members and types, and error codes by value.
func shape(at string, x, y any) string {
	if fmt.Sprintf("%T", x) != fmt.Sprintf("%T", y) {
		return fmt.Sprintf("at %s got a %T, want a %T", at, x, y)
	}
	a, ok := x.(map[string]any)
	if !ok {
		return ""
	}
	b := y.(map[string]any)
	for k := range b {
		if _, have := a[k]; !have {
			return fmt.Sprintf("at %s member %q is missing", at, k)
		}
		if k == "error_code" && a[k] != b[k] {
			return fmt.Sprintf("error_code %v, want %v", a[k], b[k])
		}
		if d := shape(at+"/"+k, a[k], b[k]); d != "" {
			return d
		}
	}
	return ""
}
