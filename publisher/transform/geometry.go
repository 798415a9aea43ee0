package transform

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// geometryName is Debezium's type of geometries: a struct of wkb and srid. Points have one of their own, which these transforms leave alone.
const geometryName = "io.debezium.data.geometry.Geometry"

// Flags of the type in extended WKB.
const (
	ewkbSRID = 0x20000000
	ewkbM    = 0x40000000
	ewkbZ    = 0x80000000
)

// geometries changes the WKB of each geometry in a value.
type geometries struct {
	change func(slab *record.Slab, wkb []byte, srid record.Value) ([]byte, error)
}

func (t *geometries) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := r.Value.Value.Struct()
	if d == nil {
		return true, nil
	}
	out, err := t.structure(slab, d)
	if err != nil {
		return false, err
	}
	r.Value.Value = record.StructOf(out)
	return true, nil
}

func (*geometries) sharesHeaders() {}

// structure returns the struct itself if it has no geometry to change.
func (t *geometries) structure(slab *record.Slab, d *record.StructData) (*record.StructData, error) {
	out := d
	for i, f := range d.Schema.Fields {
		v, err := t.value(slab, f.Schema, d.At(i))
		if err != nil {
			return nil, err
		}
		if !v.Equal(d.Values[i]) {
			if out == d {
				out = slab.Struct(d.Schema)
				copy(out.Values, d.Values)
			}
			out.Values[i] = v
		}
	}
	return out, nil
}

func (t *geometries) value(slab *record.Slab, s *record.Schema, v record.Value) (record.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	switch s.Type {
	case record.Array:
		list := slab.Values(len(v.List()))
		for i, e := range v.List() {
			var err error
			if list[i], err = t.value(slab, s.Elem, e); err != nil {
				return v, err
			}
		}
		return record.ListOf(list), nil
	case record.Struct:
		if s.Name == geometryName {
			return t.geometry(slab, v.Struct())
		}
		out, err := t.structure(slab, v.Struct())
		return record.StructOf(out), err
	}
	return v, nil
}

func (t *geometries) geometry(slab *record.Slab, d *record.StructData) (record.Value, error) {
	at := d.Schema.Field("wkb")
	if at < 0 {
		return record.StructOf(d), nil
	}
	wkb := d.Values[at]
	if wkb.IsNull() {
		return record.StructOf(d), nil
	}
	changed, err := t.change(slab, wkb.Bytes(), d.Get("srid"))
	if err != nil {
		return record.Null, err
	}
	return record.StructOf(with(slab, d, at, record.BytesOf(changed))), nil
}

// newSwapGeometry makes SwapGeometryCoordinates: x and y change places where the reference system has latitude first.
func newSwapGeometry(o options, _ side) (Transform, error) {
	srids := []int64{4326, 3857, 4269}
	if list := o.list("srids"); len(list) > 0 {
		srids = nil
		for _, text := range list {
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				return nil, errs.E(errs.Invalid, "%ssrids: %q is no number of a spatial reference system", o.prefix, text)
			}
			srids = append(srids, n)
		}
	}
	return &geometries{func(slab *record.Slab, wkb []byte, srid record.Value) ([]byte, error) {
		if srid.IsNull() || !slices.Contains(srids, srid.Int()) {
			return wkb, nil
		}
		g := geometryWalk{b: slab.Copy(wkb)}
		if !g.geometry(0) {
			return nil, errs.E(errs.Invalid, "Failed to swap EWKB/WKB coordinates: the geometry of %d bytes is wrong at byte %d", len(wkb), g.i)
		}
		return g.b, nil
	}}, nil
}

// geometryWalk swaps coordinates in place.
type geometryWalk struct {
	b      []byte
	i      int
	order  binary.ByteOrder
	stride int
}

// maxGeometryDepth bounds collections in collections; MySQL's own bound is lower.
const maxGeometryDepth = 100

func (g *geometryWalk) number() (uint32, bool) {
	if g.i+4 > len(g.b) {
		return 0, false
	}
	n := g.order.Uint32(g.b[g.i:])
	g.i += 4
	return n, true
}

// geometry walks one geometry with its byte order and type.
func (g *geometryWalk) geometry(depth int) bool {
	if g.i >= len(g.b) || depth > maxGeometryDepth {
		return false
	}
	outer := g.order
	defer func() { g.order = outer }()
	g.order = binary.ByteOrder(binary.BigEndian)
	if g.b[g.i] == 1 {
		g.order = binary.LittleEndian
	}
	g.i++
	kind, ok := g.number()
	if !ok {
		return false
	}
	g.stride = 2
	for _, flag := range []uint32{ewkbZ, ewkbM} {
		if kind&flag != 0 {
			g.stride++
		}
	}
	if kind&ewkbSRID != 0 {
		if _, ok = g.number(); !ok {
			return false
		}
	}
	switch kind & 0xff {
	case 1:
		return g.points(1)
	case 2:
		return g.counted(g.points)
	case 3:
		return g.counted(func(rings uint32) bool {
			for range rings {
				if !g.counted(g.points) {
					return false
				}
			}
			return true
		})
	case 4, 5, 6, 7:
		return g.counted(func(n uint32) bool {
			for range n {
				if !g.geometry(depth + 1) {
					return false
				}
			}
			return true
		})
	}
	return false
}

// counted reads a count and walks so many.
func (g *geometryWalk) counted(walk func(n uint32) bool) bool {
	n, ok := g.number()
	return ok && walk(n)
}

func (g *geometryWalk) points(n uint32) bool {
	if uint64(n)*uint64(g.stride)*8 > uint64(len(g.b)-g.i) {
		return false
	}
	for range n {
		x, y := g.b[g.i:g.i+8], g.b[g.i+8:g.i+16]
		for k := range 8 {
			x[k], y[k] = y[k], x[k]
		}
		g.i += g.stride * 8
	}
	return true
}

// newGeometryFormat makes GeometryFormatTransformer. As in Debezium format is that of what comes in: WKB gets the reference system (EWKB), EWKB loses it.
func newGeometryFormat(o options, _ side) (Transform, error) {
	ewkb := o.word("format") == "ewkb"
	return &geometries{func(slab *record.Slab, wkb []byte, srid record.Value) ([]byte, error) {
		if len(wkb) < 5 {
			return wkb, nil
		}
		var order binary.ByteOrder = binary.BigEndian
		if wkb[0] == 1 {
			order = binary.LittleEndian
		}
		kind := order.Uint32(wkb[1:])
		switch {
		case kind&ewkbSRID != 0 && len(wkb) >= 9:
			out := slab.Bytes(len(wkb) - 4)
			out[0] = wkb[0]
			order.PutUint32(out[1:], kind&^ewkbSRID)
			copy(out[5:], wkb[9:])
			return out, nil
		case kind&ewkbSRID == 0 && !ewkb && !srid.IsNull():
			out := slab.Bytes(len(wkb) + 4)
			out[0] = wkb[0]
			order.PutUint32(out[1:], kind|ewkbSRID)
			order.PutUint32(out[5:], uint32(srid.Int()))
			copy(out[9:], wkb[5:])
			return out, nil
		}
		return wkb, nil
	}}, nil
}
