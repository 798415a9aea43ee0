package signal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signals")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var got []Signal
		var told []string
		f := &Files{Path: path, Every: time.Second, Take: func(_ context.Context, s Signal) error {
			got = append(got, s)
			return nil
		}, Tell: func(err error) {
			if err != nil {
				told = append(told, err.Error())
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(1500 * time.Millisecond) // there is no file yet
		write(`{"id":"a","type":"log","data":{"message":"x"}}` + "\n\nnonsense\n" + `{"id":"b","type":"stop-snapshot","data":{}}`)
		time.Sleep(time.Second)
		cancel()
		<-done
		want := []Signal{{ID: "a", Type: "log", Data: `{"message":"x"}`, Channel: File}, {ID: "b", Type: "stop-snapshot", Data: `{}`, Channel: File}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if len(told) != 1 || !strings.Contains(told[0], "nonsense") {
			t.Errorf("told %q", told)
		}
		if b, _ := os.ReadFile(path); len(b) != 0 {
			t.Errorf("left in the file: %s", b)
		}
	})
}

func TestFileThatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signals")
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Files{Path: path}).read(); err == nil || !strings.Contains(err.Error(), "shorten it") {
		t.Errorf("%v", err)
	}
}
