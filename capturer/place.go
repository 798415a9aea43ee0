package capturer

import (
	"cmp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/source"
)

// tokenVersion is the format of resume tokens.
const tokenVersion = 1

// place is a place between two transactions of a server's log.
type place struct {
	file string
	pos  uint64
	// gtids are executed before this place; nil if the log has none or the start did not say. Owned by whoever owns the place.
	gtids *gtid.Set
	uuid  string // server_uuid; empty if unknown (MariaDB)
	// server is the server_id of the server whose log it is; 0 if unknown. It tells servers without a uuid apart.
	server uint32
	// exact says that file and pos are the end of a transaction in the log of the server uuid, and that gtids are what comes before it there. Not so for
	// Debezium's offsets, which point behind a GTID event; for what a server says of the end of its log while it commits (a transaction may be before pos and
	// not yet among its GTIDs); and for places that were carried over from another server.
	exact bool
}

// cursor is a place inside a transaction: events of it that are wholly delivered, and rows of the next one. Zero at a transaction's start.
type cursor struct{ event, row uint64 }

func (c cursor) zero() bool { return c == cursor{} }

// newPlace reads a position.
func newPlace(flavor config.Flavor, p *rowv1.Position) (place, error) {
	at := place{file: p.GetFile(), pos: p.GetPos(), uuid: p.GetServerUuid()}
	if p.GetGtids() == "" {
		return at, nil
	}
	set, err := gtid.Parse(flavor, p.Gtids)
	if err != nil {
		return place{}, errs.E(errs.Invalid, "position: %w", err)
	}
	at.gtids = set
	return at, nil
}

// position spells the place.
func (p *place) position() *rowv1.Position {
	out := &rowv1.Position{File: p.file, Pos: p.pos, ServerUuid: p.uuid}
	if p.gtids != nil {
		out.Gtids = p.gtids.String()
	}
	return out
}

// clone returns an independent copy.
func (p *place) clone() place {
	c := *p
	if c.gtids != nil {
		c.gtids = c.gtids.Clone()
	}
	return c
}

// same says whether two places are one: what was read before them is the same. Where both know their GTIDs those decide, on any server: the end of a file and the
// beginning of the next are one place, and the end of the log as the server tells it while it commits is not the place that is called so a moment later, although
// file and position are equal: a transaction may be before that position and still be to come. Otherwise file and position decide, on one server.
func (p *place) same(o *place) bool {
	if p.gtids != nil && o.gtids != nil && !(p.gtids.Empty() && o.gtids.Empty()) {
		return p.gtids.Equal(o.gtids)
	}
	return p.file == o.file && p.pos == o.pos && p.oneServer(o) && p.byPosition() && o.byPosition()
}

// byPosition says whether file and position are the place, and not only near it: see exact.
func (p *place) byPosition() bool { return p.gtids == nil || p.gtids.Empty() || p.exact }

// oneServer says whether files and positions of two places may be compared, as far as is known.
func (p *place) oneServer(o *place) bool { return p.uuid == "" || o.uuid == "" || p.uuid == o.uuid }

// compare orders two places of one server's log by file and position.
func (p *place) compare(o *place) int { return comparePositions(p.file, p.pos, o.file, o.pos) }

func comparePositions(fileA string, posA uint64, fileB string, posB uint64) int {
	return cmp.Or(cmp.Compare(fileNumber(fileA), fileNumber(fileB)), cmp.Compare(fileA, fileB), cmp.Compare(posA, posB))
}

// fileNumber is the number at the end of a log file's name. Names are not compared as text: after 999999 a seventh digit comes.
func fileNumber(file string) uint64 {
	n, err := strconv.ParseUint(file[strings.LastIndexByte(file, '.')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// token makes the opaque token of start, a position of p's server, and of what is delivered behind it.
func (p *place) token(start *rowv1.Position, c cursor, exact bool) []byte {
	// Marshalling fails only for strings that are not UTF-8, which GTID sets and file names are not.
	b, _ := proto.Marshal(&rowv1.ResumeToken{Version: tokenVersion, Start: start, Event: c.event, Row: c.row, Exact: exact, ServerId: p.server})
	return b
}

// moved says whether a place in the log of one server is asked for on another: by uuid where both have one, else by server_id.
func (p *place) moved(info source.Info) bool {
	if p.uuid != "" && info.ServerUUID != "" {
		return p.uuid != info.ServerUUID
	}
	return p.server != 0 && info.ServerID != 0 && p.server != info.ServerID
}

// decodeToken reads a token.
func decodeToken(b []byte) (*rowv1.ResumeToken, error) {
	t := new(rowv1.ResumeToken)
	if err := proto.Unmarshal(b, t); err != nil {
		return nil, errs.E(errs.Invalid, "start.token is not a resume token (%d bytes): %w", len(b), err)
	}
	if t.Version != tokenVersion || t.Start.GetFile() == "" && t.Start.GetGtids() == "" {
		return nil, errs.E(errs.Invalid, "start.token has format %d and file %q; this version reads format %d", t.Version, t.Start.GetFile(), tokenVersion)
	}
	return t, nil
}
