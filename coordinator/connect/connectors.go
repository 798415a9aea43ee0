package connect

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

func notFound(name string) string { return "Connector " + name + " not found" }

func (h *Handler) root(r *request) reply {
	cluster := ""
	if h.cfg.ClusterID != nil {
		id, err := h.cfg.ClusterID(r.Context())
		if err != nil {
			return failed(errs.E(errs.Unavailable, "Kafka does not tell its cluster id: %w", err), "")
		}
		cluster = id
	}
	b := appendText([]byte{'{'}, "version", h.cfg.Version)
	b = appendText(b, "commit", h.cfg.Commit)
	b = appendText(b, "kafka_cluster_id", cluster)
	return document(http.StatusOK, append(b, '}'))
}

func (h *Handler) health(r *request) reply {
	status, state, message := http.StatusOK, "healthy", "Worker has completed startup and is ready to handle requests."
	if h.cfg.Ready != nil {
		if err := h.cfg.Ready(r.Context()); err != nil {
			status, state, message = http.StatusServiceUnavailable, "starting", "Worker is still starting up. "+err.Error()
		}
	}
	b := appendText([]byte{'{'}, "status", state)
	return document(status, append(appendText(b, "message", message), '}'))
}

func (h *Handler) list(r *request) reply {
	expand, expanded := r.query["expand"]
	if !expanded {
		names, err := h.control.Names(r.Context())
		if err != nil {
			return failed(err, "")
		}
		return document(http.StatusOK, appendStrings(nil, names))
	}
	all, err := h.control.List(r.Context())
	if err != nil {
		return failed(err, "")
	}
	slices.SortFunc(all, func(a, b Connector) int { return strings.Compare(a.Name, b.Name) })
	b := []byte{'{'}
	for _, c := range all {
		b = append(appendMember(b, c.Name), '{')
		for i, e := range expand {
			switch {
			case slices.Contains(expand[:i], e): // once is enough
			case e == "status":
				b = h.appendStatus(appendMember(b, e), c)
			case e == "info":
				b = appendInfo(appendMember(b, e), c.Name, h.shown(settingsOf(c.Config)), c.Tasks)
			}
		}
		b = append(b, '}')
	}
	return document(http.StatusOK, append(b, '}'))
}

// appendInfo appends what Kafka Connect calls the info of a connector.
func appendInfo(b []byte, name string, s settings, tasks []Task) []byte {
	b = appendText(append(b, '{'), "name", name)
	b = s.append(appendMember(b, "config"))
	b = append(appendMember(b, "tasks"), '[')
	for i, t := range tasks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTaskID(b, name, t.ID)
	}
	return append(appendText(append(b, ']'), "type", "source"), '}')
}

func appendTaskID(b []byte, connector string, task uint32) []byte {
	b = appendMember(appendText(append(b, '{'), "connector", connector), "task")
	return append(fmt.Append(b, task), '}')
}

func (h *Handler) get(r *request) reply {
	c, err := h.control.Get(r.Context(), r.names[0])
	if err != nil {
		return failed(err, notFound(r.names[0]))
	}
	return document(http.StatusOK, appendInfo(nil, c.Name, h.shown(settingsOf(c.Config)), c.Tasks))
}

func (h *Handler) getConfig(r *request) reply {
	c, err := h.control.Get(r.Context(), r.names[0])
	if err != nil {
		return failed(err, notFound(r.names[0]))
	}
	return document(http.StatusOK, h.shown(settingsOf(c.Config)).append(nil))
}

func (h *Handler) delete(r *request) reply {
	name := r.names[0]
	if err := h.control.Delete(r.Context(), name); err != nil {
		return failed(err, notFound(name))
	}
	h.cfg.Log.Info("connector deleted", "connector", name)
	return empty(http.StatusNoContent)
}

const createForm = `{"name": "...", "config": {"option": "value", ...}} with Content-Type application/json`

// creation is the body of a create request.
type creation struct {
	name   string
	config settings
	target registry.Target
}

func (h *Handler) create(r *request) reply {
	c, refused := readCreation(r)
	if refused != nil {
		return *refused
	}
	if refused := checkName(c.name); refused != nil {
		return *refused
	}
	if refused := mismatch(c.name, c.config); refused != nil {
		return *refused
	}
	if c.config, refused = h.unmask(r.Context(), c.name, c.config.withName(c.name)); refused != nil {
		return *refused
	}
	if refused := h.validate(r.Context(), c.name, c.config); refused != nil {
		return *refused
	}
	entries, _, _ := c.config.split()
	if err := h.control.Create(r.Context(), c.name, entries, c.target); err != nil {
		if errs.KindOf(err) == errs.Exists {
			err = errs.E(errs.Exists, "Connector %s already exists", c.name)
		}
		return failed(err, notFound(c.name))
	}
	h.cfg.Log.Info("connector created", "connector", c.name, "target", c.target)
	a := document(http.StatusCreated, appendInfo(nil, c.name, h.shown(c.config), nil))
	a.location = h.location(r, c.name)
	return a
}

// readCreation reads the body of a create request.
func readCreation(r *request) (creation, *reply) {
	refuse := func(format string, args ...any) (creation, *reply) {
		a := failure(http.StatusBadRequest, fmt.Sprintf(format, args...))
		return creation{}, &a
	}
	body, refused := r.readJSON(createForm)
	if refused != nil {
		return creation{}, refused
	}
	c := creation{target: registry.Running}
	found := false
	for _, m := range body.members {
		switch m.name {
		case "name":
			if m.kind != 's' && m.kind != '0' {
				return refuse(`"name" is an object or an array; it is a text`)
			}
			c.name = trimBlanks(m.text)
		case "config":
			s, err := m.settings()
			if err != nil {
				return refuse(`"config": %v; send %s`, err, createForm)
			}
			c.config, found = s, true
		case "initial_state":
			target, ok := targets[strings.ToUpper(m.text)]
			if !ok && m.kind != '0' {
				return refuse(`"initial_state" is %q; it is RUNNING, PAUSED or STOPPED`, m.text)
			}
			if ok {
				c.target = target
			}
		default:
			return refuse(`Unrecognized field %q: a create request has "name", "config" and "initial_state"`, m.name)
		}
	}
	if !found {
		return refuse(`"config" is missing; send %s`, createForm)
	}
	return c, nil
}

var targets = map[string]registry.Target{"RUNNING": registry.Running, "PAUSED": registry.Paused, "STOPPED": registry.Stopped}

// trimBlanks takes away what Java's String.trim does.
func trimBlanks(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }

// maxNameBytes bounds the name of a connector: each key in etcd and each transactional id holds it.
const maxNameBytes = 1024

// checkName refuses a name that cannot be kept, or that no path can name: HTTP servers refuse these characters however they are escaped.
func checkName(name string) *reply {
	text := ""
	switch {
	case len(name) > maxNameBytes:
		text = fmt.Sprintf("The connector's name has %d bytes (it begins with %.40s); the longest may have %d", len(name), name, maxNameBytes)
	case strings.ContainsAny(name, `/\%`):
		text = fmt.Sprintf("The connector's name %s holds one of / \\ %%, with which no request could name it; choose another name", name)
	default:
		return nil
	}
	a := failure(http.StatusBadRequest, text)
	return &a
}

// mismatch refuses a config that holds another name.
func mismatch(name string, s settings) *reply {
	inner, given := s.get("name")
	if !given || inner == name {
		return nil
	}
	a := failure(http.StatusBadRequest, fmt.Sprintf("Connector name configuration (%s) doesn't match connector name in the URL (%s)", inner, name))
	return &a
}

// validate refuses a config that does not parse, or that the servers it names refuse. The servers are asked only if nothing else is wrong.
func (h *Handler) validate(ctx context.Context, name string, s settings) *reply {
	_, res := h.check(ctx, s)
	if len(res.Errors) > 0 {
		a := failure(http.StatusBadRequest, res.Message())
		return &a
	}
	for _, w := range res.Warnings {
		h.cfg.Log.Warn("connector option", "connector", name, "option", w.Option, "problem", w.Text)
	}
	return nil
}

// check parses a config and asks the servers it names.
func (h *Handler) check(ctx context.Context, s settings) (*config.Connector, config.Result) {
	_, cfg, nulls := s.split()
	c, res := h.cfg.Secrets.Parse("", cfg, nulls...)
	if c != nil && h.validator != nil {
		found := h.cfg.Secrets.Hide(cfg, h.validator.Validate(ctx, c))
		res.Errors = found.Errors
		res.Warnings = append(res.Warnings, found.Warnings...)
	}
	return c, res
}

const configForm = `{"option": "value", ...} with Content-Type application/json (the config alone, without "name" and "config" around it)`

func (h *Handler) putConfig(r *request) reply {
	name := r.names[0]
	if refused := checkName(name); refused != nil {
		return *refused
	}
	body, refused := r.readJSON(configForm)
	if refused != nil {
		return *refused
	}
	s, err := body.settings()
	if err != nil {
		return failure(http.StatusBadRequest, err.Error()+"; send "+configForm)
	}
	if refused := mismatch(name, s); refused != nil {
		return *refused
	}
	return h.store(r, name, s.withName(name))
}

func (h *Handler) patchConfig(r *request) reply {
	name := r.names[0]
	c, err := h.control.Get(r.Context(), name)
	if err != nil {
		return failed(err, notFound(name))
	}
	body, refused := r.readJSON(configForm)
	if refused != nil {
		return *refused
	}
	patch, err := body.settings()
	if err != nil {
		return failure(http.StatusBadRequest, err.Error()+"; send "+configForm)
	}
	s := settingsOf(c.Config)
	for _, m := range patch {
		if m.kind == '0' {
			s = slices.DeleteFunc(s, func(have member) bool { return have.name == m.name })
		} else {
			s = set(s, m)
		}
	}
	return h.store(r, name, s)
}

// store validates a config and makes it the connector's.
func (h *Handler) store(r *request, name string, s settings) reply {
	s, refused := h.unmask(r.Context(), name, s)
	if refused != nil {
		return *refused
	}
	if refused := h.validate(r.Context(), name, s); refused != nil {
		return *refused
	}
	entries, _, _ := s.split()
	created, err := h.control.Update(r.Context(), name, entries)
	if err != nil {
		return failed(err, notFound(name))
	}
	if created {
		h.cfg.Log.Info("connector created", "connector", name, "target", registry.Running)
		a := document(http.StatusCreated, appendInfo(nil, name, h.shown(s), nil))
		a.location = h.location(r, name)
		return a
	}
	h.cfg.Log.Info("connector config changed", "connector", name)
	c, err := h.control.Get(r.Context(), name)
	if err != nil {
		return failed(err, notFound(name))
	}
	return document(http.StatusOK, appendInfo(nil, name, h.shown(s), c.Tasks))
}
