package check

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
)

// Report is the outcome of a run.
type Report struct {
	// Name, Seed and Versions tell which run; whoever runs it fills them in.
	Name     string            `json:"name,omitempty"`
	Seed     uint64            `json:"seed,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`

	Changes      int        `json:"changes"`
	Transactions int        `json:"transactions"`
	Events       int        `json:"events"`
	Checkpoints  int        `json:"checkpoints"`
	Raw          int        `json:"raw"`
	Count        map[ID]int `json:"count"`
	// Violations are the first of each invariant.
	Violations []Violation `json:"violations"`

	Owners  []Owner  `json:"owners,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
	Faults  []Fault  `json:"faults,omitempty"`
	Stops   []Stop   `json:"stops,omitempty"`
	Commits []Commit `json:"commits,omitempty"`
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

//go:embed report.html
var page string

// WriteHTML writes the report for people: one file, with a timeline of faults, owners, lag and commits.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{"x": func(ms int64) float64 { return r.x(ms) }, "y": func(lag int64) float64 { return laneHeight - min(float64(max(lag, 0))/100, laneHeight) }}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*Report
		All    [len(All)]ID
		Lanes  []span
		Height int
	}{r, All, r.spans(), 0})
}

// The timeline is this wide, and each of its rows this high, in pixels.
const (
	timelineWidth = 1000
	laneHeight    = 50
)

// span is a time for which a member had a lane.
type span struct {
	Lane, Member string
	Generation   uint64
	From, To     int64
	Row          int
}

// spans joins confirmations to spans: an owner has a lane until the next one confirms.
func (r *Report) spans() []span {
	rows := map[string]int{}
	last := map[string]int{}
	var out []span
	for _, o := range r.Owners {
		if _, ok := rows[o.Lane]; !ok {
			rows[o.Lane] = len(rows)
		}
		if i, ok := last[o.Lane]; ok {
			out[i].To = o.AtMS
			if out[i].Generation == o.Generation {
				continue
			}
		}
		last[o.Lane] = len(out)
		out = append(out, span{o.Lane, o.Member, o.Generation, o.AtMS, r.end(), rows[o.Lane]})
	}
	return out
}

// end is the last moment that the report knows of.
func (r *Report) end() int64 {
	end := int64(1)
	for _, s := range r.Samples {
		end = max(end, s.AtMS)
	}
	for _, o := range r.Owners {
		end = max(end, o.AtMS)
	}
	for _, f := range r.Faults {
		end = max(end, f.AtMS, f.UntilMS)
	}
	return end
}

func (r *Report) x(ms int64) float64 {
	return float64(ms) / float64(cmp.Or(r.end(), 1)) * timelineWidth
}
