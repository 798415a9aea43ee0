package check

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
)

// Report is the outcome of a run.
type Report struct {
	// Name, Seed and Versions tell which run; whoever runs it fills them in.
	Name     string            `json:"name,omitempty"`
	Seed     uint64            `json:"seed,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`

	Changes      int `json:"changes"`
	Transactions int `json:"transactions"`
	Events       int `json:"events"`
	Checkpoints  int `json:"checkpoints"`
	Raw          int `json:"raw"`
	// Segments are what Kafka transactions have in one partition each; checkpoints bind those of which they say what may be in them.
	Segments int        `json:"segments"`
	Bound    int        `json:"bound"`
	Count    map[ID]int `json:"count"`
	// Violations are the first of each invariant.
	Violations []Violation `json:"violations"`

	Owners  []Owner  `json:"owners,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
	Faults  []Fault  `json:"faults,omitempty"`
	Stops   []Stop   `json:"stops,omitempty"`
	Commits []Commit `json:"commits,omitempty"`
	Points  []Point  `json:"points,omitempty"`
	// Recoveries are the faults by name.
	Recoveries []Recovery `json:"recoveries,omitempty"`
}

// Point is a checkpoint on the timeline: how far a lane was, and under which producer epoch.
type Point struct {
	Lane  string `json:"lane"`
	AtMS  int64  `json:"at_ms"`
	Epoch int16  `json:"epoch"`
	Txn   int    `json:"txn"`
}

// Recovery is how a kind of fault was got over.
type Recovery struct {
	Name       string `json:"name"`
	Injections int    `json:"injections"`
	// Recovered and Gap are as in Fault.
	Recovered Times `json:"recovered"`
	Gap       Times `json:"gap"`
}

// Times sums up times that were measured.
type Times struct {
	Measured int   `json:"measured"`
	P50MS    int64 `json:"p50_ms"`
	P99MS    int64 `json:"p99_ms"`
	MaxMS    int64 `json:"max_ms"`
}

func timesOf(ms []int64) Times {
	if len(ms) == 0 {
		return Times{}
	}
	slices.Sort(ms)
	return Times{len(ms), ms[(len(ms)-1)/2], ms[(len(ms)-1)*99/100], ms[len(ms)-1]}
}

// RecoveriesOf sums up faults by name.
func RecoveriesOf(faults []Fault) []Recovery {
	recovered, gap, count := map[string][]int64{}, map[string][]int64{}, map[string]int{}
	for _, f := range faults {
		count[f.Name]++
		if f.RecoveredMS > 0 {
			recovered[f.Name] = append(recovered[f.Name], f.RecoveredMS)
		}
		if f.GapMS > 0 {
			gap[f.Name] = append(gap[f.Name], f.GapMS)
		}
	}
	var out []Recovery
	for _, name := range slices.Sorted(maps.Keys(count)) {
		out = append(out, Recovery{name, count[name], timesOf(recovered[name]), timesOf(gap[name])})
	}
	return out
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

//go:embed report.html
var pageTemplate string

// WriteHTML writes the report for people: one file, with a timeline of faults, owners, lag and commits.
func (r *Report) WriteHTML(w io.Writer) error {
	begin, end := r.moments()
	x := func(ms int64) float64 { return float64(ms-begin) / float64(max(end-begin, 1)) * timelineWidth }
	lagY := func(ms int64) float64 { return lagHeight - min(float64(max(ms, 0))/maxLagMS, 1)*lagHeight }
	txnY := func(n int) float64 { return pointsHeight - float64(n)/float64(max(r.Transactions, 1))*pointsHeight }
	color := func(epoch int16) string { return [...]string{"#36c", "#c63", "#393", "#939"}[uint16(epoch)%4] }
	spans := r.spans(end)
	width := func(f Fault) float64 { return max(x(f.UntilMS)-x(f.AtMS), 2) }
	at := map[string]int{} // rows of faults, by name
	for i, c := range RecoveriesOf(r.Faults) {
		at[c.Name] = i
	}
	faultY := func(f Fault) int { return at[f.Name] * faultHeight }
	t, err := template.New("report").Funcs(template.FuncMap{"x": x, "lagY": lagY, "txnY": txnY, "color": color, "width": width, "faultY": faultY}).Parse(pageTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*Report
		All          [len(All)]ID
		Spans        []span
		FaultsHeight int
	}{r, All, spans, len(at) * faultHeight})
}

// The timeline is this wide, and its parts this high, in pixels.
const (
	timelineWidth = 1000
	pointsHeight  = 250
	lagHeight     = 50
	faultHeight   = 12 // of each kind
)

// span is a time for which a member had a lane.
type span struct {
	Lane, Member string
	Generation   uint64
	From, To     int64
	Row          int
}

// spans joins confirmations to spans: an owner has a lane until the next one confirms.
func (r *Report) spans(end int64) []span {
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
		out = append(out, span{o.Lane, o.Member, o.Generation, o.AtMS, end, rows[o.Lane] * 10})
	}
	return out
}

// moments returns the first and the last moment that the report knows of.
func (r *Report) moments() (begin, end int64) {
	begin, end = math.MaxInt64, math.MinInt64
	take := func(ms int64) { begin, end = min(begin, ms), max(end, ms) }
	for _, s := range r.Samples {
		take(s.AtMS)
	}
	for _, o := range r.Owners {
		take(o.AtMS)
	}
	for _, p := range r.Points {
		take(p.AtMS)
	}
	for _, f := range r.Faults {
		take(f.AtMS)
		take(max(f.AtMS, f.UntilMS))
	}
	return begin, end
}
