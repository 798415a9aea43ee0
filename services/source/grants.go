package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// grants is what the session's account may do, its active roles included.
type grants struct {
	account string // user@host as the server matched it
	global  map[string]bool
	local   map[string]bool // held on some database or table only
	all     bool
}

// readGrants asks the server. The roles of an account count as far as they are active, which is what statements see too.
func readGrants(ctx context.Context, c *Conn) (grants, error) {
	g := grants{global: map[string]bool{}, local: map[string]bool{}}
	res, err := c.Query(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return g, err
	}
	g.account = res.Rows[0][0].Text
	show := "SHOW GRANTS"
	if c.Flavor() == config.MySQL {
		// 5.7 has no roles; later versions print a role's grants only where the roles are named.
		if res, err := c.Query(ctx, "SELECT CURRENT_ROLE()"); err == nil {
			if roles := res.Rows[0][0].Text; roles != "" && roles != "NONE" {
				show = "SHOW GRANTS FOR CURRENT_USER() USING " + roles
			}
		} else if server := (*ServerError)(nil); !errors.As(err, &server) {
			return g, err
		}
	}
	if res, err = c.Query(ctx, show); err != nil {
		return g, err
	}
	for _, row := range res.Rows {
		g.add(row[0].Text)
	}
	return g, nil
}

// add takes a line of SHOW GRANTS: GRANT a, b (columns) ON what TO whom ...; grants of roles have no ON.
func (g *grants) add(line string) {
	up := strings.ToUpper(line)
	rest, ok := strings.CutPrefix(up, "GRANT ")
	if !ok {
		return
	}
	list, on, ok := strings.Cut(rest, " ON ")
	if !ok {
		return
	}
	set := g.local
	if strings.HasPrefix(on, "*.* ") {
		set = g.global
	}
	for _, p := range splitPrivileges(list) {
		set[p] = true
		if set["ALL PRIVILEGES"] || set["ALL"] {
			g.all = g.all || strings.HasPrefix(on, "*.* ")
		}
	}
}

// splitPrivileges splits at commas outside of column lists, and drops those lists.
func splitPrivileges(list string) []string {
	var out []string
	depth := 0
	var cur strings.Builder
	for _, r := range list + "," {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case depth > 0:
		case r == ',':
			out = append(out, strings.TrimSpace(cur.String()))
			cur.Reset()
		default:
			cur.WriteRune(r)
		}
	}
	return out
}

// has says whether one of the privileges is held on all of the server.
func (g grants) has(any ...string) bool {
	return g.all || slices.ContainsFunc(any, func(p string) bool { return g.global[p] })
}

// hasSome says whether one of them is held on something.
func (g grants) hasSome(any ...string) bool {
	return g.has(any...) || g.local["ALL PRIVILEGES"] || slices.ContainsFunc(any, func(p string) bool { return g.local[p] })
}

// grantee spells an account for a GRANT statement.
func grantee(account string) string {
	user, host, ok := strings.Cut(account, "@")
	if i := strings.LastIndexByte(account, '@'); i >= 0 {
		user, host = account[:i], account[i+1:]
	}
	if !ok {
		host = "%"
	}
	return QuoteText(user) + "@" + QuoteText(host)
}

// clientPrivilege is what SHOW BINARY LOG STATUS takes: MariaDB renamed it in 10.5.
func clientPrivilege(f config.Flavor) string {
	if f == config.MariaDB {
		return "BINLOG MONITOR"
	}
	return "REPLICATION CLIENT"
}

func grantReplication(c *Conn) string {
	return fmt.Sprintf("run GRANT REPLICATION SLAVE, %s ON *.* TO %s", clientPrivilege(c.Flavor()), grantee(c.cfg.User+"@%"))
}

func checkGrants(c *Conn, g grants, needs Needs) []Problem {
	var ps []Problem
	to := grantee(g.account)
	missing := func(warning bool, privilege, why string) {
		verb := "is needed"
		if warning {
			verb = "is missing"
		}
		ps = append(ps, Problem{Option: "database.user", Kind: errs.Denied, Warning: warning,
			Text: fmt.Sprintf("the privilege %s %s %s: run GRANT %s ON *.* TO %s", privilege, verb, why, privilege, to)})
	}
	if needs.Stream && !g.has("REPLICATION SLAVE", "REPLICATION REPLICA") {
		missing(false, "REPLICATION SLAVE", "to read the binary log")
	}
	if client := clientPrivilege(c.Flavor()); !g.has("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") && (needs.Stream || needs.Snapshot) {
		missing(false, client, "to see where the binary log ends")
	}
	if !needs.Snapshot {
		return ps
	}
	if !g.hasSome("SELECT") {
		missing(false, "SELECT", "to read the tables of the snapshot")
	}
	if needs.NoLocks || g.has("RELOAD", "FLUSH_TABLES") {
		return ps
	}
	if g.hasSome("LOCK TABLES") {
		missing(true, "RELOAD", "to take the snapshot under one short global read lock; the selected tables are locked one by one instead")
	} else {
		missing(true, "RELOAD", "to take the snapshot under one short global read lock; without LOCK TABLES too it is taken without any lock, and changes made meanwhile may come twice")
	}
	return ps
}
