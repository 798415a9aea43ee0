package chunk

const (
	// firstRows is the size of a table's first chunk where nothing is known of its rows: small, as they may be large.
	firstRows = 256
	// maxRows bounds a chunk of narrow rows: a statement of 20 ms or so, and its window.
	maxRows = 50_000
)

// Sizer chooses how many rows the next chunk has, so that it takes about so many bytes.
type Sizer struct {
	target  int // bytes
	fixed   int // rows; 0: by bytes
	average float64
}

// NewSizer returns one for chunks of about target bytes, or of rows if that is not 0. rowBytes is what a row is expected to have; 0: unknown.
func NewSizer(target, rows, rowBytes int) *Sizer {
	return &Sizer{target: target, fixed: rows, average: float64(rowBytes)}
}

// Rows is the size of the next chunk, most at most unless that is 0.
func (s *Sizer) Rows(most uint64) int {
	n := firstRows
	switch {
	case s.fixed > 0:
		n = s.fixed
	case s.average > 0:
		n = int(float64(s.target) / s.average)
	}
	n = min(max(n, 1), max(maxRows, s.fixed))
	if most > 0 && uint64(n) > most {
		n = int(most)
	}
	return n
}

// Took learns from a chunk that was read. Rows that are wider than those before count at once, narrower ones slowly: memory is what hurts.
func (s *Sizer) Took(rows, bytes int) {
	if rows == 0 {
		return
	}
	a := float64(bytes) / float64(rows)
	if a > s.average || s.average == 0 {
		s.average = a
		return
	}
	s.average += (a - s.average) / 2
}
