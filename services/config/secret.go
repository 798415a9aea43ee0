package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// maxSecretFileBytes bounds what is read of a secret file: the files of Kafka's providers hold a few lines, and a path may name anything.
const maxSecretFileBytes = 1 << 20

// Secrets resolves references to secrets in a config: ${file:/path:key} is a line "key=value" of a properties file, ${directory:/path:name} (or dir) is the
// content of a file, ${env:NAME} is an environment variable. Nothing can be read that is not allowed here; with the zero value no reference is
// resolved, and the text stays as it is, as in a Kafka Connect worker without providers.
//
// It also holds the process's converters, since they are the other thing that a process adds to a config before it means something.
type Secrets struct {
	// Roots are the folders whose files references may name, links resolved. Empty: file and directory are off.
	Roots []string
	// Env matches the names of the variables that references may name. Nil: env is off.
	Env *regexp.Regexp
	// Converters are the process's own, "key.converter" and so on with their members: they apply to connectors that name none, as a worker's do.
	Converters map[string]string
}

var reference = regexp.MustCompile(`\$\{(file|dir|directory|env):(?:([^:}]*):)?([^:}]+)\}`)

// Resolve returns a copy of cfg with its references replaced. Errors name the option and the reference, never a secret.
func (s Secrets) Resolve(cfg map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(cfg))
	for k, v := range cfg {
		if !strings.Contains(v, "${") {
			out[k] = v
			continue
		}
		var failed error
		out[k] = reference.ReplaceAllStringFunc(v, func(ref string) string {
			m := reference.FindStringSubmatch(ref)
			value, on, err := s.lookup(m[1], m[2], m[3])
			switch {
			case err != nil && failed == nil:
				failed = errs.E(errs.Invalid, "%s: cannot resolve %s: %w", k, ref, err)
			case !on:
				return ref
			}
			return value
		})
		if failed != nil {
			return nil, failed
		}
	}
	return out, nil
}

// Parse is the package's Parse on the resolved config. A problem with a value that came from a reference is told without that value, so that
// validation cannot be used to read secrets. Connector.Raw keeps the references.
func (s Secrets) Parse(name string, cfg map[string]string, nulls ...string) (*Connector, Result) {
	cfg, ignored := s.withConverters(cfg)
	resolved, err := s.Resolve(cfg)
	if err != nil {
		return nil, Result{Errors: []Problem{{Text: err.Error()}}}
	}
	if _, ok := cfg["connector.class"]; !ok {
		resolved = cfg // what is said then shows the whole config
	}
	c, res := Parse(name, resolved, nulls...)
	res.Warnings = append(res.Warnings, ignored...)
	for _, list := range [][]Problem{res.Errors, res.Warnings} {
		for i, p := range list {
			if p.Option != "" && cfg[p.Option] != resolved[p.Option] {
				list[i].Text = fmt.Sprintf("Invalid value for configuration '%s': the value resolved from the config provider reference failed validation", p.Option)
			}
		}
	}
	if c != nil {
		for k := range c.Raw {
			if v, ok := cfg[k]; ok {
				c.Raw[k] = v
			} else if old := formerName(c.Flavor, k, cfg); old != "" {
				c.Raw[k] = cfg[old]
			}
		}
	}
	return c, hide(cfg, resolved, res)
}

// withConverters returns cfg with the process's converters where it names none. Members of a converter that cfg does not name mean nothing, as in Kafka
// Connect; they are left out, with a warning.
func (s Secrets) withConverters(cfg map[string]string) (map[string]string, []Problem) {
	if len(s.Converters) == 0 {
		return cfg, nil
	}
	out := maps.Clone(cfg)
	var ignored []Problem
	for _, option := range []string{"key.converter", "value.converter", "header.converter"} {
		if _, named := cfg[option]; named || s.Converters[option] == "" {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(cfg)) {
			if strings.HasPrefix(k, option+".") {
				delete(out, k)
				ignored = append(ignored, Problem{Option: k, Text: fmt.Sprintf("%s is ignored unless %s names the converter, as in Kafka Connect: set %s too", k, option, option)})
			}
		}
		for k, v := range s.Converters {
			if k == option || strings.HasPrefix(k, option+".") {
				out[k] = v
			}
		}
	}
	return out, ignored
}

// wholeReference matches a value that is a reference to a secret and nothing else: it is no secret itself.
var wholeReference = regexp.MustCompile(`^\$\{[^{}]+\}$`)

// Masked is an option's value as it is shown to who may not see secrets: references to secrets stay as they are.
func Masked(name, value string) string {
	if value == "" || !Secret(name) || wholeReference.MatchString(value) {
		return value
	}
	return Hidden
}

// Hide puts the references of cfg back where the texts of res hold what they resolve to: errors of servers name the host and the user that they were
// asked for.
func (s Secrets) Hide(cfg map[string]string, res Result) Result {
	resolved, err := s.Resolve(cfg)
	if err != nil {
		return res // then nothing was resolved
	}
	return hide(cfg, resolved, res)
}

func hide(cfg, resolved map[string]string, res Result) Result {
	for k, v := range cfg {
		if resolved[k] == v || resolved[k] == "" {
			continue
		}
		for _, list := range [][]Problem{res.Errors, res.Warnings} {
			for i := range list {
				list[i].Text = strings.ReplaceAll(list[i].Text, resolved[k], v)
			}
		}
	}
	return res
}

// formerName returns the 1.x name under which cfg holds an option; empty if it does not.
func formerName(f Flavor, option string, cfg map[string]string) string {
	for old := range cfg {
		if now, ok := catalogs()[f].now(old); ok && now == option {
			return old
		}
	}
	return ""
}

// lookup returns a secret; on says whether its provider is.
func (s Secrets) lookup(provider, path, key string) (value string, on bool, err error) {
	switch {
	case provider == "env":
		if s.Env == nil {
			return "", false, nil
		}
		if path != "" {
			return "", true, fmt.Errorf("a variable has no path: write ${env:%s}", key)
		}
		if m := s.Env.FindString(key); m != key {
			return "", true, fmt.Errorf("variable %s is not allowed; the coordinator's flags say which are", key)
		}
		v, ok := os.LookupEnv(key)
		if !ok {
			return "", true, fmt.Errorf("variable %s is not set on this host", key)
		}
		return v, true, nil
	case len(s.Roots) == 0:
		return "", false, nil
	case provider == "dir" || provider == "directory":
		b, err := s.read(filepath.Join(path, key))
		return string(b), true, err
	default:
		b, err := s.read(path)
		if err != nil {
			return "", true, err
		}
		v, ok := property(string(b), key)
		if !ok {
			return "", true, fmt.Errorf("%s has no key %s", path, key)
		}
		return v, true, nil
	}
}

// read reads an allowed file. Links are resolved first, so that one inside a root cannot lead out of it.
func (s Secrets) read(path string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || !filepath.IsAbs(real) {
		return nil, fmt.Errorf("%s is not a readable absolute path on this host", path)
	}
	if !s.allowed(real) {
		return nil, fmt.Errorf("%s is outside the allowed folders; the coordinator's flags say which are", path)
	}
	info, err := os.Stat(real)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSecretFileBytes {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", path, maxSecretFileBytes)
	}
	b, err := os.ReadFile(real)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read on this host", path)
	}
	return b, nil
}

func (s Secrets) allowed(real string) bool {
	for _, root := range s.Roots {
		r, err := filepath.EvalSymlinks(root)
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(r, real); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// property finds a key in the text of a Java properties file; the last of several wins.
func property(text, key string) (string, bool) {
	value, found := "", false
	for _, p := range Properties(text) {
		if p.Key == key {
			value, found = p.Value, true
		}
	}
	return value, found
}
