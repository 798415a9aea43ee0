package binlog

import (
	"bytes"

	"github.com/rowmesh/rowmesh/services/errs"
)

// tableCache keeps table maps by their id, so that the same description is parsed once and stays the same pointer. A row event may only use a map of
// its own transaction: a statement always writes the maps it needs.
type tableCache struct {
	byID map[uint64]*cachedTable
	last *cachedTable
	// mariadb: table maps are those of a MariaDB server.
	mariadb bool
}

type cachedTable struct {
	table *TableMap
	gen   uint64
}

// maxCachedTables bounds the cache: at some hundred bytes a map, about 10 MB. The server itself caches 4000 open tables by default (table_open_cache), and
// a map that was dropped is only parsed again.
const maxCachedTables = 16384

func (c *tableCache) add(body []byte, idSize int, gen uint64) error {
	if c.last != nil && bytes.Equal(c.last.table.raw, body) {
		c.last.gen = gen
		return nil
	}
	if len(body) < idSize {
		return errShort
	}
	id := uintLE(body[:idSize])
	if t := c.byID[id]; t != nil && bytes.Equal(t.table.raw, body) {
		t.gen, c.last = gen, t
		return nil
	}
	t, err := parseTableMap(body, idSize, c.mariadb)
	if err != nil {
		return err
	}
	if len(c.byID) >= maxCachedTables {
		for id, old := range c.byID {
			if old.gen != gen {
				delete(c.byID, id)
			}
		}
		if len(c.byID) >= maxCachedTables {
			return errs.E(errs.Unsupported, "a statement changes more than %d tables", maxCachedTables)
		}
	}
	c.last = &cachedTable{t, gen}
	c.byID[id] = c.last
	return nil
}

// get returns the table of a row event; nil if its map is not in the transaction.
func (c *tableCache) get(id, gen uint64) *TableMap {
	t := c.last
	if t == nil || t.table.ID != id {
		t = c.byID[id]
	}
	if t == nil || t.gen != gen {
		return nil
	}
	return t.table
}
