package connect

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// shown is a config as answers show it: as it was sent, or with a mask for secrets where that is asked for.
func (h *Handler) shown(s settings) settings {
	if !h.cfg.MaskSecrets {
		return s
	}
	out := slices.Clone(s)
	for i, m := range out {
		if m.kind == 's' {
			out[i].text = config.Masked(m.name, m.text)
		}
	}
	return out
}

// unmask puts the stored secrets in the place of masks: who reads a config, changes an option and sends it back has sent the masks too.
func (h *Handler) unmask(ctx context.Context, name string, s settings) (settings, *reply) {
	masked := func(m member) bool { return m.kind == 's' && m.text == config.Hidden && config.Secret(m.name) }
	if !h.cfg.MaskSecrets || !slices.ContainsFunc(s, masked) {
		return s, nil
	}
	c, err := h.control.Get(ctx, name)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		a := failed(err, "")
		return nil, &a
	}
	stored, out := settingsOf(c.Config), slices.Clone(s)
	for i, m := range out {
		if !masked(m) {
			continue
		}
		v, ok := stored.get(m.name)
		if !ok {
			a := failure(http.StatusBadRequest, fmt.Sprintf("%s is %s, which stands for a value that connector %s does not have yet; send the value, or a reference to it", m.name, config.Hidden, name))
			return nil, &a
		}
		out[i].text = v
	}
	return out, nil
}
