package servers

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Cache fetches servers into a folder that outlives the process.
type Cache struct {
	// Dir is the folder; empty: $ROWMESH_CACHE, else rowmesh in the user's cache folder.
	Dir string
	// Say is told what goes on, a line each; nil: nothing is said.
	Say func(line string)
}

// ErrMissing says that something which this package cannot fetch is not on the machine.
var ErrMissing = errors.New("not on this machine")

func (c *Cache) dir() (string, error) {
	d := c.Dir
	if d == "" {
		d = os.Getenv("ROWMESH_CACHE")
	}
	if d == "" {
		u, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		d = filepath.Join(u, "rowmesh")
	}
	d, err := filepath.Abs(d)
	if err != nil {
		return "", err
	}
	return d, os.MkdirAll(d, 0o755)
}

func (c *Cache) say(format string, args ...any) {
	if c.Say != nil {
		c.Say(fmt.Sprintf(format, args...))
	}
}

// item fetches name with fetch into a folder of its own, once: a half-fetched folder has another name, and a lock keeps two processes apart.
func (c *Cache) item(ctx context.Context, name, what string, fetch func(ctx context.Context, dir string) error) (string, error) {
	root, err := c.dir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unlock, err := lock(ctx, filepath.Join(root, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	if err := os.MkdirAll(part, 0o755); err != nil {
		return "", err
	}
	begin := time.Now()
	c.say("fetching %s", what)
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for t := time.NewTicker(2 * time.Second); ; {
			select {
			case <-done:
				t.Stop()
				return
			case <-t.C:
				c.say("fetching %s: %d MB, %.0f s", what, size(part)>>20, time.Since(begin).Seconds())
			}
		}
	}()
	err = fetch(ctx, part)
	close(done)
	<-stopped
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", what, err)
	}
	c.say("fetched %s: %d MB in %.0f s, kept in %s", what, size(part)>>20, time.Since(begin).Seconds(), dir)
	return dir, os.Rename(part, dir)
}

// lock takes an exclusive lock on path, waiting while another process has it.
func lock(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond): // another process fetches the same, which takes seconds
		}
	}
}

func size(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // files come and go while they are fetched
		}
		if i, err := d.Info(); err == nil && i.Mode().IsRegular() {
			n += i.Size()
		}
		return nil
	})
	return n
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(out))
	}
	return nil
}

func tail(out []byte) string {
	s := strings.TrimSpace(string(out))
	return s[max(0, len(s)-2000):]
}

// debian downloads packages of Debian's suites with an apt state of its own and unpacks them into dir, with all they need.
// Each of wants is a package with its pinned version: "name=version".
func (c *Cache) debian(ctx context.Context, dir string, suite string, wants ...string) error {
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s: %w", tool, ErrMissing)
		}
	}
	state := filepath.Join(dir, "apt")
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "etc"} {
		if err := os.MkdirAll(filepath.Join(state, d), 0o755); err != nil {
			return err
		}
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror(), suite)
	list := filepath.Join(state, "etc/sources.list")
	if err := os.WriteFile(list, []byte(source), 0o644); err != nil {
		return err
	}
	apt := func(args ...string) error {
		return command(ctx, dir, "apt-get", append([]string{"-qq", "-y", "-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=/dev/null",
			"-o", "Dir::State=" + filepath.Join(state, "state"), "-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache=" + filepath.Join(state, "cache"),
			"-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"}, args...)...)
	}
	if err := apt("update"); err != nil {
		return err
	}
	install := []string{"--download-only", "--no-install-recommends", "install"}
	if err := apt(append(install, wants...)...); err != nil {
		var now []string
		for _, w := range wants {
			name, _, _ := strings.Cut(w, "=")
			now = append(now, name)
		}
		c.say("%s is not in Debian %s any more, taking the current version", strings.Join(wants, " "), suite)
		if err := apt(append(install, now...)...); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(state, "cache/archives/*.deb"))
	if err != nil {
		return err
	}
	for _, d := range debs {
		if err := command(ctx, dir, "dpkg", "-x", d, dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(state)
}

// mirror is the Debian mirror that the machine uses, or Debian's own.
func mirror() string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	re := regexp.MustCompile(`(?m)^(?:URIs:|deb)\s.*?(https?://\S+/debian/?)(?:\s|$)`)
	for _, f := range append(files, "/etc/apt/sources.list") {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if m := re.FindSubmatch(b); m != nil {
			return string(m[1])
		}
	}
	return "http://deb.debian.org/debian"
}

// maven runs a goal of Maven in dir.
func maven(ctx context.Context, dir string, args ...string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("mvn (Maven): %w", ErrMissing)
	}
	return command(ctx, dir, "mvn", append([]string{"-B", "-q"}, args...)...)
}

// Jars fetches Maven artifacts, each "group:name:version", with all they need, as the cache's item name, and returns the folder that holds the jars.
func (c *Cache) Jars(ctx context.Context, name, what string, artifacts ...string) (string, error) {
	dir, err := c.item(ctx, name, what+" (Maven)", func(ctx context.Context, dir string) error { return mavenJars(ctx, dir, artifacts...) })
	return filepath.Join(dir, "lib"), err
}

// mavenJars copies artifacts with all they need into dir/lib.
func mavenJars(ctx context.Context, dir string, artifacts ...string) error {
	var deps strings.Builder
	for _, a := range artifacts {
		f := strings.Split(a, ":")
		fmt.Fprintf(&deps, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>", f[0], f[1], f[2])
	}
	pom := `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>rowmesh</groupId><artifactId>servers</artifactId>` +
		`<version>1</version><dependencies>` + deps.String() + `</dependencies></project>`
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o644); err != nil {
		return err
	}
	return maven(ctx, dir, "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
}

// unzipTarGz unpacks the .tar.gz member of a zip file into dir.
func unzipTarGz(archive, member, dir string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	f, err := z.Open(member)
	if err != nil {
		return err
	}
	defer f.Close()
	g, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for t := tar.NewReader(g); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%s: unsafe name %q", archive, h.Name)
		}
		if err := unpack(t, h, filepath.Join(dir, h.Name)); err != nil {
			return err
		}
	}
}

func unpack(t *tar.Reader, h *tar.Header, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(path, 0o755)
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, path)
	case tar.TypeReg:
		w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, fs.FileMode(h.Mode)&0o777)
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, t); err != nil {
			w.Close()
			return err
		}
		return w.Close()
	}
	return nil
}
